//! Lines of the log that strangers can cause: now and then one, with how many there were.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Least time between two lines of one kind.
const PAUSE: Duration = Duration::from_secs(10);

/// Counts what happens, and says when it is time for a line.
#[derive(Debug, Default)]
pub(super) struct Seldom(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    said: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    /// Counts one; how many to report, this one included, if it is time for that.
    pub(super) fn count(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        state.unsaid += 1;
        if state.said.is_some_and(|said| now.saturating_duration_since(said) < PAUSE) {
            return None;
        }
        state.said = Some(now);
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_is_told_and_then_how_many() {
        let (seldom, start) = (Seldom::default(), Instant::now());
        assert_eq!(seldom.count(start), Some(1));
        assert_eq!(seldom.count(start), None);
        assert_eq!(seldom.count(start + PAUSE / 2), None);
        assert_eq!(seldom.count(start + PAUSE), Some(3));
    }
}
