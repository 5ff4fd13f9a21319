//! `[[source]]`: where webhooks of others come in, read with their secrets and checked.

mod bounds;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{credentials::without_line_end, wording::Place};
use crate::{
    defaults,
    provider::{
        Blueprint, CERTIFICATE_BYTES_MAX, Certificate, Keep, Payload, Places, Preset, Scheme, Secret, Source,
        certificates_from_pem, filter_from_table, one_or_many, preset, presets,
    },
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
type PathText = String;

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
    pub(super) fn variables(&self) -> impl Iterator<Item = &String> {
        self.secret_env.iter().chain(&self.path_token_env).chain(&self.challenge_token_env)
    }

    fn blueprint(&self, preset: &'static Preset, told: &mut dyn FnMut(&str, &str)) -> Blueprint {
        let secrets = secrets(("secret_env", &self.secret_env), ("secret_file", &self.secret_file), told);
        let path_tokens = secrets_of_path(self, told);
        let (env, file) = (&self.challenge_token_env, &self.challenge_token_file);
        let challenge_tokens =
            self::secrets(("challenge_token_env", env), ("challenge_token_file", file), told);
        let filter = self.filter.as_ref().map(filter_from_table).transpose();
        let filter = filter.unwrap_or_else(|error| {
            told("filter", &format!("is no filter: {error}"));
            None
        });
        bounds::check(self, preset, told);
        Blueprint {
            name: self.name.clone(),
            preset,
            enabled: self.enabled,
            verify: self.verify.clone(),
            secrets,
            public_keys: self.public_key.iter().filter_map(|key| Secret::new(key.as_bytes())).collect(),
            certificate: self.certificate(told),
            provider_hosts: self.provider_hosts.clone(),
            authorities: self.authorities(told),
            path_tokens,
            challenge_tokens,
            expect: self.expect.clone(),
            public_url: self.public_url.clone(),
            methods: self.methods.clone(),
            max_body_bytes: self.body_bytes(preset),
            tolerance_s: self.tolerance_s,
            topic: self.topic.clone(),
            key: self.key.clone(),
            payload: match (self.payload.as_str(), self.payload_type) {
                ("envelope", _) => Payload::Envelope,
                ("body", _) => Payload::Body,
                (template, PayloadType::Json) => Payload::Json(template.into()),
                (template, PayloadType::Text) => Payload::Text(template.into()),
            },
            filter,
            allow_unsigned: self.allow_unsigned,
            dedupe: self.dedupe.clone(),
            dedupe_signed: self.dedupe_signed,
            dedupe_for: Duration::from_secs(self.dedupe_s),
            keep: Keep {
                count: self.keep_count,
                age: Duration::from_secs(self.keep_age_s),
                bytes: self.keep_bytes,
            },
            answer_status: self.answer_status,
            answer_type: self.answer_type.clone(),
            answer_body: self.answer_body.clone(),
        }
    }

    /// Largest body, in bytes.
    fn body_bytes(&self, preset: &Preset) -> usize {
        let usual = preset.max_body_bytes.unwrap_or(defaults::WEBHOOK_BODY_BYTES);
        self.max_body_bytes.unwrap_or(usual)
    }

    fn certificate(&self, told: &mut dyn FnMut(&str, &str)) -> Option<Certificate> {
        let pem = read_pem(self.certificate_file.as_deref()?);
        pem.and_then(|pem| Certificate::from_pem(&pem).map_err(|error| error.to_string()))
            .map_err(|error| told("certificate_file", &format!("names a file that cannot be used: {error}")))
            .ok()
    }

    fn authorities(&self, told: &mut dyn FnMut(&str, &str)) -> Vec<Vec<u8>> {
        let Some(path) = self.provider_ca_file.as_deref() else { return Vec::new() };
        let none = || "there are no certificates in PEM".to_owned();
        read_pem(path).and_then(|pem| certificates_from_pem(&pem).ok_or_else(none)).unwrap_or_else(|error| {
            told("provider_ca_file", &format!("names a file that cannot be used: {error}"));
            Vec::new()
        })
    }
}

fn read_pem(path: &Path) -> Result<Vec<u8>, String> {
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    match pem.len() > CERTIFICATE_BYTES_MAX {
        true => Err(format!("it has more than {CERTIFICATE_BYTES_MAX} bytes")),
        false => Ok(pem),
    }
}

fn secrets_of_path(settings: &SourceSettings, told: &mut dyn FnMut(&str, &str)) -> Vec<Secret> {
    let (env, file) = (&settings.path_token_env, &settings.path_token_file);
    let tokens = secrets(("path_token_env", env), ("path_token_file", file), told);
    if tokens.iter().any(|token| !token.is_path_segment(defaults::WEBHOOK_PATH_TOKEN_BYTES)) {
        let least = defaults::WEBHOOK_PATH_TOKEN_BYTES;
        let what = format!(
            "or `path_token_file`: it must have at least {least} letters, digits, `-`, `_`, `.` and `~`"
        );
        told("path_token_env", &what);
    }
    tokens
}

/// Secrets by where they come from. What they are is told to nobody, and neither is what the configuration says: who
/// takes `secret_env` for the place of the secret itself does not find it in a log.
fn secrets(
    (env_key, variables): (&str, &[String]),
    (file_key, files): (&str, &[PathText]),
    told: &mut dyn FnMut(&str, &str),
) -> Vec<Secret> {
    let mut found = Vec::new();
    for (index, variable) in variables.iter().enumerate() {
        let value = std::env::var_os(variable);
        match value.and_then(|value| Secret::new(value.as_encoded_bytes())) {
            Some(secret) => found.push(secret),
            None => told(
                env_key,
                &format!("names a variable that is not set or empty{}", which(index, variables)),
            ),
        }
    }
    for (index, file) in files.iter().enumerate() {
        let read = std::fs::read(file).map_err(|error| format!("cannot be read: {error}"));
        let read = read.and_then(|bytes| Secret::new(without_line_end(&bytes)).ok_or("is empty".into()));
        match read {
            Ok(secret) => found.push(secret),
            Err(why) => told(file_key, &format!("names a file that {why}{}", which(index, files))),
        }
    }
    found
}

/// Which of several, for people.
fn which(index: usize, all: &[String]) -> String {
    match all.len() {
        0 | 1 => String::new(),
        count => format!(" (number {} of {count})", index + 1),
    }
}

/// All sources, with every mistake of any.
pub(super) fn read(
    settings: &[SourceSettings],
    place: &Place<'_>,
    mistakes: &mut Vec<String>,
) -> Vec<Source> {
    let mut names = BTreeSet::new();
    let mut sources = Vec::new();
    for settings in settings {
        let name = &settings.name;
        let mut told = |key: &str, what: &str| mistakes.push(place.of_source(name, key, what));
        if !names.insert(name) {
            told("name", "is given to another source, too");
        }
        let Some(preset) = preset(&settings.provider) else {
            let known: Vec<_> = presets().iter().map(|preset| preset.name.as_str()).collect();
            told("provider", &format!("must be one of {}", known.join(", ")));
            continue;
        };
        let blueprint = settings.blueprint(preset, &mut told);
        match Source::build(blueprint) {
            Ok(source) => sources.push(source),
            // A secret that cannot be read is not missing, too.
            Err(found) => found
                .iter()
                .filter(|(key, what)| {
                    !(*key == "secret_env" && what.contains("is missing"))
                        || settings.secret_env.is_empty() && settings.secret_file.is_empty()
                })
                .for_each(|(key, what)| told(key, what)),
        }
    }
    sources
}
