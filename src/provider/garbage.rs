//! Whatever comes in, at whichever provider's source: nothing panics, nothing passes for signed, and what it becomes can be
//! published. The fuzz target of the same name looks longer.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::{vectors::blueprint, *};

/// Secrets of which one fits each provider.
const SECRETS: &[&str] = &[
    "whsec_dGhpcyBpcyBhIHNlY3JldCB0aGF0IG5vYm9keSBndWVzc2Vz",
    "6c1f0f3b9a5e4d7c8b2a1f0e9d8c7b6a5f4e3d2c1b0a9f8e7d6c5b4a39281706",
    "name:a password that nobody guesses",
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==",
];

fn sources() -> Vec<Source> {
    let build = |preset: &Preset| {
        let with = |secrets: &[&str]| {
            let mut blueprint = blueprint(&preset.name, secrets);
            if preset.name.starts_with("discord") {
                blueprint.public_keys.append(&mut blueprint.secrets);
            }
            blueprint.allow_unsigned = true;
            blueprint.expect = preset.expect.iter().cloned().collect();
            blueprint.topic = "t:{{ event }}".into();
            if preset.name == "meta" {
                blueprint.challenge_tokens.extend(Secret::new(b"unknown"));
            }
            Source::build(blueprint).ok()
        };
        SECRETS.iter().find_map(|secret| with(&[secret])).or_else(|| with(&[]))
    };
    let sources: Vec<Source> = presets().iter().filter_map(build).collect();
    // `custom` has no verifier of its own.
    assert_eq!(sources.len(), presets().len() - 1);
    sources
}

/// Headers that some provider reads, with values that look like theirs.
fn any_headers() -> impl Strategy<Value = HeaderMap> {
    let mut names: Vec<String> = vec!["content-type".into(), "webhook-request-origin".into(), "ce-id".into()];
    for scheme in presets().iter().flat_map(|preset| &preset.verify) {
        let places = [Some(&scheme.signature), scheme.timestamp.as_ref(), scheme.id.as_ref()];
        names.extend(places.into_iter().flatten().flat_map(|places| places.0.iter().flatten()).filter_map(
            |place| match place {
                Place::Header(name) => Some(name.as_str().to_owned()),
                _ => None,
            },
        ));
    }
    let value = prop_oneof![
        Just("1700000000".to_owned()),
        Just("2023-11-14T22:13:20Z".to_owned()),
        Just("application/x-www-form-urlencoded".to_owned()),
        Just("text/xml".to_owned()),
        "(t=|ts=|v1=|v1,|sha256=|v0=|Bearer |Basic )?[0-9a-fA-F=,; ]{0,80}",
        "[ -~]{0,60}",
    ];
    let header = (prop::sample::select(names), value);
    prop::collection::vec(header, 0..8).prop_map(|pairs| {
        let pair = |(name, value): (String, String)| {
            Some((name.parse::<HeaderName>().ok()?, HeaderValue::from_str(&value).ok()?))
        };
        pairs.into_iter().filter_map(pair).collect()
    })
}

fn any_body() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        "[\\[{]*(\"(id|type|event|entry|signature|Type)\":[\\[{\"0-9a-z\\]},:]{0,20},?){0,6}[\\]}]*"
            .prop_map(String::into_bytes),
        "([a-z]{1,5}=[a-z0-9%+]{0,8}&?){0,6}".prop_map(String::into_bytes),
        "(</?[a-zA-Z:]{1,8}>?){0,40}".prop_map(String::into_bytes),
    ]
}

#[test]
fn garbage_is_neither_signed_nor_deadly() {
    let sources = sources();
    let all = (0..sources.len(), any_headers(), any_body(), "(GET|POST|OPTIONS)", "(/[a-z?=&%.]{0,30})");
    proptest!(|((number, headers, body, method, url) in all)| {
        let source = &sources[number];
        let request = Request::new(&method, &url, &headers, &body, 1_700_000_000_000);
        let _ = source.greet(&request);
        if let Ok(verified) = source.verify(&request, &NoCertificates) {
            prop_assert!(!verified.signed, "{} takes what nobody signed", source.preset.name);
        }
        let _ = source.reply(&request);
        let naming = Naming { id: "it-00", max_message_bytes: 1_000 };
        let parts = source.parts(&request, &Verified::before(true), naming);
        prop_assert!(!parts.is_empty());
        for part in parts {
            if let Fate::Publish(outgoing) = part.fate {
                prop_assert!(outgoing.payload.len() <= 1_000);
            }
        }
    });
}
