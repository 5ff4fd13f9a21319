//! Request bodies: read within limits, and turned into payloads.

use axum::{
    body::{Body, Bytes, HttpBody},
    http::{HeaderMap, header, request::Parts},
};
use bytes::BytesMut;
use fanwire_proto::{ErrorCode, Payload, Tags};
use futures_util::StreamExt;

use super::{
    api::Api,
    bodies::{Holding, NoRoom, Payer},
    problem::{Code, Problem},
};

/// Longest `Content-Type` that is kept, in bytes: what a tag may have.
const CONTENT_TYPE_BYTES_MAX: usize = 200;

/// Bytes of a body that room is made for at once.
const ROOM_BYTES: usize = 512 * 1024;

/// A body that was read, for as long as it is needed.
pub(in crate::doors) struct Read {
    /// Its content.
    pub(in crate::doors) bytes: Bytes,
    _held: Holding,
}

/// Reads a body of at most `limit` bytes within the door's time, at the expense of whoever the request's credential names.
pub(in crate::doors) async fn read_body(
    api: &Api,
    parts: &Parts,
    body: Body,
    limit: usize,
) -> Result<Read, Problem> {
    read_body_for(api, api.door.bodies.payer_of(parts), &parts.headers, body, limit).await
}

/// The same at somebody's expense.
pub(in crate::doors) async fn read_body_for(
    api: &Api,
    payer: Payer,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Read, Problem> {
    check_encoding(headers)?;
    let too_large = || Problem::too_large(format!("the body has more than {limit} bytes"));
    // What is announced as too large is refused before any of it is read; what is not announced is bounded below.
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    // What is announced need not come, so not all of it is made room for.
    let expected = usize::try_from(body.size_hint().lower()).unwrap_or(limit).min(ROOM_BYTES);
    let mut share = Holding::new(&api.door.bodies, payer);
    let read = async {
        let mut frames = body.into_data_stream();
        let mut whole = BytesMut::new();
        while let Some(frame) = frames.next().await {
            let frame = frame.map_err(|_| Problem::bad_request("the body is cut off or malformed"))?;
            // Counted as it comes rather than as it is announced, so that announcing much and sending nothing takes no
            // room from others.
            share.grow(frame.len()).map_err(overloaded)?;
            if whole.len() + frame.len() > limit {
                return Err(too_large());
            }
            // A body of one frame, as most are, is passed on as it is, without being copied.
            if whole.is_empty() && frames.is_end_stream() {
                return Ok(frame);
            }
            if whole.is_empty() {
                whole.reserve(expected);
            }
            whole.extend_from_slice(&frame);
        }
        Ok(whole.freeze())
    };
    match tokio::time::timeout(api.door.body_timeout, read).await {
        Ok(bytes) => Ok(Read { bytes: bytes?, _held: share }),
        Err(_) => Err(Problem::new(Code::Timeout, "the body took too long")),
    }
}

fn overloaded(none: NoRoom) -> Problem {
    Problem::new(Code::Protocol(ErrorCode::Overloaded), none.to_string())
}

/// Bodies are taken as they are, so they must not be compressed.
pub(super) fn check_encoding(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes()) {
        None | Some(b"identity") => Ok(()),
        Some(_) => Err(Problem::new(Code::UnsupportedMediaType, "`Content-Encoding` must be `identity`")),
    }
}

/// The `Content-Type` header as written; empty if there is none.
pub(super) fn content_type(headers: &HeaderMap) -> &str {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("").trim()
}

/// A content type without its parameters, in lower case.
pub(super) fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

/// JSON and text stay what they are; whatever says it is bytes is bytes. A type that says nothing (`curl -d` sends a
/// form's) is taken for JSON if it parses, else for text if it is UTF-8.
pub(super) fn payload_of(content_type: &str, body: &Bytes) -> Result<Payload, Problem> {
    let media_type = media_type(content_type);
    let text = || {
        std::str::from_utf8(body)
            .map_err(|error| Problem::bad_payload(format!("the body is not UTF-8: {error}")))
    };
    // A copy, since a message may be kept for long, and the body with it the buffer it was read into.
    let bytes = || Payload::Bytes(Bytes::copy_from_slice(body));
    let taken = match media_type.as_str() {
        json if json == "application/json" || json.ends_with("+json") => Payload::json(text()?),
        plain if plain.starts_with("text/") => Payload::text(text()?),
        "" | "application/x-www-form-urlencoded" => match std::str::from_utf8(body) {
            Ok(text) => Payload::json(text).or_else(|_| Payload::text(text)),
            Err(_) => Ok(bytes()),
        },
        _ => Ok(bytes()),
    };
    taken.map_err(|error| Problem::bad_payload(error.to_string()))
}

/// Keeps a content type that the payload does not show by itself, as the tag `content-type`.
pub(super) fn keep_content_type(tags: &mut Tags, content_type: &str) -> Result<(), Problem> {
    let shown = matches!(
        media_type(content_type).as_str(),
        "" | "application/json"
            | "text/plain"
            | "application/octet-stream"
            | "application/x-www-form-urlencoded"
    );
    if shown {
        return Ok(());
    }
    if content_type.len() > CONTENT_TYPE_BYTES_MAX {
        let what = format!("`Content-Type` has more than {CONTENT_TYPE_BYTES_MAX} bytes");
        return Err(Problem::bad_request(what));
    }
    tags.insert("content-type".into(), content_type.into());
    Ok(())
}
