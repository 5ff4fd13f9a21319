//! A shard's share of a topic: its dense list of subscribers, and what it has taken over.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use fanwire_proto::Offset;
use rustc_hash::FxHashMap;

use super::{
    faults::{Fault, planted},
    pass::Pass,
    subscriber::Sub,
};
use crate::{
    defaults,
    topic::{KeyCount, Topic},
};

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
    pub(super) fn remove(&mut self, index: usize, mut moved: impl FnMut(&Sub, usize)) -> Sub {
        let mut hole = index;
        if let Some(pass) = &mut self.pass
            && hole < pass.cursor
            && !planted(Fault::LeavingSkipsOne)
        {
            // The last served one takes the place, so that the hole is between served and unserved.
            pass.cursor -= 1;
            self.subs.swap(hole, pass.cursor);
            if hole != pass.cursor {
                moved(&self.subs[hole], hole);
            }
            hole = pass.cursor;
        }
        let gone = self.subs.swap_remove(hole);
        if let Some(sub) = self.subs.get(hole) {
            moved(sub, hole);
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        fanout::subscriber::SubState,
        topic::{Changes, Rule},
    };

    fn feed(subs: u32) -> Feed {
        let rule = Arc::new(Rule::default());
        let topic = Topic::new("t".parse().unwrap(), rule, fanwire_proto::Epoch(1), 0);
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
