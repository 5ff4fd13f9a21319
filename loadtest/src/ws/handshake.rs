//! The opening handshake, both sides, over bytes in memory.

use tungstenite::handshake::derive_accept_key;

/// The head of a request or response may not be longer.
const MAX_HEAD: usize = 8 * 1024;
/// The nonce has no security purpose here; RFC 6455's own example serves.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A client's request.
#[must_use]
pub fn request(host: &str, path: &str, protocol: Option<&str>) -> String {
    let offer = protocol.map_or_else(String::new, |name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{offer}\r\n"
    )
}

/// Reads the server's answer to [`request`]; the length of its head, or `None` when it is not all there.
///
/// # Errors
/// When the server refused, or accepted something that was not asked for.
pub fn read_response(bytes: &[u8], protocol: Option<&str>) -> Result<Option<usize>, String> {
    let Some((head, length)) = head(bytes)? else { return Ok(None) };
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("101") {
        return Err(format!("the server answered the WebSocket handshake with `{status}`"));
    }
    if header(head, "sec-websocket-accept") != Some(&derive_accept_key(KEY.as_bytes())) {
        return Err("the server's Sec-WebSocket-Accept does not fit".into());
    }
    match header(head, "sec-websocket-protocol") {
        chosen if chosen == protocol => Ok(Some(length)),
        chosen => Err(format!("asked for subprotocol {protocol:?}, the server chose {chosen:?}")),
    }
}

/// A client's request as the null broker needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// The answer to send.
    pub response: String,
    /// Whether the client asked for MessagePack.
    pub msgpack: bool,
    /// Bytes the request takes.
    pub length: usize,
}

/// Reads a client's request; `None` when it is not all there.
///
/// # Errors
/// When it is no WebSocket request.
pub fn read_request(bytes: &[u8]) -> Result<Option<Offer>, String> {
    let Some((head, length)) = head(bytes)? else { return Ok(None) };
    let key = header(head, "sec-websocket-key").ok_or("not a WebSocket request")?;
    let protocol = header(head, "sec-websocket-protocol");
    let msgpack = protocol.is_some_and(|name| name.ends_with("msgpack"));
    let chosen = protocol.map_or_else(String::new, |name| format!("Sec-WebSocket-Protocol: {name}\r\n"));
    let accept = derive_accept_key(key.as_bytes());
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n{chosen}\r\n"
    );
    Ok(Some(Offer { response, msgpack, length }))
}

/// The head up to its blank line, and its length with it.
pub(crate) fn head(bytes: &[u8]) -> Result<Option<(&str, usize)>, String> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n\r\n") else {
        return if bytes.len() > MAX_HEAD {
            Err("the head of the handshake does not end".into())
        } else {
            Ok(None)
        };
    };
    let head = std::str::from_utf8(&bytes[..end]).map_err(|_| "the head of the handshake is not text")?;
    Ok(Some((head, end + 4)))
}

pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_client_asks_the_server_grants() {
        let request = request("h:1", "/ws", Some("fanwire.v1.msgpack"));
        let offer = read_request(request.as_bytes()).unwrap().unwrap();
        assert!(offer.msgpack && offer.length == request.len());
        let mut answer = offer.response.into_bytes();
        let length = answer.len();
        answer.extend_from_slice(&[0x82, 0]);
        assert_eq!(read_response(&answer, Some("fanwire.v1.msgpack")), Ok(Some(length)));
        assert_eq!(read_response(&answer[..length - 1], Some("fanwire.v1.msgpack")), Ok(None));
        assert!(read_response(&answer, Some("fanwire.v1.json")).is_err());
    }

    #[test]
    fn a_refusal_is_quoted() {
        let answer = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\r\n";
        assert!(read_response(answer, Some("x")).unwrap_err().contains("503"));
    }
}
