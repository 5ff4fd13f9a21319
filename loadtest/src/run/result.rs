//! What a run measured: the JSON report, and the named figures that thresholds refer to.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::counts::{Counts, Ledger};
use super::fairness::Fairness;
use super::finding::Finding;
use super::scenario::Scenario;
use super::units::Unit;
use crate::error::{Context, Error, Result};
use crate::latency::Figures;
use crate::memory::Holding;
use crate::verdict::Verdict;

/// Everything a run measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct RunResult {
    /// Of this JSON.
    pub schema_version: u32,
    /// The verdict over all checks.
    pub verdict: Verdict,
    /// Whether someone stopped it early.
    pub interrupted: bool,
    /// The server's command or URL.
    pub server: String,
    /// What was done, every default filled in.
    pub scenario: Scenario,
    /// Where.
    pub environment: Environment,
    /// Seconds measured.
    pub seconds: f64,
    /// What must not go wrong.
    pub ledger: Ledger,
    /// All other counts.
    pub counts: Counts,
    /// From due time to arrival: the headline.
    pub latency: Figures,
    /// From actual sending to arrival.
    pub service: Figures,
    /// From due time to actual sending: the tester's own lag.
    pub lag: Figures,
    /// From due time to the arrival at the last subscriber.
    pub completion: Figures,
    /// From due time to the acknowledgement.
    pub ack: Figures,
    /// From reconnecting to resubscribed.
    pub reconnect: Figures,
    /// From the start of a server that had been killed to its listening.
    #[serde(default)]
    pub restart: Figures,
    /// From the server's being killed to resubscribed.
    #[serde(default)]
    pub recovery: Figures,
    /// Percent and milliseconds of response latency.
    pub curve: Vec<(f64, f64)>,
    /// The same of service latency.
    pub service_curve: Vec<(f64, f64)>,
    /// Deliveries a second within the measured time.
    pub deliveries_per_second: f64,
    /// How evenly the subscribers were served.
    #[serde(default)]
    pub fairness: Fairness,
    /// Bytes on the wire per delivery.
    pub bytes_per_delivery: f64,
    /// Longest time without any delivery while messages were due, in milliseconds.
    pub silence_ms: f64,
    /// What it cost the server; absent for one whose process is not known.
    pub cost: Option<Cost>,
    /// The tester itself.
    pub tester: Tester,
    /// The course of it.
    pub timeline: Vec<Sample>,
    /// When the server was killed, in seconds from the first due message.
    #[serde(default)]
    pub kills_s: Vec<f64>,
    /// What went wrong, in words, the first few.
    pub notes: Vec<String>,
    /// The thresholds.
    pub checks: Vec<Finding>,
}

/// Where a run took place.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Environment {
    /// The tester's version.
    pub version: String,
    /// The command line.
    pub command: String,
    /// Seconds since 1970.
    pub started: u64,
    /// Operating system and its version.
    pub kernel: String,
    /// The processor.
    pub cpu: String,
    /// CPUs this process may use.
    pub cpus: usize,
    /// Descriptors a process may have.
    pub descriptors: u64,
}

/// What a run cost the server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// CPU time per delivery, publish to end of drain, in microseconds.
    pub cpu_us_per_delivery: f64,
    /// Share of one core, in percent.
    pub cpu_percent: f64,
    /// What it held before the clients came.
    pub before: Holding,
    /// And at the end.
    pub after: Holding,
    /// Most anonymous memory seen.
    pub peak_rss: u64,
    /// Growth of anonymous memory per client connection, in bytes.
    pub bytes_per_connection: f64,
}

/// How the tester was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Tester {
    /// Share of its core it used while publishing, in percent.
    pub cpu_percent: f64,
    /// Share of events that found it with more to do than one turn takes.
    pub behind_percent: f64,
    /// Clients connected, publishers included.
    pub connections: usize,
    /// Clients connected a second.
    pub connects_per_second: f64,
    /// Processes that took part.
    #[serde(default)]
    pub processes: usize,
    /// What each connection, and the account of it, took of the tester's own memory before the first message.
    #[serde(default)]
    pub bytes_per_connection: f64,
}

/// One interval of the course.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Its end, in seconds from the first due message.
    pub at_s: f64,
    /// Messages published a second.
    pub sent_per_second: f64,
    /// Deliveries a second.
    pub deliveries_per_second: f64,
    /// Median response latency of what arrived.
    pub p50_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// The largest.
    pub max_ms: f64,
    /// 99th percentile of the tester's own lag.
    pub lag_ms: f64,
    /// Messages due in it that were lost.
    pub lost: u64,
    /// Share of one core the server used, in percent.
    pub server_cpu_percent: f64,
    /// The server's anonymous memory in MiB.
    pub server_mib: f64,
    /// Subscribers connected.
    pub connected: usize,
}

impl RunResult {
    /// Reads what `run --json` wrote.
    ///
    /// # Errors
    /// When the file cannot be read, or is no such report.
    pub fn load(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).context("reading the JSON report")?;
        serde_json::from_str(&text).map_err(|error| Error::Usage(format!("{}: {error}", path.display())))
    }

    /// Every figure a threshold may name.
    #[must_use]
    pub fn metrics(&self) -> Vec<(String, f64, Unit)> {
        let mut metrics = Vec::new();
        for (name, figures) in [
            ("latency", &self.latency),
            ("service", &self.service),
            ("lag", &self.lag),
            ("completion", &self.completion),
            ("ack", &self.ack),
            ("reconnect", &self.reconnect),
            ("restart", &self.restart),
            ("recovery", &self.recovery),
        ] {
            let Figures { p50_ms, p90_ms, p99_ms, p999_ms, max_ms, samples, negative } = *figures;
            for (part, value) in
                [("p50", p50_ms), ("p90", p90_ms), ("p99", p99_ms), ("p999", p999_ms), ("max", max_ms)]
            {
                // Without samples there is no latency: a threshold on it is not met.
                let value = if samples == 0 { f64::NAN } else { value };
                metrics.push((format!("{name}.{part}"), value, Unit::Milliseconds));
            }
            metrics.push((format!("{name}.samples"), samples as f64, Unit::Number));
            metrics.push((format!("{name}.negative"), negative as f64, Unit::Number));
        }
        let mut plain = |name: &str, value: f64, unit| metrics.push((name.to_owned(), value, unit));
        for (name, count) in self.ledger.named().into_iter().chain(self.counts.named()) {
            plain(name, count as f64, Unit::Number);
        }
        plain("silence", self.silence_ms, Unit::Milliseconds);
        plain("deliveries_per_second", self.deliveries_per_second, Unit::Number);
        plain("bytes_per_delivery", self.bytes_per_delivery, Unit::Bytes);
        plain("fairness.index", self.fairness.index, Unit::Number);
        plain("fairness.slowest_tenth", self.fairness.slowest_tenth, Unit::Number);
        plain("fairness.spread", self.fairness.spread_ms, Unit::Milliseconds);
        plain("tester.bytes_per_connection", self.tester.bytes_per_connection, Unit::Bytes);
        plain("tester.cpu", self.tester.cpu_percent, Unit::Percent);
        plain("tester.behind", self.tester.behind_percent, Unit::Percent);
        plain("connects_per_second", self.tester.connects_per_second, Unit::Number);
        // Not zero: where nothing was measured, no threshold on it is met.
        let cost = self.cost.unwrap_or(Cost {
            cpu_us_per_delivery: f64::NAN,
            cpu_percent: f64::NAN,
            bytes_per_connection: f64::NAN,
            ..Cost::default()
        });
        plain("server.cpu", cost.cpu_percent, Unit::Percent);
        plain("server.cpu_per_delivery", cost.cpu_us_per_delivery / 1e3, Unit::Milliseconds);
        plain("server.memory", cost.peak_rss as f64, Unit::Bytes);
        plain("server.bytes_per_connection", cost.bytes_per_connection, Unit::Bytes);
        plain("server.descriptors", cost.after.descriptors as f64, Unit::Number);
        metrics
    }

    /// One figure by name.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.metrics().into_iter().find(|(known, ..)| known == name).map(|(_, value, _)| value)
    }
}

impl Ledger {
    /// The counts by name.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 17] {
        [
            ("lost", self.missing),
            ("missing", self.missing),
            ("acked_missing", self.acked_missing),
            ("duplicate", self.duplicate),
            ("reordered", self.reordered),
            ("corrupt", self.corrupt),
            ("phantom", self.phantom),
            ("wrong_topic", self.wrong_topic),
            ("last_value_missing", self.last_value_missing),
            ("skipped_mismatch", self.skipped_mismatch),
            ("stale", self.stale),
            ("redelivered", self.redelivered),
            ("signalled", self.signalled),
            ("conflated", self.conflated),
            ("dropped", self.dropped),
            ("away", self.away),
            ("cut_off", self.cut_off),
        ]
    }
}

impl Counts {
    /// The counts by name.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 20] {
        [
            ("sent", self.sent),
            ("acknowledged", self.acknowledged),
            ("refused", self.refused),
            ("unacknowledged", self.sent - self.acknowledged - self.refused),
            ("expected", self.expected),
            ("deliveries", self.deliveries),
            ("errors", self.errors),
            ("disconnects", self.disconnects),
            ("cuts", self.cuts),
            ("recovered", self.recovered),
            ("unrecovered", self.unrecovered),
            ("late_subscribers", self.late_subscribers),
            ("kills", self.kills),
            ("failed_restarts", self.failed_restarts),
            ("severed", self.severed),
            ("retried", self.retried),
            ("stranded", self.stranded),
            ("audited", self.audited),
            ("unaudited_topics", self.unaudited_topics),
            ("documents_differ", self.documents_differ),
        ]
    }
}
