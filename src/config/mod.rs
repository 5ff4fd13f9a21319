//! From settings to a checked configuration: flag over environment over file over default; every mistake named with
//! its key and, in a file, its line.

mod consistency;
mod credentials;
mod origins;
mod rules;
mod settings;
mod sources;
mod webhooks;
mod wording;

use std::{
    fmt,
    net::SocketAddr,
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    path::PathBuf,
    time::Duration,
};

use credentials::Credentials;
pub use credentials::KeySettings;
pub use rules::{KindName, RuleSettings};
pub use settings::{LogFormat, Settings};
pub use sources::Sources;
pub use webhooks::{PayloadType, SourceSettings};
use wording::Place;

use crate::{
    auth::{Authenticator, Secret},
    broker::{Limits, Policy},
    defaults,
    memory::{self, Class, Plan},
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

/// Where and how things are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreSettings {
    /// The data directory; in memory without one.
    pub data_dir: Option<PathBuf>,
    /// How long a commit waits for company.
    pub pace: Pace,
    /// Bytes that must be free on the disk.
    pub disk_reserve_bytes: u64,
}

/// Files of a TLS identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain in PEM.
    pub cert: PathBuf,
    /// Private key in PEM.
    pub key: PathBuf,
}

/// Bounds of connections on their way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoorLimits {
    /// From connecting to a complete request.
    pub handshake_timeout: Duration,
    /// Until the next request of a connection.
    pub keep_alive: Duration,
    /// In all.
    pub max_connections: usize,
    /// From one address.
    pub max_connections_per_address: usize,
    /// HTTP requests a second from one address.
    pub max_requests_per_second: NonZeroU32,
}

/// Everything wrong with a configuration, at once.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<String>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}

impl From<String> for ConfigErrors {
    fn from(error: String) -> Self {
        Self(vec![error])
    }
}

impl Config {
    fn check(settings: Settings, place: &Place<'_>) -> Result<Self, ConfigErrors> {
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
        let effective = settings.clone();
        let count = |value: Option<NonZeroUsize>| value.map_or(usize::MAX, NonZeroUsize::get);
        let seconds = |value: Option<NonZeroU64>| Duration::from_secs(value.map_or(1, NonZeroU64::get));
        let max_message_bytes = count(settings.max_message_bytes);
        let max_update_bytes = count(settings.max_update_bytes);
        Self {
            listen: settings.listen.unwrap_or(DEFAULT_LISTEN),
            store: StoreSettings {
                data_dir: settings.data_dir,
                pace: Pace {
                    delay: Duration::from_millis(settings.commit_delay_ms.unwrap_or(0)),
                    messages: count(settings.commit_messages),
                },
                disk_reserve_bytes: settings.disk_reserve_bytes.unwrap_or(0),
            },
            shards: settings.shards.filter(|&shards| shards > 0).unwrap_or_else(cores),
            log_format: settings.log_format.unwrap_or_default(),
            log_level: settings.log_level.unwrap_or_default(),
            tls,
            allowed_origins: settings.allowed_origins.unwrap_or_default(),
            secret,
            authenticator,
            limits: Limits {
                max_subscriptions: count(settings.max_subscriptions),
                max_commands_per_second: settings.max_commands_per_second.map_or(u32::MAX, NonZeroU32::get),
                max_topics: count(settings.max_topics),
                max_topics_per_owner: count(settings.max_topics_per_owner),
                max_message_bytes,
                max_update_bytes,
                memory: Plan::of(count(settings.max_memory_bytes))
                    .with(Class::Documents, count(settings.max_documents_bytes)),
                max_outbox_bytes: count(settings.max_outbox_bytes),
            },
            shard: ShardLimits {
                bytes: wire::Limits {
                    max_message_bytes,
                    max_update_bytes,
                    max_outbox_bytes: count(settings.max_outbox_bytes),
                },
                ping: seconds(settings.ping_s),
                pong_timeout: seconds(settings.pong_timeout_s),
            },
            door: DoorLimits {
                handshake_timeout: Duration::from_millis(
                    settings.handshake_timeout_ms.map_or(1, NonZeroU64::get),
                ),
                keep_alive: seconds(settings.keep_alive_s),
                max_connections: count(settings.max_connections),
                max_connections_per_address: count(settings.max_connections_per_address),
                max_requests_per_second: settings.max_requests_per_second.unwrap_or(NonZeroU32::MAX),
            },
            deflate: settings.deflate.unwrap_or(false).then_some(Deflation {
                window: Window::Full,
                level: settings.deflate_level.unwrap_or(defaults::DEFLATE_LEVEL),
                least: settings.deflate_min_bytes.unwrap_or(0),
            }),
            drain: Duration::from_millis(settings.drain_ms.unwrap_or(0)),
            max_stall: seconds(settings.max_stall_s),
            rules: rules::rules(
                &settings.default.unwrap_or_default(),
                settings.rule.as_deref().unwrap_or_default(),
            ),
            webhooks: Vec::new(),
            max_webhooks_pending: count(settings.max_webhooks_pending),
            trusted_proxies: settings.trusted_proxies.unwrap_or_default(),
            effective,
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

    /// The effective configuration as a file would say it, without secrets; in front, as a comment, what memory is for.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let memory = &self.limits.memory;
        let share = |class: Class| format!("#   {:<12} {}\n", class.as_str(), memory.share(class));
        let shares: String = Class::ALL.map(share).concat();
        let settings = toml::to_string(&self.without_secrets())?;
        Ok(format!("# shares of `max_memory_bytes`, in bytes:\n{shares}{settings}"))
    }

    /// The effective configuration without secrets, for programs. Where there is nothing, nothing is said.
    pub fn to_json(&self) -> serde_json::Result<serde_json::Value> {
        let mut shown = serde_json::to_value(self.without_secrets())?;
        if let Some(settings) = shown.as_object_mut() {
            settings.retain(|_, value| !value.is_null());
        }
        Ok(shown)
    }

    fn without_secrets(&self) -> Settings {
        let mut shown = self.effective.clone();
        if shown.auth_hmac_secret.is_some() {
            shown.auth_hmac_secret = Some("(hidden)".into());
        }
        shown
    }
}

const DEFAULT_LISTEN: SocketAddr =
    SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 7400));

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// What the broker takes unless it is told otherwise.
fn memory_of_the_broker() -> usize {
    let part = |bytes: usize| (bytes / 100 * defaults::MEMORY_HUNDREDTHS).max(defaults::MEMORY_BYTES_MIN);
    memory::of_this_machine().map_or(defaults::MEMORY_UNKNOWN_BYTES, part)
}

fn with_defaults(mut settings: Settings) -> Settings {
    let ping_s = settings.ping_s.map_or(defaults::PING_S, NonZeroU64::get);
    let can_keep = settings.data_dir.is_some();
    let memory = Plan::of(settings.max_memory_bytes.map_or_else(memory_of_the_broker, NonZeroUsize::get));
    let max_topics = settings.max_topics.map_or(defaults::MAX_TOPICS, NonZeroUsize::get);
    settings.default = Some(settings.default.unwrap_or_default().spelled_out(can_keep));
    settings.rule = settings.rule.map(|rules| rules.iter().map(|rule| rule.spelled_out(can_keep)).collect());
    settings.or(Settings {
        listen: Some(DEFAULT_LISTEN),
        commit_delay_ms: Some(defaults::COMMIT_DELAY_MS),
        commit_messages: NonZeroUsize::new(defaults::COMMIT_MESSAGES),
        disk_reserve_bytes: Some(defaults::STORE_RESERVE_BYTES),
        shards: Some(0),
        insecure: Some(false),
        log_format: Some(LogFormat::default()),
        log_level: Some("info".into()),
        allowed_origins: Some(Vec::new()),
        trusted_proxies: Some(Vec::new()),
        auth_anonymous: Some(false),
        max_message_bytes: NonZeroUsize::new(defaults::MAX_MESSAGE_BYTES),
        max_update_bytes: NonZeroUsize::new(defaults::MAX_UPDATE_BYTES),
        max_memory_bytes: NonZeroUsize::new(memory.max()),
        max_documents_bytes: NonZeroUsize::new(memory.share(Class::Documents)),
        deflate: Some(true),
        deflate_level: Some(defaults::DEFLATE_LEVEL),
        deflate_min_bytes: Some(defaults::DEFLATE_MIN_BYTES),
        max_subscriptions: NonZeroUsize::new(defaults::MAX_SUBSCRIPTIONS),
        max_commands_per_second: NonZeroU32::new(defaults::MAX_COMMANDS_PER_SECOND),
        max_outbox_bytes: NonZeroUsize::new(defaults::MAX_OUTBOX_BYTES),
        handshake_timeout_ms: NonZeroU64::new(defaults::HANDSHAKE_TIMEOUT_MS),
        keep_alive_s: NonZeroU64::new(defaults::KEEP_ALIVE_S),
        max_connections: NonZeroUsize::new(defaults::MAX_CONNECTIONS),
        max_connections_per_address: NonZeroUsize::new(defaults::MAX_CONNECTIONS_PER_ADDRESS),
        max_requests_per_second: NonZeroU32::new(defaults::MAX_REQUESTS_PER_SECOND),
        max_topics: NonZeroUsize::new(max_topics),
        max_topics_per_owner: NonZeroUsize::new(
            (max_topics / defaults::TOPICS_OWNER_SHARE).max(defaults::TOPICS_PER_OWNER_MIN.min(max_topics)),
        ),
        max_webhooks_pending: NonZeroUsize::new(defaults::MAX_WEBHOOKS_PENDING),
        ping_s: NonZeroU64::new(ping_s),
        pong_timeout_s: NonZeroU64::new(defaults::PONG_TIMEOUT_S.min(ping_s)),
        drain_ms: Some(defaults::DRAIN_MS),
        max_stall_s: NonZeroU64::new(defaults::MAX_STALL_S),
        ..Settings::default()
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn check(text: &str) -> Result<Config, ConfigErrors> {
        let path = Path::new("f.toml");
        let settings = toml::from_str(text).map_err(|error| wording::of_file(text, &error))?;
        Config::check(settings, &Place { file: Some(path), text })
    }

    fn mistakes(text: &str) -> String {
        check(text).unwrap_err().to_string()
    }

    #[test]
    fn an_empty_file_has_the_defaults() {
        let config = check("").unwrap();
        assert_eq!(config.listen, DEFAULT_LISTEN);
        assert_eq!(config.limits.max_message_bytes, defaults::MAX_MESSAGE_BYTES);
        assert_eq!(config.shard.ping, Duration::from_secs(25));
    }

    #[test]
    fn the_effective_configuration_is_a_configuration() {
        let text = "ping_s = 7\n[[rule]]\npattern = 'a:*'\nkind = 'latest'\n";
        let effective = check(text).unwrap().to_toml().unwrap();
        assert_eq!(check(&effective).unwrap().to_toml().unwrap(), effective);
        assert!(effective.contains("ping_s = 7") && effective.contains("pong_timeout_s = 7"));
    }

    #[test]
    fn mistakes_name_key_and_line() {
        assert!(mistakes("\nmax_mesage_bytes = 1").contains("line 2"));
        assert!(mistakes("\nmax_mesage_bytes = 1").contains("max_mesage_bytes"));
        assert!(mistakes("\n\nping_s = 'x'").contains("line 3"));
        assert!(mistakes("[[rule]]\npattern = 'a**'").contains("line 2"));
        assert!(mistakes("[[rule]]\nkind = 'nonsense'\npattern = 'a'").contains("line 2"));
        assert!(mistakes("ping_s = 3\npong_timeout_s = 4").contains("f.toml:2: `pong_timeout_s`"));
        assert!(mistakes("tls_key = '-----BEGIN PRIVATE KEY'").contains("must be the path of a file"));
        assert!(mistakes("tls_cert = 'x'").contains("f.toml:1: `tls_cert`"));
        assert!(mistakes("[[rule]]\nkind = 'log'").contains("`pattern` is missing"));
        assert!(mistakes("[[rule]]\npattern='a'\nmax_keys = 3").contains("f.toml:3: `max_keys`"));
        assert!(mistakes("listen = '0.0.0.0:1'").contains("f.toml:1: `listen`"));
        assert!(mistakes("auth_hmac_secret = 'short'").contains("32 bytes"));
    }

    #[test]
    fn a_mistake_does_not_quote_what_may_be_a_secret() {
        for text in [
            "[[source]]\nname = 'a'\nsecret = 'whsec_x'",
            "[[source]]\nname = 'a'\nsecrets = ['whsec_x']",
            "[[source]]\nname = 'a'\nsecret_evn = 'whsec_x'",
            "[[source]]\nname = 'a'\nsecret = 'whsec_x",
        ] {
            let told = mistakes(text);
            assert!(told.contains("line 3") && !told.contains("whsec_x"), "{told}");
        }
        assert!(
            mistakes("[[source]]\nname = 'a'\nsecret = 'x'").contains("use `secret_env` or `secret_file`")
        );
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        assert_eq!(mistakes("listen = '0.0.0.0:1'\ntls_key = 'k'").lines().count(), 2);
    }

    #[test]
    fn exposure_needs_authentication_or_consent() {
        assert!(check("listen = '0.0.0.0:1'\ninsecure = true").is_ok());
        assert!(check("listen = '0.0.0.0:1'\nauth_hmac_secret = '0123456789abcdef0123456789abcdef'").is_ok());
    }

    #[test]
    fn secrets_are_not_shown() {
        let config = check("auth_hmac_secret = '0123456789abcdef0123456789abcdef'").unwrap();
        assert!(!config.to_toml().unwrap().contains("0123456789"));
        assert_eq!(config.to_json().unwrap()["auth_hmac_secret"], "(hidden)");
        assert!(!format!("{:?}", config.authenticator).contains("0123456789"));
    }
}
