//! Whether the blocks of a topic follow each other, and what can be served of those that do not.

use fanwire_proto::{Offset, TopicName};

use super::{
    keys::state_key,
    record::{StoredBlock, decode_block},
    salvage::{Parts, report},
};
use crate::{defaults, store::Salvaged, topic};

/// The content of a topic that can be served.
#[derive(Default)]
pub(super) struct Chain {
    /// In offset order.
    pub(super) blocks: Vec<StoredBlock>,
    /// Kind `document`: what was merged.
    pub(super) state: Option<StoredBlock>,
    /// Nothing up to here is served.
    pub(super) evicted: Offset,
    /// Messages up to here were lost behind the last block.
    pub(super) lost: Option<Offset>,
    /// So were messages of which nobody knows how many there were.
    pub(super) end_is_hidden: bool,
    /// Kind `latest`: not every value is there.
    pub(super) values_are_missing: bool,
}

impl Chain {
    pub(super) fn has_something(&self) -> bool {
        !self.blocks.is_empty()
            || self.state.is_some()
            || self.lost.is_some()
            || self.end_is_hidden
            || self.values_are_missing
    }

    fn last(&self) -> Offset {
        let blocks = self.blocks.last().into_iter().chain(&self.state);
        blocks.map(|block| block.range().last).max().unwrap_or_default()
    }
}

/// Blocks that were read one after the other.
#[derive(Default)]
struct Links {
    blocks: Vec<StoredBlock>,
    /// When the last one was written.
    written: u64,
    /// The highest offset that may have been in an unreadable block at the end.
    lost: Option<Offset>,
}

impl Links {
    fn of(name: &TopicName, entries: &[Salvaged]) -> Self {
        let mut links = Self::default();
        entries.iter().for_each(|entry| links.add(name, entry));
        links
    }

    fn add(&mut self, name: &TopicName, entry: &Salvaged) {
        self.written = self.written.max(entry.written);
        match decode_block(name, &entry.value) {
            Ok(block) => {
                // Something that can be read follows, so this is a hole in the middle, which the links show.
                self.lost = None;
                self.blocks.push(block);
            }
            Err(error) => {
                report(name, &error);
                // A block has no more messages than may wait for one commit.
                let first = entry.key.last_chunk::<8>().map_or(0, |first| u64::from_be_bytes(*first));
                self.lost = Some(Offset(first.saturating_add(defaults::UNKEPT_COUNT as u64)));
            }
        }
    }

    /// Forgets all before the last place where they do not follow each other.
    fn keep_the_end(&mut self, name: &TopicName) {
        let follow = |pair: &[StoredBlock]| pair[0].range().last == pair[1].previous;
        if let Some(index) = self.blocks.windows(2).rposition(|pair| !follow(pair)) {
            let first = self.blocks[index + 1].range().first;
            report(name, &format_args!("a block is missing before offset {first}"));
            self.blocks.drain(..=index);
        }
    }
}

/// Kind `log`: the unbroken run of blocks up to the end.
pub(super) fn of_log(name: &TopicName, parts: &Parts) -> Chain {
    let head = parts.head.map(|head| head.head);
    let mut links = Links::of(name, &parts.content.entries);
    links.keep_the_end(name);
    let evicted = head.map_or(Offset::ZERO, |head| head.evicted);
    let before = links.blocks.first().map_or(Offset::ZERO, |block| block.previous);
    let mut chain = Chain { evicted: evicted.max(before), ..Chain::default() };
    chain.end_is_hidden =
        hides_the_end(parts, links.written) || (parts.head_is_hidden && links.blocks.is_empty());
    chain.lost = links.lost;
    chain.blocks = links.blocks;
    if let Some(head) = head.filter(|head| head.kind == fanwire_proto::Kind::Log && head.last > chain.last())
    {
        // These stay on the disk: who reads there knows of more than is here.
        chain.blocks.clear();
        let more = Some(head.last).filter(|last| *last > chain.evicted);
        chain.lost = chain.lost.max(more);
    }
    if chain.lost.is_some() || chain.end_is_hidden {
        report(name, &"its last messages cannot be read; it goes on behind them");
        chain.blocks.clear();
    }
    chain
}

/// Whether something newer than what is known of a topic may lie behind its last block.
fn hides_the_end(parts: &Parts, blocks_written: u64) -> bool {
    let known = parts.head_written.max(blocks_written);
    let last = parts.content.entries.last().map_or(&b""[..], |entry| &entry.key);
    parts.content.holes.iter().any(|hole| hole.hides_after(last, known))
}

/// Kind `latest`: every value that can be read and is the newest of its key, oldest first.
pub(super) fn of_values(name: &TopicName, parts: &Parts) -> Chain {
    let known = parts.head.map_or(0, |head| head.head.damage);
    // Holes that the head knows of have had their new epoch.
    let mut chain = Chain { values_are_missing: parts.shape_of_holes() != known, ..Chain::default() };
    for entry in &parts.content.entries {
        if parts.content.holes.iter().any(|hole| hole.hides(&entry.key, entry.written)) {
            continue;
        }
        match decode_block(name, &entry.value) {
            Ok(block) => chain.blocks.push(block),
            Err(error) => {
                report(name, &error);
                chain.values_are_missing = true;
            }
        }
    }
    // A value that cannot be read may have been the last one.
    chain.end_is_hidden = chain.values_are_missing;
    chain.blocks.sort_by_key(|block| block.range().last);
    chain
}

/// Kind `document`: what was merged of it, and all that came after; what is wrong if that cannot be said.
pub(super) fn of_document(name: &TopicName, parts: &Parts) -> Result<Chain, &'static str> {
    let mut links = Links::of(name, &parts.content.entries);
    let head = parts.head.map(|head| head.head);
    let key = state_key(name);
    let found = parts.state.entries.first();
    let written = found.map_or(0, |found| found.written);
    let state = found.map(|found| decode_block(name, &found.value)).transpose();
    let state = state.map_err(|_| "what was merged of it makes no sense")?;
    let erased = head.map_or(Offset::ZERO, |head| head.evicted);
    // One that was erased has no state; only its head says up to where.
    let merged = state.as_ref().map_or(Offset::ZERO, |state| state.range().last).max(erased);
    let first = links.blocks.iter().position(|block| block.range().last > merged);
    // Older blocks may be there still: each commit removes only so many.
    let newer = first.map_or(&[][..], |first| &links.blocks[first..]);
    let is_complete = newer.first().is_none_or(|block| block.previous <= merged)
        && newer.windows(2).all(|pair| pair[0].range().last == pair[1].previous);
    let is_known = parts.news(&parts.content.holes).chain(parts.news(&parts.state.holes)).next().is_none();
    if parts.head_is_hidden {
        return Err("what is known of it cannot be read");
    }
    // Without a position up to which it was merged there never was a state.
    if erased > Offset::ZERO && parts.news(&parts.state.holes).any(|hole| hole.hides(&key, written)) {
        return Err("what was merged of it cannot be read");
    }
    let chain =
        Chain { blocks: std::mem::take(&mut links.blocks), state, evicted: merged, ..Chain::default() };
    let is_short = head.is_some_and(|head| head.last > chain.last().max(merged));
    let is_whole = is_complete && links.lost.is_none() && !is_short && !hides_the_end(parts, links.written);
    match (is_whole, is_known) {
        (true, _) => Ok(chain),
        // Commits are missing whose loss was accepted: clients that have more bring it again.
        (false, true) => {
            report(name, &"updates are missing; what can be read is served");
            Ok(Chain { lost: links.lost, ..chain })
        }
        (false, false) => Err("updates since it was merged cannot be read"),
    }
}

impl StoredBlock {
    /// Its first and last offset.
    pub(super) fn range(&self) -> topic::Block {
        let offset = |entry: Option<&(fanwire_proto::Message, Option<String>)>| {
            entry.map_or(Offset::ZERO, |(message, _)| message.offset)
        };
        topic::Block { first: offset(self.messages.first()), last: offset(self.messages.last()) }
    }
}
