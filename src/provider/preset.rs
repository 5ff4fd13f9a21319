//! What is known of each provider, as data: `presets.toml`, read once.

use std::sync::LazyLock;

use serde::Deserialize;

use super::{handshake::Handshake, one_or_many::one_or_many, place::Places, scheme::Scheme};

/// What is known of a provider.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    /// As `provider` names it.
    pub name: String,
    /// As people name it.
    pub title: String,
    /// What the source's secret is, for people.
    pub secret: Option<String>,
    /// Whether that may be a public key.
    #[serde(default)]
    pub public_key: bool,
    /// Ways to prove a request; one of them must do.
    #[serde(default)]
    pub verify: Vec<Scheme>,
    /// The provider signs nothing.
    #[serde(default)]
    pub unsigned: bool,
    /// What the source has to `expect`, for people.
    pub expect: Option<String>,
    /// Where that stands, unless the signature is about it.
    pub expect_at: Option<Places>,
    /// What it asks before it sends events.
    #[serde(default)]
    pub handshake: Vec<Handshake>,
    /// Where the kind of event stands.
    #[serde(default)]
    pub event: Places,
    /// Where an element's or delivery's own name stands.
    #[serde(default)]
    pub dedupe: Places,
    /// Whether a request with the same signed content is the same delivery, whatever its other headers say.
    pub dedupe_signed: Option<bool>,
    /// Arrays to split into deliveries of their own; the first that there is.
    #[serde(default, deserialize_with = "one_or_many")]
    pub split: Vec<String>,
    /// Only bodies of this type are split.
    pub split_type: Option<String>,
    /// Methods it uses.
    #[serde(default = "post")]
    pub methods: Vec<String>,
    /// Largest body it sends, in bytes, where that is known.
    pub max_body_bytes: Option<usize>,
    /// Status it wants to hear.
    #[serde(default = "ok")]
    pub answer_status: u16,
    /// Type of that answer.
    pub answer_type: Option<String>,
    /// Its content.
    #[serde(default)]
    pub answer_body: String,
    /// Status for what is not from the provider.
    #[serde(default = "unauthorized")]
    pub rejected_status: u16,
    /// Seconds it waits for an answer.
    #[serde(default = "deadline")]
    pub deadline_s: u64,
    /// Whether it sends again what was not taken.
    #[serde(default = "yes")]
    pub retries: bool,
}

fn post() -> Vec<String> {
    vec!["POST".into()]
}

fn ok() -> u16 {
    200
}

fn unauthorized() -> u16 {
    401
}

/// The least that any of the providers with a known deadline allows, but for those that need an answer for people.
fn deadline() -> u64 {
    5
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct Presets {
    preset: Vec<Preset>,
}

static PRESETS: LazyLock<Result<Vec<Preset>, toml::de::Error>> =
    LazyLock::new(|| toml::from_str(include_str!("presets.toml")).map(|Presets { preset }| preset));

/// All presets. They are part of the program, and a test reads them.
pub fn presets() -> &'static [Preset] {
    PRESETS.as_deref().unwrap_or_default()
}

/// The preset of a provider.
pub fn preset(name: &str) -> Option<&'static Preset> {
    presets().iter().find(|preset| preset.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_sound() {
        let presets = PRESETS.as_ref().unwrap();
        assert!(presets.len() >= 30);
        for preset in presets {
            let name = &preset.name;
            for scheme in &preset.verify {
                assert_eq!(scheme.mistake(), None, "{name}");
            }
            assert_eq!(preset.verify.is_empty(), preset.unsigned || name == "custom", "{name}");
            assert_eq!(presets.iter().filter(|other| other.name == *name).count(), 1, "{name}");
            let needs_expect =
                preset.expect_at.is_some() || preset.verify.iter().any(Scheme::covers_expected);
            assert_eq!(preset.expect.is_some(), needs_expect, "{name}");
            let has_key = preset.verify.iter().all(|scheme| scheme.has_certificate());
            assert_eq!(preset.secret.is_none(), has_key && name != "custom", "{name}");
        }
    }

    /// A preset's line of the table in the documentation.
    fn row(preset: &Preset) -> String {
        let texts = |places: &Places| {
            let all: Vec<String> = serde_json::from_value(serde_json::to_value(places).unwrap()).unwrap();
            all.iter().map(|place| format!("`{place}`")).collect::<Vec<_>>().join(", ")
        };
        let needs = [preset.secret.clone(), preset.expect.as_ref().map(|what| format!("`expect`: {what}"))];
        let needs: Vec<String> = needs.into_iter().flatten().collect();
        let tolerance = preset.verify.iter().filter_map(|scheme| scheme.tolerance_s).max();
        let tolerance = tolerance.map_or("–".into(), |seconds| format!("{seconds} s"));
        let (dedupe, event) = (texts(&preset.dedupe), texts(&preset.event));
        format!(
            "| `{}` | {} | {} | {tolerance} | {dedupe} | {event} |",
            preset.name,
            preset.title,
            needs.join("; ")
        )
    }

    #[test]
    fn the_documentation_has_them_all() {
        let text = include_str!("../../docs/webhooks.md");
        let missing: Vec<String> = presets().iter().map(row).filter(|row| !text.contains(row)).collect();
        assert!(missing.is_empty(), "docs/webhooks.md lacks:\n{}", missing.join("\n"));
    }
}
