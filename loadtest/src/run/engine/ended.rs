//! What a run hands over, and the sum of what its processes measured.

use crate::latency::Latency;
use crate::run::account::{Account, Closed};
use crate::run::course::Course;
use crate::run::crew::Report;

/// What the engine hands over.
pub(in crate::run) struct Ended {
    pub(in crate::run) account: Account,
    pub(in crate::run) closed: Closed,
    pub(in crate::run) course: Course,
    pub(in crate::run) lag: Latency,
    pub(in crate::run) reconnect: Latency,
    pub(in crate::run) restart: Latency,
    pub(in crate::run) recovery: Latency,
    pub(in crate::run) connects_per_second: f64,
    pub(in crate::run) own_cpu_percent: f64,
    pub(in crate::run) behind_percent: f64,
    pub(in crate::run) connections: usize,
    /// The tester's own memory for them, all processes together, in bytes.
    pub(in crate::run) memory: u64,
    /// How many processes took part.
    pub(in crate::run) processes: usize,
    /// The average latency of each subscriber.
    pub(in crate::run) typical_ns: Vec<u64>,
    pub(in crate::run) interrupted: bool,
    pub(in crate::run) start_ns: u64,
}

impl Ended {
    /// Adds what another process measured.
    pub(super) fn add(&mut self, report: &Report) {
        self.closed.ledger.add(&report.ledger);
        self.closed.lost_due_ns.extend(&report.lost_due_ns);
        self.account.counts.add_subscribers(&report.counts);
        self.account.response.add_record(&report.response);
        self.account.service.add_record(&report.service);
        self.reconnect.add_record(&report.reconnect);
        self.recovery.add_record(&report.recovery);
        self.account.add_arrivals(&report.arrivals);
        self.account.last_measured_ns = self.account.last_measured_ns.max(report.last_measured_ns);
        self.account.notes.extend_from_slice(&report.notes);
        self.typical_ns.extend(&report.typical_ns);
        self.own_cpu_percent = self.own_cpu_percent.max(report.cpu_percent);
        self.behind_percent = self.behind_percent.max(report.behind_percent);
    }
}
