//! Which topics a watcher sees, and in which order. Pure.

use std::cmp::{Ordering, Reverse};

use fanwire_proto::Pattern;

use super::sampler::Seen;

/// By what topics are put in order; equals go by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// Messages a second, the most first.
    Rate,
    /// The most first.
    Subscribers,
    /// The last message, the newest first.
    Last,
    /// The alphabet.
    Name,
}

impl Order {
    pub(super) fn read(text: &str) -> Option<Self> {
        match text {
            "rate" => Some(Self::Rate),
            "subscribers" => Some(Self::Subscribers),
            "last" => Some(Self::Last),
            "name" => Some(Self::Name),
            _ => None,
        }
    }

    fn compare(self, a: &Seen, b: &Seen) -> Ordering {
        let by_name = || a.topic.name.cmp(&b.topic.name);
        let first = match self {
            Self::Rate => b.rate.unwrap_or(0.0).total_cmp(&a.rate.unwrap_or(0.0)),
            Self::Subscribers => Reverse(a.glance.subscribers).cmp(&Reverse(b.glance.subscribers)),
            Self::Last => Reverse(a.glance.published_ms).cmp(&Reverse(b.glance.published_ms)),
            Self::Name => Ordering::Equal,
        };
        first.then_with(by_name)
    }
}

/// Which topics are wanted.
pub(super) struct Wanted {
    /// Those that it matches.
    pub(super) pattern: Option<Pattern>,
    /// Those whose name contains it.
    pub(super) search: Option<String>,
    pub(super) order: Order,
    /// Most topics.
    pub(super) limit: usize,
}

impl Wanted {
    /// The first topics, and how many there are in all.
    pub(super) fn of<'a>(&self, topics: &'a [Seen]) -> (Vec<&'a Seen>, usize) {
        let fits = |seen: &&Seen| {
            let name = &seen.topic.name;
            self.pattern.as_ref().is_none_or(|pattern| pattern.matches(name))
                && self.search.as_ref().is_none_or(|text| name.as_str().contains(text))
        };
        let mut found: Vec<&Seen> = topics.iter().filter(fits).collect();
        let count = found.len();
        // With a million topics, finding the first few is much cheaper than putting all of them in order.
        if count > self.limit {
            found.select_nth_unstable_by(self.limit, |a, b| self.order.compare(a, b));
            found.truncate(self.limit);
        }
        found.sort_unstable_by(|a, b| self.order.compare(a, b));
        (found, count)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use fanwire_proto::{Epoch, Offset, Position};

    use super::*;
    use crate::topic::{Glance, Topic};

    fn seen(name: &str, rate: Option<f64>, subscribers: usize, published_ms: Option<u64>) -> Seen {
        let topic = Topic::new(name.parse().unwrap(), Arc::default(), Epoch(1), 0);
        let position = Position { epoch: Epoch(1), offset: Offset(0) };
        Seen { topic: Arc::new(topic), glance: Glance { position, subscribers, published_ms }, rate }
    }

    fn names(
        order: Order,
        pattern: Option<&str>,
        search: Option<&str>,
        limit: usize,
    ) -> (Vec<String>, usize) {
        let topics = [
            seen("b", Some(2.0), 0, None),
            seen("a:x", Some(2.0), 1, Some(5)),
            seen("c", None, 7, Some(9)),
            seen("a:y", Some(0.0), 0, Some(7)),
        ];
        let pattern = pattern.map(|text| Pattern::new(text).unwrap());
        let wanted = Wanted { pattern, search: search.map(str::to_owned), order, limit };
        let (found, count) = wanted.of(&topics);
        (found.iter().map(|seen| seen.topic.name.to_string()).collect(), count)
    }

    #[test]
    fn the_first_come_first() {
        assert_eq!(names(Order::Rate, None, None, 9).0, ["a:x", "b", "a:y", "c"]);
        assert_eq!(names(Order::Subscribers, None, None, 9).0, ["c", "a:x", "a:y", "b"]);
        assert_eq!(names(Order::Last, None, None, 9).0, ["c", "a:y", "a:x", "b"]);
        assert_eq!(names(Order::Name, None, None, 2), (vec!["a:x".into(), "a:y".into()], 4));
    }

    #[test]
    fn only_what_is_wanted_counts() {
        assert_eq!(names(Order::Name, Some("a:*"), None, 1), (vec!["a:x".into()], 2));
        assert_eq!(names(Order::Name, None, Some("y"), 1), (vec!["a:y".into()], 1));
        assert_eq!(names(Order::Name, Some("a:*"), Some("b"), 1), (vec![], 0));
    }
}
