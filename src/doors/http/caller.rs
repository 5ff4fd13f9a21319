//! Who sends a request, the topic in its path, and what the one may do with the other.

use axum::{
    extract::{FromRequestParts, Path},
    http::{HeaderMap, request::Parts},
};
use fanwire_proto::{ErrorCode, TopicName};

use super::{
    bodies::Bodies,
    credentials::{Sender, authorize, bearer},
    problem::{Code, Problem},
};
use crate::{
    auth::{Grant, Verb},
    broker::Broker,
    clock::unix_ms,
    doors::errors::Failure,
    memory::Owner,
    session::{check, owner_of},
};

/// Somebody with a grant, and the time of the request.
pub(super) struct Caller {
    grant: Grant,
    /// When the request came.
    pub(super) now_ms: u64,
    /// When the credential was checked.
    checked_ms: u64,
    sender: Sender,
}

/// What routes that ask who calls have at hand.
pub trait HasBroker {
    /// The broker.
    fn broker(&self) -> &Broker;

    /// Where bodies are charged for, if any are read.
    fn bodies(&self) -> Option<&Bodies> {
        None
    }
}

/// How long a credential that was checked is good for within one request.
const RECHECK_MS: u64 = 1_000;

impl Caller {
    /// Refuses what the grant does not cover.
    pub(super) fn may(&self, verb: Verb, topic: &TopicName) -> Result<(), Problem> {
        Ok(check(&self.grant, verb, topic).map_err(Failure::from)?)
    }

    /// Whether the grant covers it.
    pub(super) fn can(&self, verb: Verb, topic: &TopicName) -> bool {
        check(&self.grant, verb, topic).is_ok()
    }

    /// Refuses who may not look after the broker.
    pub(super) fn must_be_admin(&self) -> Result<(), Problem> {
        match (self.grant.admin, self.sender.through_proxy) {
            (true, false) => Ok(()),
            (true, true) => Err(Failure::not_admin_by_proxy().into()),
            (false, _) => Err(Failure::not_admin().into()),
        }
    }

    /// Moves the clock on and checks the credential again, once a second at most: it may have ended or been revoked.
    pub(super) fn refresh(&mut self, broker: &Broker, headers: &HeaderMap) -> Result<(), Problem> {
        self.now_ms = unix_ms();
        // Streams call this for every line, and a signature costs more than the line.
        if self.now_ms >= self.checked_ms + RECHECK_MS {
            self.grant = authorize(broker, headers, self.sender, self.now_ms)?;
            self.checked_ms = self.now_ms;
        }
        Ok(())
    }

    /// Whom what this caller makes the broker keep is charged to.
    pub(super) fn owner(&self) -> Owner {
        owner_of(Some(&self.grant), self.sender.address)
    }

    /// What distinguishes this caller's idempotency keys from other callers'.
    pub(super) fn scope(&self, headers: &HeaderMap) -> String {
        match (&self.grant.user, bearer(headers)) {
            // By user where there is one: a token that was renewed between two tries is still the same caller's.
            (Some(user), _) => format!("user {user}"),
            (None, Some(token)) => {
                // Hashed, for scopes are written to the disk beside the answers, where no credential may be read.
                let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
                format!("token {}", data_encoding::HEXLOWER.encode(digest.as_ref()))
            }
            (None, None) => String::new(),
        }
    }
}

impl<S: HasBroker + Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let now_ms = unix_ms();
        let sender = parts.extensions.get::<Sender>().copied();
        let sender = sender.ok_or_else(|| Problem::internal("the client's address is not known"))?;
        let grant = authorize(state.broker(), &parts.headers, sender, now_ms)?;
        if let Some(bodies) = state.bodies() {
            let payer = match owner_of(Some(&grant), sender.address) {
                Owner::Address(address) => bodies.stranger(Some(address)),
                known => bodies.known(&known),
            };
            // Left for whoever reads the body, which is extracted after this.
            parts.extensions.insert(payer);
        }
        Ok(Self { grant, now_ms, checked_ms: now_ms, sender })
    }
}

/// Somebody who may look after the broker; checked before anything of a body is read.
pub struct Admin(pub(super) Caller);

impl Admin {
    /// Whom what this caller makes the broker keep is charged to.
    pub(in crate::doors) fn owner(&self) -> Owner {
        self.0.owner()
    }
}

impl<S: HasBroker + Send + Sync> FromRequestParts<S> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        caller.must_be_admin()?;
        Ok(Self(caller))
    }
}

/// The `{topic}` of a path.
pub(super) struct TopicPath(pub(super) TopicName);

impl<S: Send + Sync> FromRequestParts<S> for TopicPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_text = |_| bad_topic("the topic in the path is not UTF-8");
        let Path(name) = Path::<String>::from_request_parts(parts, state).await.map_err(not_text)?;
        topic_name(&name).map(Self)
    }
}

/// Checks a topic's name.
pub(in crate::doors) fn topic_name(name: &str) -> Result<TopicName, Problem> {
    TopicName::new(name).map_err(|error| bad_topic(error.to_string()))
}

fn bad_topic(detail: impl Into<String>) -> Problem {
    Problem::new(Code::Protocol(ErrorCode::BadTopic), detail)
}
