//! Where a subscription is in its topic: what to ask for when subscribing, and what to drop because it was had before.
//! Pure; knows no connection.

use fanwire_proto::{Epoch, Kind, Offset, Position, Reply};

use crate::options::SubscribeOptions;

#[derive(Debug)]
pub(crate) struct Cursor {
    at: Option<Position>,
    /// Nothing up to this offset of the epoch is delivered again.
    seen: Option<Offset>,
    /// The beginning that was promised (past messages, a snapshot) has not begun to arrive.
    restart: bool,
    /// The last request had no position.
    fresh: bool,
    /// Begins with its values or its state, not with the messages missed.
    snapshots: bool,
    last: u32,
}

impl Cursor {
    pub(crate) fn new(options: &SubscribeOptions) -> Self {
        Self {
            at: options.since,
            seen: options.since.as_ref().map(|since| since.offset),
            restart: false,
            fresh: true,
            snapshots: options.max_rate.is_some(),
            last: options.last,
        }
    }

    /// Has everything up to here; `None` before the first confirmation.
    pub(crate) fn position(&self) -> Option<&Position> {
        self.at.as_ref()
    }

    /// `since` and `last` of a `subscribe` that goes on from here.
    pub(crate) fn request(&mut self) -> (Option<Position>, Option<u32>) {
        self.fresh = self.at.is_none() || self.restart;
        if self.fresh { (None, (self.last > 0).then_some(self.last)) } else { (self.at, None) }
    }

    /// The broker confirmed. Whether everything missed follows; `None` at the very beginning.
    pub(crate) fn confirm(&mut self, reply: &Reply) -> Option<bool> {
        let (Some(epoch), Some(offset)) = (reply.epoch, reply.offset) else { return None };
        if let Some(kind) = reply.kind {
            self.snapshots = matches!(kind, Kind::Latest | Kind::Document);
        }
        if reply.recovered == Some(true) {
            return Some(true);
        }
        // What follows is not what was asked to follow: the position is that of the reply from here on.
        let before = self.at.take();
        let same = before.as_ref().filter(|before| before.epoch == epoch);
        let reached = |before: &Position| {
            self.snapshots || offset.0.saturating_sub(before.offset.0) <= u64::from(self.last)
        };
        // Asked without a position, the past messages or the snapshot may still reach back to where this was.
        let whole = same.is_some_and(|before| self.fresh && reached(before));
        // In another epoch, or one that has begun again below, offsets that were seen mean other messages.
        if same.is_none() || self.seen.is_some_and(|seen| offset < seen) {
            self.seen = None;
        }
        self.restart = offset.0 > 0 && (self.snapshots || (self.fresh && self.last > 0));
        self.at = Some(Position { epoch, offset });
        before.map(|_| whole)
    }

    /// A message came. False: it was had before.
    pub(crate) fn advance(&mut self, offset: Offset, keyed: bool) -> bool {
        let Some(at) = self.at.as_mut().filter(|_| self.seen.is_none_or(|seen| offset > seen)) else {
            return false;
        };
        self.snapshots |= keyed;
        at.offset = offset;
        self.seen = Some(offset);
        self.restart = false;
        true
    }

    /// The broker said that nothing before `next` will come.
    pub(crate) fn skip(&mut self, epoch: Epoch, next: Offset) {
        let offset = Offset(next.0.saturating_sub(1));
        self.seen = Some(offset);
        self.at = Some(Position { epoch, offset });
        self.restart = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(epoch: u64, offset: u64, recovered: Option<bool>) -> Reply {
        let epoch = Epoch(epoch);
        Reply {
            epoch: Some(epoch),
            offset: Some(Offset(offset)),
            recovered,
            kind: Some(Kind::Log),
            ..Reply::default()
        }
    }

    fn cursor(options: SubscribeOptions) -> Cursor {
        Cursor::new(&options)
    }

    #[test]
    fn goes_on_after_the_last_message_and_drops_what_it_had() {
        let mut cursor = cursor(SubscribeOptions::default());
        assert_eq!(cursor.request(), (None, None));
        assert_eq!(cursor.confirm(&reply(1, 5, None)), None);
        assert!(cursor.advance(Offset(6), false) && !cursor.advance(Offset(6), false));
        assert_eq!(cursor.request().0.map(|since| since.offset), Some(Offset(6)));
        assert_eq!(cursor.confirm(&reply(1, 9, Some(true))), Some(true));
        assert!(cursor.advance(Offset(7), false));
    }

    #[test]
    fn another_epoch_starts_over_and_says_so() {
        let mut cursor = cursor(SubscribeOptions::default());
        cursor.request();
        cursor.confirm(&reply(1, 50, None));
        cursor.advance(Offset(51), false);
        cursor.request();
        assert_eq!(cursor.confirm(&reply(2, 2, Some(false))), Some(false));
        assert!(cursor.advance(Offset(3), false), "offsets start over with the epoch");
    }

    #[test]
    fn past_messages_that_never_began_to_arrive_are_asked_for_again() {
        let mut cursor = cursor(SubscribeOptions { last: 10, ..SubscribeOptions::default() });
        assert_eq!(cursor.request().1, Some(10));
        cursor.confirm(&reply(1, 50, None));
        assert_eq!(cursor.request(), (None, Some(10)));
        assert_eq!(cursor.confirm(&reply(1, 55, None)), Some(true));
        assert_eq!(cursor.request(), (None, Some(10)));
        assert_eq!(cursor.confirm(&reply(1, 99, None)), Some(false), "more came than past messages reach");
    }
}
