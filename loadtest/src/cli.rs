//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::run::compare::CompareOptions;
use crate::run::diff::DiffOptions;
use crate::run::doctor::DoctorOptions;
use crate::run::find_max::FindMaxOptions;
use crate::run::{ReportOptions, RunOptions};
use crate::wire::Encoding;

/// Measures pub/sub brokers: deliveries, losses, latency and what the server spends.
#[derive(Debug, Parser)]
#[command(version, about, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to measure.
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 all thresholds met, 1 a threshold missed, 2 usage or set-up failure, \
3 INVALID (the tester itself was the bottleneck), 4 messages lost, repeated, reordered, altered or invented, \
130 interrupted.";

/// The measurements.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// A scenario: latency from the due time, a ledger of every message, the server's cost, and a verdict
    Run(Box<RunOptions>),
    /// The presets of `run`, or one of them as a scenario file
    Presets {
        /// Which one
        name: Option<String>,
    },
    /// The same scenario against several servers, taking turns, with confidence intervals
    Compare(Box<CompareOptions>),
    /// What changed from one run to another, both written with --json
    Diff(DiffOptions),
    /// The highest rate, or the most subscribers, within limits
    FindMax(Box<FindMaxOptions>),
    /// What this machine allows, and the tester's own ceiling
    Doctor(DoctorOptions),
    /// The report of a run from its JSON
    Report(ReportOptions),
    /// CPU per delivery, latency and ledger of one topic with many subscribers, next to a bare send() loop
    Fanout(FanoutOptions),
    /// Memory, descriptors and CPU of many idle subscribed connections, and connects per second
    Idle(IdleOptions),
    /// How many messages a second publishers that pipeline get acknowledged, and what each costs
    Publish(PublishOptions),
    /// The bare send() loop that `fanout` starts by itself
    #[command(hide = true)]
    Bare(BareOptions),
    /// One more process of a run that takes several
    #[command(hide = true)]
    Follow,
    /// A relay before a real broker that misbehaves: to see whether the tester notices
    #[command(hide = true)]
    Relay(RelayOptions),
    /// A naive broker that does nothing but fan out: the tester's own ceiling
    #[command(hide = true)]
    Null(NullOptions),
}

/// Reads a count of which there has to be one.
fn some(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must not be 0".into()),
        Ok(count) => Ok(count),
        Err(_) => Err("it is no whole number".into()),
    }
}

/// Reads a number above 0.
fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("it is no number above 0".into()),
    }
}

/// The server to measure.
#[derive(Clone, Debug, Default, Args)]
pub struct ServerOptions {
    /// Command that starts the server and prints its ws:// URL [default: `fanwire serve --listen 127.0.0.1:0
    /// --shards 1`, the fanwire beside this program]
    #[arg(long, value_name = "CMD")]
    pub serve: Option<String>,
    /// The text of the configuration file that is `{config}` in the command.
    #[arg(skip)]
    pub config: Option<String>,
    /// A server that runs already; with --serve, where that server will listen
    #[arg(long)]
    pub url: Option<String>,
    /// Its process id, for CPU and memory
    #[arg(long, requires = "url", conflicts_with = "serve")]
    pub pid: Option<u32>,
    /// Leave it to the system which CPU runs what
    #[arg(long)]
    pub no_pin: bool,
    /// Certificates to trust on wss:// connections [default: the system's]
    #[arg(long, value_name = "FILE")]
    pub ca: Option<std::path::PathBuf>,
    /// Trust any certificate
    #[arg(long, conflicts_with = "ca")]
    pub insecure_tls: bool,
    /// Processes of the tester [default: as many as the descriptors of all connections take]
    #[arg(long, value_name = "COUNT", value_parser = some)]
    pub processes: Option<usize>,
    /// The most connections set up a second
    #[arg(long, value_name = "RATE", value_parser = positive)]
    pub connect_rate: Option<f64>,
    /// Connections being set up at once
    #[arg(long, default_value_t = 128, value_parser = some)]
    pub at_once: usize,
    /// Also write everything measured to this file
    #[arg(long, value_name = "FILE")]
    pub json: Option<std::path::PathBuf>,
}

/// Options of `fanout`.
#[derive(Debug, Args)]
pub struct FanoutOptions {
    /// The server.
    #[command(flatten)]
    pub server: ServerOptions,
    /// Encoding of the connections
    #[arg(long, value_enum, default_value_t = Encoding::Json)]
    pub encoding: Encoding,
    /// Subscribers of the topic
    #[arg(long, default_value_t = 1000)]
    pub subscribers: usize,
    /// Messages per second, one window each
    #[arg(long, value_delimiter = ',', default_value = "20,60,200,500,1500")]
    pub rates: Vec<f64>,
    /// Bytes of payload (a stamp of 45 bytes is part of it)
    #[arg(long, default_value_t = 128)]
    pub payload: usize,
    /// Length of a window
    #[arg(long, default_value_t = 4.0)]
    pub seconds: f64,
    /// Repeats of the whole series; figures are medians
    #[arg(long, default_value_t = 3)]
    pub repeat: usize,
    /// Extra subscribers that never read; measured without and with them
    #[arg(long, default_value_t = 0)]
    pub stalled: usize,
    /// Unmeasured seconds before the first window, at 50 messages per second
    #[arg(long, default_value_t = 1.0)]
    pub warmup: f64,
}

/// Options of `idle`.
#[derive(Debug, Args)]
pub struct IdleOptions {
    /// The server.
    #[command(flatten)]
    pub server: ServerOptions,
    /// Encoding of the connections
    #[arg(long, value_enum, default_value_t = Encoding::Json)]
    pub encoding: Encoding,
    /// Connections, each with one subscription
    #[arg(long, default_value_t = 10_000)]
    pub connections: usize,
    /// All subscribe to one topic instead of one each
    #[arg(long)]
    pub topic_shared: bool,
    /// How long the idle CPU is measured
    #[arg(long, default_value_t = 30.0)]
    pub seconds: f64,
    /// Threshold: bytes of user memory per connection
    #[arg(long, default_value_t = 4096.0)]
    pub max_memory: f64,
}

/// Options of `publish`.
#[derive(Debug, Args)]
pub struct PublishOptions {
    /// The server.
    #[command(flatten)]
    pub server: ServerOptions,
    /// Encoding of the connections
    #[arg(long, value_enum, default_value_t = Encoding::Json)]
    pub encoding: Encoding,
    /// Connections that publish
    #[arg(long, default_value_t = 64)]
    pub publishers: usize,
    /// Unanswered messages of each
    #[arg(long, default_value_t = 128)]
    pub window: usize,
    /// Topics that the publishers share out among them
    #[arg(long, default_value_t = 1)]
    pub topics: usize,
    /// What the topics' names begin with
    #[arg(long, default_value = "publish")]
    pub topic: String,
    /// Ask for durable acknowledgements
    #[arg(long)]
    pub durable: bool,
    /// Bytes of payload
    #[arg(long, default_value_t = 128)]
    pub payload: usize,
    /// How long it is measured
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Unmeasured seconds before
    #[arg(long, default_value_t = 1.0)]
    pub warmup: f64,
}

/// Options of the bare loop.
#[derive(Debug, Args)]
pub struct BareOptions {
    /// Receivers to wait for
    #[arg(long)]
    pub connections: usize,
    /// Bytes of payload
    #[arg(long)]
    pub payload: usize,
    /// Topic named in the frame
    #[arg(long)]
    pub topic: String,
    /// Encoding of the frame
    #[arg(long, value_enum)]
    pub encoding: Encoding,
}

/// Options of the relay.
#[derive(Debug, Args)]
pub struct RelayOptions {
    /// The broker [default: the fanwire beside this program, which it starts]
    #[arg(long, value_name = "URL")]
    pub to: Option<String>,
    /// What to do wrong
    #[arg(long, value_enum, default_value_t = Fault::None)]
    pub fault: Fault,
    /// Every how many frames with messages to do it
    #[arg(long, default_value_t = 1000)]
    pub fault_every: u64,
}

/// Options of the null broker.
#[derive(Debug, Args)]
pub struct NullOptions {
    /// Write after every message instead of once per turn
    #[arg(long)]
    pub eager: bool,
    /// So many brokers that know nothing of each other share the port: for more connections than one can hold
    #[arg(long, default_value_t = 1)]
    pub processes: usize,
    /// Share this port with others [default: a free one of its own]
    #[arg(long)]
    pub port: Option<u16>,
    /// What to do wrong, to see whether the tester notices
    #[arg(long, value_enum, default_value_t = Fault::None)]
    pub fault: Fault,
    /// Every how many deliveries (lie: messages) to do it
    #[arg(long, default_value_t = 1000)]
    pub fault_every: u64,
}

/// A broker's misbehaviour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// Behave.
    #[default]
    None,
    /// Leave a delivery out.
    Drop,
    /// Send a delivery twice.
    Duplicate,
    /// Send a delivery after the one that follows it.
    Swap,
    /// Change a byte of the message: in turn one of the stamp and one of what follows it.
    Corrupt,
    /// Leave a delivery out, and say so with a gap.
    Gap,
    /// Acknowledge a message that nobody gets.
    Lie,
    /// Send a delivery also to a subscriber of another topic.
    Leak,
    /// Deliver a message that nobody published.
    Invent,
    /// Hold everything for the first subscriber back for 200 ms.
    Delay,
    /// Do nothing at all for 1.5 s, once.
    Stall,
    /// Serve documents over HTTP with a letter changed.
    Document,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }
}
