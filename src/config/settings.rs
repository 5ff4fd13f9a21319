//! Settings as people write them: every key once, for the file, the environment and the command line alike.
//!
//! `max_message_bytes` in the file is `FANWIRE_MAX_MESSAGE_BYTES` in the environment and `--max-message-bytes` as a
//! flag. Nothing here is required and nothing has a default; see [`Config`](super::Config).

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf};

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::{keys::KeySettings, rules::RuleSettings, webhooks::SourceSettings};

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// Everything that can be set.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:7400]
    #[arg(long, env = "FANWIRE_LISTEN", value_name = "ADDRESS")]
    pub listen: Option<SocketAddr>,
    /// Directory for what outlives the process: durable topics, idempotency keys, webhook deliveries, documents; in memory
    /// without it
    #[arg(long, env = "FANWIRE_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Milliseconds that a commit waits so that many publishes share one fsync [default: 2]
    #[arg(long, env = "FANWIRE_COMMIT_DELAY_MS", value_name = "MS")]
    pub commit_delay_ms: Option<u64>,
    /// Messages after which a commit waits no longer [default: 1024]
    #[arg(long, env = "FANWIRE_COMMIT_MESSAGES", value_name = "COUNT")]
    pub commit_messages: Option<NonZeroUsize>,
    /// Bytes that must be free on the disk; below it durable publishes are refused [default: 67108864]
    #[arg(long, env = "FANWIRE_DISK_RESERVE_BYTES", value_name = "BYTES")]
    pub disk_reserve_bytes: Option<u64>,
    /// Threads that own connections; 0 for one per core [default: 0]
    #[arg(long, env = "FANWIRE_SHARDS", value_name = "COUNT")]
    pub shards: Option<usize>,
    /// Listen on other addresses than loopback without authentication
    #[arg(long, env = "FANWIRE_INSECURE", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub insecure: Option<bool>,
    /// How log lines look [default: human]
    #[arg(long, env = "FANWIRE_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
    /// What is logged: error, warn, info, debug, trace, or per module [default: info]
    #[arg(long, env = "FANWIRE_LOG_LEVEL", value_name = "FILTER")]
    pub log_level: Option<String>,
    /// Certificate chain in PEM; turns TLS on together with --tls-key
    #[arg(long, env = "FANWIRE_TLS_CERT", value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// Private key in PEM
    #[arg(long, env = "FANWIRE_TLS_KEY", value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
    /// Origins (`https://example.org`) whose pages may connect; `*` for all. The broker's own origin always may, and
    /// loopback pages while it listens on loopback
    #[arg(long, env = "FANWIRE_ALLOWED_ORIGINS", value_name = "ORIGIN", value_delimiter = ',')]
    pub allowed_origins: Option<Vec<String>>,
    /// Networks (`10.0.0.0/8`) of reverse proxies that are believed: `X-Forwarded-For` says whose request it is, for limits, logs and
    /// lists; `X-Forwarded-Proto` and `X-Forwarded-Host` how it was called, for webhooks of providers that sign the address
    #[arg(long, env = "FANWIRE_TRUSTED_PROXIES", value_name = "NETWORK", value_delimiter = ',')]
    pub trusted_proxies: Option<Vec<ipnet::IpNet>>,
    /// Secret of at least 32 bytes that client tokens (JWT, HS256) are signed with; turns authentication on
    #[arg(long, env = "FANWIRE_AUTH_HMAC_SECRET", hide_env_values = true, value_name = "SECRET")]
    pub auth_hmac_secret: Option<String>,
    /// The same from a file; a final line break is not part of it
    #[arg(long, env = "FANWIRE_AUTH_HMAC_SECRET_FILE", value_name = "FILE")]
    pub auth_hmac_secret_file: Option<PathBuf>,
    /// Public key in PEM (RSA, EC P-256 or Ed25519) that client tokens are checked with
    #[arg(long, env = "FANWIRE_AUTH_PUBLIC_KEY_FILE", value_name = "FILE")]
    pub auth_public_key_file: Option<PathBuf>,
    /// JSON Web Key Set that client tokens are checked with; read again on SIGHUP
    #[arg(long, env = "FANWIRE_AUTH_JWKS_FILE", value_name = "FILE")]
    pub auth_jwks_file: Option<PathBuf>,
    /// Address of a JSON Web Key Set (`https:`, or `http:` on loopback) that client tokens are checked with; fetched again
    /// every five minutes, and when a token names an unknown key
    #[arg(long, env = "FANWIRE_AUTH_JWKS_URL", value_name = "URL")]
    pub auth_jwks_url: Option<String>,
    /// What the `aud` of client tokens must name
    #[arg(long, env = "FANWIRE_AUTH_AUDIENCE", value_name = "NAME")]
    pub auth_audience: Option<String>,
    /// What the `iss` of client tokens must be
    #[arg(long, env = "FANWIRE_AUTH_ISSUER", value_name = "NAME")]
    pub auth_issuer: Option<String>,
    /// With authentication: let clients without a token in, too, with everything allowed [default: false]
    #[arg(long, env = "FANWIRE_AUTH_ANONYMOUS", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub auth_anonymous: Option<bool>,
    /// Largest message from a client, in bytes [default: 65536]
    #[arg(long, env = "FANWIRE_MAX_MESSAGE_BYTES", value_name = "BYTES")]
    pub max_message_bytes: Option<NonZeroUsize>,
    /// Largest update of a document, in bytes [default: 2097152]
    #[arg(long, env = "FANWIRE_MAX_UPDATE_BYTES", value_name = "BYTES")]
    pub max_update_bytes: Option<NonZeroUsize>,
    /// Bytes of memory that the broker may take; its parts have shares of it, and refuse or forget when those are used up
    /// [default: three quarters of what the machine or the control group has]
    #[arg(long, env = "FANWIRE_MAX_MEMORY_BYTES", value_name = "BYTES")]
    pub max_memory_bytes: Option<NonZeroUsize>,
    /// Bytes of all documents in memory; beyond it unused ones are unloaded if a store has them, and updates are refused
    /// [default: a tenth of max_memory_bytes]
    #[arg(long, env = "FANWIRE_MAX_DOCUMENTS_BYTES", value_name = "BYTES")]
    pub max_documents_bytes: Option<NonZeroUsize>,
    /// Compress messages for clients that offer it (RFC 7692) [default: true]
    #[arg(long, env = "FANWIRE_DEFLATE", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub deflate: Option<bool>,
    /// How hard: from 1, fast, to 9, small [default: 6]
    #[arg(long, env = "FANWIRE_DEFLATE_LEVEL", value_name = "LEVEL")]
    pub deflate_level: Option<u8>,
    /// Least message that is compressed, in bytes [default: 256]
    #[arg(long, env = "FANWIRE_DEFLATE_MIN_BYTES", value_name = "BYTES")]
    pub deflate_min_bytes: Option<u16>,
    /// Subscriptions of one connection [default: 1000]
    #[arg(long, env = "FANWIRE_MAX_SUBSCRIPTIONS", value_name = "COUNT")]
    pub max_subscriptions: Option<NonZeroUsize>,
    /// Commands a second from one connection [default: 50000]
    #[arg(long, env = "FANWIRE_MAX_COMMANDS_PER_SECOND", value_name = "COUNT")]
    pub max_commands_per_second: Option<std::num::NonZeroU32>,
    /// Bytes waiting for one connection that does not read them [default: 1048576]
    #[arg(long, env = "FANWIRE_MAX_OUTBOX_BYTES", value_name = "BYTES")]
    pub max_outbox_bytes: Option<NonZeroUsize>,
    /// Milliseconds from connecting to a complete request [default: 10000]
    #[arg(long, env = "FANWIRE_HANDSHAKE_TIMEOUT_MS", value_name = "MS")]
    pub handshake_timeout_ms: Option<std::num::NonZeroU64>,
    /// Seconds that an HTTP connection may wait for its next request; more than any proxy in front keeps it [default: 120]
    #[arg(long, env = "FANWIRE_KEEP_ALIVE_S", value_name = "SECONDS")]
    pub keep_alive_s: Option<std::num::NonZeroU64>,
    /// Connections in all [default: 100000, or what the file descriptor limit allows]
    #[arg(long, env = "FANWIRE_MAX_CONNECTIONS", value_name = "COUNT")]
    pub max_connections: Option<NonZeroUsize>,
    /// Connections from one address [default: 20000]
    #[arg(long, env = "FANWIRE_MAX_CONNECTIONS_PER_ADDRESS", value_name = "COUNT")]
    pub max_connections_per_address: Option<NonZeroUsize>,
    /// HTTP requests a second from one address [default: 50000]
    #[arg(long, env = "FANWIRE_MAX_REQUESTS_PER_SECOND", value_name = "COUNT")]
    pub max_requests_per_second: Option<std::num::NonZeroU32>,
    /// Topics in all [default: 1000000]
    #[arg(long, env = "FANWIRE_MAX_TOPICS", value_name = "COUNT")]
    pub max_topics: Option<NonZeroUsize>,
    /// False tokens a second from one address, and ten times as many at once, that are looked at; beyond it credentials from
    /// there are refused as rate_limited, but for API keys and tokens that were good before [default: 10]
    #[arg(long, env = "FANWIRE_MAX_FALSE_TOKENS_PER_SECOND", value_name = "COUNT")]
    pub max_false_tokens_per_second: Option<std::num::NonZeroU32>,
    /// Topics that one user, or one address without a name, may have made; a key of a back end may have half of max_topics
    /// [default: a tenth of max_topics]
    #[arg(long, env = "FANWIRE_MAX_TOPICS_PER_OWNER", value_name = "COUNT")]
    pub max_topics_per_owner: Option<NonZeroUsize>,
    /// Webhook deliveries that are kept but could not be published yet; beyond it providers are asked to come again, and beyond
    /// twice as many also those that do not [default: 10000]
    #[arg(long, env = "FANWIRE_MAX_WEBHOOKS_PENDING", value_name = "COUNT")]
    pub max_webhooks_pending: Option<NonZeroUsize>,
    /// Seconds between WebSocket pings [default: 25]
    #[arg(long, env = "FANWIRE_PING_S", value_name = "SECONDS")]
    pub ping_s: Option<std::num::NonZeroU64>,
    /// Seconds to answer a ping, at most ping_s [default: 10, or ping_s if that is less]
    #[arg(long, env = "FANWIRE_PONG_TIMEOUT_S", value_name = "SECONDS")]
    pub pong_timeout_s: Option<std::num::NonZeroU64>,
    /// Milliseconds that draining may take after SIGTERM [default: 10000]
    #[arg(long, env = "FANWIRE_DRAIN_MS", value_name = "MS")]
    pub drain_ms: Option<u64>,
    /// Seconds that a thread may do nothing before the process ends, ten times as long if it waits for the disk; `/readyz` tells
    /// earlier [default: 30]
    #[arg(long, env = "FANWIRE_MAX_STALL_S", value_name = "SECONDS")]
    pub max_stall_s: Option<std::num::NonZeroU64>,
    /// The rule of topics that no pattern matches (file only).
    #[arg(skip)]
    pub default: Option<RuleSettings>,
    /// Keys of back ends (file only).
    #[arg(skip)]
    pub key: Option<Vec<KeySettings>>,
    /// Rules in order of preference (file only).
    #[arg(skip)]
    pub rule: Option<Vec<RuleSettings>>,
    /// Where webhooks of others come in (file only).
    #[arg(skip)]
    pub source: Option<Vec<SourceSettings>>,
}

macro_rules! prefer {
    ($self:ident, $other:ident, $keep:ident, $($field:ident)*) => {
        Settings { $($field: $self.$field.filter(|_| $keep(stringify!($field))).or($other.$field),)* }
    };
}

impl Settings {
    /// Takes what is missing from settings of lower rank.
    pub fn or(self, other: Self) -> Self {
        self.merged(|_| true, other)
    }

    /// Those whose names are wanted.
    pub fn only(self, wanted: impl Fn(&str) -> bool) -> Self {
        self.merged(wanted, Self::default())
    }

    fn merged(self, keep: impl Fn(&str) -> bool, other: Self) -> Self {
        prefer!(self, other, keep, listen data_dir commit_delay_ms commit_messages disk_reserve_bytes shards insecure log_format log_level tls_cert tls_key allowed_origins trusted_proxies
            auth_hmac_secret auth_hmac_secret_file auth_public_key_file auth_jwks_file auth_jwks_url auth_audience auth_issuer
            auth_anonymous max_memory_bytes max_message_bytes max_update_bytes max_documents_bytes deflate deflate_level
            deflate_min_bytes max_subscriptions
            max_commands_per_second max_outbox_bytes handshake_timeout_ms keep_alive_s max_connections
            max_connections_per_address max_requests_per_second max_false_tokens_per_second max_topics max_topics_per_owner max_webhooks_pending ping_s pong_timeout_s drain_ms max_stall_s default key rule source)
    }
}
