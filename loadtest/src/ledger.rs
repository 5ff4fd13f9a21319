//! The account of one subscriber: every message of the publisher must arrive, once, in order.
//!
//! In the healthy case it is one comparison and one addition per message; only what is missing costs memory.

use std::fmt;

use serde::Serialize;

/// What one arrival meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// The next message.
    Next,
    /// A later message: so many between have not arrived (yet).
    Ahead(u64),
    /// A message that was overtaken by a later one.
    Late,
    /// A message that had arrived before.
    Duplicate,
}

/// Messages of one stream for one subscriber.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    next: u64,
    /// Ranges `[from, to)` below `next` that have not arrived, in order.
    holes: Vec<(u64, u64)>,
    faults: Faults,
}

/// How many messages went wrong, by kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Faults {
    /// Never arrived.
    pub missing: u64,
    /// Arrived again.
    pub duplicate: u64,
    /// Arrived after a later one.
    pub reordered: u64,
}

impl Stream {
    /// Enters the arrival of message `sequence`.
    pub fn enter(&mut self, sequence: u64) -> Arrival {
        if sequence == self.next {
            self.next += 1;
            return Arrival::Next;
        }
        if sequence > self.next {
            let skipped = sequence - self.next;
            self.holes.push((self.next, sequence));
            self.next = sequence.saturating_add(1);
            return Arrival::Ahead(skipped);
        }
        if self.fill(sequence) {
            self.faults.reordered += 1;
            return Arrival::Late;
        }
        self.faults.duplicate += 1;
        Arrival::Duplicate
    }

    /// Whether the last of `sent` messages has arrived.
    #[must_use]
    pub fn has_last(&self, sent: u64) -> bool {
        self.next >= sent
    }

    /// Closes the account after `sent` messages; names what is missing.
    #[must_use]
    pub fn close(&self, sent: u64) -> Account {
        let mut missing = self.holes.clone();
        if self.next < sent {
            missing.push((self.next, sent));
        }
        let count = missing.iter().map(|(from, to)| to - from).sum();
        Account { faults: Faults { missing: count, ..self.faults }, missing }
    }

    /// Takes `sequence` out of the holes; false when it was in none.
    fn fill(&mut self, sequence: u64) -> bool {
        let Some(at) = self.holes.iter().position(|&(from, to)| (from..to).contains(&sequence)) else {
            return false;
        };
        let (from, to) = self.holes[at];
        let rest = [(from, sequence), (sequence + 1, to)].into_iter().filter(|(from, to)| from < to);
        self.holes.splice(at..=at, rest);
        true
    }
}

/// The closed account of one subscriber.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The counts.
    pub faults: Faults,
    /// Ranges `[from, to)` that never arrived.
    pub missing: Vec<(u64, u64)>,
}

impl Faults {
    /// Whether nothing went wrong.
    #[must_use]
    pub fn is_clean(self) -> bool {
        self == Self::default()
    }

    /// Adds another subscriber's counts.
    pub fn add(&mut self, other: Self) {
        self.missing += other.missing;
        self.duplicate += other.duplicate;
        self.reordered += other.reordered;
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Faults { missing, duplicate, reordered } = self.faults;
        write!(f, "{missing} missing, {duplicate} duplicate, {reordered} reordered")?;
        for (from, to) in self.missing.iter().take(3) {
            write!(f, "; lost {from}..{to}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn account(arrivals: &[u64], sent: u64) -> Account {
        let mut stream = Stream::default();
        for &sequence in arrivals {
            stream.enter(sequence);
        }
        stream.close(sent)
    }

    #[test]
    fn a_whole_stream_is_clean() {
        assert!(account(&[0, 1, 2, 3], 4).faults.is_clean());
    }

    #[test]
    fn the_start_the_middle_and_the_end_can_be_missing() {
        let account = account(&[1, 2, 5], 8);
        assert_eq!(account.missing, [(0, 1), (3, 5), (6, 8)]);
        assert_eq!(account.faults, Faults { missing: 5, ..Faults::default() });
    }

    #[test]
    fn a_late_message_is_reordered_and_not_missing() {
        let account = account(&[0, 2, 3, 1], 4);
        assert_eq!(account.faults, Faults { reordered: 1, ..Faults::default() });
    }

    #[test]
    fn a_repeat_is_a_duplicate_also_of_a_late_message() {
        let account = account(&[0, 2, 1, 1, 2], 3);
        assert_eq!(account.faults, Faults { reordered: 1, duplicate: 2, missing: 0 });
    }

    proptest! {
        #[test]
        fn agrees_with_counting_by_hand(arrivals in proptest::collection::vec(0_u64..40, 0..80)) {
            let account = account(&arrivals, 40);
            let distinct: std::collections::BTreeSet<_> = arrivals.iter().collect();
            prop_assert_eq!(account.faults.missing, 40 - distinct.len() as u64);
            prop_assert_eq!(account.faults.duplicate, (arrivals.len() - distinct.len()) as u64);
        }
    }
}
