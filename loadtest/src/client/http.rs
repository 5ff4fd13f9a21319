//! HTTP/1.1 as far as publishing needs it: requests with a body, answers with a length.

use std::io::Write;

use serde::Deserialize;

use crate::adapter::Publication;
use crate::wire::Reply;
use crate::ws::handshake;

/// Appends the request that publishes.
pub(super) fn write_post(into: &mut Vec<u8>, host: &str, path: &str, publication: &Publication<'_>) {
    let Publication { key, message_id, durable, data, .. } = publication;
    let query = if *durable { "?ack=durable" } else { "" };
    // Writing to memory cannot fail.
    let _ = write!(into, "POST {path}{query} HTTP/1.1\r\nHost: {host}\r\nContent-Type: text/plain\r\n");
    for (name, value) in [("Message-Key", key), ("Message-Id", message_id)] {
        if let Some(value) = value {
            let _ = write!(into, "{name}: {value}\r\n");
        }
    }
    let _ = write!(into, "Content-Length: {}\r\n\r\n{data}", data.len());
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

/// Reads an answer: `ok` or `error`, and how many bytes it takes; `None` when it is not all there.
pub(super) fn read_response(bytes: &[u8]) -> Result<Option<(Reply, usize)>, String> {
    let Some((head, begin)) = handshake::head(bytes)? else { return Ok(None) };
    let status = head.split_ascii_whitespace().nth(1).unwrap_or_default();
    let length = match handshake::header(head, "content-length") {
        Some(length) => length.parse().map_err(|_| "an HTTP answer without a usable length")?,
        None if status == "204" => 0_usize,
        None => return Err("an HTTP answer without a length".into()),
    };
    let Some(body) = bytes.get(begin..begin + length) else { return Ok(None) };
    let body: Body = serde_json::from_slice(body).unwrap_or_default();
    let good = status.starts_with('2');
    let reply = Reply {
        kind: if good { "ok" } else { "error" }.into(),
        topic: body.topic,
        epoch: body.epoch,
        offset: body.offset,
        code: body.code.or_else(|| (!good).then(|| status.to_owned())),
        message: body.detail,
        retry: body.retry,
        ..Reply::default()
    };
    Ok(Some((reply, begin + length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_one_by_one_and_errors_keep_their_code() {
        let good = b"HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\n{\"offset\":7,\"epoch\":\"e\"}";
        let bad = b"HTTP/1.1 429 Too Many\r\ncontent-length: 23\r\n\r\n{\"code\":\"rate_limited\"}";
        let both = [&good[..], &bad[..]].concat();
        let (reply, length) = read_response(&both).unwrap().unwrap();
        assert_eq!((reply.kind.as_str(), reply.offset, length), ("ok", Some(7), good.len()));
        let (reply, _) = read_response(&both[length..]).unwrap().unwrap();
        assert_eq!((reply.kind.as_str(), reply.code.as_deref()), ("error", Some("rate_limited")));
        assert_eq!(read_response(&good[..good.len() - 1]), Ok(None));
    }
}
