//! What a topic keeps, one struct per kind.
//!
//! Each keeps two things: what its kind promises (history, values, nothing) and what the shards have not yet taken
//! over, which is therefore pinned whatever the bounds say.

use super::{KindRule, document::Document, latest::Latest, log::Log, volatile::Volatile};

/// The content of a topic.
#[derive(Debug)]
pub(super) enum Store {
    Log(Log),
    Latest(Latest),
    Volatile(Volatile),
    Document(Document),
}

impl Store {
    pub(super) fn new(rule: &KindRule) -> Self {
        match rule {
            KindRule::Log(_) => Self::Log(Log::default()),
            KindRule::Latest { .. } => Self::Latest(Latest::default()),
            KindRule::Volatile { .. } => Self::Volatile(Volatile::default()),
            KindRule::Document(_) => Self::Document(Document::default()),
        }
    }

    /// About how many bytes it takes; documents count their content themselves.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Log(log) => log.weight(),
            Self::Latest(latest) => latest.weight(),
            Self::Volatile(ring) => ring.weight(),
            Self::Document(_) => 0,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Log(log) => log.messages.is_empty(),
            Self::Latest(latest) => latest.values.is_empty(),
            Self::Volatile(ring) => ring.messages.is_empty(),
            Self::Document(document) => document.log.messages.is_empty(),
        }
    }
}
