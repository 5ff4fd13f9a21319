//! What is so when it is not set.

use std::{
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
};

use super::settings::{LogFormat, Settings};
use crate::{
    defaults,
    memory::{self, Class, Plan},
};

/// Nobody else's machine reaches a broker that is not told where to listen.
pub(super) const DEFAULT_LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7400));

/// What the broker takes unless it is told otherwise.
fn memory_of_the_broker() -> usize {
    let part = |bytes: usize| (bytes / 100 * defaults::MEMORY_HUNDREDTHS).max(defaults::MEMORY_BYTES_MIN);
    memory::of_this_machine().map_or(defaults::MEMORY_UNKNOWN_BYTES, part)
}

/// Settings in which every one has a value that has one by default.
pub(super) fn with_defaults(mut settings: Settings) -> Settings {
    let ping_s = settings.ping_s.map_or(defaults::PING_S, NonZeroU64::get);
    let can_keep = settings.data_dir.is_some();
    let memory = Plan::of(settings.max_memory_bytes.map_or_else(memory_of_the_broker, NonZeroUsize::get));
    let max_topics = settings.max_topics.map_or(defaults::MAX_TOPICS, NonZeroUsize::get);
    // Spelled out before the rest is filled in: what a rule leaves open depends on whether there is a data directory.
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
        max_false_tokens_per_second: NonZeroU32::new(defaults::FALSE_TOKENS_PER_SECOND),
        max_topics: NonZeroUsize::new(max_topics),
        max_topics_per_owner: NonZeroUsize::new(
            (max_topics / defaults::TOPICS_OWNER_SHARE).max(defaults::TOPICS_PER_OWNER_MIN.min(max_topics)),
        ),
        max_webhooks_pending: NonZeroUsize::new(defaults::MAX_WEBHOOKS_PENDING),
        ping_s: NonZeroU64::new(ping_s),
        // Bounded by `ping_s`, or lowering that one alone would be a mistake in a value that nobody has set.
        pong_timeout_s: NonZeroU64::new(defaults::PONG_TIMEOUT_S.min(ping_s)),
        drain_ms: Some(defaults::DRAIN_MS),
        max_stall_s: NonZeroU64::new(defaults::MAX_STALL_S),
        ..Settings::default()
    })
}
