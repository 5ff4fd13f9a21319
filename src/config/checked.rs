//! A configuration that can be run, and how it is made from settings.

use std::{
    net::SocketAddr,
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    time::Duration,
};

use super::{
    ConfigErrors, LogFormat, Settings, consistency,
    credentials::Credentials,
    fallback::{DEFAULT_LISTEN, with_defaults},
    origins,
    parts::{DoorLimits, StoreSettings, TlsFiles},
    rules, webhooks,
    wording::Place,
};
use crate::{
    auth::{Authenticator, Secret},
    broker::{Limits, Policy},
    defaults,
    memory::{Class, Plan},
    provider,
    shard::ShardLimits,
    store::Pace,
    topic::Rules,
    wire::{
        self,
        websocket::{Deflation, Window},
    },
};

/// A configuration that can be run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What outlives the process.
    pub store: StoreSettings,
    /// How many shards.
    pub shards: usize,
    /// How log lines look.
    pub log_format: LogFormat,
    /// What is logged.
    pub log_level: String,
    /// Certificate chain and key.
    pub tls: Option<TlsFiles>,
    /// Whose pages may connect.
    pub allowed_origins: Vec<String>,
    /// The key to sign client tokens with.
    pub secret: Option<Secret>,
    /// Who may come in.
    pub authenticator: Authenticator,
    /// Bounds of the broker's verbs.
    pub limits: Limits,
    /// Bounds of connections inside shards.
    pub shard: ShardLimits,
    /// Bounds of connections on their way in.
    pub door: DoorLimits,
    /// How connections that offer it are compressed, if at all.
    pub deflate: Option<Deflation>,
    /// Time that draining may take.
    pub drain: Duration,
    /// Time that a thread may stand still.
    pub max_stall: Duration,
    /// Which topic is which kind.
    pub rules: Rules,
    /// Where webhooks come in.
    pub webhooks: Vec<provider::Source>,
    /// Most deliveries that wait to be published.
    pub max_webhooks_pending: usize,
    /// Proxies whose word about the public address of a request is taken.
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// Every setting with its value in force.
    pub effective: Settings,
}

impl Config {
    /// Checks settings; every mistake is told.
    pub(super) fn check(settings: Settings, place: &Place<'_>) -> Result<Self, ConfigErrors> {
        let mut mistakes = Vec::new();
        let settings = with_defaults(settings);
        let credentials = Credentials::read(&settings, place, &mut mistakes);
        let authenticator = credentials.authenticator(&settings);
        let tls = consistency::tls(&settings, place, &mut mistakes);
        origins::check(&settings, place, &mut mistakes);
        consistency::rules(&settings, place, &mut mistakes);
        consistency::durable(&settings, place, &mut mistakes);
        consistency::exposure(&settings, authenticator.is_configured(), place, &mut mistakes);
        let sources = settings.source.as_deref().unwrap_or_default();
        let webhooks = webhooks::read(sources, place, &mut mistakes);
        let mut config = Self::from_defaulted(settings, credentials.secret, authenticator, tls);
        config.webhooks = webhooks;
        if config.shard.pong_timeout > config.shard.ping {
            mistakes.push(place.mistake("pong_timeout_s", "must not be more than `ping_s`"));
        }
        // A connection's stage alone may hold four batches; below that, fan-out would stop even for those who keep up.
        if config.limits.max_outbox_bytes < 4 * defaults::PASS_BYTES {
            let least = 4 * defaults::PASS_BYTES;
            mistakes.push(place.mistake("max_outbox_bytes", &format!("must be at least {least}")));
        }
        consistency::memory(&config.limits.memory, place, &mut mistakes);
        if config.deflate.is_some_and(|how| !(1..=9).contains(&how.level)) {
            mistakes.push(place.mistake("deflate_level", "must be from 1 to 9"));
        }
        if mistakes.is_empty() { Ok(config) } else { Err(ConfigErrors(mistakes)) }
    }

    /// Every value is set here; what a fallback says is never used.
    fn from_defaulted(
        settings: Settings,
        secret: Option<Secret>,
        authenticator: Authenticator,
        tls: Option<TlsFiles>,
    ) -> Self {
        Self {
            listen: settings.listen.unwrap_or(DEFAULT_LISTEN),
            store: store(&settings),
            shards: shards(&settings),
            log_format: settings.log_format.unwrap_or_default(),
            log_level: settings.log_level.clone().unwrap_or_default(),
            tls,
            allowed_origins: settings.allowed_origins.clone().unwrap_or_default(),
            secret,
            authenticator,
            limits: limits(&settings),
            shard: shard_limits(&settings),
            door: door_limits(&settings),
            deflate: settings.deflate.unwrap_or(false).then_some(Deflation {
                window: Window::Full,
                level: settings.deflate_level.unwrap_or(defaults::DEFLATE_LEVEL),
                least: settings.deflate_min_bytes.unwrap_or(0),
            }),
            drain: Duration::from_millis(settings.drain_ms.unwrap_or(0)),
            max_stall: seconds(settings.max_stall_s),
            rules: rules::rules(
                &settings.default.clone().unwrap_or_default(),
                settings.rule.as_deref().unwrap_or_default(),
            ),
            webhooks: Vec::new(),
            max_webhooks_pending: count(settings.max_webhooks_pending),
            trusted_proxies: settings.trusted_proxies.clone().unwrap_or_default(),
            effective: settings,
        }
    }

    /// The part that can be reloaded.
    pub fn policy(&self) -> Policy {
        Policy {
            rules: self.rules.clone(),
            limits: self.limits.clone(),
            authenticator: self.authenticator.clone(),
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

fn count(value: Option<NonZeroUsize>) -> usize {
    value.map_or(usize::MAX, NonZeroUsize::get)
}

fn seconds(value: Option<NonZeroU64>) -> Duration {
    Duration::from_secs(value.map_or(1, NonZeroU64::get))
}

fn store(settings: &Settings) -> StoreSettings {
    StoreSettings {
        data_dir: settings.data_dir.clone(),
        pace: Pace {
            delay: Duration::from_millis(settings.commit_delay_ms.unwrap_or(0)),
            messages: count(settings.commit_messages),
        },
        disk_reserve_bytes: settings.disk_reserve_bytes.unwrap_or(0),
    }
}

fn memory(settings: &Settings) -> Plan {
    Plan::of(count(settings.max_memory_bytes)).with(Class::Documents, count(settings.max_documents_bytes))
}

fn shards(settings: &Settings) -> usize {
    settings.shards.filter(|&shards| shards > 0).unwrap_or_else(cores)
}

fn limits(settings: &Settings) -> Limits {
    Limits {
        max_subscriptions: count(settings.max_subscriptions),
        max_commands_per_second: settings.max_commands_per_second.map_or(u32::MAX, NonZeroU32::get),
        max_false_tokens_per_second: settings.max_false_tokens_per_second.map_or(u32::MAX, NonZeroU32::get),
        max_topics: count(settings.max_topics),
        max_topics_per_owner: count(settings.max_topics_per_owner),
        max_message_bytes: count(settings.max_message_bytes),
        max_update_bytes: count(settings.max_update_bytes),
        memory: memory(settings),
        max_outbox_bytes: count(settings.max_outbox_bytes),
    }
}

fn shard_limits(settings: &Settings) -> ShardLimits {
    ShardLimits {
        bytes: wire::Limits {
            max_message_bytes: count(settings.max_message_bytes),
            max_update_bytes: count(settings.max_update_bytes),
            max_outbox_bytes: count(settings.max_outbox_bytes),
        },
        // Divided evenly: each shard counts its own, so that no counter is shared between them per delivery.
        max_outboxes_bytes: memory(settings).share(Class::Outboxes) / shards(settings),
        ping: seconds(settings.ping_s),
        pong_timeout: seconds(settings.pong_timeout_s),
    }
}

fn door_limits(settings: &Settings) -> DoorLimits {
    DoorLimits {
        handshake_timeout: Duration::from_millis(settings.handshake_timeout_ms.map_or(1, NonZeroU64::get)),
        keep_alive: seconds(settings.keep_alive_s),
        max_connections: count(settings.max_connections),
        max_connections_per_address: count(settings.max_connections_per_address),
        max_requests_per_second: settings.max_requests_per_second.unwrap_or(NonZeroU32::MAX),
    }
}
