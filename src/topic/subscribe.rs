//! Joining a topic: where a subscriber starts, and what it gets first. One critical section, so that nothing can be
//! published between the reply's position, the recovered messages and the live ones.

use std::sync::Arc;

use fanwire_proto::{Epoch, Member, Offset, Position};

use super::{
    FeedRef, KeyCount, Placed, Refusal, document::Document, measure::take_batch, state::State, store::Store,
};

/// What a subscriber asks for.
#[derive(Clone, Debug)]
pub struct JoinRequest {
    /// Its feed.
    pub feed: FeedRef,
    /// Who it is.
    pub member: Member,
    /// Resume after this position.
    pub since: Option<Position>,
    /// Without `since`: start with this many past messages; a document starts with all of its state unless this is 0.
    pub last: Option<u32>,
    /// Whether it wants members, joins and leaves.
    pub watch: bool,
    /// Payload bytes of the past that come with the reply.
    pub budget: usize,
}

/// Where a subscriber stands after joining.
#[derive(Debug)]
pub struct Joined {
    /// The topic's epoch.
    pub epoch: Epoch,
    /// The topic's last offset; nothing later is in `past`.
    pub offset: Offset,
    /// With `since`: whether everything missed is in `past` or can be caught up with after it.
    pub recovered: Option<bool>,
    /// Kinds `log` and `document`: the first batch of the past. Kind `latest`: all values asked for.
    pub past: Vec<Arc<Placed>>,
    /// Kinds `log` and `document`: where the subscriber stands after `past`. Below `offset`, the rest is still to be caught up with.
    pub upto: Offset,
    /// Members, when asked for.
    pub members: Option<Vec<Member>>,
    /// How many watch the members.
    pub watchers: usize,
    /// The number of the last presence change that `members` includes.
    pub members_upto: u64,
    /// Kind `latest`: the values that the feed has not taken over yet, each with its number; all of them for a new
    /// feed.
    pub counts: Vec<(Arc<str>, KeyCount)>,
}

impl State {
    pub(super) fn join(
        &mut self,
        request: JoinRequest,
        now_ms: u64,
        notify: impl FnMut(FeedRef),
    ) -> Result<Joined, Refusal> {
        if self.closed {
            return Err(Refusal::Closed);
        }
        self.touched_ms = now_ms;
        // Before anything is promised that is too old to be there.
        self.prune(now_ms);
        // Before the feed is opened, which puts it at the newest offset.
        let counts = self.counts_unknown_to(request.feed);
        // Asked before: if the newcomer is the first who watches, its coming is news to nobody.
        let was_watched = self.watched();
        let index = self.open_feed(request.feed);
        self.feeds[index].subscribers += 1;
        if self.rule.presence {
            self.presence.join(&self.name, &request.member, was_watched);
            // After its own coming was recorded, so that its feed begins behind that.
            if request.watch {
                self.watch(index);
            }
            if was_watched {
                self.notify_feeds(notify);
            }
        }
        self.weigh();
        let members = (request.watch && self.rule.presence).then(|| self.presence.members());
        let (recovered, start) = self.start_of(&request);
        let past = self.past(start, request.budget);
        let upto = match (&self.store, past.last()) {
            (Store::Log(_) | Store::Document(_), Some(last)) => last.message.offset,
            _ => self.last,
        };
        Ok(Joined {
            epoch: self.epoch,
            offset: self.last,
            recovered,
            past,
            upto,
            members,
            watchers: self.feeds.iter().map(|feed| feed.watchers).sum(),
            members_upto: self.presence.recorded(),
            counts,
        })
    }

    /// Changes from before the first watcher of a feed are nobody's there.
    fn watch(&mut self, index: usize) {
        let recorded = self.presence.recorded();
        let feed = &mut self.feeds[index];
        if feed.watchers == 0 {
            feed.pulled_changes = recorded;
        }
        feed.watchers += 1;
    }

    fn counts_unknown_to(&self, feed: FeedRef) -> Vec<(Arc<str>, KeyCount)> {
        let Store::Latest(latest) = &self.store else { return Vec::new() };
        let pulled =
            self.feeds.iter().find(|known| known.at == feed).map_or(Offset::ZERO, |known| known.pulled);
        latest.values.after(pulled).map(|(key, value)| (key.clone(), value.count)).collect()
    }

    /// The position after which the subscriber gets everything, and whether that is what `since` asked for.
    fn start_of(&self, request: &JoinRequest) -> (Option<bool>, Offset) {
        if let Some(since) = request.since {
            let recovered = since.epoch == self.epoch && self.reaches(since.offset);
            let start = match (&self.store, recovered) {
                (_, true) => since.offset,
                (Store::Latest(_) | Store::Document(_), false) => Offset::ZERO,
                // What it lacks cannot be told from what it has: it loads its state anew, and goes on from here.
                (_, false) => self.last,
            };
            return (Some(recovered), start);
        }
        let start = match &self.store {
            Store::Latest(_) => Offset::ZERO,
            Store::Document(_) if request.last != Some(0) => Offset::ZERO,
            Store::Volatile(_) | Store::Document(_) => self.last,
            Store::Log(log) => {
                let wanted = usize::try_from(request.last.unwrap_or(0)).unwrap_or(usize::MAX);
                // By place in the list: after a crash numbers have holes, and counting back by them would give fewer.
                let first = log.messages.len().saturating_sub(wanted);
                log.messages.get(first).map_or(self.last, |entry| Offset(entry.message.offset.0 - 1))
            }
        };
        (None, start)
    }

    fn past(&self, start: Offset, budget: usize) -> Vec<Arc<Placed>> {
        match &self.store {
            Store::Log(log) | Store::Document(Document { log, .. }) => log.batch_after(start, budget),
            Store::Latest(latest) => {
                // Whole, whatever the budget: a key that is left out would be missing until it changes.
                take_batch(latest.values.after(start).map(|(_, value)| value), usize::MAX)
            }
            Store::Volatile(_) => Vec::new(),
        }
    }
}
