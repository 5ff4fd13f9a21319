//! What the processes of a run tell each other, as lines of JSON.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::client::connection::Target;
use crate::latency::Record;
use crate::run::counts::{Counts, Ledger};
use crate::run::scenario::Scenario;

/// What a follower does.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::run) struct Task {
    /// Its own part.
    pub(in crate::run) scenario: Scenario,
    /// Number of its first subscriber.
    pub(in crate::run) first: usize,
    pub(in crate::run) run: u32,
    pub(in crate::run) endpoint: Endpoint,
    pub(in crate::run) tls: bool,
    pub(in crate::run) ca: Option<PathBuf>,
    pub(in crate::run) insecure_tls: bool,
    /// The address to connect from: its own, so that it has ports of its own.
    pub(in crate::run) source: Option<IpAddr>,
    /// The CPU to run on.
    pub(in crate::run) cpu: Option<usize>,
    pub(in crate::run) at_once: usize,
    pub(in crate::run) connect_rate: Option<f64>,
}

/// Where the server is. One that was started again may be elsewhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::run) struct Endpoint {
    pub(super) address: SocketAddr,
    pub(super) host: String,
    pub(super) path: String,
}

impl Endpoint {
    /// Where `target` is.
    pub(in crate::run) fn of(target: &Target) -> Self {
        Self { address: target.address, host: target.host.clone(), path: target.path.clone() }
    }

    /// The server of `before`, which is here now.
    pub(in crate::run) fn instead_of(self, before: &Target) -> Target {
        let Self { address, host, path } = self;
        Target { address, host, path, ..before.clone() }
    }
}

/// The server can be connected to again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(in crate::run) struct Back {
    pub(in crate::run) endpoint: Endpoint,
    /// When it was killed, or stopped.
    pub(in crate::run) killed_ns: u64,
    pub(in crate::run) up_ns: u64,
}

/// From the lead.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::run) enum Order {
    /// What to do; the first.
    Task(Box<Task>),
    /// The first message is due then.
    Go(u64),
    /// No more is published, and the server is left alone.
    Stop,
    /// The server is about to be killed or, where that is not deadly, to stand still. It is, once all have answered.
    Brace { deadly: bool },
    /// It is back.
    Back(Back),
    /// It will not come back.
    Lost,
    /// What became of each message; the last.
    Fates(Fates),
}

/// From a follower.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Word {
    Ready(Ready),
    Progress(Progress),
    /// The server may be killed.
    Braced,
    /// Nothing more is expected, or there was no more.
    Drained,
    Report(Box<Report>),
    Failed(String),
}

/// All connections are set up.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::run) struct Ready {
    pub(in crate::run) connections: usize,
    pub(in crate::run) connects_per_second: f64,
    /// What they, and the account of them, take of this process's memory.
    pub(in crate::run) memory: u64,
    /// Where there will be an audit: the first epochs of topics, by number.
    pub(in crate::run) epochs: Vec<(usize, String)>,
}

/// How a follower is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(in crate::run) struct Progress {
    pub(in crate::run) deliveries: u64,
    pub(in crate::run) faults: u64,
    pub(in crate::run) not_arrived: u64,
    pub(in crate::run) connected: usize,
    /// Latencies since it said so before.
    pub(in crate::run) interval: Record,
}

/// What became of the messages, by number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::run) struct Fates {
    /// Names of the epochs.
    pub(in crate::run) epochs: Vec<String>,
    /// Whether it was acknowledged (or, if not, refused), and its epoch and offset.
    pub(in crate::run) messages: Vec<(Answer, Option<(u32, u64)>)>,
    /// Numbers of those that were sent again.
    pub(in crate::run) again: Vec<usize>,
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
    pub(in crate::run) service: Record,
    pub(in crate::run) reconnect: Record,
    pub(in crate::run) recovery: Record,
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
