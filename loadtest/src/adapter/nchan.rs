//! nchan: a WebSocket for each topic, bare payloads, publishing by POST. Connecting is subscribing, and it is not
//! confirmed.

use super::{Adapter, Publication, Subscription};
use crate::error::{Error, Result};
use crate::wire::Reply;
use crate::ws::frame;

/// The adapter; it expects subscribers at `/sub/TOPIC` and publishers at `/pub/TOPIC`.
#[derive(Clone, Copy, Debug)]
pub struct Nchan;

impl Adapter for Nchan {
    fn name(&self) -> &'static str {
        "nchan"
    }

    fn subprotocol(&self) -> Option<&'static str> {
        None
    }

    fn path(&self, _base: &str, subscriptions: &[Subscription]) -> String {
        let topic = subscriptions.first().map_or("none", |subscription| &subscription.topic);
        format!("/sub/{topic}")
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
        Err(Error::Usage("nchan is published to by HTTP: --publish http".into()))
    }

    fn http_path(&self, topic: &str) -> Option<String> {
        Some(format!("/pub/{topic}"))
    }

    fn decode(&self, _payload: &[u8]) -> std::result::Result<Vec<Reply>, String> {
        // A frame is a message and nothing else.
        Ok(vec![Reply { kind: "message".into(), ..Reply::default() }])
    }
}
