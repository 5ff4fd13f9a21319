//! From what somebody wants of a source to one that can be used: every mistake is found here, when it is configured.

use axum::http::{HeaderValue, Method, StatusCode, header};

use super::{
    blueprint::{Blueprint, Mistake, Payload},
    checks,
    handshake::{Answer, is_media_type},
    scheme::Scheme,
    source::{Shape, Source, Verifier},
    template::{Output, Template, check_name as check_template_name},
};

impl Source {
    /// What a source is made from, checked; every mistake at once.
    pub fn build(blueprint: Blueprint) -> Result<Self, Vec<Mistake>> {
        build(blueprint)
    }
}

fn build(blueprint: Blueprint) -> Result<Source, Vec<Mistake>> {
    let mut mistakes = Vec::new();
    checks::name(&blueprint.name, &mut mistakes);
    let mut schemes = blueprint.verify.clone().unwrap_or_else(|| blueprint.preset.verify.clone());
    if !blueprint.provider_hosts.is_empty() {
        let with_certificate = schemes.iter_mut().filter(|scheme| scheme.has_certificate());
        with_certificate.for_each(|scheme| scheme.certificate_hosts.clone_from(&blueprint.provider_hosts));
    }
    let verifiers = verifiers(&blueprint, schemes, &mut mistakes);
    checks::needs(&blueprint, &verifiers, &mut mistakes);
    checks::url(&blueprint, &mut mistakes);
    checks::hosts(&blueprint, &verifiers, &mut mistakes);
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
        checks::topic(&blueprint, topic, &verifiers, &mut mistakes);
    }
    // Only here: a source with any mistake is none, but all of its mistakes are told first.
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
        provider_hosts: blueprint.provider_hosts,
        authorities: blueprint.authorities,
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

/// Each scheme with the secrets that fit it; a secret that fits none is a mistake.
fn verifiers(blueprint: &Blueprint, schemes: Vec<Scheme>, mistakes: &mut Vec<Mistake>) -> Vec<Verifier> {
    if let Some(what) = schemes.iter().find_map(Scheme::mistake) {
        mistakes.push(("verify", what.into()));
    }
    let what = match blueprint.preset.secret.as_deref() {
        Some(secret) => format!("cannot be used: it should be the {secret}"),
        None => "is not needed for this provider".into(),
    };
    // Of several schemes one secret may fit only one, as while a provider moves from one to the other; it has to fit
    // some.
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
