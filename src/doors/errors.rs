//! The broker's errors as protocol codes: the only place where they meet.

use fanwire_proto::ErrorCode;

use crate::{
    auth::{InvalidToken, Verb},
    broker::{DocumentError, NoTopic, PublishError, RevokeError, SubscribeError, Unreadable},
    collab::NoSpace,
    durable::Trouble,
    session::Denied,
    store::StoreError,
    topic::{NotPlaced, Refusal},
};

/// What every door can say about a failure.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The code.
    pub code: ErrorCode,
    /// What was wrong, for people.
    pub message: String,
}

impl Failure {
    /// A failure with a text of its own.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// No token, and one is needed.
    pub fn unauthorized() -> Self {
        Self::new(ErrorCode::Unauthorized, "a token is needed")
    }

    /// The token allows other topics.
    fn forbidden(verb: Verb) -> Self {
        Self::new(ErrorCode::Forbidden, format!("the token does not allow to {} this topic", verb.as_str()))
    }

    /// Only an API key with `admin` may do this.
    pub fn not_admin() -> Self {
        Self::new(ErrorCode::Forbidden, "this needs an API key with `admin`")
    }

    /// Whoever brings a broker for one machine before others has to say who may look after it.
    pub fn not_admin_by_proxy() -> Self {
        let what = "this broker has no credentials and was reached through a proxy (by its `Host` or forwarding headers), so \
                    nobody may look after it this way: configure a `[[key]]` with `admin = true`";
        Self::new(ErrorCode::Forbidden, what)
    }

    /// Addresses are written to logs.
    pub fn key_in_address() -> Self {
        Self::new(ErrorCode::InvalidToken, "an API key goes into the Authorization header")
    }

    /// The token has ended.
    pub fn expired() -> Self {
        Self::new(ErrorCode::InvalidToken, "the token has expired")
    }
}

fn code_of(refusal: &Refusal) -> ErrorCode {
    match refusal {
        // Never comes this far: who meets a closed topic takes it out of the map and looks again.
        Refusal::Closed => ErrorCode::Internal,
        Refusal::Overloaded
        | Refusal::DocumentsFull(_)
        | Refusal::DocumentsTight(_)
        | Refusal::TopicsFull(_)
        | Refusal::OwnerFull(_) => ErrorCode::Overloaded,
        Refusal::TooManyKeys(_) => ErrorCode::TooManyKeys,
        Refusal::KeyNotWanted => ErrorCode::WrongKind,
        Refusal::NotDurable => ErrorCode::NotDurable,
        Refusal::DocumentFull(_) => ErrorCode::TooLarge,
        // Only HTTP has conditions, and a code of its own for them.
        Refusal::Moved(_) => ErrorCode::BadRequest,
    }
}

fn code_of_none(none: &NoTopic) -> ErrorCode {
    match none {
        NoTopic::TooMany(_) | NoTopic::TooManyOwned(_) => ErrorCode::TooManyTopics,
        NoTopic::Refused(refusal) => code_of(refusal),
        NoTopic::Trouble(Trouble::Full) => ErrorCode::StorageFull,
        NoTopic::Unreadable(unreadable) => code_of_unreadable(*unreadable),
        NoTopic::Trouble(Trouble::Failed) => ErrorCode::StorageFailed,
    }
}

impl From<Unreadable> for Failure {
    fn from(error: Unreadable) -> Self {
        Self::new(code_of_unreadable(error), error.to_string())
    }
}

fn code_of_unreadable(unreadable: Unreadable) -> ErrorCode {
    match unreadable {
        Unreadable::Failed => ErrorCode::StorageFailed,
        Unreadable::Damaged(_) => ErrorCode::Damaged,
        Unreadable::OtherKind(_) => ErrorCode::WrongKind,
    }
}

impl From<Denied> for Failure {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::NoGrant => Self::unauthorized(),
            Denied::Expired => Self::expired(),
            Denied::Forbidden(verb) => Self::forbidden(verb),
        }
    }
}

impl From<RevokeError> for Failure {
    fn from(error: RevokeError) -> Self {
        let code = match &error {
            RevokeError::TooMany(_) => ErrorCode::Overloaded,
            RevokeError::TooLong => ErrorCode::TooLarge,
            RevokeError::NotKept(StoreError::Full(_)) => ErrorCode::StorageFull,
            RevokeError::NotKept(_) => ErrorCode::StorageFailed,
        };
        Self::new(code, error.to_string())
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        let code = match &error {
            PublishError::Draining => ErrorCode::Draining,
            PublishError::TooLarge { .. } => ErrorCode::TooLarge,
            PublishError::NoTopic(none) => code_of_none(none),
            PublishError::NotAnUpdate(_) | PublishError::BadUpdate(_) => ErrorCode::BadPayload,
            PublishError::Refused(refusal) => code_of(refusal),
        };
        Self::new(code, error.to_string())
    }
}

impl From<NotPlaced> for Failure {
    fn from(not_placed: NotPlaced) -> Self {
        Self::new(ErrorCode::StorageFailed, not_placed.to_string())
    }
}

impl From<DocumentError> for Failure {
    fn from(error: DocumentError) -> Self {
        let code = match &error {
            DocumentError::WrongKind | DocumentError::NotText(_) => ErrorCode::WrongKind,
            DocumentError::Unreadable(unreadable) => code_of_unreadable(*unreadable),
            DocumentError::Store(_) | DocumentError::NotPlaced(_) => ErrorCode::StorageFailed,
            DocumentError::NotARoot(_) => ErrorCode::BadPayload,
            DocumentError::Unmergeable(_)
            | DocumentError::NoSpace(NoSpace::Malformed(_))
            | DocumentError::Failed => ErrorCode::Internal,
            DocumentError::Unconvertible(_) => ErrorCode::TooLarge,
            DocumentError::Busy(_) | DocumentError::NoSpace(NoSpace::Now) => ErrorCode::Overloaded,
            DocumentError::NoSpace(NoSpace::Ever { .. }) => ErrorCode::TooLarge,
            DocumentError::TooLarge { .. } => ErrorCode::TooLarge,
            // HTTP has codes of its own for these.
            DocumentError::Changed(_)
            | DocumentError::NoVersion(_)
            | DocumentError::NoRoot(_)
            | DocumentError::TooManyVersions(_) => ErrorCode::BadRequest,
            // Not used: below, the error inside speaks for itself.
            DocumentError::Publish(_) => ErrorCode::Internal,
        };
        match error {
            DocumentError::Publish(error) => error.into(),
            other => Self::new(code, other.to_string()),
        }
    }
}

impl From<SubscribeError> for Failure {
    fn from(error: SubscribeError) -> Self {
        let code = match &error {
            SubscribeError::Draining => ErrorCode::Draining,
            SubscribeError::Already => ErrorCode::AlreadySubscribed,
            SubscribeError::TooMany(_) => ErrorCode::TooManySubscriptions,
            SubscribeError::PresenceOff => ErrorCode::PresenceOff,
            SubscribeError::NoTopic(none) => code_of_none(none),
            SubscribeError::Refused(refusal) => code_of(refusal),
        };
        Self::new(code, error.to_string())
    }
}

impl From<InvalidToken> for Failure {
    fn from(error: InvalidToken) -> Self {
        let code = match &error {
            InvalidToken::TooManyFalse(_) => ErrorCode::RateLimited,
            _ => ErrorCode::InvalidToken,
        };
        Self::new(code, error.to_string())
    }
}
