//! Which subscribers share a feed: those of the same topic with the same rate.

use std::{sync::Arc, time::Duration};

use rustc_hash::FxHashMap;

use crate::{
    defaults,
    topic::{Kind, Topic},
};

/// Subscribers of the same topic with the same interval share a feed.
#[derive(PartialEq, Eq, Hash, Clone, Copy)]
struct FeedKey {
    topic: usize,
    interval: Duration,
}

impl FeedKey {
    fn new(topic: &Arc<Topic>, interval: Duration) -> Self {
        // The feed holds the topic, so the address stays its own for as long as the key is in use.
        Self { topic: Arc::as_ptr(topic) as usize, interval }
    }

    /// The topic's address, if it is one of those with a rate of their own.
    fn rated(&self) -> Option<usize> {
        (!self.interval.is_zero()).then_some(self.topic)
    }
}

/// Feeds by what their subscribers have in common.
#[derive(Default)]
pub(super) struct Rates {
    feed_of: FxHashMap<FeedKey, u32>,
    /// How many feeds with a rate of their own a topic has, by its address; none for most.
    own: FxHashMap<usize, usize>,
}

impl Rates {
    /// The time between two passes that a subscriber is to have.
    pub(super) fn interval(&self, topic: &Arc<Topic>, max_rate: Option<f64>) -> Duration {
        match (topic.kind, max_rate) {
            (Kind::Latest, Some(max_rate)) => self.affordable(topic, interval_of(max_rate)),
            // Other kinds have a promise that a rate would break.
            _ => topic.tick,
        }
    }

    /// The interval asked for, unless the topic has many different ones here already.
    fn affordable(&self, topic: &Arc<Topic>, interval: Duration) -> Duration {
        let key = FeedKey::new(topic, interval);
        // A rate that is served already costs nothing more.
        if self.feed_of.contains_key(&key) {
            return interval;
        }
        match key.rated().and_then(|topic| self.own.get(&topic)) {
            Some(&others) if others >= defaults::EXACT_RATES => coarse(interval),
            _ => interval,
        }
    }

    pub(super) fn feed(&self, topic: &Arc<Topic>, interval: Duration) -> Option<u32> {
        self.feed_of.get(&FeedKey::new(topic, interval)).copied()
    }

    pub(super) fn add(&mut self, topic: &Arc<Topic>, interval: Duration, feed: u32) {
        let key = FeedKey::new(topic, interval);
        self.feed_of.insert(key, feed);
        if let Some(topic) = key.rated() {
            *self.own.entry(topic).or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, topic: &Arc<Topic>, interval: Duration) {
        let key = FeedKey::new(topic, interval);
        self.feed_of.remove(&key);
        if let Some(topic) = key.rated()
            && let Some(others) = self.own.get_mut(&topic)
        {
            *others -= 1;
            if *others == 0 {
                self.own.remove(&topic);
            }
        }
    }
}

/// Rates from one in eleven days to a million a second; beyond that nothing is left to limit.
fn interval_of(max_rate: f64) -> Duration {
    Duration::try_from_secs_f64(1.0 / max_rate.clamp(1e-6, 1e6)).unwrap_or(Duration::ZERO)
}

/// The next power of two of milliseconds.
fn coarse(interval: Duration) -> Duration {
    // One more for the part of a millisecond that is cut off: no rate is higher than was asked for.
    let millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX / 2).saturating_add(1);
    Duration::from_millis(millis.checked_next_power_of_two().unwrap_or(millis))
}
