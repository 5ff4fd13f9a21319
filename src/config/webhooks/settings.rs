//! `[[source]]` as people write it: every key, and what it is when it is not set.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{
    defaults,
    provider::{Places, Preset, Scheme, one_or_many},
};

/// How a message is made from a delivery.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PayloadType {
    /// `payload` renders JSON.
    #[default]
    Json,
    /// `payload` renders text.
    Text,
}

/// One `[[source]]`. What is not set is as the provider's preset says.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceSettings {
    /// Its name: webhooks come in at `/in/NAME`.
    pub name: String,
    /// Whose webhooks; `fanwire source presets` lists them.
    #[serde(default = "custom")]
    pub provider: String,
    /// False: it answers 410, and the provider stops.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Environment variables with the secret; any of them will do.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub secret_env: Vec<String>,
    /// Files with the secret; any of them will do. A final line break is not part of it.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub secret_file: Vec<PathText>,
    /// Public keys, of providers that have one; any of them will do.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub public_key: Vec<String>,
    /// A certificate in PEM to use instead of those that requests name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_file: Option<PathBuf>,
    /// Hosts to fetch certificates from and to confirm subscriptions at, instead of the provider's own.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub provider_hosts: Vec<String>,
    /// Certificate authorities in PEM that those hosts are checked with, instead of this machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_ca_file: Option<PathBuf>,
    /// Environment variables with a secret that the address must end in: `/in/NAME/SECRET`.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub path_token_env: Vec<String>,
    /// The same from files.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub path_token_file: Vec<PathText>,
    /// Environment variables with the verify token of a handshake.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub challenge_token_env: Vec<String>,
    /// The same from files.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub challenge_token_file: Vec<PathText>,
    /// Whose deliveries: accounts, topics or webhooks, as the provider names them.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<String>,
    /// The address that was given to the provider, for those who sign it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// HTTP methods it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<String>>,
    /// Largest body, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_body_bytes: Option<usize>,
    /// Seconds that a signature's time may be off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance_s: Option<u64>,
    /// Ways to prove a request, instead of the provider's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verify: Option<Vec<Scheme>>,
    /// Template of the topic.
    #[serde(default = "default_topic")]
    pub topic: String,
    /// Template of the key, for topics of kind `latest`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// `envelope`, `body`, or a template of what subscribers get.
    #[serde(default = "envelope")]
    pub payload: String,
    /// What a template renders.
    #[serde(default)]
    pub payload_type: PayloadType,
    /// What a delivery must look like to be published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<toml::Table>,
    /// Let what nobody signed decide about the topic, and take requests that nothing proves.
    #[serde(default)]
    pub allow_unsigned: bool,
    /// Where a delivery's own name stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe: Option<Places>,
    /// Whether the same signed content is the same delivery, whatever its unsigned headers say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe_signed: Option<bool>,
    /// Seconds a delivery is recognised for.
    #[serde(default = "dedupe_s")]
    pub dedupe_s: u64,
    /// Deliveries kept.
    #[serde(default = "keep_count")]
    pub keep_count: usize,
    /// Seconds a delivery is kept.
    #[serde(default = "keep_age_s")]
    pub keep_age_s: u64,
    /// Bytes of deliveries kept.
    #[serde(default = "keep_bytes")]
    pub keep_bytes: usize,
    /// Status of the answer to accepted deliveries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_status: Option<u16>,
    /// Content type of that answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_type: Option<String>,
    /// Its body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_body: Option<String>,
}

/// A path, as written.
pub(super) type PathText = String;

fn custom() -> String {
    "custom".into()
}

fn yes() -> bool {
    true
}

fn default_topic() -> String {
    "webhook:{{ source }}".into()
}

fn envelope() -> String {
    "envelope".into()
}

fn dedupe_s() -> u64 {
    defaults::WEBHOOK_DEDUPE_S
}

fn keep_count() -> usize {
    defaults::WEBHOOK_KEEP_COUNT
}

fn keep_age_s() -> u64 {
    defaults::WEBHOOK_KEEP_AGE_S
}

fn keep_bytes() -> usize {
    defaults::WEBHOOK_KEEP_BYTES
}

impl SourceSettings {
    /// Environment variables that the source reads.
    pub(in crate::config) fn variables(&self) -> impl Iterator<Item = &String> {
        self.secret_env.iter().chain(&self.path_token_env).chain(&self.challenge_token_env)
    }

    /// Largest body, in bytes.
    pub(super) fn body_bytes(&self, preset: &Preset) -> usize {
        let usual = preset.max_body_bytes.unwrap_or(defaults::WEBHOOK_BODY_BYTES);
        self.max_body_bytes.unwrap_or(usual)
    }
}
