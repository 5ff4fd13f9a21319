//! Rules as people write them: `[[rule]]` and `[default]`.

use std::{
    num::{NonZeroU64, NonZeroUsize},
    sync::Arc,
    time::Duration,
};

use fanwire_proto::Pattern;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    defaults,
    topic::{Keeping, KindRule, Merging, Retention, Rule, Rules},
};

/// The kinds by name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KindName {
    /// Every message, in order, resumable.
    #[default]
    Log,
    /// The newest value per key.
    Latest,
    /// Best effort, never late.
    Volatile,
    /// Updates that make a document.
    Document,
}

/// When subscribers of a durable topic get a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Deliver {
    /// Once it is durable.
    #[default]
    Durable,
    /// At once.
    Accepted,
}

/// One `[[rule]]`, or `[default]`, which has no pattern.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSettings {
    /// Which topics.
    #[serde(default, deserialize_with = "checked_pattern", skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Which kind.
    #[serde(default)]
    pub kind: KindName,
    /// Whether members are tracked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence: Option<bool>,
    /// Whether the content outlives the process; needs a data directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub durable: Option<bool>,
    /// Of a durable topic: when subscribers get a message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deliver: Option<Deliver>,
    /// Kind `log`: messages kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_count: Option<usize>,
    /// Kind `log`: seconds a message is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_age_s: Option<u64>,
    /// Kind `log`: payload bytes kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub history_bytes: Option<usize>,
    /// Kind `latest`: most keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_keys: Option<NonZeroUsize>,
    /// Kind `latest`: seconds after which a value that did not change is forgotten.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age_s: Option<NonZeroU64>,
    /// Kind `volatile`: gather messages and send them once in so many milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tick_ms: Option<NonZeroU64>,
    /// Kind `document`: most bytes, merged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_document_bytes: Option<NonZeroUsize>,
    /// Kind `document`: merge after so many updates.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub merge_updates: Option<NonZeroUsize>,
}

/// Checked while reading, so that the error has its line.
fn checked_pattern<'de, D: Deserializer<'de>>(source: D) -> Result<Option<String>, D::Error> {
    let text = String::deserialize(source)?;
    Pattern::new(&text).map_err(serde::de::Error::custom)?;
    Ok(Some(text))
}

impl RuleSettings {
    /// The keys that are set but belong to another kind.
    pub(super) fn misplaced_keys(&self) -> Vec<&'static str> {
        let keys = [
            ("history_count", KindName::Log, self.history_count.is_some()),
            ("history_age_s", KindName::Log, self.history_age_s.is_some()),
            ("history_bytes", KindName::Log, self.history_bytes.is_some()),
            ("max_keys", KindName::Latest, self.max_keys.is_some()),
            ("max_age_s", KindName::Latest, self.max_age_s.is_some()),
            ("tick_ms", KindName::Volatile, self.tick_ms.is_some()),
            ("max_document_bytes", KindName::Document, self.max_document_bytes.is_some()),
            ("merge_updates", KindName::Document, self.merge_updates.is_some()),
        ];
        let misplaced = keys.into_iter().filter(|(_, kind, set)| *set && *kind != self.kind);
        let durable = (self.kind == KindName::Volatile && self.is_durable()).then_some("durable");
        misplaced.map(|(key, ..)| key).chain(durable).collect()
    }

    /// Whether a data directory is needed.
    pub(super) fn is_durable(&self) -> bool {
        self.durable == Some(true)
    }

    fn keeping(&self) -> Keeping {
        match (self.is_durable(), self.deliver.unwrap_or_default()) {
            (false, _) => Keeping::Memory,
            (true, Deliver::Durable) => Keeping::Durable,
            (true, Deliver::Accepted) => Keeping::DurableSeenEarly,
        }
    }

    /// The rule with defaults filled in.
    pub(super) fn to_rule(&self) -> Rule {
        let kind = match self.kind {
            KindName::Log => KindRule::Log(Retention {
                count: self.history_count.unwrap_or(defaults::HISTORY_COUNT),
                age: Duration::from_secs(self.history_age_s.unwrap_or(defaults::HISTORY_AGE_S)),
                bytes: self.history_bytes.unwrap_or(defaults::HISTORY_BYTES),
            }),
            KindName::Latest => KindRule::Latest {
                max_keys: self.max_keys.map_or(defaults::MAX_KEYS, NonZeroUsize::get),
                max_age: self.max_age_s.map(|seconds| Duration::from_secs(seconds.get())),
            },
            KindName::Volatile => {
                KindRule::Volatile { tick: self.tick_ms.map(|ms| Duration::from_millis(ms.get())) }
            }
            KindName::Document => KindRule::Document(Merging {
                max_bytes: self.max_document_bytes.map_or(defaults::MAX_DOCUMENT_BYTES, NonZeroUsize::get),
                updates: self.merge_updates.map_or(defaults::MERGE_UPDATES, NonZeroUsize::get),
            }),
        };
        Rule { kind, presence: self.presence.unwrap_or(true), keeping: self.keeping() }
    }

    /// The settings that say what a default rule does, for the effective configuration. Documents are durable where that
    /// can be had.
    pub(super) fn spelled_out(&self, can_keep: bool) -> Self {
        let mut full = self.clone();
        full.presence = full.presence.or(Some(true));
        if self.kind != KindName::Volatile {
            full.durable = full.durable.or(Some(can_keep && self.kind == KindName::Document));
        }
        if full.is_durable() {
            full.deliver = full.deliver.or(Some(Deliver::default()));
        }
        match self.kind {
            KindName::Log => {
                full.history_count = full.history_count.or(Some(defaults::HISTORY_COUNT));
                full.history_age_s = full.history_age_s.or(Some(defaults::HISTORY_AGE_S));
                full.history_bytes = full.history_bytes.or(Some(defaults::HISTORY_BYTES));
            }
            KindName::Latest => full.max_keys = full.max_keys.or(NonZeroUsize::new(defaults::MAX_KEYS)),
            KindName::Volatile => {}
            KindName::Document => {
                let bytes = NonZeroUsize::new(defaults::MAX_DOCUMENT_BYTES);
                full.max_document_bytes = full.max_document_bytes.or(bytes);
                full.merge_updates = full.merge_updates.or(NonZeroUsize::new(defaults::MERGE_UPDATES));
            }
        }
        full
    }
}

/// What a broker without rules of its own starts with: one prefix per kind, so that all of them can be tried.
pub(super) fn development() -> Vec<RuleSettings> {
    let rule =
        |pattern: &str, kind| RuleSettings { pattern: Some(pattern.into()), kind, ..Default::default() };
    vec![
        rule("ticker:**", KindName::Latest),
        rule("game:**", KindName::Volatile),
        rule("doc:**", KindName::Document),
    ]
}

/// Rules from checked settings.
pub(super) fn rules(default: &RuleSettings, by_pattern: &[RuleSettings]) -> Rules {
    let with_pattern = |settings: &RuleSettings| {
        let pattern = Pattern::new(settings.pattern.as_deref()?).ok()?;
        Some((pattern, Arc::new(settings.to_rule())))
    };
    Rules {
        by_pattern: by_pattern.iter().filter_map(with_pattern).collect(),
        default: Arc::new(default.to_rule()),
    }
}
