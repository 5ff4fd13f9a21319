//! Rules: which kind a topic is, and what it keeps, by pattern of its name.

use std::{sync::Arc, time::Duration};

use fanwire_proto::{Kind, Pattern, TopicName};

use crate::defaults;

/// What a topic promises and keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// The kind with its bounds.
    pub kind: KindRule,
    /// Whether members are tracked.
    pub presence: bool,
    /// Whether its content outlives the process.
    pub keeping: Keeping,
}

/// Whether a topic's content outlives the process, and what subscribers see of it before it is safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keeping {
    /// Memory only.
    #[default]
    Memory,
    /// Durable; subscribers see a message once it is: nobody ever sees one that a crash takes back.
    Durable,
    /// Durable; subscribers see a message at once. What a crash takes back they may have seen; the epoch changes then.
    DurableSeenEarly,
}

impl Keeping {
    /// Whether anything is written to the store.
    pub const fn is_durable(self) -> bool {
        !matches!(self, Self::Memory)
    }
}

/// A kind with the bounds that belong to it.
#[derive(Clone, Debug, PartialEq)]
pub enum KindRule {
    /// Every message, in order, resumable.
    Log(Retention),
    /// The newest value per key.
    Latest {
        /// Most keys.
        max_keys: usize,
        /// Values older than this are forgotten; `None` keeps them.
        max_age: Option<Duration>,
    },
    /// Best effort, never late.
    Volatile {
        /// Gather messages and send them together once per tick.
        tick: Option<Duration>,
    },
    /// Updates that make a document.
    Document(Merging),
}

/// How large a document may be, and when its updates become one.
#[derive(Clone, Debug, PartialEq)]
pub struct Merging {
    /// Bytes, once merged.
    pub max_bytes: usize,
    /// Merge after so many updates.
    pub updates: usize,
}

/// How much of a log is kept, whichever bound is reached first.
#[derive(Clone, Debug, PartialEq)]
pub struct Retention {
    /// Messages.
    pub count: usize,
    /// Age.
    pub age: Duration,
    /// Payload bytes.
    pub bytes: usize,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            count: defaults::HISTORY_COUNT,
            age: Duration::from_secs(defaults::HISTORY_AGE_S),
            bytes: defaults::HISTORY_BYTES,
        }
    }
}

impl Default for Rule {
    fn default() -> Self {
        Self { kind: KindRule::Log(Retention::default()), presence: true, keeping: Keeping::Memory }
    }
}

impl KindRule {
    /// The kind without its bounds.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Log(_) => Kind::Log,
            Self::Latest { .. } => Kind::Latest,
            Self::Volatile { .. } => Kind::Volatile,
            Self::Document(_) => Kind::Document,
        }
    }
}

/// Patterns with their rules; the first match wins.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// In order of preference.
    pub by_pattern: Vec<(Pattern, Arc<Rule>)>,
    /// For topics that no pattern matches.
    pub default: Arc<Rule>,
}

impl Rules {
    /// Whether anything is kept beyond the process.
    pub fn any_is_durable(&self) -> bool {
        self.default.keeping.is_durable() || self.by_pattern.iter().any(|(_, rule)| rule.keeping.is_durable())
    }

    /// The rule of a topic.
    pub fn of(&self, topic: &TopicName) -> Arc<Rule> {
        let found = self.by_pattern.iter().find(|(pattern, _)| pattern.matches(topic));
        found.map_or(&self.default, |(_, rule)| rule).clone()
    }
}
