//! HTTP/1.1 as far as publishing needs it: requests with a body, answers with a length.

use std::borrow::Cow;
use std::io::Write;

use serde::Deserialize;

use super::events;
use crate::adapter::{HttpPost, Publication};
use crate::wire::Reply;
use crate::ws::handshake;

/// Appends the request that publishes.
pub(super) fn write_post(into: &mut Vec<u8>, host: &str, post: &HttpPost<'_>, publication: &Publication<'_>) {
    let Publication { key, message_id, .. } = publication;
    let HttpPost { path, content_type, body, headers } = post;
    // Writing to memory cannot fail.
    let _ = write!(into, "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: {content_type}\r\n{headers}");
    for (name, value) in [("Message-Key", key), ("Message-Id", message_id)] {
        if let Some(value) = value {
            let _ = write!(into, "{name}: {value}\r\n");
        }
    }
    let _ = write!(into, "Content-Length: {}\r\n\r\n{body}", body.len());
}

#[derive(Default, Deserialize)]
struct Body {
    topic: Option<String>,
    epoch: Option<String>,
    offset: Option<u64>,
    code: Option<String>,
    detail: Option<String>,
    retry: Option<bool>,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// `ok` or `error`.
    pub(super) reply: Reply,
    /// Bytes it takes.
    pub(super) length: usize,
    /// Whether the server closes the connection behind it.
    pub(super) closes: bool,
}

/// An answer as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Raw {
    pub(super) status: String,
    pub(super) body: Vec<u8>,
    /// Bytes it takes.
    length: usize,
    /// Whether the server closes the connection behind it.
    pub(super) closes: bool,
}

/// Reads an answer as it is; `None` when it is not all there.
pub(super) fn read_raw(bytes: &[u8]) -> Result<Option<Raw>, String> {
    let Some((head, begin)) = handshake::head(bytes)? else { return Ok(None) };
    let status = head.split_ascii_whitespace().nth(1).unwrap_or_default().to_owned();
    let Some(Content { body, length }) = read_body(head, &status, &bytes[begin..])? else { return Ok(None) };
    let closes = handshake::header(head, "connection").is_some_and(|c| c.eq_ignore_ascii_case("close"));
    Ok(Some(Raw { status, body: body.into_owned(), length: begin + length, closes }))
}

/// Reads the answer to a publication; `None` when it is not all there.
pub(super) fn read_response(bytes: &[u8]) -> Result<Option<Answer>, String> {
    let Some(Raw { status, body, length, closes }) = read_raw(bytes)? else { return Ok(None) };
    let body: Body = serde_json::from_slice(&body).unwrap_or_default();
    let good = status.starts_with('2');
    let reply = Reply {
        kind: if good { "ok" } else { "error" }.into(),
        topic: body.topic,
        epoch: body.epoch,
        offset: body.offset,
        code: body.code.or_else(|| (!good).then_some(status)),
        message: body.detail,
        retry: body.retry,
        ..Reply::default()
    };
    Ok(Some(Answer { reply, length, closes }))
}

struct Content<'a> {
    body: Cow<'a, [u8]>,
    /// Bytes it takes on the wire.
    length: usize,
}

/// The body behind a head; `None` when it is not all there.
fn read_body<'a>(head: &str, status: &str, bytes: &'a [u8]) -> Result<Option<Content<'a>>, String> {
    if handshake::header(head, "transfer-encoding").is_some_and(|c| c.eq_ignore_ascii_case("chunked")) {
        let (mut body, mut taken) = (Vec::new(), 0);
        while let Some((begin, end, length)) = events::read_chunk(&bytes[taken..])? {
            body.extend_from_slice(&bytes[taken + begin..taken + end]);
            taken += length;
            if begin == end {
                return Ok(Some(Content { body: body.into(), length: taken }));
            }
        }
        return Ok(None);
    }
    let length = match handshake::header(head, "content-length") {
        Some(length) => length.parse().map_err(|_| "an HTTP answer without a usable length")?,
        // RFC 9110 §8.6: a 204 must not have one.
        None if status == "204" => 0_usize,
        None => return Err("an HTTP answer without a length".into()),
    };
    Ok(bytes.get(..length).map(|body| Content { body: body.into(), length }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_one_by_one_and_errors_keep_their_code() {
        let good = b"HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n{\"offset\":7,\"epoch\":\"e\"}";
        let bad = b"HTTP/1.1 429 Too Many\r\ncontent-length: 23\r\n\r\n{\"code\":\"rate_limited\"}";
        let both = [&good[..], &bad[..]].concat();
        let Answer { reply, length, closes } = read_response(&both).unwrap().unwrap();
        assert!(!closes);
        assert_eq!((reply.kind.as_str(), reply.offset, length), ("ok", Some(7), good.len()));
        let Answer { reply, .. } = read_response(&both[length..]).unwrap().unwrap();
        assert_eq!((reply.kind.as_str(), reply.code.as_deref()), ("error", Some("rate_limited")));
        assert_eq!(read_response(&good[..good.len() - 1]), Ok(None));
        let parts =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\n{\"offset\"\r\n3\r\n:7}\r\n0\r\n\r\n";
        let Answer { reply, length, .. } = read_response(parts).unwrap().unwrap();
        assert_eq!((reply.offset, length), (Some(7), parts.len()));
        assert!((0..parts.len()).all(|cut| read_response(&parts[..cut]) == Ok(None)));
    }
}
