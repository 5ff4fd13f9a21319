//! From what somebody wants of a source to one that can be used: every mistake is found here, when it is configured.

use std::time::Duration;

use axum::http::{HeaderValue, Method, StatusCode, header};
use fanwire_proto::TopicName;

use super::{
    Certificate, Secret,
    filter::Filter,
    handshake::{Answer, Handshake, is_media_type},
    place::Places,
    preset::Preset,
    scheme::Scheme,
    secret::is_one_of,
    source::{Keep, Shape, Source, Verifier},
    template::{Output, Template, check_name as check_template_name},
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

const NAME_BYTES_MAX: usize = 64;

pub(super) fn build(blueprint: Blueprint) -> Result<Source, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    check_name(&blueprint.name, &mut mistakes);
    let schemes = blueprint.verify.clone().unwrap_or_else(|| blueprint.preset.verify.clone());
    let verifiers = verifiers(&blueprint, schemes, &mut mistakes);
    check_needs(&blueprint, &verifiers, &mut mistakes);
    check_url(&blueprint, &mut mistakes);
    let methods = methods(&blueprint, &mut mistakes);
    let answer = answer(&blueprint, &mut mistakes);
    let mut read = |key, text: &str, output| match Template::read(text, output) {
        Ok(template) => {
            let wrong = template.names().iter().filter_map(|name| check_template_name(name).err());
            mistakes.extend(wrong.map(|what| (key, what)));
            Some(template)
        }
        Err(error) => {
            mistakes.push((key, format!("is no template: {error}")));
            None
        }
    };
    let topic = read("topic", &blueprint.topic, Output::Text);
    let key = blueprint.key.as_deref().map(|key| read("key", key, Output::Text));
    let shape = match &blueprint.payload {
        Payload::Envelope => Some(Shape::Envelope),
        Payload::Body => Some(Shape::Body),
        Payload::Json(text) => read("payload", text, Output::Json).map(Shape::Json),
        Payload::Text(text) => read("payload", text, Output::Text).map(Shape::Text),
    };
    if let Some(topic) = &topic {
        check_topic(&blueprint, topic, &verifiers, &mut mistakes);
    }
    let (Some(topic), Some(shape), true) = (topic, shape, mistakes.is_empty()) else { return Err(mistakes) };
    Ok(Source {
        name: blueprint.name,
        preset: blueprint.preset,
        enabled: blueprint.enabled,
        public_url: blueprint.public_url,
        methods,
        max_body_bytes: blueprint.max_body_bytes,
        dedupe_for: blueprint.dedupe_for,
        keep: blueprint.keep,
        answer,
        verifiers,
        pinned: blueprint.certificate,
        expect: blueprint.expect,
        path_tokens: blueprint.path_tokens,
        challenge_tokens: blueprint.challenge_tokens,
        tolerance_s: blueprint.tolerance_s,
        dedupe: blueprint.dedupe.unwrap_or_else(|| blueprint.preset.dedupe.clone()),
        dedupe_signed: blueprint.dedupe_signed.or(blueprint.preset.dedupe_signed),
        topic,
        key: key.flatten(),
        shape,
        filter: blueprint.filter,
    })
}

fn check_name(name: &str, mistakes: &mut Vec<Mistake>) {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(allowed) {
        let what = format!("must be 1 to {NAME_BYTES_MAX} letters, digits, `-` and `_`");
        mistakes.push(("name", what));
    }
}

/// Each scheme with the secrets that fit it; a secret that fits none is a mistake.
fn verifiers(blueprint: &Blueprint, schemes: Vec<Scheme>, mistakes: &mut Vec<Mistake>) -> Vec<Verifier> {
    if let Some(what) = schemes.iter().find_map(Scheme::mistake) {
        mistakes.push(("verify", what.into()));
    }
    let what = match blueprint.preset.secret.as_deref() {
        Some(secret) => format!("cannot be used: it should be the {secret}"),
        None => "is not needed for this provider".into(),
    };
    if blueprint.secrets.iter().any(|secret| !schemes.iter().any(|scheme| scheme.key(secret).is_some())) {
        mistakes.push(("secret_env", format!("or `secret_file` {what}")));
    }
    if blueprint.public_keys.iter().any(|key| !schemes.iter().any(|scheme| scheme.public_key(key).is_some()))
    {
        mistakes.push(("public_key", what));
    }
    let with_keys = |scheme: Scheme| {
        let secrets = blueprint.secrets.iter().filter_map(|secret| scheme.key(secret));
        let public_keys = blueprint.public_keys.iter().filter_map(|key| scheme.public_key(key));
        let keys = secrets.chain(public_keys).collect();
        Verifier { scheme, keys }
    };
    schemes.into_iter().map(with_keys).collect()
}

/// What the provider needs, so that nothing is accepted by mistake.
fn check_needs(blueprint: &Blueprint, verifiers: &[Verifier], mistakes: &mut Vec<Mistake>) {
    let preset = blueprint.preset;
    let needs_key = verifiers.iter().any(|verifier| !verifier.scheme.has_certificate());
    if needs_key && blueprint.secrets.is_empty() && blueprint.public_keys.is_empty() {
        let secret = preset.secret.as_deref().unwrap_or("secret");
        mistakes.push(("secret_env", format!("or `secret_file` is missing: the {secret}")));
    }
    if blueprint.tolerance_s.is_some()
        && !verifiers.iter().any(|verifier| verifier.scheme.timestamp.is_some())
    {
        mistakes.push(("tolerance_s", "does not belong to this provider, which signs no time".into()));
    }
    if !blueprint.public_keys.is_empty() && !preset.public_key {
        mistakes.push(("public_key", "is none for this provider; use `secret_env` or `secret_file`".into()));
    }
    if verifiers.is_empty() && !preset.unsigned {
        mistakes.push(("verify", "is missing: how requests are proved".into()));
    }
    if verifiers.is_empty() && blueprint.path_tokens.is_empty() && !blueprint.allow_unsigned {
        let what = "or `path_token_file` is missing: this provider signs nothing, so that anybody could send; \
                    or set `allow_unsigned`";
        mistakes.push(("path_token_env", what.into()));
    }
    match &preset.expect {
        Some(what) if blueprint.expect.is_empty() => mistakes.push(("expect", format!("is missing: {what}"))),
        None if !blueprint.expect.is_empty() => {
            mistakes.push(("expect", "does not belong to this provider".into()));
        }
        _ => {}
    }
    if preset.handshake.contains(&Handshake::MetaChallenge) == blueprint.challenge_tokens.is_empty() {
        let what = match blueprint.challenge_tokens.is_empty() {
            true => "or `challenge_token_file` is missing: the verify token that you tell the provider",
            false => "does not belong to this provider",
        };
        mistakes.push(("challenge_token_env", what.into()));
    }
}

fn check_url(blueprint: &Blueprint, mistakes: &mut Vec<Mistake>) {
    let Some(url) = &blueprint.public_url else { return };
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    if rest.is_none_or(|rest| rest.is_empty() || rest.contains(['?', '#', ' ', '@'])) {
        mistakes.push(("public_url", "must be an `https:` address without a query or a password".into()));
    }
    let last = url.rsplit('/').next().unwrap_or_default();
    if is_one_of(last.as_bytes(), &blueprint.path_tokens) {
        let what = "must end before the secret of the address, which is put there by itself";
        mistakes.push(("public_url", what.into()));
    }
}

fn methods(blueprint: &Blueprint, mistakes: &mut Vec<Mistake>) -> Vec<String> {
    let methods = blueprint.methods.clone().unwrap_or_else(|| blueprint.preset.methods.clone());
    let known = |method: &String| {
        [Method::POST, Method::GET, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS]
            .iter()
            .any(|known| known.as_str() == method)
    };
    if methods.is_empty() || !methods.iter().all(known) {
        mistakes.push(("methods", "must be some of POST, GET, PUT, PATCH, DELETE and OPTIONS".into()));
    }
    methods
}

fn answer(blueprint: &Blueprint, mistakes: &mut Vec<Mistake>) -> Answer {
    let preset = blueprint.preset;
    let status = blueprint.answer_status.unwrap_or(preset.answer_status);
    if StatusCode::from_u16(status).map_or(true, |status| !status.is_success()) {
        mistakes.push(("answer_status", "must be from 200 to 299, or providers send again".into()));
    }
    let own_body = blueprint.answer_body.is_some();
    // A provider that wants a type wants it of any body.
    let own_type = blueprint.answer_type.clone().or_else(|| preset.answer_type.clone());
    let content_type = own_type.or_else(|| own_body.then(|| "text/plain; charset=utf-8".into()));
    let mut headers = Vec::new();
    if let Some(content_type) = content_type {
        match HeaderValue::try_from(&content_type) {
            Ok(value) if is_media_type(&content_type) => headers.push((header::CONTENT_TYPE, value)),
            _ => mistakes.push(("answer_type", "is no media type, such as `application/json`".into())),
        }
    }
    let body = blueprint.answer_body.clone().unwrap_or_else(|| preset.answer_body.clone());
    Answer { status, headers, body: body.into_bytes(), fetch: None }
}

/// Only what is signed decides where a message goes.
fn check_topic(blueprint: &Blueprint, topic: &Template, verifiers: &[Verifier], mistakes: &mut Vec<Mistake>) {
    if let Some(Err(error)) = topic.constant().map(TopicName::new) {
        mistakes.push(("topic", format!("is no topic: {error}")));
    }
    if blueprint.allow_unsigned {
        return;
    }
    let all = |is: fn(&Scheme) -> bool| verifiers.iter().all(|verifier| is(&verifier.scheme));
    let bearer = all(|scheme| scheme.algorithm.is_bearer());
    let body_is_signed = all(Scheme::covers_body) && !verifiers.is_empty();
    let query_is_signed = all(Scheme::covers_address) && !verifiers.is_empty();
    let event_is_signed = body_is_signed && (bearer || !blueprint.preset.event.are_beside_body());
    for name in topic.names().iter().filter(|name| check_template_name(name).is_ok()) {
        let signed = match name.split('.').next().unwrap_or_default() {
            "source" | "provider" => true,
            "body" => body_is_signed || !blueprint.path_tokens.is_empty() && verifiers.is_empty(),
            "event" => event_is_signed,
            "headers" => bearer && !verifiers.is_empty(),
            "query" => query_is_signed || bearer && !verifiers.is_empty(),
            _ => false,
        };
        if !signed {
            let what = format!(
                "uses `{name}`, which {} does not sign, so that somebody else could choose the topic; \
                 use part of the signed body, or set `allow_unsigned = true`",
                blueprint.preset.title
            );
            mistakes.push(("topic", what));
        }
    }
}
