//! Named versions of documents: what a document was when somebody asked for it to be kept.

use std::sync::Arc;

use bytes::Bytes;
use fanwire_proto::{Epoch, Offset, Position, TopicName};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use super::{Broker, DocumentError, edit::state_of};
use crate::{
    defaults,
    durable::prefix_of,
    store::{Batch, Scan, Space, StoreError},
};

/// What is known of a version beside its content.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Version {
    /// Tells it from the document's others; later ones have higher numbers.
    pub id: u64,
    /// What somebody called it.
    pub name: String,
    /// When it was made, in milliseconds since 1970.
    pub time: u64,
    epoch: u64,
    offset: u64,
    /// Bytes of its state.
    pub bytes: u64,
}

impl Version {
    /// Where the document stood.
    pub fn position(&self) -> Position {
        Position { epoch: Epoch(self.epoch), offset: Offset(self.offset) }
    }
}

/// What stands in front of a version's number in the keys of its description and its state.
const DESCRIPTIONS: &[u8] = b"version";
const STATES: &[u8] = b"content";

fn key(document: &TopicName, of: &[u8], id: u64) -> Bytes {
    [&prefix_of(document), of, &id.to_be_bytes()].concat().into()
}

fn descriptions(document: &TopicName) -> Scan {
    Scan::prefix(Space::Documents, [&prefix_of(document), DESCRIPTIONS].concat())
}

/// Versions that were numbered and are not on the disk yet.
#[derive(Clone, Default)]
pub(super) struct NewVersions(Arc<Mutex<FxHashMap<TopicName, Pending>>>);

#[derive(Default)]
struct Pending {
    count: usize,
    last: u64,
}

/// A version's number, which no other one gets meanwhile.
struct Numbered {
    id: u64,
    all: NewVersions,
    document: TopicName,
}

impl NewVersions {
    /// Numbers a version of a document; `read` tells the versions that are on the disk. One that gets there meanwhile counts
    /// twice, so a document may be said to be full a moment early, never late.
    fn number(
        &self,
        document: &TopicName,
        now_ms: u64,
        read: impl FnOnce() -> Result<Vec<Version>, StoreError>,
    ) -> Result<Numbered, DocumentError> {
        self.0.lock().entry(document.clone()).or_default().count += 1;
        let mut numbered = Numbered { id: 0, all: self.clone(), document: document.clone() };
        let others = read()?;
        let mut all = self.0.lock();
        let pending = all.entry(document.clone()).or_default();
        if others.len() + pending.count > defaults::VERSIONS {
            // `numbered` takes the lock when it is dropped.
            drop(all);
            return Err(DocumentError::TooManyVersions(defaults::VERSIONS));
        }
        let before = others.last().map_or(0, |last| last.id).max(pending.last);
        pending.last = now_ms.max(before + 1);
        numbered.id = pending.last;
        drop(all);
        Ok(numbered)
    }
}

impl Drop for Numbered {
    fn drop(&mut self) {
        let mut all = self.all.0.lock();
        let is_last = all.get_mut(&self.document).is_none_or(|pending| {
            pending.count = pending.count.saturating_sub(1);
            pending.count == 0
        });
        if is_last {
            all.remove(&self.document);
        }
    }
}

impl Broker {
    /// Keeps a document as it is under a name.
    pub async fn keep_version(
        self: &Arc<Self>,
        document: &TopicName,
        name: String,
        now_ms: u64,
    ) -> Result<Version, DocumentError> {
        let (broker, topic) = (self.clone(), document.clone());
        let make = move || {
            let numbered = broker.new_versions.number(&topic, now_ms, || broker.stored_versions(&topic))?;
            let there = broker.document(&topic, now_ms)?;
            let state = state_of(&there)?;
            let Position { epoch, offset } = there.position;
            let (id, bytes) = (numbered.id, state.len() as u64);
            let version = Version { id, name, time: now_ms, epoch: epoch.0, offset: offset.0, bytes };
            Ok((version, state, numbered))
        };
        let (version, state, _numbered) = self.convert(document, make).await?;
        let mut batch = Batch::default();
        let description =
            rmp_serde::to_vec(&version).map_err(|error| StoreError::Io(error.to_string().into()))?;
        batch.put(Space::Documents, key(document, DESCRIPTIONS, version.id), description);
        batch.put(Space::Documents, key(document, STATES, version.id), state);
        self.durable.committer().keep(batch).await?;
        Ok(version)
    }

    /// The versions of a document, oldest first.
    pub async fn versions(self: &Arc<Self>, document: &TopicName) -> Result<Vec<Version>, DocumentError> {
        let (broker, topic) = (self.clone(), document.clone());
        self.convert(document, move || Ok(broker.stored_versions(&topic)?)).await
    }

    /// Reads from the disk.
    fn stored_versions(&self, document: &TopicName) -> Result<Vec<Version>, StoreError> {
        let entries = self.durable.committer().store().scan(&descriptions(document))?;
        let read = |(key, value): (Bytes, Bytes)| match rmp_serde::from_slice(&value) {
            Ok(version) => Some(version),
            Err(error) => {
                tracing::error!(%error, ?key, "a version of a document cannot be read");
                None
            }
        };
        Ok(entries.into_iter().filter_map(read).collect())
    }

    /// The state of a version.
    pub async fn version_state(
        self: &Arc<Self>,
        document: &TopicName,
        id: u64,
    ) -> Result<Bytes, DocumentError> {
        self.version_entry(document, STATES, id).await
    }

    async fn version_entry(
        self: &Arc<Self>,
        document: &TopicName,
        of: &'static [u8],
        id: u64,
    ) -> Result<Bytes, DocumentError> {
        let (broker, entry) = (self.clone(), key(document, of, id));
        let read = move || {
            let found = broker.durable.committer().store().get(Space::Documents, &entry)?;
            found.ok_or(DocumentError::NoVersion(id))
        };
        self.convert(document, read).await
    }

    /// Forgets a version.
    pub async fn delete_version(
        self: &Arc<Self>,
        document: &TopicName,
        id: u64,
    ) -> Result<(), DocumentError> {
        self.version_entry(document, DESCRIPTIONS, id).await?;
        let mut batch = Batch::default();
        batch.delete(Space::Documents, key(document, DESCRIPTIONS, id));
        batch.delete(Space::Documents, key(document, STATES, id));
        Ok(self.durable.committer().keep(batch).await?)
    }

    /// Adds that all versions of a document go. Reads from the disk.
    pub(super) fn forget_versions(&self, document: &TopicName, batch: &mut Batch) -> Result<(), StoreError> {
        for version in self.stored_versions(document)? {
            batch.delete(Space::Documents, key(document, DESCRIPTIONS, version.id));
            batch.delete(Space::Documents, key(document, STATES, version.id));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_have_the_same_number() {
        let (all, document) = (NewVersions::default(), "doc:a".parse::<TopicName>().unwrap());
        let number = |stored: u64| {
            let version = |id| Version { id, name: String::new(), time: 0, epoch: 0, offset: 0, bytes: 0 };
            all.number(&document, 1_000, || Ok((0..stored).map(version).collect()))
        };
        let under_way: Vec<_> = (0..defaults::VERSIONS).map(|_| number(0).unwrap()).collect();
        let ids: Vec<u64> = under_way.iter().map(|numbered| numbered.id).collect();
        assert_eq!(ids, (1_000..1_000 + defaults::VERSIONS as u64).collect::<Vec<_>>());
        assert!(matches!(number(0), Err(DocumentError::TooManyVersions(_))));
        drop(under_way);
        assert!(all.0.lock().is_empty());
        assert_eq!(number(3).unwrap().id, 1_000);
        assert!(matches!(number(defaults::VERSIONS as u64), Err(DocumentError::TooManyVersions(_))));
    }
}
