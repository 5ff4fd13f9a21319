//! Centrifugo's client protocol in JSON: commands and replies on lines of their own, publishing on the same connection.
//! (centrifugal.dev, "Client protocol"; the fields are those of its `client.proto`.)

use serde::{Deserialize, Serialize};

use super::{Adapter, Publication, Subscription};
use crate::error::{Error, Result};
use crate::wire::Reply;

/// The number of the `connect` command: the highest there is, so that it is nobody else's.
const CONNECT_ID: u64 = u32::MAX as u64;

/// The adapter.
#[derive(Clone, Copy, Debug)]
pub struct Centrifugo;

#[derive(Default, Serialize)]
struct Command<'a> {
    id: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect: Option<Connect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscribe: Option<Channel<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    publish: Option<Channel<'a>>,
}

#[derive(Serialize)]
struct Connect {
    name: &'static str,
}

#[derive(Serialize)]
struct Channel<'a> {
    channel: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a str>,
}

/// A reply or a push; an empty one is a ping.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Line {
    id: Option<u64>,
    error: Option<Refusal>,
    push: Option<Push>,
}

#[derive(Deserialize)]
struct Refusal {
    code: u32,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Push {
    channel: Option<String>,
    #[serde(rename = "pub")]
    publication: Option<Publish>,
    unsubscribe: Option<Refusal>,
    disconnect: Option<Refusal>,
}

#[derive(Deserialize)]
struct Publish {
    offset: Option<u64>,
}

impl Command<'_> {
    fn encode(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|error| Error::Encode(error.to_string()))
    }
}

impl Line {
    fn reply(self) -> Reply {
        let Self { id, error, push } = self;
        if let Some(push) = push {
            return push.reply();
        }
        let Some(id) = id else {
            // The server's ping; the answer is the same.
            return Reply { kind: "ping".into(), code: Some("{}".into()), ..Reply::default() };
        };
        let kind = match error {
            Some(_) => "error",
            None if id == CONNECT_ID => "welcome",
            None => "ok",
        };
        let (code, message) = error.map(|error| (error.code.to_string(), error.message)).unzip();
        Reply { kind: kind.into(), id: Some(id), code, message, ..Reply::default() }
    }
}

impl Push {
    fn reply(self) -> Reply {
        let Self { channel: topic, publication, unsubscribe, disconnect } = self;
        if let Some(publication) = publication {
            return Reply { kind: "message".into(), topic, offset: publication.offset, ..Reply::default() };
        }
        let Some(end) = unsubscribe.or(disconnect) else {
            return Reply { kind: "other".into(), ..Reply::default() };
        };
        let (code, message) = (Some(end.code.to_string()), Some(end.message));
        Reply { kind: "end".into(), topic, code, message, ..Reply::default() }
    }
}

impl Adapter for Centrifugo {
    fn name(&self) -> &'static str {
        "centrifugo"
    }

    fn path(&self, base: &str, _subscriptions: &[Subscription]) -> String {
        if base == "/" { "/connection/websocket".into() } else { base.into() }
    }

    fn first_words(&self) -> Option<Vec<u8>> {
        let connect = Some(Connect { name: "loadtest" });
        Command { id: CONNECT_ID, connect, ..Command::default() }.encode().ok()
    }

    fn subscribe(&self, id: u64, subscription: &Subscription) -> Result<Option<Vec<u8>>> {
        let subscribe = Some(Channel { channel: &subscription.topic, data: None });
        Command { id, subscribe, ..Command::default() }.encode().map(Some)
    }

    fn publish(&self, publication: &Publication<'_>) -> Result<Vec<u8>> {
        let publish = Some(Channel { channel: publication.topic, data: Some(publication.data) });
        Command { id: publication.id, publish, ..Command::default() }.encode()
    }

    fn decode(&self, payload: &[u8]) -> std::result::Result<Vec<Reply>, String> {
        let lines = payload.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        let reply = |line| serde_json::from_slice::<Line>(line).map(Line::reply);
        lines.map(reply).collect::<std::result::Result<_, _>>().map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_pushes_and_pings_come_on_lines_of_their_own() {
        let frame = concat!(
            r#"{"id":4294967295,"connect":{"client":"c","version":"6.0.0","ping":25,"pong":true}}"#,
            "\n{}\n",
            r#"{"id":1,"subscribe":{"recoverable":true,"epoch":"e"}}"#,
            "\n",
            r#"{"push":{"channel":"a","pub":{"data":"x","offset":7}}}"#,
            "\n",
            r#"{"id":9,"error":{"code":103,"message":"permission denied"}}"#,
            "\n",
            r#"{"push":{"channel":"a","unsubscribe":{"code":2500,"reason":"no"}}}"#,
        );
        let replies = Centrifugo.decode(frame.as_bytes()).unwrap();
        let kinds: Vec<&str> = replies.iter().map(|reply| reply.kind.as_str()).collect();
        assert_eq!(kinds, ["welcome", "ping", "ok", "message", "error", "end"]);
        assert_eq!((replies[1].code.as_deref(), replies[3].offset), (Some("{}"), Some(7)));
        assert_eq!((replies[4].id, replies[4].code.as_deref()), (Some(9), Some("103")));
        assert!(Centrifugo.decode(b"{\"id\":").is_err());
    }

    #[test]
    fn commands_are_as_the_protocol_has_them() {
        let subscribe = Centrifugo.subscribe(1, &Subscription::to("a")).unwrap().unwrap();
        assert_eq!(subscribe, br#"{"id":1,"subscribe":{"channel":"a"}}"#);
        let publication = Publication {
            id: 5,
            topic: "a",
            key: None,
            message_id: None,
            durable: false,
            update: None,
            webhook: false,
            data: "x",
        };
        let publish = Centrifugo.publish(&publication).unwrap();
        assert_eq!(publish, br#"{"id":5,"publish":{"channel":"a","data":"x"}}"#);
    }
}
