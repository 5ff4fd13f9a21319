//! The closed lists of refusals: error codes in replies, and close codes that end a connection.

use serde::Serialize;

macro_rules! error_codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, retry $retry:literal;)*) => {
        /// Why a command failed. The text is stable; clients may match on it.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
        pub enum ErrorCode { $($(#[$doc])* #[serde(rename = $text)] $name,)* }

        impl ErrorCode {
            /// All of them, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The text on the wire.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The code of this text, if there is one.
            pub fn read(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$name),)* _ => None }
            }

            /// Whether the same command may succeed later without being changed.
            pub const fn retry(self) -> bool {
                match self { $(Self::$name => $retry,)* }
            }
        }
    };
}

error_codes! {
    /// The frame is not a JSON or MessagePack object or array of objects.
    BadFrame = "bad_frame", retry false;
    /// A field is missing or has the wrong type or range; the message names it.
    BadRequest = "bad_request", retry false;
    /// `type` names no command.
    UnknownType = "unknown_type", retry false;
    /// The topic's name is not allowed.
    BadTopic = "bad_topic", retry false;
    /// `data` or `b64` is not a payload: nested bytes, a number no double holds, broken base64.
    BadPayload = "bad_payload", retry false;
    /// The payload is larger than a message may be.
    TooLarge = "too_large", retry false;
    /// The topic's kind has no such operation.
    WrongKind = "wrong_kind", retry false;
    /// The connection has this subscription already.
    AlreadySubscribed = "already_subscribed", retry false;
    /// The connection has no such subscription.
    NotSubscribed = "not_subscribed", retry false;
    /// The connection has as many subscriptions as it may.
    TooManySubscriptions = "too_many_subscriptions", retry false;
    /// The broker has as many topics as it may.
    TooManyTopics = "too_many_topics", retry true;
    /// The topic (kind `latest`) has as many keys as it may.
    TooManyKeys = "too_many_keys", retry false;
    /// The rule of the topic keeps no presence.
    PresenceOff = "presence_off", retry false;
    /// The connection sends commands faster than it may.
    RateLimited = "rate_limited", retry true;
    /// Subscribers of this topic cannot be served as fast as it is published.
    Overloaded = "overloaded", retry true;
    /// `ack` asks for what the topic's rule does not promise.
    NotDurable = "not_durable", retry false;
    /// The disk is full; nothing was published.
    StorageFull = "storage_full", retry true;
    /// The store failed: a message could not be made durable, and may still come (repeat it with the same `message_id`), or
    /// a topic could not be read.
    StorageFailed = "storage_failed", retry true;
    /// The document cannot be read whole from the broker's disk; nothing of it is served or changed.
    Damaged = "damaged", retry false;
    /// The broker is stopping; another one will take over.
    Draining = "draining", retry true;
    /// A token is needed.
    Unauthorized = "unauthorized", retry false;
    /// The token is malformed, expired or not signed by a known key.
    InvalidToken = "invalid_token", retry false;
    /// The token does not allow this on this topic.
    Forbidden = "forbidden", retry false;
    /// The subscription was for a time, which is over.
    Expired = "expired", retry false;
    /// The document was deleted.
    Deleted = "deleted", retry false;
    /// A fault of the broker.
    Internal = "internal", retry true;
}

/// Why a connection ended, as the WebSocket close code (RFC 6455 §7.4). 4000–4099: do not reconnect;
/// 4100–4199: reconnect after a while.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseCode {
    /// 1000: the client closed.
    Normal,
    /// 1001: the broker is draining.
    GoingAway,
    /// 1002: a violation of RFC 6455.
    Protocol,
    /// 1003: a text frame on the MessagePack subprotocol or a binary frame on the JSON one.
    Unsupported,
    /// 1007: a text frame that is not UTF-8.
    InvalidText,
    /// 1009: a message over the size limit.
    TooBig,
    /// 1011: a fault of the broker.
    Internal,
    /// 4000: nobody presented a token within a ping interval, and one is needed.
    TokenMissing,
    /// 4001: the token ended; a new connection needs a new one.
    TokenExpired,
    /// 4002: an operator or back end disconnected this client, or revoked its token.
    Disconnected,
    /// 4100: the peer answered no ping in time.
    PingTimeout,
    /// 4101: the client let replies pile up beyond the outbox limit.
    OutboxFull,
}

impl CloseCode {
    /// All of them, in the order of their numbers.
    pub const ALL: &[Self] = &[
        Self::Normal,
        Self::GoingAway,
        Self::Protocol,
        Self::Unsupported,
        Self::InvalidText,
        Self::TooBig,
        Self::Internal,
        Self::TokenMissing,
        Self::TokenExpired,
        Self::Disconnected,
        Self::PingTimeout,
        Self::OutboxFull,
    ];

    /// The number on the wire.
    pub const fn as_u16(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::GoingAway => 1001,
            Self::Protocol => 1002,
            Self::Unsupported => 1003,
            Self::InvalidText => 1007,
            Self::TooBig => 1009,
            Self::Internal => 1011,
            Self::TokenMissing => 4000,
            Self::TokenExpired => 4001,
            Self::Disconnected => 4002,
            Self::PingTimeout => 4100,
            Self::OutboxFull => 4101,
        }
    }

    /// The reason text sent with it.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Normal => "",
            Self::GoingAway => "draining",
            Self::Protocol => "protocol error",
            Self::Unsupported => "wrong frame type for the subprotocol",
            Self::InvalidText => "text is not UTF-8",
            Self::TooBig => "message too big",
            Self::Internal => "internal error",
            Self::TokenMissing => "token missing",
            Self::TokenExpired => "token expired",
            Self::Disconnected => "disconnected",
            Self::PingTimeout => "ping timeout",
            Self::OutboxFull => "replies not read",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_codes_are_distinct() {
        let mut texts: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), ErrorCode::ALL.len());
    }
}
