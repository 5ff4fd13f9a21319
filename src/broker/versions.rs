//! Named versions of documents: what a document was when somebody asked for it to be kept.

use std::sync::Arc;

use bytes::Bytes;
use fanwire_proto::{Epoch, Offset, Position, TopicName};
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
            let there = broker.document(&topic, now_ms)?;
            let others = broker.versions(&topic)?;
            if others.len() >= defaults::VERSIONS {
                return Err(DocumentError::TooManyVersions(defaults::VERSIONS));
            }
            let state = state_of(&there)?;
            let id = others.last().map_or(now_ms, |last| now_ms.max(last.id + 1));
            let Position { epoch, offset } = there.position;
            let bytes = state.len() as u64;
            Ok((Version { id, name, time: now_ms, epoch: epoch.0, offset: offset.0, bytes }, state))
        };
        let (version, state) = self.convert(make).await?;
        let mut batch = Batch::default();
        let description =
            rmp_serde::to_vec(&version).map_err(|error| StoreError::Io(error.to_string().into()))?;
        batch.put(Space::Documents, key(document, DESCRIPTIONS, version.id), description);
        batch.put(Space::Documents, key(document, STATES, version.id), state);
        self.durable.committer().keep(batch).await?;
        Ok(version)
    }

    /// The versions of a document, oldest first. Reads from the disk.
    pub fn versions(&self, document: &TopicName) -> Result<Vec<Version>, StoreError> {
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

    /// The state of a version. Reads from the disk.
    pub fn version_state(&self, document: &TopicName, id: u64) -> Result<Bytes, DocumentError> {
        let state = self.durable.committer().store().get(Space::Documents, &key(document, STATES, id))?;
        state.ok_or(DocumentError::NoVersion(id))
    }

    /// Forgets a version.
    pub async fn delete_version(&self, document: &TopicName, id: u64) -> Result<(), DocumentError> {
        self.version_state(document, id)?;
        let mut batch = Batch::default();
        batch.delete(Space::Documents, key(document, DESCRIPTIONS, id));
        batch.delete(Space::Documents, key(document, STATES, id));
        Ok(self.durable.committer().keep(batch).await?)
    }

    /// Adds that all versions of a document go.
    pub(super) fn forget_versions(&self, document: &TopicName, batch: &mut Batch) -> Result<(), StoreError> {
        for version in self.versions(document)? {
            batch.delete(Space::Documents, key(document, DESCRIPTIONS, version.id));
            batch.delete(Space::Documents, key(document, STATES, version.id));
        }
        Ok(())
    }
}
