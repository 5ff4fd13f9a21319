//! nchan: a connection for each topic, bare payloads, publishing by POST. Connecting is subscribing, and it is not
//! confirmed.

use super::{Adapter, HttpPost, Publication, Subscription, sse};
use crate::wire::Reply;

/// The adapter, by how subscribers connect; publishers are expected at `/pub/TOPIC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nchan {
    /// WebSockets at `/sub/TOPIC`.
    WebSocket,
    /// Server-Sent Events at `/sse/TOPIC`.
    Events,
}

impl Adapter for Nchan {
    fn name(&self) -> &'static str {
        match self {
            Self::WebSocket => "nchan",
            Self::Events => "nchan-sse",
        }
    }

    fn streams_events(&self) -> bool {
        *self == Self::Events
    }

    fn path(&self, _base: &str, subscriptions: &[Subscription]) -> String {
        let topic = subscriptions.first().map_or("none", |subscription| &subscription.topic);
        match self {
            Self::WebSocket => format!("/sub/{topic}"),
            Self::Events => format!("/sse/{topic}"),
        }
    }

    fn greets(&self) -> bool {
        false
    }

    fn http_publish<'a>(&self, publication: &Publication<'a>) -> Option<HttpPost<'a>> {
        Some(HttpPost::raw(format!("/pub/{}", publication.topic), publication))
    }

    fn decode(&self, payload: &[u8]) -> Result<Vec<Reply>, String> {
        match self {
            // A frame is a message and nothing else.
            Self::WebSocket => Ok(vec![Reply { kind: "message".into(), ..Reply::default() }]),
            Self::Events => sse::decode(payload),
        }
    }
}
