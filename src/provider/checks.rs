//! What a source needs, so that nothing is accepted by mistake and nobody else decides where its messages go.

use fanwire_proto::TopicName;

use super::{
    blueprint::{Blueprint, Mistake},
    certificate::is_host_pattern,
    handshake::Handshake,
    scheme::Scheme,
    secret::is_one_of,
    source::Verifier,
    template::{Template, check_name as check_template_name},
};

const NAME_BYTES_MAX: usize = 64;

pub(super) fn name(name: &str, mistakes: &mut Vec<Mistake>) {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if !(1..=NAME_BYTES_MAX).contains(&name.len()) || !name.bytes().all(allowed) {
        let what = format!("must be 1 to {NAME_BYTES_MAX} letters, digits, `-` and `_`");
        mistakes.push(("name", what));
    }
}

/// What the provider needs, so that nothing is accepted by mistake.
pub(super) fn needs(blueprint: &Blueprint, verifiers: &[Verifier], mistakes: &mut Vec<Mistake>) {
    let preset = blueprint.preset;
    let needs_key = verifiers.iter().any(|verifier| !verifier.scheme.has_certificate());
    if needs_key && blueprint.secrets.is_empty() && blueprint.public_keys.is_empty() {
        let secret = preset.secret.as_deref().unwrap_or("secret");
        mistakes.push(("secret_env", format!("or `secret_file` is missing: the {secret}")));
    }
    if blueprint.tolerance_s.is_some() && !verifiers.iter().any(|verifier| verifier.scheme.signs_time()) {
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

pub(super) fn url(blueprint: &Blueprint, mistakes: &mut Vec<Mistake>) {
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

/// Other hosts and authorities than the provider's own, where it has certificates at all.
pub(super) fn hosts(blueprint: &Blueprint, verifiers: &[Verifier], mistakes: &mut Vec<Mistake>) {
    let fetches = verifiers.iter().any(|verifier| verifier.scheme.has_certificate());
    if !blueprint.provider_hosts.iter().all(|pattern| is_host_pattern(pattern)) {
        let what = "must be hosts such as `sns.internal`, `*.internal`, `**.internal` or `localhost:4566`";
        mistakes.push(("provider_hosts", what.into()));
    }
    let unused = "does not belong to this provider, which has no certificates to fetch";
    if !blueprint.provider_hosts.is_empty() && !fetches {
        mistakes.push(("provider_hosts", unused.into()));
    }
    if !blueprint.authorities.is_empty() && !fetches {
        mistakes.push(("provider_ca_file", unused.into()));
    }
}

/// Only what is signed decides where a message goes.
pub(super) fn topic(
    blueprint: &Blueprint,
    topic: &Template,
    verifiers: &[Verifier],
    mistakes: &mut Vec<Mistake>,
) {
    if let Some(Err(error)) = topic.constant().map(TopicName::new) {
        mistakes.push(("topic", format!("is no topic: {error}")));
    }
    if blueprint.allow_unsigned {
        return;
    }
    // All of them, as a request is taken when any one of its schemes fits.
    let all = |is: fn(&Scheme) -> bool| verifiers.iter().all(|verifier| is(&verifier.scheme));
    let bearer = all(|scheme| scheme.algorithm.is_bearer());
    let body_is_signed = all(Scheme::covers_body) && !verifiers.is_empty();
    let query_is_signed = all(Scheme::covers_address) && !verifiers.is_empty();
    // An event's name in a header is signed by none of the schemes, unless the connection itself is what is trusted.
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
