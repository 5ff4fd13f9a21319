//! One subscriber in a feed: how far it is, and what it does not get.
//!
//! ```text
//!             pass reaches p           blocked at a pass
//! (join) ─► From(p) ─────────► Live ───────────────────────► Behind(p)          kind log
//!             ▲                ▲  │                             │
//!             └──history read──┼──┼─────────────────────────────┘
//!                 up           │  └── blocked at a pass ─────► Apart            kind latest
//!                              └────── pass with nothing waiting ┘
//! ```
//! Kind `document` does as `log` does, and its history always reaches back: what was merged is the next message.
//! Kind `volatile` stays `Live` and misses what comes while its connection is blocked.

use std::{collections::VecDeque, sync::Arc};

use fanwire_proto::{ClientId, Offset};
use rustc_hash::FxHashMap;

use super::waiting::Waiting;
use crate::topic::{KeyCount, Placed, PresenceChange};

/// How far a subscriber is.
pub(super) enum SubState {
    /// It has everything up to where the feed's pass stands at its place in the list.
    Live,
    /// It has everything up to here, which is not before the feed's position.
    From(Offset),
    /// It has everything up to here and reads on in the history.
    Behind(Offset),
    /// Kind `latest`: it is not in step with the feed.
    Apart(Box<Apart>),
}

/// A subscriber to newest values that has more than the feed passed on (a fresh snapshot), or less (a full socket).
#[derive(Default)]
pub(super) struct Apart {
    /// It has, or has waiting, everything up to here.
    pub(super) after: Offset,
    /// The numbers of the values of its snapshot that the feed has not passed on yet.
    pub(super) counts: FxHashMap<Arc<str>, KeyCount>,
    /// What waits until its connection takes it.
    pub(super) waiting: Waiting,
}

/// One subscriber in the dense list.
pub(super) struct Sub {
    pub(super) conn: u32,
    /// Its place in the connection's own list.
    pub(super) place: u32,
    pub(super) state: SubState,
    /// What only some subscriptions have; most have none of it.
    pub(super) extra: Option<Box<Extra>>,
}

/// What a subscription has beside its place in the topic.
#[derive(Default)]
pub(super) struct Extra {
    pub(super) watch: Option<Watch>,
    /// It does not get what its own client publishes.
    pub(super) declines_own: bool,
    /// Its member is its own, not the connection's.
    pub(super) has_member: bool,
}

/// Which messages a subscriber does not get.
#[derive(Clone, Copy)]
pub(super) struct Except {
    pub(super) client: ClientId,
    pub(super) declines_own: bool,
}

impl Except {
    pub(super) fn covers(self, message: &Placed) -> bool {
        let its_own =
            || message.message.from.as_ref().is_some_and(|publisher| publisher.client == self.client);
        message.not_to.as_deref() == Some(&self.client) || self.declines_own && its_own()
    }
}

/// What a subscriber that watches presence has seen of it.
pub(super) struct Watch {
    /// The number of the last change it knows.
    pub(super) upto: u64,
    /// Changes that wait until its connection takes them.
    pub(super) missed: VecDeque<Arc<PresenceChange>>,
}

impl Watch {
    /// Leaves out changes of members who came and went meanwhile, and all but the last one of others. Returns whether enough
    /// is left out to go on.
    pub(super) fn collapse(&mut self, most: usize) -> bool {
        let mut first_and_last: FxHashMap<ClientId, (bool, usize)> = FxHashMap::default();
        for (index, change) in self.missed.iter().enumerate() {
            first_and_last.entry(change.member.client).or_insert((change.joined, index)).1 = index;
        }
        let mut index = 0;
        self.missed.retain(|change| {
            let (came, last) = first_and_last.get(&change.member.client).copied().unwrap_or((false, index));
            index += 1;
            last + 1 == index && (change.joined || !came)
        });
        // A quarter below the bound, or each further change would go through all of them again.
        self.missed.len() <= most / 4 * 3
    }
}

impl Sub {
    /// Whether something waits for this subscriber apart from the pass.
    pub(super) fn is_waiting(&self) -> bool {
        let waits = match &self.state {
            SubState::Live | SubState::From(_) => false,
            SubState::Behind(_) => true,
            SubState::Apart(apart) => !apart.waiting.is_empty(),
        };
        waits || self.watch().is_some_and(|watch| !watch.missed.is_empty())
    }

    pub(super) fn watch(&self) -> Option<&Watch> {
        self.extra.as_ref().and_then(|extra| extra.watch.as_ref())
    }

    pub(super) fn watch_mut(&mut self) -> Option<&mut Watch> {
        self.extra.as_mut().and_then(|extra| extra.watch.as_mut())
    }

    pub(super) fn declines_own(&self) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.declines_own)
    }
}

#[cfg(test)]
mod tests {
    use fanwire_proto::Member;

    use super::*;

    const MOST: usize = 400;

    #[test]
    fn whoever_comes_and_goes_is_told_of_once_or_not_at_all() {
        let change = |client: u64, joined: bool| {
            let member = Member { client: ClientId(client), user: None, info: None };
            let topic = "t".parse().unwrap();
            Arc::new(PresenceChange { topic, member, joined, encoded: Default::default() })
        };
        let mut watch = Watch { upto: 0, missed: VecDeque::new() };
        for _ in 0..MOST {
            watch.missed.extend([change(1, true), change(1, false), change(2, false), change(2, true)]);
        }
        watch.missed.extend([change(3, false), change(4, true), change(2, false)]);
        assert!(watch.collapse(MOST));
        let left: Vec<_> =
            watch.missed.iter().map(|change| (change.member.client.0, change.joined)).collect();
        assert_eq!(left, [(3, false), (4, true), (2, false)]);
        watch.missed = (0..MOST as u64).map(|client| change(client, true)).collect();
        assert!(!watch.collapse(MOST), "so many different ones are too many");
    }
}
