//! Reading what a topic has kept: a page of its history, and what a subscriber that fell behind gets next.

use std::sync::Arc;

use fanwire_proto::{HistoryReply, Offset};

use super::{
    CatchUp, HistoryQuery, Placed, document::Document, measure::take_batch, state::State, store::Store,
};
use crate::defaults;

impl State {
    pub(super) fn catch_up(&self, after: Offset, budget: usize) -> CatchUp {
        let (Store::Log(log) | Store::Document(Document { log, .. })) = &self.store else {
            return CatchUp { gap: None, messages: Vec::new(), upto: self.last, epoch: self.epoch };
        };
        let messages = log.batch_after(after, budget);
        // Where nothing is left, the hole reaches up to the message that comes next.
        let gap = (log.evicted > after)
            .then(|| messages.first().map_or(Offset(self.last.0 + 1), |first| first.message.offset));
        let upto = messages.last().map_or(self.last, |last| last.message.offset);
        CatchUp { gap, messages, upto, epoch: self.epoch }
    }

    /// A page of the history, without its messages, and these: they are copied once the lock is released. Costs what the
    /// page has, whatever is kept.
    pub(super) fn history(&mut self, query: &HistoryQuery, now_ms: u64) -> (HistoryReply, Vec<Arc<Placed>>) {
        self.prune(now_ms);
        // A position of another epoch says nothing here: the page begins where one without a position does.
        let since = query.since.filter(|since| since.epoch == self.epoch);
        let after = since.map_or(Offset::ZERO, |since| since.offset);
        let before = since.map_or(Offset(u64::MAX), |since| since.offset);
        let (messages, more) = match (&self.store, query.reverse) {
            (Store::Volatile(_), _) => (Vec::new(), false),
            (Store::Log(log) | Store::Document(Document { log, .. }), false) => {
                page(log.messages.range(log.index_after(after)..), query.limit)
            }
            (Store::Log(log) | Store::Document(Document { log, .. }), true) => {
                page(log.messages.range(..log.index_of(before)).rev(), query.limit)
            }
            (Store::Latest(latest), false) => {
                page(latest.values.after(after).map(|(_, value)| value), query.limit)
            }
            (Store::Latest(latest), true) => {
                page(latest.values.before(before).rev().map(|(_, value)| value), query.limit)
            }
        };
        let reply = HistoryReply {
            id: None,
            topic: self.name.clone(),
            epoch: self.epoch,
            offset: self.last,
            recovered: query
                .since
                .map(|_| since.is_some_and(|since| query.reverse || self.reaches(since.offset))),
            more,
            messages: Vec::new(),
        };
        (reply, messages)
    }

    /// Whether everything after the offset is still known.
    pub(super) fn reaches(&self, offset: Offset) -> bool {
        offset <= self.last
            && match &self.store {
                Store::Log(log) => offset >= log.evicted,
                Store::Latest(_) | Store::Document(_) => true,
                Store::Volatile(_) => offset == self.last,
            }
    }
}

/// The first of these messages, within the bounds of a reply, and whether there are more.
fn page<'a>(
    mut messages: impl Iterator<Item = &'a Arc<Placed>> + Clone,
    limit: usize,
) -> (Vec<Arc<Placed>>, bool) {
    let taken = take_batch(messages.clone().take(limit), defaults::HISTORY_REPLY_BYTES);
    // Counted beyond the limit: `more` is about what there is.
    let more = messages.nth(taken.len()).is_some();
    (taken, more)
}
