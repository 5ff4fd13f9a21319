//! A shard's share of a topic: its dense list of subscribers, and how far each is.
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

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use fanwire_proto::{ClientId, Epoch, Offset};
use rustc_hash::FxHashMap;

use super::waiting::Waiting;
use crate::{
    defaults,
    topic::{Changes, KeyCount, Placed, PresenceChange, Topic},
    wire::{Encoding, Frame, Notice, Speaker},
};

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
    pub(super) fn collapse(&mut self) -> bool {
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
        self.missed.len() <= defaults::WATCHER_BACKLOG / 4 * 3
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

/// One run over the subscribers with what was pulled.
pub(super) struct Pass {
    pub(super) messages: Vec<Arc<Placed>>,
    /// Kind `latest`: values left out before each message, for subscribers who take every pass.
    pub(super) skipped: Vec<u64>,
    pub(super) changes: Changes,
    /// Subscribers who are `Live` before the pass have everything up to here,
    pub(super) prev: Offset,
    /// and after it everything up to here.
    pub(super) last: Offset,
    /// Subscribers before this index are served.
    pub(super) cursor: usize,
    /// Whether the topic had more than fits one pass.
    pub(super) more: bool,
    /// Some message is not for everybody.
    pub(super) leaves_out: bool,
    pub(super) started: Instant,
    /// Time spent on it so far.
    pub(super) spent: Duration,
    batches: Batches,
    change_batches: Batches,
}

impl Pass {
    pub(super) fn new(
        messages: Vec<Arc<Placed>>,
        skipped: Vec<u64>,
        changes: Changes,
        reach: (Offset, Offset),
        more: bool,
        started: Instant,
    ) -> Self {
        let (prev, last) = reach;
        let (batches, change_batches) = Default::default();
        let (cursor, spent) = (0, Duration::ZERO);
        let leaves_out = messages.iter().any(|message| message.not_to.is_some());
        Self {
            messages,
            skipped,
            changes,
            prev,
            last,
            cursor,
            more,
            leaves_out,
            started,
            spent,
            batches,
            change_batches,
        }
    }

    /// The frames of all messages in one buffer, made on first use; none where parts of them are each one's own.
    pub(super) fn batch(&mut self, speaker: Speaker<'_>) -> Option<Bytes> {
        let (messages, skipped) = (&self.messages, &self.skipped);
        let frame = |(index, message): (usize, &Arc<Placed>)| {
            message.frame_after(speaker, skipped.get(index).copied().unwrap_or(0))
        };
        kept(&mut self.batches, speaker.encoding(), || join(messages.iter().enumerate().map(frame)))
    }

    /// The same of all presence changes.
    pub(super) fn change_batch(&mut self, speaker: Speaker<'_>) -> Option<Bytes> {
        let frames = self.changes.list.iter().map(|change| change_frame(speaker, change).clone());
        kept(&mut self.change_batches, speaker.encoding(), || join(frames))
    }

    /// The messages after an offset that a subscriber gets, each with what was skipped before it.
    pub(super) fn for_one(
        &self,
        after: Offset,
        except: Except,
    ) -> impl Iterator<Item = (&Placed, u64)> + Clone {
        let newer =
            self.messages.iter().enumerate().filter(move |(_, message)| message.message.offset > after);
        newer
            .filter(move |(_, message)| !except.covers(message))
            .map(|(index, message)| (&**message, self.skipped.get(index).copied().unwrap_or(0)))
    }
}

type Batches = Vec<(Encoding, Option<Bytes>)>;

/// What was made for an encoding before, or is made now.
fn kept(made: &mut Batches, encoding: Encoding, make: impl FnOnce() -> Option<Bytes>) -> Option<Bytes> {
    if let Some((_, bytes)) = made.iter().find(|(of, _)| *of == encoding) {
        return bytes.clone();
    }
    let bytes = make();
    made.push((encoding, bytes.clone()));
    bytes
}

/// What a join or leave is to those who watch.
pub(super) fn notice_of(change: &PresenceChange) -> Notice<'_> {
    let PresenceChange { topic, member, joined, .. } = change;
    match joined {
        true => Notice::Joined { topic, member },
        false => Notice::Left { topic, member },
    }
}

/// What a watcher gets of a join or leave.
pub(super) fn change_frame<'a>(speaker: Speaker<'_>, change: &'a PresenceChange) -> &'a Frame {
    speaker.shared_notice(&notice_of(change), &change.encoded)
}

/// Puts frames one after the other, if all of them are shared.
fn join(mut frames: impl Iterator<Item = Frame>) -> Option<Bytes> {
    let first = match frames.next() {
        None => return Some(Bytes::new()),
        Some(Frame::Shared(bytes)) => bytes,
        Some(Frame::Mixed(_)) => return None,
    };
    let Some(second) = frames.next() else { return Some(first) };
    let mut joined = Vec::from(first);
    for frame in [second].into_iter().chain(frames) {
        let Frame::Shared(bytes) = frame else { return None };
        joined.extend_from_slice(&bytes);
    }
    Some(joined.into())
}

/// Whether a feed has something to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Turn {
    Idle,
    /// Paced or limited in its rate: a timer is set.
    Waiting,
    /// In the queue of those that run.
    Running,
}

/// Who subscribes to a topic on this shard with the same rate.
pub(super) struct Feed {
    pub(super) topic: Arc<Topic>,
    pub(super) epoch: Epoch,
    /// At most one pass per this time; zero for as fast as it comes.
    pub(super) interval: Duration,
    pub(super) subs: Vec<Sub>,
    /// What this shard has taken over.
    pub(super) position: Offset,
    /// Boxed: most feeds are idle most of the time.
    pub(super) pass: Option<Box<Pass>>,
    pub(super) turn: Turn,
    /// Notified while not idle.
    pub(super) again: bool,
    pub(super) not_before: Instant,
    /// Kind `latest`: the number of the value last passed on, by key.
    pub(super) seen: FxHashMap<Arc<str>, KeyCount>,
    /// With so many, those that the topic has forgotten are removed.
    pub(super) seen_bound: usize,
}

impl Feed {
    pub(super) fn new(topic: Arc<Topic>, interval: Duration, now: Instant) -> Self {
        Self {
            topic,
            epoch: Epoch::FOREIGN,
            interval,
            subs: Vec::new(),
            position: Offset::ZERO,
            pass: None,
            turn: Turn::Idle,
            again: false,
            not_before: now,
            seen: FxHashMap::default(),
            seen_bound: 2 * defaults::MAX_KEYS,
        }
    }

    /// Removes a subscriber without changing who has been served by the pass that runs. Calls `moved` with each
    /// subscriber whose index changed.
    pub(super) fn remove(&mut self, index: usize, mut moved: impl FnMut(&Sub, usize)) {
        let mut hole = index;
        if let Some(pass) = &mut self.pass
            && hole < pass.cursor
        {
            // The last served one takes the place, so that the hole is between served and unserved.
            pass.cursor -= 1;
            self.subs.swap(hole, pass.cursor);
            if hole != pass.cursor {
                moved(&self.subs[hole], hole);
            }
            hole = pass.cursor;
        }
        self.subs.swap_remove(hole);
        if let Some(sub) = self.subs.get(hole) {
            moved(sub, hole);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use fanwire_proto::Member;

    use crate::topic::Rule;

    #[test]
    fn whoever_comes_and_goes_is_told_of_once_or_not_at_all() {
        let change = |client: u64, joined: bool| {
            let member = Member { client: ClientId(client), user: None, info: None };
            let topic = "t".parse().unwrap();
            Arc::new(PresenceChange { topic, member, joined, encoded: Default::default() })
        };
        let mut watch = Watch { upto: 0, missed: VecDeque::new() };
        for _ in 0..defaults::WATCHER_BACKLOG {
            watch.missed.extend([change(1, true), change(1, false), change(2, false), change(2, true)]);
        }
        watch.missed.extend([change(3, false), change(4, true), change(2, false)]);
        assert!(watch.collapse());
        let left: Vec<_> =
            watch.missed.iter().map(|change| (change.member.client.0, change.joined)).collect();
        assert_eq!(left, [(3, false), (4, true), (2, false)]);
        watch.missed = (0..defaults::WATCHER_BACKLOG as u64).map(|client| change(client, true)).collect();
        assert!(!watch.collapse(), "so many different ones are too many");
    }

    fn feed(subs: u32) -> Feed {
        let rule = Arc::new(Rule::default());
        let topic = Topic::new("t".parse().unwrap(), rule, Epoch(1), 0);
        let mut feed = Feed::new(Arc::new(topic), Duration::ZERO, Instant::now());
        for conn in 0..subs {
            feed.subs.push(Sub { conn, place: 0, state: SubState::Live, extra: None });
        }
        feed
    }

    proptest! {
        /// Whoever leaves during a pass, everyone else is served exactly once.
        #[test]
        fn removal_keeps_served_and_unserved_apart(
            count in 1..40_u32,
            steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 0..80),
        ) {
            let mut feed = feed(count);
            let reach = (Offset(0), Offset(1));
            let pass = Pass::new(vec![], vec![], Changes::default(), reach, false, Instant::now());
            feed.pass = Some(Box::new(pass));
            let mut place_of: Vec<usize> = (0..count as usize).collect();
            let (mut served, mut left) = (Vec::new(), Vec::new());
            for (serve, pick) in steps {
                let cursor = feed.pass.as_ref().unwrap().cursor;
                if serve && cursor < feed.subs.len() {
                    served.push(feed.subs[cursor].conn);
                    feed.pass.as_mut().unwrap().cursor += 1;
                } else if !feed.subs.is_empty() {
                    let index = pick.index(feed.subs.len());
                    left.push(feed.subs[index].conn);
                    feed.remove(index, |sub, index| place_of[sub.conn as usize] = index);
                }
                for (index, sub) in feed.subs.iter().enumerate() {
                    prop_assert_eq!(place_of[sub.conn as usize], index);
                }
            }
            let cursor = feed.pass.as_ref().unwrap().cursor;
            served.extend(feed.subs[cursor..].iter().map(|sub| sub.conn));
            let mut once = served.clone();
            once.sort_unstable();
            once.dedup();
            prop_assert_eq!(once.len(), served.len(), "nobody twice");
            for conn in (0..count).filter(|conn| !left.contains(conn)) {
                prop_assert!(served.contains(&conn), "{} was left out", conn);
            }
        }
    }
}
