//! A run by several processes, where one has not enough descriptors or CPU: the lead publishes, starts the others and
//! adds up; the followers subscribe.
//!
//! All of them work off the same schedule with the same seed, so a follower knows of every message without being told,
//! a second ahead of its due time. What only the lead can know, the fate of each message, it is told before it closes
//! its account. Due times and arrivals are on the clock that all processes of a machine share.
//!
//! Where the server is killed, the lead does it. It says so before and waits until everyone has heard, as a connection
//! whose end nobody expects is a fault; and it says where the server is when it is back.

mod follower;
mod lead;
mod message;

pub(super) use self::follower::Follower;
pub use self::follower::follow;
pub(super) use self::lead::Lead;
pub(super) use self::message::{Answer, Back, Endpoint, Fates, Order, Progress, Ready, Report};
use super::scenario::Scenario;
use crate::clock::SECOND;

/// How far ahead of its due time a follower enters a message: it must never arrive before that.
const AHEAD_NS: u64 = SECOND;

/// Who else takes part.
#[derive(Debug)]
pub(super) enum Company {
    /// Nobody.
    Alone,
    /// Others follow.
    Lead(Lead),
    /// Someone else leads.
    Follower(Follower),
}

impl Company {
    /// Whether this process publishes.
    pub(super) fn publishes(&self) -> bool {
        !matches!(self, Self::Follower(_))
    }

    /// How far ahead of its due time a message is entered.
    pub(super) fn ahead_ns(&self) -> u64 {
        if self.publishes() { 0 } else { AHEAD_NS }
    }
}

/// How many processes so many connections take.
#[must_use]
pub fn processes(wanted: Option<usize>, connections: usize, descriptors: usize) -> usize {
    wanted.unwrap_or_else(|| connections.div_ceil(descriptors.max(1))).max(1)
}

/// The part of `scenario` that process `nth` of `count` does, and the number of its first subscriber.
fn part(scenario: &Scenario, nth: usize, count: usize) -> (Scenario, usize) {
    let (from, to) = (scenario.subscribers * nth / count, scenario.subscribers * (nth + 1) / count);
    let mut part = Scenario { subscribers: to - from, ..scenario.clone() };
    if let Some(churn) = &mut part.churn {
        churn.rate /= count as f64;
    }
    (part, from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscribers_are_divided_without_a_rest() {
        let scenario = Scenario { subscribers: 50_000, ..Scenario::default() };
        assert_eq!(processes(None, 50_001, 19_936), 3);
        assert_eq!((processes(None, 10, 19_936), processes(Some(2), 10, 19_936)), (1, 2));
        let mut next = 0;
        for nth in 0..3 {
            let (part, first) = part(&scenario, nth, 3);
            assert_eq!(first, next);
            next += part.subscribers;
        }
        assert_eq!(next, 50_000);
    }
}
