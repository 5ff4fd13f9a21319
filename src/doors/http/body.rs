//! From a request's body to a payload.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header},
};
use fanwire_proto::{ErrorCode, Payload};

use crate::doors::errors::Failure;

/// Reads a body of at most `limit` bytes within `timeout`.
pub(super) async fn read_body(body: Body, limit: usize, timeout: Duration) -> Result<Bytes, Failure> {
    let too_large =
        |_| Failure::new(ErrorCode::TooLarge, format!("the body is cut off or has more than {limit} bytes"));
    match tokio::time::timeout(timeout, axum::body::to_bytes(body, limit)).await {
        Ok(read) => read.map_err(too_large),
        Err(_) => Err(Failure::new(ErrorCode::BadRequest, "the body took too long")),
    }
}

/// JSON and text stay what they are; whatever says it is bytes is bytes. A type that says nothing (`curl -d` sends a
/// form's) is taken for JSON if it parses, else for text if it is UTF-8.
pub(super) fn payload_of(headers: &HeaderMap, body: &Bytes) -> Result<Payload, Failure> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let media_type = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let bad = |message: String| Failure::new(ErrorCode::BadPayload, message);
    let text = || std::str::from_utf8(body).map_err(|error| bad(format!("the body is not UTF-8: {error}")));
    match media_type.as_str() {
        "application/json" => Payload::json(text()?).map_err(|error| bad(error.to_string())),
        json if json.ends_with("+json") => Payload::json(text()?).map_err(|error| bad(error.to_string())),
        plain if plain.starts_with("text/") => Payload::text(text()?).map_err(|error| bad(error.to_string())),
        "" | "application/x-www-form-urlencoded" => Ok(match std::str::from_utf8(body) {
            Ok(text) => {
                Payload::json(text).or_else(|_| Payload::text(text)).map_err(|e| bad(e.to_string()))?
            }
            Err(_) => Payload::Bytes(body.clone()),
        }),
        _ => Ok(Payload::Bytes(body.clone())),
    }
}
