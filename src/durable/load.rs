//! From blocks back to a topic.
//!
//! Where something cannot be read, the topic begins after it: what lies there is a gap for those who resume from before,
//! stays on the disk, and is named in the log.

use std::ops::Bound;

use fanwire_proto::{Epoch, Kind, Offset, TopicName};

use super::{
    Durable, END_OF_NAME, prefix_of,
    record::{Block, decode_block, decode_head},
    salvage, state_key,
};
use crate::{
    defaults,
    store::{Scan, Space, Store, StoreError},
    topic::{self, Keeping, KindRule, Restored, Rule},
};

/// Entries that are read at a time where there may be many.
const PAGE: usize = 1_024;

/// What was found of a topic's content.
#[derive(Default)]
struct Found {
    /// In offset order, without a hole.
    blocks: Vec<Block>,
    /// Kind `document`: what was merged. Then blocks are kept on both sides of a hole: what is missing is asked for from
    /// the clients.
    state: Option<Block>,
    is_document: bool,
    /// Whether there was something before them that could not be read.
    damaged: bool,
    /// The highest offset that may have been in something unreadable after them.
    lost: Option<Offset>,
}

/// Why a topic cannot be restored.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It has content of another kind than its rule says now. Nothing of it is served, changed or removed.
    #[error("the topic holds content of kind `{}`, but its rule says `{}`", .stored.as_str(), .ruled.as_str())]
    OtherKind {
        /// What is on the disk.
        stored: Kind,
        /// What the rule says.
        ruled: Kind,
    },
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Durable {
    /// What the store has of a topic; `new_epoch` is for one that must not go on as it was.
    pub fn load(
        &self,
        name: &TopicName,
        rule: &Rule,
        new_epoch: impl FnOnce() -> Epoch,
    ) -> Result<Option<Restored>, LoadError> {
        let store = &**self.committer.store();
        let head = match store.get(Space::Topics, name.as_str().as_bytes()) {
            Ok(bytes) => {
                bytes.and_then(|bytes| decode_head(&bytes).map_err(|error| report(name, &error)).ok())
            }
            Err(StoreError::Corrupt(what)) => {
                report(name, &what);
                None
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(head) = &head {
            let (stored, ruled) = (head.head.kind, rule.kind.kind());
            if stored != ruled && holds_content(store, name, stored) {
                return Err(LoadError::OtherKind { stored, ruled });
            }
        }
        let found = match rule.kind {
            KindRule::Log(_) => blocks_of(store, name, Found::default())?,
            KindRule::Latest { .. } => values_of(store, name)?,
            KindRule::Volatile { .. } => Found::default(),
            KindRule::Document(_) => updates_of(store, name)?,
        };
        if head.is_none() && found.state.is_none() && found.blocks.is_empty() && found.lost.is_none() {
            return Ok(None);
        }
        Ok(Some(self.restored(rule, head, found, new_epoch)))
    }

    /// Names every topic the store knows, in order, after a name, for as long as `visit` says to go on.
    pub fn topics(
        &self,
        after: Option<&TopicName>,
        mut visit: impl FnMut(&TopicName) -> bool,
    ) -> Result<(), StoreError> {
        let mut page = Scan { limit: PAGE, ..Scan::prefix(Space::Topics, "") };
        if let Some(after) = after {
            page.from = Bound::Excluded(after.as_str().as_bytes().to_vec().into());
        }
        loop {
            let entries = self.committer.store().scan(&page)?;
            let Some((last, _)) = entries.last() else { return Ok(()) };
            page.from = Bound::Excluded(last.clone());
            let names = entries.iter().filter_map(|(key, _)| std::str::from_utf8(key).ok()?.parse().ok());
            for name in names {
                if !visit(&name) {
                    return Ok(());
                }
            }
        }
    }

    fn restored(
        &self,
        rule: &Rule,
        head: Option<super::Head>,
        found: Found,
        new_epoch: impl FnOnce() -> Epoch,
    ) -> Restored {
        let Found { blocks, state, damaged, lost, is_document } = found;
        let kind = rule.kind.kind();
        let traces: Vec<Trace> = (head.iter().map(Trace::of_head))
            .chain(state.iter().chain(blocks.last()).map(Trace::of_block))
            .collect();
        let newest = traces.iter().max_by_key(|trace| trace.last);
        let last = newest.map_or(Offset::ZERO, |trace| trace.last);
        let crashes = traces.iter().map(|trace| trace.crashes).max().unwrap_or(0);
        let crashes_since = self.run.crashes.saturating_sub(crashes);
        let of_last_run = traces.iter().filter(|trace| trace.crashes == crashes);
        let numbered = of_last_run.map(|trace| trace.numbered).max().unwrap_or_default().max(last);
        let floor = Offset(numbered.0 + crashes_since * defaults::UNKEPT_COUNT as u64);
        let changed_kind = head.is_some_and(|head| head.head.kind != kind);
        let seen_early = rule.keeping == Keeping::DurableSeenEarly && crashes_since > 0;
        // A value that is gone cannot be told from one that did not change.
        let values_lost = kind == Kind::Latest && damaged;
        let goes_on = !changed_kind && !seen_early && !values_lost;
        let epoch = newest.map(|trace| trace.epoch).filter(|_| goes_on).unwrap_or_else(new_epoch);
        let evicted = match (lost, damaged) {
            _ if is_document => {
                let erased = head.map_or(Offset::ZERO, |head| head.head.evicted);
                state.as_ref().map_or(Offset::ZERO, last_of).max(erased)
            }
            (Some(lost), _) => lost,
            (None, true) => blocks.first().map_or(last, |block| block.previous),
            (None, false) => head.map_or(Offset::ZERO, |head| head.head.evicted),
        };
        // What was lost behind the last readable message has been seen: the topic stands after it.
        let last = lost.map_or(last, |lost| last.max(lost));
        Restored {
            head: topic::Head { kind, epoch, last, numbered: floor.max(last), evicted },
            blocks: match kind {
                Kind::Log | Kind::Document => blocks.iter().map(range_of).collect(),
                Kind::Latest | Kind::Volatile => Default::default(),
            },
            messages: match lost {
                Some(_) if !is_document => Vec::new(),
                _ => {
                    let newer = blocks.into_iter().flat_map(|block| block.messages);
                    let newer = newer.filter(|(message, _)| !is_document || message.offset > evicted);
                    state.into_iter().flat_map(|block| block.messages).chain(newer).collect()
                }
            },
        }
    }
}

/// Whether there is anything of a topic beside its head; what cannot be read counts.
fn holds_content(store: &dyn Store, name: &TopicName, kind: Kind) -> bool {
    let any = |space, prefix| {
        let first = store.scan(&Scan { limit: 1, ..Scan::prefix(space, prefix) });
        first.map_or(true, |entries| !entries.is_empty())
    };
    match kind {
        Kind::Log => any(Space::Messages, prefix_of(name)),
        Kind::Latest => any(Space::Values, prefix_of(name)),
        Kind::Volatile => false,
        Kind::Document => {
            any(Space::Messages, prefix_of(name)) || any(Space::Documents, state_key(name).to_vec())
        }
    }
}

/// What one thing on the disk says of its topic's numbering.
struct Trace {
    epoch: Epoch,
    /// A durable offset.
    last: Offset,
    /// An offset that was handed out.
    numbered: Offset,
    /// In the run after so many crashes.
    crashes: u64,
}

impl Trace {
    fn of_head(head: &super::Head) -> Self {
        let topic::Head { epoch, last, numbered, .. } = head.head;
        Self { epoch, last, numbered, crashes: head.crashes }
    }

    fn of_block(block: &Block) -> Self {
        let last = last_of(block);
        Self { epoch: block.epoch, last, numbered: last, crashes: block.crashes }
    }
}

fn report(name: &TopicName, what: &dyn std::fmt::Display) {
    tracing::error!(topic = %name, %what, "damage in the store; what can be read is served");
}

fn first_of(block: &Block) -> Offset {
    block.messages.first().map_or(Offset::ZERO, |(message, _)| message.offset)
}

fn last_of(block: &Block) -> Offset {
    block.messages.last().map_or(Offset::ZERO, |(message, _)| message.offset)
}

fn range_of(block: &Block) -> topic::Block {
    topic::Block { first: first_of(block), last: last_of(block) }
}

/// The unbroken run of blocks up to the end.
fn blocks_of(store: &dyn Store, name: &TopicName, mut found: Found) -> Result<Found, StoreError> {
    match store.scan(&Scan::prefix(Space::Messages, prefix_of(name))) {
        Ok(entries) => entries.iter().for_each(|(key, value)| found.take(name, key, value)),
        Err(StoreError::Corrupt(what)) => {
            report(name, &what);
            from_the_end(store, name, &mut found)?;
        }
        Err(error) => return Err(error),
    }
    Ok(found)
}

impl Found {
    /// Adds a block after those that are there, which go if there is a hole between.
    fn take(&mut self, name: &TopicName, key: &[u8], value: &[u8]) {
        match decode_block(name, value) {
            Ok(block) => {
                if self.blocks.last().is_some_and(|last| last_of(last) != block.previous) {
                    report(name, &format_args!("a block is missing before offset {}", first_of(&block)));
                    self.forget_blocks();
                    self.damaged = true;
                }
                self.damaged |= self.lost.take().is_some();
                self.blocks.push(block);
            }
            Err(error) => {
                report(name, &error);
                self.forget_blocks();
                let first = key.last_chunk::<8>().map_or(0, |first| u64::from_be_bytes(*first));
                self.lost = Some(after_block(first));
            }
        }
    }
}

impl Found {
    fn forget_blocks(&mut self) {
        if !self.is_document {
            self.blocks.clear();
        }
    }
}

/// What was merged of a document, and what came after it.
fn updates_of(store: &dyn Store, name: &TopicName) -> Result<Found, StoreError> {
    let state = match store.get(Space::Documents, &state_key(name)) {
        Ok(None) => None,
        Ok(Some(bytes)) => decode_block(name, &bytes).map_err(|error| report(name, &error)).ok(),
        Err(StoreError::Corrupt(what)) => {
            report(name, &what);
            None
        }
        Err(error) => return Err(error),
    };
    blocks_of(store, name, Found { state, is_document: true, ..Found::default() })
}

/// The highest offset that a block with this first one may have.
fn after_block(first: u64) -> Offset {
    Offset(first.saturating_add(defaults::UNKEPT_COUNT as u64))
}

/// Reads backwards, up to what cannot be read.
fn from_the_end(store: &dyn Store, name: &TopicName, found: &mut Found) -> Result<(), StoreError> {
    let entries = salvage::readable_end(store, Scan::prefix(Space::Messages, prefix_of(name)))?;
    match entries.is_empty() {
        true => found.lost = Some(after_block(salvage::last_block(store, name)?.0)),
        false => found.damaged = true,
    }
    entries.iter().for_each(|(key, value)| found.take(name, key, value));
    Ok(())
}

/// Every value that can be read, oldest first.
fn values_of(store: &dyn Store, name: &TopicName) -> Result<Found, StoreError> {
    let mut found = Found::default();
    let all = Scan::prefix(Space::Values, prefix_of(name));
    let entries = match store.scan(&all) {
        Ok(entries) => entries,
        Err(StoreError::Corrupt(what)) => {
            report(name, &what);
            found.damaged = true;
            let mut entries = salvage::readable(store, &all)?;
            entries.extend(salvage::readable_end(store, all)?);
            entries
        }
        Err(error) => return Err(error),
    };
    for (_, value) in &entries {
        match decode_block(name, value) {
            Ok(block) => found.blocks.push(block),
            Err(error) => {
                report(name, &error);
                found.damaged = true;
            }
        }
    }
    found.blocks.sort_by_key(last_of);
    Ok(found)
}

/// The name of the topic that a key of [`Space::Messages`] or [`Space::Values`] belongs to.
pub fn topic_of(key: &[u8]) -> Option<TopicName> {
    let end = key.iter().position(|byte| *byte == END_OF_NAME)?;
    std::str::from_utf8(&key[..end]).ok()?.parse().ok()
}
