//! Documents for those who are no editors: reading and replacing their content, deleting them. What takes long is done by
//! a worker.

use std::sync::Arc;

use bytes::Bytes;
use fanwire_proto::{Epoch, Offset, Position, TopicName};
use serde_json::Value;
use tokio::sync::oneshot;

use super::{Broker, NoTopic, PublishError, Unreadable};
use crate::{
    collab::{
        Busy, CannotChange, Condition, NewContent, NoSpace, NoState, Workspace, root_or_only, state_of,
        update_to,
    },
    document::{CannotRead, compact::CannotMerge, content, edit::CannotEdit},
    durable::Trouble,
    memory::{Class, Owner},
    order::Placing,
    shard::Order,
    store::StoreError,
    topic::{Kind, KindRule, NotPlaced, Refusal, Updates},
};

/// Why something could not be done with a document.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The topic is something else.
    #[error("the topic is not of kind `document`")]
    WrongKind,
    /// It cannot be read from the disk.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// Its updates cannot be made one.
    #[error("the document cannot be merged: {0}")]
    Unmergeable(#[from] CannotMerge),
    /// It cannot be read.
    #[error("the document cannot be converted: {0}")]
    Unconvertible(#[from] CannotRead),
    /// It cannot become what was asked for.
    #[error("`{0}` is neither a string, an object nor an array, nor null")]
    NotARoot(String),
    /// A job ended before it was done.
    #[error("the document could not be worked on; the broker's log says why")]
    Failed,
    /// The change was not taken.
    #[error(transparent)]
    Publish(PublishError),
    /// Nobody knows what becomes of the change.
    #[error(transparent)]
    NotPlaced(#[from] NotPlaced),
    /// The disk does not do its part.
    #[error("the broker's store failed; its log says why")]
    Store(#[from] StoreError),
    /// There is no memory for it.
    #[error(transparent)]
    NoSpace(#[from] NoSpace),
    /// Too many are asking.
    #[error(transparent)]
    Busy(#[from] Busy),
    /// The document is not what the caller thinks.
    #[error("the document is at {}:{}", .0.epoch, .0.offset)]
    Changed(Position),
    /// The document is larger than it may be.
    #[error("the content has {bytes} bytes; {limit} are allowed")]
    TooLarge {
        /// What it would have.
        bytes: usize,
        /// What it may have.
        limit: usize,
    },
    /// There is no version of this name.
    #[error("the document has no version {0}")]
    NoVersion(u64),
    /// There is no such root.
    #[error("the document has no root `{0}`")]
    NoRoot(String),
    /// There is one, with something else in it.
    #[error("the root `{0}` is no text")]
    NotText(String),
    /// It has as many as it may.
    #[error("the document has {0} versions, the most it may have; delete one")]
    TooManyVersions(usize),
}

impl From<CannotChange> for DocumentError {
    fn from(error: CannotChange) -> Self {
        match error {
            CannotChange::NoState(error) => error.into(),
            CannotChange::Uneditable(error) => error.into(),
        }
    }
}

impl From<NoState> for DocumentError {
    fn from(error: NoState) -> Self {
        match error {
            NoState::Unmergeable(error) => error.into(),
            NoState::NoSpace(error) => error.into(),
        }
    }
}

impl From<CannotEdit> for DocumentError {
    fn from(error: CannotEdit) -> Self {
        match error {
            CannotEdit::Unreadable(error) => error.into(),
            CannotEdit::NotARoot(name) => Self::NotARoot(name),
        }
    }
}

impl From<PublishError> for DocumentError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Refused(Refusal::Moved(position)) => Self::Changed(position),
            other => Self::Publish(other),
        }
    }
}

impl From<NoTopic> for DocumentError {
    fn from(error: NoTopic) -> Self {
        Self::Publish(error.into())
    }
}

impl From<Trouble> for DocumentError {
    fn from(trouble: Trouble) -> Self {
        NoTopic::from(trouble).into()
    }
}

/// What an edit comes to.
enum Change {
    /// The document is what it is to be already.
    Nothing(Position),
    /// An update.
    Submitted(Placing),
}

impl Broker {
    /// The updates of a document; none for one that does not exist.
    pub fn document(&self, name: &TopicName, now_ms: u64) -> Result<Updates, DocumentError> {
        if self.kind_of(name) != Kind::Document {
            return Err(DocumentError::WrongKind);
        }
        let nowhere = Position { epoch: Epoch::FOREIGN, offset: Offset::ZERO };
        let found = match self.find(name) {
            None if self.memory.share(Class::Documents).is_tight() => {
                // What room there is is for those who edit; it is read and let go.
                let rule = self.policy.load().rules.of(name);
                self.load(name, &rule, now_ms)?.map(Arc::new)
            }
            found => found.map_or_else(|| self.find_or_restore(name, now_ms), |topic| Ok(Some(topic)))?,
        };
        Ok(found.map_or(Updates { updates: Vec::new(), position: nowhere }, |topic| topic.updates()))
    }

    /// The memory for work on documents.
    pub fn workspace(&self) -> Workspace {
        Workspace::new(self.memory.share(Class::Merging).clone())
    }

    /// Has a worker do something for a document, unless it or all of them together have enough to do.
    pub(super) async fn convert<T: Send + 'static>(
        &self,
        by: &Owner,
        name: &TopicName,
        work: impl FnOnce() -> Result<T, DocumentError> + Send + 'static,
    ) -> Result<T, DocumentError> {
        let place = self.conversions.enter(name, by)?;
        let (done, wait) = oneshot::channel();
        self.workers.convert.submit(move || {
            let outcome = work();
            // Taken until the work is done, whether somebody still waits for it or not, and free before anybody hears of that.
            drop(place);
            drop(done.send(outcome));
        });
        wait.await.unwrap_or(Err(DocumentError::Failed))
    }

    /// A document as one update, and where it stands.
    pub async fn document_state(
        self: &Arc<Self>,
        by: &Owner,
        of: &TopicName,
        now_ms: u64,
    ) -> Result<(Bytes, Position), DocumentError> {
        let (broker, name) = (self.clone(), of.clone());
        let read = move || {
            let there = broker.document(&name, now_ms)?;
            Ok((state_of(&there, &broker.workspace())?, there.position))
        };
        self.convert(by, of, read).await
    }

    /// A state as JSON by root.
    pub async fn state_as_json(
        &self,
        by: &Owner,
        of: &TopicName,
        state: Bytes,
    ) -> Result<Value, DocumentError> {
        let space = self.workspace();
        let read = move || {
            let _held = space.to_read(&[&state])?;
            Ok(content::json(&[&state])?)
        };
        self.convert(by, of, read).await
    }

    /// A root of a state as text; without a name, the only one there is, or `text`. What has no root at all is an empty
    /// text, unless one is named.
    pub async fn state_as_text(
        &self,
        by: &Owner,
        of: &TopicName,
        state: Bytes,
        root: Option<String>,
    ) -> Result<String, DocumentError> {
        let space = self.workspace();
        let read = move || {
            let _held = space.to_read(&[&state])?;
            let is_named = root.is_some();
            let root = root_or_only(root, &[&state])?;
            if let Some(text) = content::text(&[&state], &root)? {
                return Ok(text);
            }
            let roots = content::json(&[&state])?;
            match roots.get(&root) {
                Some(Value::Null) => Ok(String::new()),
                Some(_) => Err(DocumentError::NotText(root)),
                // Without a name and without any root, nothing has been written yet: an empty text, rather than an error
                // about a root that the caller never named.
                None if !is_named && roots.as_object().is_none_or(serde_json::Map::is_empty) => {
                    Ok(String::new())
                }
                None => Err(DocumentError::NoRoot(root)),
            }
        };
        self.convert(by, of, read).await
    }

    /// Changes a document by an edit that leads from what it is to what it is to be; editors see it happen. Returns
    /// where it stands then, durable if its rule says so.
    pub async fn replace(
        self: &Arc<Self>,
        by: &Owner,
        of: &TopicName,
        new: NewContent,
        condition: Condition,
        now_ms: u64,
    ) -> Result<Position, DocumentError> {
        let (broker, name, asker) = (self.clone(), of.clone(), by.clone());
        let change = move || {
            let there = broker.document(&name, now_ms)?;
            condition.check(&there).map_err(DocumentError::Changed)?;
            let Some(update) = update_to(&there, &new, broker.new_editor(), &broker.workspace())? else {
                return Ok(Change::Nothing(there.position));
            };
            // Checked here, for `publish_edit` lifts the bound of single updates: an edit may be as large as the document
            // may become.
            broker.check_size(&name, &update)?;
            // Others may have written since, or wait for the disk: the topic looks again when it takes the update.
            let base = (condition != Condition::Always).then_some(there.position);
            Ok(Change::Submitted(broker.publish_edit(&name, update, base, &asker, now_ms)?))
        };
        match self.convert(by, of, change).await? {
            Change::Nothing(position) => Ok(position),
            Change::Submitted(placing) => {
                let receipt = placing.outcome().await?;
                Ok(Position { epoch: receipt.epoch, offset: receipt.offset })
            }
        }
    }

    /// A client's number for an edit. Editors take theirs at random from as many.
    fn new_editor(&self) -> u64 {
        // The upper half, since multiplying by an odd factor spreads the counter best there; Yjs takes ids of 32 bits.
        self.new_client().0 >> 32
    }

    fn check_size(&self, name: &TopicName, update: &[u8]) -> Result<(), DocumentError> {
        match self.policy.load().rules.of(name).kind {
            KindRule::Document(ref bounds) if update.len() > bounds.max_bytes => {
                Err(DocumentError::TooLarge { bytes: update.len(), limit: bounds.max_bytes })
            }
            _ => Ok(()),
        }
    }

    /// Deletes a document with its versions. Editors are disconnected for good, other subscriptions end.
    pub async fn delete_document(
        self: &Arc<Self>,
        by: &Owner,
        of: &TopicName,
        now_ms: u64,
    ) -> Result<(), DocumentError> {
        if self.kind_of(of) != Kind::Document {
            return Err(DocumentError::WrongKind);
        }
        // A store that fails is noticed before anything is erased in memory, which could not be undone.
        self.durable.check()?;
        let (broker, name) = (self.clone(), of.clone());
        let found = match self.convert(by, of, move || Ok(broker.find_or_restore(&name, now_ms))).await? {
            // It is deleted because a part of it cannot be read: nobody has it open.
            Err(Unreadable::Damaged(_)) => {
                let begun_anew = self.durable.discard(of, self.new_epoch(), now_ms)?;
                self.durable.committer().keep(begun_anew).await?;
                None
            }
            found => found?,
        };
        if let Some(topic) = found {
            let name: Arc<str> = of.as_str().into();
            // Before, so that nobody brings it back, and after, for those who came in between.
            self.order_all(|done| Order::Disband { topic: name.clone(), done }).await;
            topic.erase(self.new_epoch());
            self.order_all(|done| Order::Disband { topic: name.clone(), done }).await;
            self.begin_commit_if_wanted(&topic);
        }
        // Those who still hold the old room were disbanded; whoever comes now gets a new one, without the cursors of the
        // old.
        self.rooms.remove(of);
        let (broker, name) = (self.clone(), of.clone());
        let batch = self.convert(by, of, move || broker.forget_versions(&name)).await?;
        // Comes after the commit above, so with this everything is gone.
        Ok(self.durable.committer().keep(batch).await?)
    }
}
