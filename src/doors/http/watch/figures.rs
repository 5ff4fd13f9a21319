//! Counts as `/metrics` has them, and what the process takes from its machine.

use std::collections::BTreeMap;

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;
use utoipa::ToSchema;

use crate::memory;

/// Counts by the name that they have on `/metrics`, without `fanwire_` and `_total`. What is counted by outcome has one for
/// each, whatever its other labels say.
pub(super) type Counts = BTreeMap<String, u64>;

/// Reads the counters out of Prometheus text: console and `/metrics` cannot disagree, and nothing is counted twice.
pub(super) fn counts(prometheus: &str) -> Counts {
    let mut counts = Counts::new();
    for (name, count) in prometheus.lines().filter_map(counter) {
        *counts.entry(name).or_default() += count;
    }
    counts
}

/// The name and the count of a line that has a counter.
fn counter(line: &str) -> Option<(String, u64)> {
    let (name, count) = line.rsplit_once(' ')?;
    let (name, labels) = name.split_once('{').unwrap_or((name, ""));
    let name = name.strip_prefix("fanwire_")?.strip_suffix("_total")?;
    let outcome = labels.split_once("outcome=\"").and_then(|(_, rest)| rest.split_once('"'));
    let name = match outcome {
        // Parts of a histogram, or counts by something else than outcome: added up, they would mean nothing.
        None if !labels.is_empty() => return None,
        None => name.to_owned(),
        Some((outcome, _)) => format!("{name}_{outcome}"),
    };
    Some((name, count.parse().ok()?))
}

/// What each counter gained a second.
pub(super) fn rates(old: &Counts, new: &Counts, seconds: f64) -> BTreeMap<String, f64> {
    let rate = |(name, count): (&String, &u64)| {
        let before = old.get(name).copied().unwrap_or(0);
        (name.clone(), per_second(count.saturating_sub(before), seconds))
    };
    new.iter().map(rate).collect()
}

/// A count over a time.
#[expect(
    clippy::cast_precision_loss,
    reason = "a rate is a double; counts between two looks stay far below 2^53"
)]
pub(super) fn per_second(count: u64, seconds: f64) -> f64 {
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

/// What the broker's process takes.
#[derive(Clone, Copy, Serialize, ToSchema)]
pub(super) struct Process {
    /// Processor time of all its threads since it started, in seconds.
    pub(super) cpu_s: f64,
    /// Memory that it holds, where the system tells (Linux).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    resident_bytes: Option<usize>,
}

impl Process {
    pub(super) fn look() -> Self {
        let cpu = clock_gettime(ClockId::ProcessCPUTime);
        #[expect(clippy::cast_precision_loss, reason = "seconds and nanoseconds of a process")]
        let cpu_s = cpu.tv_sec as f64 + cpu.tv_nsec as f64 / 1e9;
        Self { cpu_s, resident_bytes: memory::resident_bytes() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_and_gauges_are_not() {
        let text = "# HELP fanwire_deliveries_total x\n# TYPE fanwire_deliveries_total counter\n\
            fanwire_deliveries_total 12\n\nfanwire_connections 3\nother_total 9\nfanwire_x_total{a=\"b\"} 4\n";
        assert_eq!(counts(text), Counts::from([("deliveries".into(), 12)]));
    }

    #[test]
    fn what_is_counted_by_outcome_is_summed_over_everything_else() {
        let text = "fanwire_webhooks_total{source=\"a\",outcome=\"rejected\"} 2\n\
            fanwire_webhooks_total{source=\"b\",outcome=\"rejected\"} 5\n\
            fanwire_webhooks_total{source=\"b\",outcome=\"failed\"} 1\n";
        let expected = [("webhooks_failed".to_owned(), 1), ("webhooks_rejected".to_owned(), 7)];
        assert_eq!(counts(text), Counts::from(expected));
    }

    #[test]
    fn a_rate_is_what_came_since_the_last_look() {
        let (old, new) =
            (Counts::from([("a".into(), 10)]), Counts::from([("a".into(), 25), ("b".into(), 3)]));
        let expected = BTreeMap::from([("a".to_owned(), 7.5), ("b".to_owned(), 1.5)]);
        assert_eq!(rates(&old, &new, 2.0), expected);
    }
}
