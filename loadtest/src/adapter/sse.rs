//! Server-Sent Events, published to by HTTP: fanwire's `/v1/events`, and nchan's.

use super::{Adapter, Publication, Subscription};
use crate::error::{Error, Result};
use crate::wire::Reply;
use crate::ws::frame;

/// The adapter, by whose paths it uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sse {
    /// `/v1/events?topic=…`, all topics in one stream.
    Fanwire,
    /// `/sse/TOPIC`.
    Nchan,
}

impl Adapter for Sse {
    fn name(&self) -> &'static str {
        match self {
            Self::Fanwire => "fanwire-sse",
            Self::Nchan => "nchan-sse",
        }
    }

    fn subprotocol(&self) -> Option<&'static str> {
        None
    }

    fn streams_events(&self) -> bool {
        true
    }

    fn path(&self, _base: &str, subscriptions: &[Subscription]) -> String {
        match self {
            Self::Fanwire => {
                let topic = |subscription: &Subscription| format!("topic={}", subscription.topic);
                let topics: Vec<String> = subscriptions.iter().map(topic).collect();
                format!("/v1/events?{}", topics.join("&"))
            }
            Self::Nchan => {
                let topic = subscriptions.first().map_or("none", |subscription| &subscription.topic);
                format!("/sse/{topic}")
            }
        }
    }

    fn opcode(&self) -> u8 {
        frame::TEXT
    }

    fn greets(&self) -> bool {
        false
    }

    fn subscribe(&self, _id: u64, _subscription: &Subscription) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn publish(&self, _publication: &Publication<'_>) -> Result<Vec<u8>> {
        Err(Error::Usage("event streams are published to by HTTP: --publish http".into()))
    }

    fn http_path(&self, topic: &str) -> Option<String> {
        Some(match self {
            Self::Fanwire => format!("/v1/topics/{topic}/messages"),
            Self::Nchan => format!("/pub/{topic}"),
        })
    }

    /// One event, without the blank line behind it.
    fn decode(&self, payload: &[u8]) -> std::result::Result<Vec<Reply>, String> {
        let text = std::str::from_utf8(payload).map_err(|_| "an event that is not text")?;
        let mut data = Vec::new();
        let mut name = None;
        for line in text.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "data" => data.push(value),
                "event" => name = Some(value),
                _ => {}
            }
        }
        if data.is_empty() {
            return Ok(Vec::new());
        }
        let mut reply: Reply = serde_json::from_str(&data.join("\n")).unwrap_or_default();
        reply.kind = name.unwrap_or("message").to_owned();
        // Nobody asked for anything by number: an `ok` tells of a subscription.
        reply.id = None;
        Ok(vec![reply])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_names_and_comments_are_nothing() {
        let one = |text: &str| Sse::Fanwire.decode(text.as_bytes()).unwrap();
        assert!(one(":").is_empty() && one("retry: 2000").is_empty());
        let message = one("id: t=a:5\ndata: {\"type\":\"message\",\"topic\":\"t\",\"offset\":5}");
        assert_eq!((message[0].kind.as_str(), message[0].offset), ("message", Some(5)));
        let gap = one("event: gap\ndata: {\"topic\":\"t\",\"after\":5,\"next\":9}");
        assert_eq!((gap[0].kind.as_str(), gap[0].after, gap[0].next), ("gap", Some(5), Some(9)));
        assert_eq!(one("data: plain text")[0].kind, "message");
    }
}
