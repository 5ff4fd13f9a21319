//! Socket.IO (protocol 5 over Engine.IO 4, WebSocket only), with the events of `servers/socketio.py`: `subscribe` and
//! `publish`, both acknowledged, and `message`.

use super::{Adapter, Publication, Subscription};
use crate::error::{Error, Result};
use crate::wire::Reply;

/// The adapter.
#[derive(Clone, Copy, Debug)]
pub struct SocketIo;

fn event(id: u64, arguments: &[&str]) -> Result<Vec<u8>> {
    let arguments = serde_json::to_string(arguments).map_err(|error| Error::Encode(error.to_string()))?;
    Ok(format!("42{id}{arguments}").into_bytes())
}

impl Adapter for SocketIo {
    fn name(&self) -> &'static str {
        "socketio"
    }

    fn path(&self, _base: &str, _subscriptions: &[Subscription]) -> String {
        "/socket.io/?EIO=4&transport=websocket".into()
    }

    fn subscribe(&self, id: u64, subscription: &Subscription) -> Result<Option<Vec<u8>>> {
        event(id, &["subscribe", &subscription.topic]).map(Some)
    }

    fn publish(&self, publication: &Publication<'_>) -> Result<Vec<u8>> {
        event(publication.id, &["publish", publication.topic, publication.data])
    }

    fn decode(&self, payload: &[u8]) -> std::result::Result<Vec<Reply>, String> {
        let text = std::str::from_utf8(payload).map_err(|_| "a packet that is not text")?;
        let answer = |code: &str| ("ping", Some(code.to_owned()));
        let (kind, code) = match text.as_bytes() {
            // Opened: enter the default namespace. A ping is answered with a pong.
            [b'0', ..] => answer("40"),
            [b'2', ..] => answer("3"),
            [b'4', b'0', ..] => ("welcome", None),
            [b'4', b'2', ..] => ("message", None),
            [b'4', b'3', ..] => ("ok", None),
            [b'4', b'4', ..] => ("error", Some(text[2..].to_owned())),
            _ => ("other", None),
        };
        let digits = text.get(2..).unwrap_or_default();
        let digits = &digits[..digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len())];
        Ok(vec![Reply { kind: kind.into(), code, id: digits.parse().ok(), ..Reply::default() }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_told_apart_by_their_first_digits() {
        for (packet, kind, id) in [
            (r#"0{"sid":"x","pingInterval":25000}"#, "ping", None),
            (r#"40{"sid":"y"}"#, "welcome", None),
            (r#"42["message","data"]"#, "message", None),
            ("4317[true]", "ok", Some(17)),
            (r#"44{"message":"no"}"#, "error", None),
            ("2", "ping", None),
        ] {
            let replies = SocketIo.decode(packet.as_bytes()).unwrap();
            assert_eq!((replies[0].kind.as_str(), replies[0].id), (kind, id), "{packet}");
        }
        assert_eq!(event(7, &["subscribe", "a:b"]).unwrap(), br#"427["subscribe","a:b"]"#);
    }
}
