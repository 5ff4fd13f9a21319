//! No request makes the pipeline of webhooks panic, none passes for signed, and what it becomes can be published.
//!
//! An input is the number of a source, a line `METHOD URL`, lines of headers, an empty line, and a body.
#![no_main]

use std::{sync::LazyLock, time::Duration};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use fanwire::provider::{
    Blueprint, Fate, Keep, Naming, NoCertificates, Payload, Request, Secret, Source, Verified, filter_from_table,
    presets,
};

const MAX_MESSAGE_BYTES: usize = 65_536;

/// What senders of garbage do not know: keys in every format.
const SECRETS: [&str; 4] = [
    "whsec_dGhpcyBpcyBhIHNlY3JldCB0aGF0IG5vYm9keSBndWVzc2Vz",
    "6c1f0f3b9a5e4d7c8b2a1f0e9d8c7b6a5f4e3d2c1b0a9f8e7d6c5b4a39281706",
    "name:a password that nobody guesses",
    "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
];

static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(|| {
    let plain = presets().iter().filter_map(|preset| build(preset, Payload::Envelope, false));
    let shaped = presets().iter().filter_map(|preset| build(preset, Payload::Json("{{ body }}".into()), true));
    let sources: Vec<Source> = plain.chain(shaped).collect();
    assert!(sources.len() > 50, "the presets can be built");
    sources
});

/// With whichever of the secrets fits.
fn build(preset: &'static fanwire::provider::Preset, payload: Payload, shaped: bool) -> Option<Source> {
    let filter = toml::from_str("body = { a = { '$exist' = true }, '$or' = [{ n = { '$gt' = 1 } }, { s = 'x' }] }");
    let blueprint = |secret: &str| Blueprint {
        name: "it".into(),
        preset,
        enabled: true,
        verify: None,
        secrets: if preset.public_key { vec![] } else { Secret::new(secret.as_bytes()).into_iter().collect() },
        public_keys: if preset.public_key { Secret::new(secret.as_bytes()).into_iter().collect() } else { vec![] },
        certificate: None,
        provider_hosts: Vec::new(),
        authorities: Vec::new(),
        path_tokens: Vec::new(),
        challenge_tokens: Secret::new(b"unknown").filter(|_| preset.name == "meta").into_iter().collect(),
        expect: preset.expect.iter().cloned().collect(),
        public_url: None,
        methods: None,
        max_body_bytes: 1_000_000,
        tolerance_s: None,
        topic: if shaped { "t:{{ event | topic_segment }}".into() } else { "t".into() },
        key: shaped.then(|| "{{ body.id }}".into()),
        payload: payload.clone(),
        filter: shaped.then(|| filter_from_table(&filter.clone().expect("a table")).expect("a filter")),
        allow_unsigned: true,
        dedupe: None,
        dedupe_signed: None,
        dedupe_for: Duration::from_secs(1),
        keep: Keep { count: 1, age: Duration::from_secs(1), bytes: 1 },
        answer_status: None,
        answer_type: None,
        answer_body: None,
    };
    let without = Blueprint { secrets: vec![], public_keys: vec![], ..blueprint("") };
    SECRETS.iter().find_map(|secret| Source::build(blueprint(secret)).ok()).or_else(|| Source::build(without).ok())
}

fn read(input: &[u8]) -> Option<(&Source, &str, &str, HeaderMap, &[u8])> {
    let (number, rest) = input.split_first()?;
    let source = &SOURCES[usize::from(*number) % SOURCES.len()];
    let end = rest.windows(2).position(|pair| pair == b"\n\n")?;
    let mut lines = rest[..end].split(|byte| *byte == b'\n');
    let (method, url) = std::str::from_utf8(lines.next()?).ok()?.split_once(' ')?;
    let header = |line: &[u8]| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let name = HeaderName::from_bytes(&line[..colon]).ok()?;
        Some((name, HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).ok()?))
    };
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(header).take(100) {
        headers.append(name, value);
    }
    Some((source, method, url, headers, &rest[end + 2..]))
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let Some((source, method, url, headers, body)) = read(input) else { return };
    let request = Request::new(method, url, &headers, body, 1_700_000_000_000);
    let _ = source.greet(&request);
    if let Ok(verified) = source.verify(&request, &NoCertificates) {
        assert!(!verified.signed, "{} takes what nobody signed", source.preset.name);
    }
    // As if it were signed.
    let _ = source.reply(&request);
    let naming = Naming { id: "it-00", max_message_bytes: MAX_MESSAGE_BYTES };
    let parts = source.parts(&request, &Verified::before(true), naming);
    assert!(!parts.is_empty());
    for (index, part) in parts.iter().enumerate() {
        assert_eq!(part.index, index);
        if let Fate::Publish(outgoing) = &part.fate {
            assert!(outgoing.payload.len() <= MAX_MESSAGE_BYTES);
            if let fanwire_proto::Payload::Json(json) = &outgoing.payload {
                serde_json::from_str::<serde_json::Value>(json.get()).expect("JSON");
            }
        }
    }
});
