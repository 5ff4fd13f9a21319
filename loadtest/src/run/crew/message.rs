//! What the processes of a run tell each other, as lines of JSON.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::latency::Record;
use crate::run::counts::{Counts, Ledger};
use crate::run::scenario::Scenario;

/// What a follower does.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Task {
    /// Its own part.
    pub(super) scenario: Scenario,
    /// Number of its first subscriber.
    pub(super) first: usize,
    pub(super) run: u32,
    pub(super) address: SocketAddr,
    pub(super) host: String,
    pub(super) path: String,
    pub(super) tls: bool,
    pub(super) ca: Option<PathBuf>,
    pub(super) insecure_tls: bool,
    /// The address to connect from: its own, so that it has ports of its own.
    pub(super) source: Option<IpAddr>,
    /// The CPU to run on.
    pub(super) cpu: Option<usize>,
    pub(super) at_once: usize,
    pub(super) connect_rate: Option<f64>,
}

/// From the lead.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Order {
    /// What to do; the first.
    Task(Box<Task>),
    /// The first message is due then.
    Go(u64),
    /// No more is published.
    Stop,
    /// What became of each message; the last.
    Fates(Fates),
}

/// From a follower.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Word {
    Ready(Ready),
    Progress(Progress),
    /// Nothing more is expected, or there was no more.
    Drained,
    Report(Box<Report>),
    Failed(String),
}

/// All connections are set up.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(in crate::run) struct Ready {
    pub(in crate::run) connections: usize,
    pub(in crate::run) connects_per_second: f64,
    /// What they, and the account of them, take of this process's memory.
    pub(in crate::run) memory: u64,
}

/// How a follower is.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(in crate::run) struct Progress {
    pub(in crate::run) deliveries: u64,
    pub(in crate::run) faults: u64,
    pub(in crate::run) connected: usize,
}

/// What became of the messages, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::run) struct Fates {
    /// Names of the epochs.
    pub(in crate::run) epochs: Vec<String>,
    /// Whether it was acknowledged (or, if not, refused), and its epoch and offset.
    pub(in crate::run) messages: Vec<(Answer, Option<(u32, u64)>)>,
}

/// How a publication was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::run) enum Answer {
    #[serde(rename = "-")]
    None,
    #[serde(rename = "a")]
    Acknowledged,
    #[serde(rename = "r")]
    Refused,
}

/// What a follower measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::run) struct Report {
    pub(in crate::run) ledger: Ledger,
    pub(in crate::run) counts: Counts,
    pub(in crate::run) response: Record,
    pub(in crate::run) reconnect: Record,
    /// For each message: how many have not got it, and when the last one did.
    pub(in crate::run) arrivals: Vec<(u32, u64)>,
    /// Medians of the subscribers' latencies.
    pub(in crate::run) typical_ns: Vec<u64>,
    pub(in crate::run) lost_due_ns: Vec<u64>,
    pub(in crate::run) last_measured_ns: u64,
    pub(in crate::run) cpu_percent: f64,
    pub(in crate::run) behind_percent: f64,
    pub(in crate::run) notes: Vec<String>,
}
