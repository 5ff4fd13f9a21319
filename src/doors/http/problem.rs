//! Failures as problem documents (RFC 9457), and the codes that only HTTP has.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use fanwire_proto::ErrorCode;
use serde::{Serialize, Serializer, ser::SerializeStruct};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{RefOr, Schema},
};

use crate::{broker::DocumentError, doors::errors::Failure};

/// Seconds after which a refusal that may pass is worth another try.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

macro_rules! http_codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:ident, retry $retry:literal;)*) => {
        /// Why a request failed. The text is stable; `docs/errors.md` explains each.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Code {
            /// What every door can say.
            Protocol(ErrorCode),
            $($(#[$doc])* $name,)*
        }

        impl Code {
            /// Those that only HTTP has.
            pub const HTTP_ONLY: &[Self] = &[$(Self::$name,)*];

            /// The text in a problem document.
            pub const fn as_str(self) -> &'static str {
                match self { Self::Protocol(code) => code.as_str(), $(Self::$name => $text,)* }
            }

            /// The status it is answered with.
            pub const fn status(self) -> StatusCode {
                match self { Self::Protocol(code) => status_of(code), $(Self::$name => StatusCode::$status,)* }
            }

            /// Whether the same request may succeed later without being changed.
            pub const fn retry(self) -> bool {
                match self { Self::Protocol(code) => code.retry(), $(Self::$name => $retry,)* }
            }
        }
    };
}

http_codes! {
    /// There is nothing at this path.
    NotFound = "not_found", NOT_FOUND, retry false;
    /// The path takes other methods.
    MethodNotAllowed = "method_not_allowed", METHOD_NOT_ALLOWED, retry false;
    /// `/ws` takes WebSocket handshakes only.
    NotAWebSocket = "not_a_websocket", UPGRADE_REQUIRED, retry false;
    /// The body took too long.
    Timeout = "timeout", REQUEST_TIMEOUT, retry true;
    /// The body is compressed, or of a format that is not read.
    UnsupportedMediaType = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE, retry false;
    /// A request with the same `Idempotency-Key` is being worked on.
    IdempotencyInProgress = "idempotency_in_progress", CONFLICT, retry true;
    /// The `Idempotency-Key` was used for another request.
    IdempotencyMismatch = "idempotency_mismatch", UNPROCESSABLE_ENTITY, retry false;
    /// A webhook that its provider did not send.
    BadSignature = "bad_signature", UNAUTHORIZED, retry false;
    /// No form of the answer is one that `Accept` names; also a webhook with a bad signature, to providers that would send
    /// it again otherwise.
    NotAcceptable = "not_acceptable", NOT_ACCEPTABLE, retry false;
    /// The document is not what `If-Match` or `If-None-Match` says.
    PreconditionFailed = "precondition_failed", PRECONDITION_FAILED, retry false;
    /// The document has as many named versions as it may.
    TooManyVersions = "too_many_versions", CONFLICT, retry false;
    /// A webhook delivery that cannot be taken once more.
    NotReplayable = "not_replayable", CONFLICT, retry false;
    /// The source of these webhooks is switched off.
    SourceDisabled = "source_disabled", GONE, retry false;
}

/// The HTTP status of each code (RFC 9110 §15).
const fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::Unauthorized | ErrorCode::InvalidToken => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Overloaded | ErrorCode::Draining | ErrorCode::TooManyTopics | ErrorCode::StorageFailed => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ErrorCode::Expired | ErrorCode::Deleted => StatusCode::GONE,
        ErrorCode::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
        ErrorCode::Damaged | ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorCode::WrongKind
        | ErrorCode::NotDurable
        | ErrorCode::TooManyKeys
        | ErrorCode::PresenceOff
        | ErrorCode::AlreadySubscribed
        | ErrorCode::NotSubscribed
        | ErrorCode::TooManySubscriptions => StatusCode::CONFLICT,
        ErrorCode::BadFrame
        | ErrorCode::BadRequest
        | ErrorCode::UnknownType
        | ErrorCode::BadTopic
        | ErrorCode::BadPayload => StatusCode::BAD_REQUEST,
    }
}

/// A problem document: an answer of its own, or the place of one message among others.
#[derive(Clone, Debug)]
pub struct Problem {
    /// What kind of failure.
    pub code: Code,
    /// What was wrong, for people.
    pub detail: String,
    /// Which message of an atomic batch it was.
    pub index: Option<usize>,
}

impl Problem {
    /// A failure with a text of its own.
    pub fn new(code: Code, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), index: None }
    }

    /// What is asked for is not understood.
    pub(in crate::doors) fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(Code::Protocol(ErrorCode::BadRequest), detail)
    }

    /// The content is none.
    pub(super) fn bad_payload(detail: impl Into<String>) -> Self {
        Self::new(Code::Protocol(ErrorCode::BadPayload), detail)
    }

    /// A fault of ours, written to the log.
    pub(in crate::doors) fn internal(error: impl std::fmt::Display) -> Self {
        tracing::error!(%error, "an answer could not be written");
        Self::new(Code::Protocol(ErrorCode::Internal), "the answer could not be written")
    }

    /// Something is over a limit.
    pub(in crate::doors) fn too_large(detail: impl Into<String>) -> Self {
        Self::new(Code::Protocol(ErrorCode::TooLarge), detail)
    }
}

/// A problem document (RFC 9457).
#[derive(ToSchema)]
#[expect(dead_code, reason = "for the document; problems write themselves")]
struct Document {
    /// Where the code is explained, relative to the broker.
    #[schema(example = "/docs/errors#forbidden")]
    r#type: String,
    /// The status in words.
    title: String,
    /// The status, of this message if it is one of several.
    status: u16,
    /// A stable name of what went wrong.
    #[schema(example = "forbidden")]
    code: String,
    /// What was wrong, for people.
    detail: String,
    /// Whether the same request may succeed later.
    retry: bool,
    /// Which message of an atomic batch was wrong, from 0.
    index: Option<usize>,
}

impl PartialSchema for Problem {
    fn schema() -> RefOr<Schema> {
        Document::schema()
    }
}

impl ToSchema for Problem {}

/// Failures of documents that HTTP has words of its own for.
pub(super) fn problem_of(error: DocumentError) -> Problem {
    let code = match &error {
        DocumentError::Changed(_) => Code::PreconditionFailed,
        DocumentError::NoVersion(_) | DocumentError::NoRoot(_) => Code::NotFound,
        DocumentError::TooManyVersions(_) => Code::TooManyVersions,
        _ => return Failure::from(error).into(),
    };
    Problem::new(code, error.to_string())
}

impl<F: Into<Failure>> From<F> for Problem {
    fn from(failure: F) -> Self {
        let Failure { code, message } = failure.into();
        Self::new(Code::Protocol(code), message)
    }
}

impl Serialize for Problem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (code, status) = (self.code.as_str(), self.code.status());
        let mut document = serializer.serialize_struct("Problem", 6 + usize::from(self.index.is_some()))?;
        document.serialize_field("type", &format_args!("/docs/errors#{code}"))?;
        document.serialize_field("title", status.canonical_reason().unwrap_or("Error"))?;
        document.serialize_field("status", &status.as_u16())?;
        document.serialize_field("code", code)?;
        document.serialize_field("detail", &self.detail)?;
        document.serialize_field("retry", &self.code.retry())?;
        if let Some(index) = self.index {
            document.serialize_field("index", &index)?;
        }
        document.end()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.code.status();
        let mut response = json(status, "application/problem+json", &self);
        let headers = response.headers_mut();
        if self.code.retry() {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110 §15.5.2: a 401 must say how to authenticate.
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        Problem::from(self).into_response()
    }
}

pub(in crate::doors) fn json<T: Serialize>(
    status: StatusCode,
    content_type: &'static str,
    value: &T,
) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => (status, [(header::CONTENT_TYPE, content_type)], body).into_response(),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
