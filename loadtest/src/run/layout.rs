//! Who listens to what, and how streams are numbered.
//!
//! A stream is what one publisher sends to one topic (kind `latest`: to one key of one topic), so its order is
//! certain. Each topic has as many *slots* as streams; stream = topic × slots + slot.

use super::scenario::{Kind, Scenario};

/// The numbering of a run.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Names of the topics.
    pub topics: Vec<String>,
    /// Names of the keys; one for each slot of kind `latest`, otherwise none.
    pub keys: Vec<String>,
    /// Streams of each topic.
    pub slots: usize,
    /// Publishers.
    pub publishers: usize,
    /// Number of this process's first subscriber among those of the whole run.
    pub first: usize,
    subscribers: usize,
    per_subscriber: usize,
}

impl Layout {
    /// The layout of `scenario`; `run` keeps its topics apart from those of other runs.
    #[must_use]
    pub fn new(scenario: &Scenario, run: u32) -> Self {
        let latest = scenario.kind == Kind::Latest;
        let prefix = scenario.prefix();
        Self {
            topics: (0..scenario.topics).map(|number| format!("{prefix}{run:06x}-{number}")).collect(),
            keys: (0..if latest { scenario.keys } else { 0 }).map(|key| format!("k{key}")).collect(),
            slots: if latest { scenario.keys } else { scenario.publishers },
            publishers: scenario.publishers,
            first: 0,
            subscribers: scenario.subscribers,
            per_subscriber: scenario.topics_per_subscriber,
        }
    }

    /// The same for a process whose subscribers are not the first ones.
    #[must_use]
    pub fn starting_at(self, first: usize) -> Self {
        Self { first, ..self }
    }

    /// How many streams there are.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.topics.len() * self.slots
    }

    /// The topics that subscriber `at` listens to: spread evenly.
    pub fn topics_of(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        let at = self.first + at;
        (0..self.per_subscriber).map(move |nth| (at * self.per_subscriber + nth) % self.topics.len())
    }

    /// Which of its subscriptions brings subscriber `at` messages of `topic`.
    #[must_use]
    pub fn position(&self, at: usize, topic: usize) -> Option<usize> {
        let (at, count) = (self.first + at, self.topics.len());
        // The inverse of `topics_of`, without a search: it is asked for every delivery.
        let nth = (topic + count - (at * self.per_subscriber) % count) % count;
        (nth < self.per_subscriber).then_some(nth)
    }

    /// How many listen to each topic.
    #[must_use]
    pub fn audiences(&self) -> Vec<u32> {
        let mut audiences = vec![0; self.topics.len()];
        for topic in (0..self.subscribers).flat_map(|at| self.topics_of(at)) {
            audiences[topic] += 1;
        }
        audiences
    }

    /// The publisher of a slot.
    #[must_use]
    pub fn publisher(&self, slot: usize) -> usize {
        slot % self.publishers
    }

    /// The key of a slot.
    #[must_use]
    pub fn key(&self, slot: usize) -> Option<&str> {
        self.keys.get(slot).map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscriber_finds_each_of_its_topics_and_no_other() {
        let scenario =
            Scenario { topics: 7, subscribers: 20, topics_per_subscriber: 3, ..Scenario::default() };
        for first in [0, 3] {
            let layout = Layout::new(&scenario, 5).starting_at(first);
            for at in 0..20 {
                let own: Vec<usize> = layout.topics_of(at).collect();
                for topic in 0..7 {
                    let nth = own.iter().position(|&t| t == topic);
                    assert_eq!(layout.position(at, topic), nth, "{at} {topic}");
                }
            }
            assert_eq!(layout.audiences().iter().sum::<u32>(), 60);
        }
    }

    #[test]
    fn keys_are_streams_with_one_publisher_each() {
        let scenario = Scenario { kind: Kind::Latest, keys: 5, publishers: 2, ..Scenario::default() };
        let layout = Layout::new(&scenario, 5);
        assert_eq!((layout.streams(), layout.publisher(3), layout.key(3)), (5, 1, Some("k3")));
        assert!(layout.topics[0].starts_with("ticker:"));
    }
}
