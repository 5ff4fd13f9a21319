//! From blocks back to a topic.
//!
//! Where something cannot be read, the topic begins after it: what lies there is a gap for those who resume from before,
//! stays on the disk, and is named in the log. A document has no place to begin after, so it is refused.

use std::ops::Bound;

use fanwire_proto::{Epoch, Kind, Offset, TopicName};

use super::{
    Durable,
    chain::{self, Chain},
    keys::END_OF_NAME,
    record::{StoredBlock, StoredHead},
    salvage::{self, Parts},
};
use crate::{
    defaults,
    store::{Scan, Space, StoreError},
    topic::{self, Keeping, KindRule, Restored, Rule},
};

/// Entries that are read at a time where there may be many.
const PAGE: usize = 1_024;

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
    /// Kind `document`: a part of it may be missing.
    #[error("the document is damaged: {0}")]
    Damaged(&'static str),
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
        let ruled = rule.kind.kind();
        let parts = salvage::parts(store, name, ruled)?;
        if let Some(stored) = parts.head.as_ref().map(|head| head.head.kind)
            && stored != ruled
            // A head by itself is no content: of a topic with nothing in it the kind may change.
            && salvage::holds_content(store, name, stored)
        {
            return Err(LoadError::OtherKind { stored, ruled });
        }
        let chain = match rule.kind {
            KindRule::Log(_) => chain::of_log(name, &parts),
            KindRule::Latest { .. } => chain::of_values(name, &parts),
            KindRule::Volatile { .. } => Chain::default(),
            KindRule::Document(_) => chain::of_document(name, &parts).map_err(LoadError::Damaged)?,
        };
        // What cannot be read counts: a topic that may be there is not begun anew.
        let is_there = parts.head.is_some() || parts.head_is_hidden || chain.has_something();
        Ok(is_there.then(|| self.restored(rule, &parts, chain, new_epoch)))
    }

    /// Names every topic the store knows, in order, after a name, for as long as `visit` says to go on. Those that cannot
    /// be read are left out.
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
            let (keys, is_last) = salvage::keys(&**self.committer.store(), &page)?;
            let Some(last) = keys.last() else { return Ok(()) };
            page.from = Bound::Excluded(last.clone());
            let names = keys.iter().filter_map(|key| std::str::from_utf8(key).ok()?.parse().ok());
            for name in names {
                if !visit(&name) {
                    return Ok(());
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Above everything that was ever handed out, in any topic: no commit and no crash takes a topic further than by what
    /// may wait for the disk, and no topic goes on from here before it has written so (which is why commits count twice).
    pub(super) fn ceiling(&self) -> Offset {
        let steps = self.committer.store().commits().saturating_mul(2).saturating_add(self.run.crashes + 2);
        Offset(steps.saturating_mul(defaults::UNKEPT_COUNT as u64))
    }

    fn restored(
        &self,
        rule: &Rule,
        parts: &Parts,
        chain: Chain,
        new_epoch: impl FnOnce() -> Epoch,
    ) -> Restored {
        let kind = rule.kind.kind();
        let head = parts.head.as_ref();
        let traces: Vec<Trace> = (head.into_iter().map(Trace::of_head))
            .chain(chain.state.iter().chain(chain.blocks.last()).map(Trace::of_block))
            .collect();
        let newest = traces.iter().max_by_key(|trace| trace.last);
        let mut last = newest.map_or(Offset::ZERO, |trace| trace.last);
        let crashes = traces.iter().map(|trace| trace.crashes).max().unwrap_or(0);
        let crashes_since = self.run.crashes.saturating_sub(crashes);
        // What an older run handed out is below that: each crash since then has raised where numbering goes on.
        let of_last_run = traces.iter().filter(|trace| trace.crashes == crashes);
        let numbered = of_last_run.map(|trace| trace.numbered).max().unwrap_or_default().max(last);
        let mut floor = Offset(numbered.0.saturating_add(crashes_since * defaults::UNKEPT_COUNT as u64));
        if parts.head_is_hidden || chain.end_is_hidden {
            floor = floor.max(self.ceiling());
        }
        // What was lost behind the last message has been seen: the topic stands after it.
        let lost = if chain.end_is_hidden { Some(floor) } else { chain.lost };
        last = lost.map_or(last, |lost| last.max(lost));
        let changed_kind = head.is_some_and(|head| head.head.kind != kind);
        let seen_early = rule.keeping == Keeping::DurableSeenEarly && crashes_since > 0;
        // A value that is gone cannot be told from one that did not change, and a head that is from what it said.
        let goes_on = !changed_kind && !seen_early && !chain.values_are_missing && !parts.head_is_hidden;
        let epoch = newest.map(|trace| trace.epoch).filter(|_| goes_on).unwrap_or_else(new_epoch);
        Restored {
            head: topic::Head {
                kind,
                epoch,
                last,
                numbered: floor.max(last),
                evicted: chain.evicted.max(lost.unwrap_or_default()),
                damage: parts.damage(kind),
            },
            blocks: match kind {
                Kind::Log | Kind::Document => chain.blocks.iter().map(StoredBlock::range).collect(),
                Kind::Latest | Kind::Volatile => Default::default(),
            },
            messages: {
                let evicted = if kind == Kind::Latest { Offset::ZERO } else { chain.evicted };
                let newer = chain.blocks.into_iter().flat_map(|block| block.messages);
                let newer = newer.filter(|(message, _)| message.offset > evicted);
                chain.state.into_iter().flat_map(|block| block.messages).chain(newer).collect()
            },
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
    fn of_head(head: &StoredHead) -> Self {
        let topic::Head { epoch, last, numbered, .. } = head.head;
        Self { epoch, last, numbered, crashes: head.crashes }
    }

    fn of_block(block: &StoredBlock) -> Self {
        let last = block.range().last;
        Self { epoch: block.epoch, last, numbered: last, crashes: block.crashes }
    }
}

/// The name of the topic that a key of [`Space::Messages`] or [`Space::Values`] belongs to.
pub fn topic_of(key: &[u8]) -> Option<TopicName> {
    let end = key.iter().position(|byte| *byte == END_OF_NAME)?;
    std::str::from_utf8(&key[..end]).ok()?.parse().ok()
}
