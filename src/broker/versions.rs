//! Named versions of documents: keeping, listing, reading and forgetting them.

use std::sync::Arc;

use bytes::Bytes;
use fanwire_proto::TopicName;

use super::{Broker, DocumentError};
use crate::{
    collab::{TooManyVersions, Version, state_of},
    memory::Owner,
    store::{Batch, Store},
};

impl From<TooManyVersions> for DocumentError {
    fn from(TooManyVersions(most): TooManyVersions) -> Self {
        Self::TooManyVersions(most)
    }
}

impl Broker {
    /// Keeps a document as it is under a name.
    pub async fn keep_version(
        self: &Arc<Self>,
        by: &Owner,
        document: &TopicName,
        name: String,
        now_ms: u64,
    ) -> Result<Version, DocumentError> {
        let (broker, topic) = (self.clone(), document.clone());
        let make = move || {
            let stored = || Version::all(&topic, broker.store()).map_err(DocumentError::from);
            let numbered = broker.new_versions.number(&topic, now_ms, stored)?;
            let there = broker.document(&topic, now_ms)?;
            let state = state_of(&there, &broker.workspace())?;
            let version = Version::new(numbered.id, name, now_ms, there.position, &state);
            let mut batch = Batch::default();
            version.keep(&topic, state, &mut batch)?;
            Ok((version, batch, numbered))
        };
        // `_numbered` lives until the version is on the disk, where the next one to be numbered can see it.
        let (version, batch, _numbered) = self.convert(by, document, make).await?;
        self.durable.committer().keep(batch).await?;
        Ok(version)
    }

    /// The versions of a document, oldest first.
    pub async fn versions(
        self: &Arc<Self>,
        by: &Owner,
        document: &TopicName,
    ) -> Result<Vec<Version>, DocumentError> {
        let (broker, topic) = (self.clone(), document.clone());
        self.convert(by, document, move || Ok(Version::all(&topic, broker.store())?)).await
    }

    /// The state of a version.
    pub async fn version_state(
        self: &Arc<Self>,
        by: &Owner,
        document: &TopicName,
        id: u64,
    ) -> Result<Bytes, DocumentError> {
        let (broker, topic) = (self.clone(), document.clone());
        let read = move || Version::state(&topic, id, broker.store())?.ok_or(DocumentError::NoVersion(id));
        self.convert(by, document, read).await
    }

    /// Forgets a version.
    pub async fn delete_version(
        self: &Arc<Self>,
        by: &Owner,
        document: &TopicName,
        id: u64,
    ) -> Result<(), DocumentError> {
        let (broker, topic) = (self.clone(), document.clone());
        let look = move || match Version::exists(&topic, id, broker.store())? {
            true => Ok(()),
            false => Err(DocumentError::NoVersion(id)),
        };
        self.convert(by, document, look).await?;
        let mut batch = Batch::default();
        Version::forget(document, id, &mut batch);
        Ok(self.durable.committer().keep(batch).await?)
    }

    fn store(&self) -> &dyn Store {
        &**self.durable.committer().store()
    }

    /// What removes all versions of a document. Reads from the disk.
    pub(super) fn forget_versions(&self, document: &TopicName) -> Result<Batch, DocumentError> {
        let mut batch = Batch::default();
        for version in Version::all(document, self.store())? {
            Version::forget(document, version.id, &mut batch);
        }
        Ok(batch)
    }
}
