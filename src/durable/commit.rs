//! One topic's part in a group commit.

use std::sync::Arc;

use fanwire_proto::{Kind, Offset};
use rustc_hash::FxHashMap;

use super::{
    Durable,
    keys::{block_key, state_key, value_key},
    record::{encode_block, encode_head},
};
use crate::{
    clock::unix_ms,
    store::{Batch, Job, Space, StoreError},
    topic::{FeedRef, Keeping, Settled, Topic, Unkept, Writing},
};

/// Why nothing durable is taken at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// No room.
    #[error("the broker's disk is full; nothing was published")]
    Full,
    /// Anything else.
    #[error("the broker's store fails; its log says why")]
    Failed,
}

impl From<&StoreError> for Trouble {
    fn from(error: &StoreError) -> Self {
        match error {
            StoreError::Full(_) => Self::Full,
            _ => Self::Failed,
        }
    }
}

impl Durable {
    /// Queues a topic for a commit.
    pub fn begin_commit(self: &Arc<Self>, topic: &Arc<Topic>) {
        let job =
            TopicCommit { durable: self.clone(), topic: topic.clone(), writing: None, is_written: true };
        self.committer.submit(Box::new(job));
    }

    /// Why nothing durable would be taken now, also if nobody has tried yet.
    pub fn trouble(&self) -> Option<Trouble> {
        let full = || (self.committer.store().room() == Some(0)).then_some(Trouble::Full);
        self.check().err().or_else(full)
    }

    /// Refuses while the store takes nothing.
    pub fn check(&self) -> Result<(), Trouble> {
        self.committer.trouble().map_or(Ok(()), |error| Err(Trouble::from(&error)))
    }

    /// What was written is durable: whoever may see it only then sees it.
    fn show(&self, topic: &Topic, writing: Writing) -> Vec<Settled> {
        let (now_ms, epoch) = (unix_ms(), writing.epoch);
        let unseen = if topic.keeping == Keeping::Durable { &writing.entries[..] } else { &[] };
        // Copied beforehand, since the topic takes the messages.
        let tapped = self.taps.copies(&topic.name, unseen, now_ms);
        let notify = |feed: FeedRef| self.shards[feed.shard.0].notify(feed);
        let settled = topic.committed(writing, now_ms, notify);
        // A document that was erased meanwhile is in another epoch, and what is older is nobody's to see.
        if !tapped.is_empty() && topic.position().epoch == epoch {
            tapped.pass_on(epoch);
        }
        settled
    }
}

struct TopicCommit {
    durable: Arc<Durable>,
    topic: Arc<Topic>,
    writing: Option<Writing>,
    /// Whether the batch has all of it.
    is_written: bool,
}

impl Job for TopicCommit {
    fn write(&mut self, batch: &mut Batch) -> usize {
        let writing = self.topic.begin_commit();
        // Apart at first, so that nothing half is written.
        let mut own = Batch::default();
        match write(&writing, self.durable.run.crashes, &mut own) {
            Ok(()) => batch.writes.append(&mut own.writes),
            Err(error) => {
                tracing::error!(%error, topic = %writing.name, "a block could not be encoded");
                self.is_written = false;
            }
        }
        let count = writing.entries.len();
        self.writing = Some(writing);
        count
    }

    fn settled(self: Box<Self>, outcome: &Result<(), StoreError>) {
        let Self { durable, topic, writing, is_written } = *self;
        // Without a commit there is nothing to take back, but there are those who wait.
        let writing = writing.unwrap_or_else(|| topic.begin_commit());
        let kept = outcome.is_ok() && is_written;
        let settled = match kept {
            true => durable.show(&topic, writing),
            false => topic.not_committed(writing),
        };
        Settled::tell_all(settled);
        // Once the store is closed there is no next commit, and what could not be encoded waits for the next publish
        // rather than being tried without end: the topic is not asked, since it would take it that one begins.
        if is_written && !matches!(outcome, Err(StoreError::Closed)) && topic.wants_commit() {
            durable.begin_commit(&topic);
        }
    }
}

fn write(writing: &Writing, crashes: u64, batch: &mut Batch) -> Result<(), rmp_serde::encode::Error> {
    if let Some(head) = &writing.head {
        batch.put(
            Space::Topics,
            writing.name.as_str().as_bytes().to_vec(),
            encode_head(head, crashes, unix_ms())?,
        );
    }
    match writing.state.as_deref() {
        None => {}
        Some([]) => batch.delete(Space::Documents, state_key(&writing.name)),
        Some(state) => {
            let entries: Vec<&Unkept> = state.iter().collect();
            let bytes = encode_block(writing.epoch, crashes, Offset::ZERO, &entries)?;
            batch.put(Space::Documents, state_key(&writing.name), bytes);
        }
    }
    for block in &writing.old_blocks {
        batch.delete(Space::Messages, block_key(&writing.name, block.first));
    }
    // Before the values: within a batch later writes win, and a key may have been forgotten and set again.
    for key in &writing.old_keys {
        batch.delete(Space::Values, value_key(&writing.name, key));
    }
    match (writing.kind, writing.block()) {
        (_, None) | (Kind::Volatile, _) => {}
        (Kind::Log | Kind::Document, Some(block)) => {
            let entries: Vec<&Unkept> = writing.entries.iter().collect();
            let bytes = encode_block(writing.epoch, crashes, writing.previous, &entries)?;
            batch.put(Space::Messages, block_key(&writing.name, block.first), bytes);
        }
        (Kind::Latest, Some(_)) => write_values(writing, crashes, batch)?,
    }
    Ok(())
}

/// Only the newest value of each key is worth writing.
fn write_values(writing: &Writing, crashes: u64, batch: &mut Batch) -> Result<(), rmp_serde::encode::Error> {
    let key_of = |entry: &Unkept| entry.message.key.as_deref().unwrap_or_default().to_owned();
    let newest: FxHashMap<String, &Unkept> =
        writing.entries.iter().map(|entry| (key_of(entry), entry)).collect();
    for (key, entry) in newest {
        let bytes = encode_block(writing.epoch, crashes, writing.previous, &[entry])?;
        batch.put(Space::Values, value_key(&writing.name, &key), bytes);
    }
    Ok(())
}
