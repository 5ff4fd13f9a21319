//! Named versions of documents: what a document was when somebody asked for it to be kept.

use std::sync::Arc;

use bytes::Bytes;
use fanwire_proto::{Epoch, Offset, Position, TopicName};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::{
    defaults,
    durable::prefix_of,
    store::{Batch, Scan, Space, Store, StoreError},
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
    /// One that is made now.
    pub fn new(
        id: u64,
        name: String,
        now_ms: u64,
        Position { epoch, offset }: Position,
        state: &[u8],
    ) -> Self {
        Self { id, name, time: now_ms, epoch: epoch.0, offset: offset.0, bytes: state.len() as u64 }
    }

    /// Adds that it is kept.
    pub fn keep(&self, document: &TopicName, state: Bytes, batch: &mut Batch) -> Result<(), StoreError> {
        let description =
            rmp_serde::to_vec(self).map_err(|error| StoreError::Io(error.to_string().into()))?;
        batch.put(Space::Documents, key(document, DESCRIPTIONS, self.id), description);
        batch.put(Space::Documents, key(document, STATES, self.id), state);
        Ok(())
    }

    /// Adds that one is forgotten.
    pub fn forget(document: &TopicName, id: u64, batch: &mut Batch) {
        batch.delete(Space::Documents, key(document, DESCRIPTIONS, id));
        batch.delete(Space::Documents, key(document, STATES, id));
    }

    /// Those of a document, oldest first. Reads from the disk.
    pub fn all(document: &TopicName, store: &dyn Store) -> Result<Vec<Self>, StoreError> {
        let read = |(key, value): (Bytes, Bytes)| match rmp_serde::from_slice(&value) {
            Ok(version) => Some(version),
            Err(error) => {
                tracing::error!(%error, ?key, "a version of a document cannot be read");
                None
            }
        };
        Ok(store.scan(&descriptions(document))?.into_iter().filter_map(read).collect())
    }

    /// Whether there is one. Reads from the disk.
    pub fn exists(document: &TopicName, id: u64, store: &dyn Store) -> Result<bool, StoreError> {
        Ok(store.get(Space::Documents, &key(document, DESCRIPTIONS, id))?.is_some())
    }

    /// What the document was. Reads from the disk.
    pub fn state(document: &TopicName, id: u64, store: &dyn Store) -> Result<Option<Bytes>, StoreError> {
        store.get(Space::Documents, &key(document, STATES, id))
    }

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

/// The document has as many as it may.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TooManyVersions(pub usize);

/// Versions that were numbered and are not on the disk yet.
#[derive(Clone, Default)]
pub struct NewVersions(Arc<Mutex<FxHashMap<TopicName, Pending>>>);

#[derive(Default)]
struct Pending {
    count: usize,
    last: u64,
}

/// A version's number, which no other one gets meanwhile.
pub struct Numbered {
    /// The number.
    pub id: u64,
    all: NewVersions,
    document: TopicName,
}

impl NewVersions {
    /// Numbers a version of a document; `read` tells the versions that are on the disk. One that gets there meanwhile counts
    /// twice, so a document may be said to be full a moment early, never late.
    pub fn number<E: From<StoreError> + From<TooManyVersions>>(
        &self,
        document: &TopicName,
        now_ms: u64,
        read: impl FnOnce() -> Result<Vec<Version>, E>,
    ) -> Result<Numbered, E> {
        // Counted before looking: two that look at once see each other.
        self.0.lock().entry(document.clone()).or_default().count += 1;
        // Made before anything can fail, so that the count is given back whatever happens.
        let mut numbered = Numbered { id: 0, all: self.clone(), document: document.clone() };
        let others = read()?;
        let mut all = self.0.lock();
        let pending = all.entry(document.clone()).or_default();
        if others.len() + pending.count > defaults::VERSIONS {
            // `numbered` takes the lock when it is dropped.
            drop(all);
            return Err(TooManyVersions(defaults::VERSIONS).into());
        }
        let before = others.last().map_or(0, |last| last.id).max(pending.last);
        // By the clock: counted up alone, the number of a newest version that was deleted would come again.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    enum Failed {
        Store,
        TooMany,
    }

    impl From<StoreError> for Failed {
        fn from(_: StoreError) -> Self {
            Self::Store
        }
    }

    impl From<TooManyVersions> for Failed {
        fn from(_: TooManyVersions) -> Self {
            Self::TooMany
        }
    }

    #[test]
    fn no_two_have_the_same_number() {
        let (all, document) = (NewVersions::default(), "doc:a".parse::<TopicName>().unwrap());
        let number = |stored: u64| -> Result<Numbered, Failed> {
            let version = |id| Version { id, name: String::new(), time: 0, epoch: 0, offset: 0, bytes: 0 };
            all.number(&document, 1_000, || Ok((0..stored).map(version).collect()))
        };
        let under_way: Vec<_> = (0..defaults::VERSIONS).map(|_| number(0).unwrap()).collect();
        let ids: Vec<u64> = under_way.iter().map(|numbered| numbered.id).collect();
        assert_eq!(ids, (1_000..1_000 + defaults::VERSIONS as u64).collect::<Vec<_>>());
        assert!(matches!(number(0), Err(Failed::TooMany)));
        drop(under_way);
        assert!(all.0.lock().is_empty());
        assert_eq!(number(3).unwrap().id, 1_000);
        assert!(matches!(number(defaults::VERSIONS as u64), Err(Failed::TooMany)));
    }
}
