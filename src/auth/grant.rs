//! What a client may do.

use std::sync::Arc;

use fanwire_proto::{Pattern, TopicName};

/// The topics something is allowed on.
#[derive(Clone, Debug, PartialEq)]
pub enum Allowed {
    /// All of them.
    All,
    /// Those that a pattern matches.
    Some(Arc<[Pattern]>),
}

impl Allowed {
    /// Whether the topic is among them.
    pub fn includes(&self, topic: &TopicName) -> bool {
        match self {
            Self::All => true,
            Self::Some(patterns) => patterns.iter().any(|pattern| pattern.matches(topic)),
        }
    }
}

/// What a client may do, until when, and as whom.
#[derive(Clone, Debug, PartialEq)]
pub struct Grant {
    /// The user, if the client is one.
    pub user: Option<Arc<str>>,
    /// End of the grant, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
    /// Topics to subscribe to, and to read history and presence of.
    pub subscribe: Allowed,
    /// Topics to publish to.
    pub publish: Allowed,
}

impl Grant {
    /// No limits and no name.
    pub fn everything() -> Self {
        Self { user: None, expires_ms: None, subscribe: Allowed::All, publish: Allowed::All }
    }

    /// Whether it has ended.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_ms.is_some_and(|end| end <= now_ms)
    }
}
