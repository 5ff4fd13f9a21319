//! What a client or back end may do.

use std::sync::Arc;

use fanwire_proto::{Pattern, Payload, TopicName};

use super::server_sub::ServerSub;

/// The topics something is allowed on.
#[derive(Clone, Debug, PartialEq)]
pub enum Allowed {
    /// All of them.
    All,
    /// Those that a pattern matches.
    Some(Arc<[Pattern]>),
}

impl Allowed {
    /// None of them.
    pub fn none() -> Self {
        Self::Some(Arc::new([]))
    }

    /// Whether the topic is among them.
    pub fn includes(&self, topic: &TopicName) -> bool {
        match self {
            Self::All => true,
            Self::Some(patterns) => patterns.iter().any(|pattern| pattern.matches(topic)),
        }
    }
}

/// What can be allowed on a topic, or not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// Receive its messages.
    Subscribe,
    /// Send messages to it.
    Publish,
    /// Read its past messages.
    History,
    /// See who is subscribed.
    Presence,
    /// Delete a document, or a version of one.
    Delete,
}

impl Verb {
    /// For error messages: "… to … this topic".
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Subscribe => "subscribe to",
            Self::Publish => "publish to",
            Self::History => "read the history of",
            Self::Presence => "see the presence of",
            Self::Delete => "delete",
        }
    }
}

/// What a credential is called: tokens and keys have names of their own, so that a token that is called like a key is not the
/// key.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Credential {
    /// A token, by its `jti`.
    Token(Arc<str>),
    /// An API key, by its name in the configuration.
    Key(Arc<str>),
}

impl Credential {
    /// The name alone.
    pub fn name(&self) -> &Arc<str> {
        match self {
            Self::Token(name) | Self::Key(name) => name,
        }
    }
}

/// What somebody may do, until when, and as whom.
#[derive(Clone, PartialEq, Debug)]
pub struct Grant {
    /// The user, if the client is one.
    pub user: Option<Arc<str>>,
    /// What the token says about the user, for others to see.
    pub info: Option<Arc<Payload>>,
    /// What the credential is called, to revoke it by.
    pub credential: Option<Credential>,
    /// End of the grant, in milliseconds since 1970.
    pub expires_ms: Option<u64>,
    /// Topics to subscribe to.
    pub subscribe: Allowed,
    /// Topics to publish to.
    pub publish: Allowed,
    /// Topics to read the history of.
    pub history: Allowed,
    /// Topics to see the members of.
    pub presence: Allowed,
    /// Documents to delete, and versions of them.
    pub delete: Allowed,
    /// Kind `latest`: most updates a second of a subscription, whatever it asks for.
    pub max_rate: Option<f64>,
    /// Topics that its bearer is subscribed to by the server, which nothing else has to allow. One word: most have none.
    pub subs: Option<Arc<Vec<ServerSub>>>,
    /// Whether connections of others may be ended, and tokens revoked.
    pub admin: bool,
}

impl Grant {
    /// No limits and no name.
    pub fn everything() -> Self {
        Self {
            user: None,
            info: None,
            credential: None,
            expires_ms: None,
            subscribe: Allowed::All,
            publish: Allowed::All,
            history: Allowed::All,
            presence: Allowed::All,
            delete: Allowed::All,
            max_rate: None,
            subs: None,
            admin: true,
        }
    }

    /// Whether it has ended.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_ms.is_some_and(|end| end <= now_ms)
    }

    /// The subscription to a topic that it names, if its time is not over.
    pub fn named(&self, topic: &TopicName, now_ms: u64) -> Option<&ServerSub> {
        self.subs.iter().flat_map(|subs| &***subs).find(|sub| sub.topic == *topic && !sub.is_expired(now_ms))
    }

    /// Moves all its ends to a clock that shows `to_ms` when the one it was dated by shows `from_ms`.
    pub fn redated(mut self, from_ms: u64, to_ms: u64) -> Self {
        // What is over already comes to lie at `to_ms`, where it is over as well.
        let redate = |end: &mut u64| *end = to_ms.saturating_add(end.saturating_sub(from_ms));
        self.expires_ms.iter_mut().for_each(redate);
        if let Some(subs) = &mut self.subs {
            // The grant was just made from its token, so nothing is copied here.
            Arc::make_mut(subs).iter_mut().flat_map(|sub| &mut sub.expires_ms).for_each(redate);
        }
        self
    }

    /// Whether it allows something on a topic.
    pub fn allows(&self, verb: Verb, topic: &TopicName) -> bool {
        let allowed = match verb {
            Verb::Subscribe => &self.subscribe,
            Verb::Publish => &self.publish,
            Verb::History => &self.history,
            Verb::Presence => &self.presence,
            Verb::Delete => &self.delete,
        };
        allowed.includes(topic)
    }
}
