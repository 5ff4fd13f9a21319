//! What a client can be told, with every bound and its reason.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use fanwire_proto::{Format, Position};
use tokio_rustls::rustls::ClientConfig;

/// A token on its way.
pub type TokenFuture = Pin<Box<dyn Future<Output = Result<String, String>> + Send>>;

/// Who the client is.
#[derive(Clone)]
pub enum Token {
    /// Always the same.
    Fixed(String),
    /// Asked for each connection, and again before the present one ends.
    Callback(Arc<dyn Fn() -> TokenFuture + Send + Sync>),
}

impl Token {
    /// A token that is asked for when it is needed.
    pub fn callback<F>(get: impl Fn() -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<String, String>> + Send + 'static,
    {
        Self::Callback(Arc::new(move || Box::pin(get())))
    }
}

impl fmt::Debug for Token {
    /// A token is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fixed(_) => "Token::Fixed(…)",
            Self::Callback(_) => "Token::Callback(…)",
        })
    }
}

/// How a client connects and what it keeps.
#[derive(Clone, Debug)]
pub struct Options {
    /// JSON, or MessagePack.
    pub format: Format,
    /// Who the client is; sent as a command, never in the URL.
    pub token: Option<Token>,
    /// TLS for `wss://` URLs: whom to trust.
    pub tls: Option<Arc<ClientConfig>>,
    /// The first pause before reconnecting is random between 0 and this; it doubles with every failure.
    pub backoff_min: Duration,
    /// No pause before reconnecting is longer, except one that the broker asks for.
    pub backoff_max: Duration,
    /// A connection that was usable this long counts as a success: pauses start small again.
    pub stable: Duration,
    /// From starting to connect, token included, until the connection is usable.
    pub connect_timeout: Duration,
    /// With nothing heard for this long the client asks for a sign of life.
    pub ping_interval: Duration,
    /// With no sign of life for this long after asking, the connection is given up.
    pub ping_timeout: Duration,
    /// Commands waiting for an answer, sent or not; as many as a topic's memory of message ids.
    pub queue_count: usize,
    /// Bytes of those commands.
    pub queue_bytes: usize,
    /// How long after a publish was first sent the broker surely still knows its id; it promises two minutes.
    pub dedupe: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            format: Format::Json,
            token: None,
            tls: None,
            backoff_min: Duration::from_millis(500),
            backoff_max: Duration::from_secs(30),
            stable: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(15),
            ping_interval: Duration::from_secs(15),
            ping_timeout: Duration::from_secs(10),
            queue_count: 10_000,
            queue_bytes: 4 * 1024 * 1024,
            dedupe: Duration::from_secs(110),
        }
    }
}

/// Where a subscription begins, and what it reports.
#[derive(Clone, Debug)]
pub struct SubscribeOptions {
    /// Resume after this position, that of an earlier session.
    pub since: Option<Position>,
    /// Kind `log`: begin with this many past messages; `since` wins.
    pub last: u32,
    /// Report members, `Join` and `Leave`.
    pub presence: bool,
    /// Kind `latest`: at most this many updates a second.
    pub max_rate: Option<f64>,
    /// Events held for the reader; one that is slower gets what is held and then [`Code::Overflow`](crate::Code).
    pub buffer: usize,
}

impl Default for SubscribeOptions {
    fn default() -> Self {
        Self { since: None, last: 0, presence: false, max_rate: None, buffer: 1000 }
    }
}

/// A token is replaced when this part of its time is over.
pub(crate) const REFRESH_PART: f64 = 0.8;
/// Pause between attempts to replace a token, and the least time that one is used.
pub(crate) const REFRESH_MIN: Duration = Duration::from_secs(1);
/// Longest pause that a `goodbye` may ask for.
pub(crate) const GOODBYE_MAX: Duration = Duration::from_secs(600);
/// Calls on their way to the driver; each of them waits for room.
pub(crate) const ORDERS: usize = 256;
/// Largest frame read from a broker: a batch of recovered messages of the largest size, several times over.
pub(crate) const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;
