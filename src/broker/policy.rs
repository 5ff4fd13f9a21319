//! What can change while the broker runs: rules, bounds, who may come in.

use crate::{auth::Authenticator, memory::Plan, topic::Rules};

/// Bounds that doors and verbs apply; all of them can be reloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Subscriptions of one connection.
    pub max_subscriptions: usize,
    /// Commands a second from one connection.
    pub max_commands_per_second: u32,
    /// False tokens a second from one address that are looked at.
    pub max_false_tokens_per_second: u32,
    /// Topics in all.
    pub max_topics: usize,
    /// Topics that one user, or one address without a name, may have made.
    pub max_topics_per_owner: usize,
    /// Largest payload, in bytes.
    pub max_message_bytes: usize,
    /// Largest update of a document, in bytes.
    pub max_update_bytes: usize,
    /// Memory, and what it is for.
    pub memory: Plan,
    /// Most bytes of replies waiting for one connection.
    pub max_outbox_bytes: usize,
}

#[cfg(test)]
impl Limits {
    /// Small ones, for tests.
    pub(crate) fn small() -> Self {
        Self {
            max_subscriptions: 10,
            max_commands_per_second: 1_000,
            max_false_tokens_per_second: u32::MAX,
            max_topics: 10,
            max_topics_per_owner: 100,
            max_message_bytes: 1_000,
            max_update_bytes: 1_000,
            memory: Plan::of(1 << 30),
            max_outbox_bytes: 1 << 20,
        }
    }
}

/// What can change while the broker runs, replaced as a whole.
#[derive(Debug)]
pub struct Policy {
    /// Which kind a topic is.
    pub rules: Rules,
    /// Bounds.
    pub limits: Limits,
    /// Who may come in.
    pub authenticator: Authenticator,
}
