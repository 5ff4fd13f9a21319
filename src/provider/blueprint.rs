//! What somebody wants of a source: as it is configured, unchecked.

use std::time::Duration;

use super::{
    Certificate, Secret, filter::Filter, place::Places, preset::Preset, scheme::Scheme, source::Keep,
};

/// How the message for subscribers is made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Payload {
    /// The content with where it comes from.
    Envelope,
    /// The content alone, as it was sent.
    Body,
    /// A template that renders JSON.
    Json(String),
    /// A template that renders text.
    Text(String),
}

/// A source as it is wanted.
#[derive(Clone, Debug)]
pub struct Blueprint {
    /// Its name: letters, digits, `-` and `_`.
    pub name: String,
    /// The provider.
    pub preset: &'static Preset,
    /// Whether it takes anything.
    pub enabled: bool,
    /// Instead of the preset's.
    pub verify: Option<Vec<Scheme>>,
    /// Secrets; any of them will do.
    pub secrets: Vec<Secret>,
    /// Public keys.
    pub public_keys: Vec<Secret>,
    /// A certificate to use instead of those that requests name.
    pub certificate: Option<Certificate>,
    /// Hosts that certificates are fetched from and subscriptions confirmed at, instead of the provider's own.
    pub provider_hosts: Vec<String>,
    /// Authorities (in DER) that those hosts' own certificates are checked with, instead of this machine's.
    pub authorities: Vec<Vec<u8>>,
    /// Secrets in the address.
    pub path_tokens: Vec<Secret>,
    /// Tokens of a handshake.
    pub challenge_tokens: Vec<Secret>,
    /// Values of which a request must have one.
    pub expect: Vec<String>,
    /// Its address as the provider knows it.
    pub public_url: Option<String>,
    /// Instead of the preset's.
    pub methods: Option<Vec<String>>,
    /// Largest body, in bytes.
    pub max_body_bytes: usize,
    /// Instead of the preset's.
    pub tolerance_s: Option<u64>,
    /// Template of the topic.
    pub topic: String,
    /// Template of the key, for topics of kind `latest`.
    pub key: Option<String>,
    /// What subscribers get.
    pub payload: Payload,
    /// Which deliveries are published.
    pub filter: Option<Filter>,
    /// Whether what nobody signed may decide about the topic.
    pub allow_unsigned: bool,
    /// Instead of the preset's.
    pub dedupe: Option<Places>,
    /// Instead of the preset's.
    pub dedupe_signed: Option<bool>,
    /// How long deliveries are recognised.
    pub dedupe_for: Duration,
    /// What is kept.
    pub keep: Keep,
    /// Instead of the preset's.
    pub answer_status: Option<u16>,
    /// Instead of the preset's.
    pub answer_type: Option<String>,
    /// Instead of the preset's.
    pub answer_body: Option<String>,
}

/// A key of the configuration and what is wrong with it.
pub type Mistake = (&'static str, String);
