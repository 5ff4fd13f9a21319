//! The options of `run` and `report`, and the keys of a scenario file as flags.

use std::path::PathBuf;

use clap::Args;

use super::scenario::{Ack, Churn, Kind, Scenario, Signal, Slow, Via};
use super::schedule::Arrival;
use super::servers::Known;
use super::units::{Bytes, Share, Sizes, Span};
use crate::adapter::Name;
use crate::options::ServerOptions;

/// Options of `run`.
#[derive(Clone, Debug, Args)]
pub struct RunOptions {
    /// A preset (see `loadtest presets`) or a TOML file
    #[arg(default_value = "chat")]
    pub scenario: String,
    /// A server known by name; the tester starts it
    #[arg(long, value_enum, conflicts_with_all = ["serve", "url"])]
    pub against: Option<Known>,
    /// The server.
    #[command(flatten)]
    pub server: ServerOptions,
    /// What differs from the scenario.
    #[command(flatten)]
    pub overrides: Overrides,
    /// What must hold, such as 'lost == 0' or 'latency.p99 < 20ms'; several with spaces between
    #[arg(long, num_args = 1.., value_name = "FIGURE OP VALUE")]
    pub threshold: Vec<String>,
    /// Also write a report with charts to this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Print no progress
    #[arg(long)]
    pub quiet: bool,
}

/// Options of `report`.
#[derive(Clone, Debug, Args)]
pub struct ReportOptions {
    /// What `run --json` wrote
    pub run: PathBuf,
    /// Also write a report with charts to this file
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}

/// Keys of a scenario file as flags; they win over it.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Instead of what the scenario says")]
pub struct Overrides {
    /// The protocol
    #[arg(long, value_enum)]
    pub adapter: Option<Name>,
    /// What the topics promise
    #[arg(long, value_enum)]
    pub kind: Option<Kind>,
    /// How many topics
    #[arg(long)]
    pub topics: Option<usize>,
    /// Their names up to the number
    #[arg(long)]
    pub topic_prefix: Option<String>,
    /// Publishing connections
    #[arg(long)]
    pub publishers: Option<usize>,
    /// Subscribing connections
    #[arg(long)]
    pub subscribers: Option<usize>,
    /// Topics each of them listens to
    #[arg(long)]
    pub topics_per_subscriber: Option<usize>,
    /// Values of a topic of kind latest
    #[arg(long)]
    pub keys: Option<usize>,
    /// The most batches a second a subscriber of kind latest wants
    #[arg(long)]
    pub max_rate: Option<f64>,
    /// Messages a second, all publishers together; replaces a load of several stages
    #[arg(long)]
    pub rate: Option<f64>,
    /// How messages follow each other
    #[arg(long, value_enum)]
    pub arrival: Option<Arrival>,
    /// Bytes of payload: 128, or 64..1KiB
    #[arg(long)]
    pub size: Option<Sizes>,
    /// By which way messages are published
    #[arg(long, value_enum)]
    pub publish: Option<Via>,
    /// Unmeasured time before
    #[arg(long)]
    pub warmup: Option<Span>,
    /// Measured time
    #[arg(long)]
    pub duration: Option<Span>,
    /// How long to wait without any arrival for what is missing
    #[arg(long)]
    pub drain: Option<Span>,
    /// Connections cut a second; they come back and resume
    #[arg(long)]
    pub churn: Option<f64>,
    /// What an acknowledgement has to mean
    #[arg(long, value_enum)]
    pub ack: Option<Ack>,
    /// When the server is killed, from the first due message: 2s,5s
    #[arg(long, value_delimiter = ',', value_name = "TIME")]
    pub kill_at: Vec<Span>,
    /// The server is also killed at random moments, this far apart on average
    #[arg(long, value_name = "TIME")]
    pub kill_every: Option<Span>,
    /// How it is killed
    #[arg(long, value_enum)]
    pub signal: Option<Signal>,
    /// How long it stays away at least
    #[arg(long, value_name = "TIME")]
    pub restart_after: Option<Span>,
    /// At the end, read every topic from its beginning
    #[arg(long)]
    pub audit: bool,
    /// Share of subscribers that read nothing until the drain
    #[arg(long, value_name = "SHARE")]
    pub stalled: Option<Share>,
    /// Of everything left to chance
    #[arg(long)]
    pub seed: Option<u64>,
}

impl Overrides {
    pub(super) fn apply(self, to: &mut Scenario) {
        fn set<T>(value: Option<T>, place: &mut T) {
            if let Some(value) = value {
                *place = value;
            }
        }
        if self.rate.is_some() || self.duration.is_some() {
            to.load.clear();
        }
        set(self.adapter, &mut to.adapter);
        set(self.kind, &mut to.kind);
        set(self.topics, &mut to.topics);
        set(self.topic_prefix, &mut to.topic_prefix);
        set(self.publishers, &mut to.publishers);
        set(self.subscribers, &mut to.subscribers);
        set(self.topics_per_subscriber, &mut to.topics_per_subscriber);
        set(self.keys, &mut to.keys);
        set(self.max_rate, &mut to.max_rate);
        set(self.rate, &mut to.rate);
        set(self.arrival, &mut to.arrival);
        set(self.size, &mut to.size);
        set(self.publish, &mut to.publish);
        set(self.warmup, &mut to.warmup);
        set(self.duration, &mut to.duration);
        set(self.drain, &mut to.drain);
        set(self.seed, &mut to.seed);
        set(self.ack, &mut to.ack);
        let kills = !self.kill_at.is_empty() || self.kill_every.is_some();
        if kills || self.signal.is_some() || self.restart_after.is_some() || self.audit {
            let server = to.server.get_or_insert_default();
            if kills {
                (server.kill_at, server.kill_every) = (self.kill_at, self.kill_every);
            }
            set(self.signal, &mut server.signal);
            set(self.restart_after, &mut server.restart_after);
            server.audit |= self.audit;
        }
        if let Some(rate) = self.churn {
            let churn = to.churn.unwrap_or(Churn { rate, away: Churn::away(), resume: true });
            to.churn = (rate > 0.0).then_some(Churn { rate, ..churn });
        }
        if let Some(share) = self.stalled {
            to.slow = vec![Slow { share, read_rate: Bytes(0) }];
        }
    }
}
