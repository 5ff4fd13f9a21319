//! Failures as problem documents (RFC 9457).

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use fanwire_proto::ErrorCode;
use serde::Serialize;

use crate::doors::errors::Failure;

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = status_of(self.code);
        let mut response = problem(status, self.code.as_str(), &self.message);
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The HTTP status of each code (RFC 9110 §15).
const fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::Unauthorized | ErrorCode::InvalidToken => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Overloaded | ErrorCode::Draining | ErrorCode::TooManyTopics => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorCode::WrongKind
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

/// A problem document (RFC 9457).
pub fn problem(status: StatusCode, code: &str, detail: &str) -> Response {
    #[derive(Serialize)]
    struct Problem<'a> {
        r#type: String,
        title: &'a str,
        status: u16,
        code: &'a str,
        detail: &'a str,
    }
    let title = status.canonical_reason().unwrap_or("Error");
    let document =
        Problem { r#type: format!("urn:fanwire:error:{code}"), title, status: status.as_u16(), code, detail };
    json(status, "application/problem+json", &document)
}

pub(super) fn json<T: Serialize>(status: StatusCode, content_type: &'static str, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => (status, [(header::CONTENT_TYPE, content_type)], body).into_response(),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
