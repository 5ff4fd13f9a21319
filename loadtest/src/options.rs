//! What commands can be told: the server that all measure, and what is only one command's.

use clap::{Args, ValueEnum};

use crate::wire::Encoding;

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
