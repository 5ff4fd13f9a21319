//! Everything that fails in this library fails with one of these.

use std::fmt;

use fanwire_proto::{ErrorCode, ErrorReply};

/// Why something failed: the broker's reasons, and the client's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The broker refused.
    Broker(ErrorCode),
    /// The client was closed.
    Closed,
    /// The broker told the client to stay away.
    Stopped,
    /// It was sent, and whether the broker carried it out cannot be found out any more.
    OutcomeUnknown,
    /// Too many commands wait for an answer.
    QueueFull,
    /// There is no connection, and the command was not to be queued.
    Offline,
    /// The frame is larger than the broker reads.
    TooLarge,
    /// The reader of a subscription was too slow for its buffer. Its position is where it can be taken up again.
    Overflow,
    /// The subscription was given up by this program, or there is one of this topic already.
    AlreadySubscribed,
    /// The token could not be had.
    Token,
    /// The URL, or something else in a call, cannot be used.
    Invalid,
    /// The broker's answer, or the connection, is not what the protocol has.
    Protocol,
}

/// What went wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// For programs.
    pub code: Code,
    /// For people.
    pub message: String,
    /// Whether the same may succeed later without being changed.
    pub retry: bool,
}

impl Error {
    pub(crate) fn new(code: Code, message: impl fmt::Display) -> Self {
        let retry = matches!(code, Code::QueueFull | Code::Offline | Code::Token);
        Self { code, message: message.to_string(), retry }
    }

    pub(crate) fn closed() -> Self {
        Self::new(Code::Closed, "the client is closed")
    }

    pub(crate) fn lost() -> Self {
        Self::new(Code::OutcomeUnknown, "the connection was lost before the answer")
    }

    pub(crate) fn refused(reply: &ErrorReply) -> Self {
        Self { code: Code::Broker(reply.code), message: reply.message.clone(), retry: reply.retry }
    }

    /// The broker ended a subscription, or refused it with a code alone.
    pub(crate) fn ended(code: ErrorCode) -> Self {
        let message = format!("the broker ended the subscription: {}", code.as_str());
        Self { code: Code::Broker(code), message, retry: code.retry() }
    }
}
