//! fanwire's own protocol, in both encodings.

use super::{Adapter, HttpPost, Publication, Subscription};
use crate::error::Result;
use crate::wire::{Encoding, Reply, Request};

impl Adapter for Encoding {
    fn name(&self) -> &'static str {
        match self {
            Self::Json => "fanwire-json",
            Self::Msgpack => "fanwire-msgpack",
        }
    }

    fn subprotocol(&self) -> Option<&'static str> {
        Some(self.protocol())
    }

    fn opcode(&self) -> u8 {
        Self::opcode(*self)
    }

    fn subscribe(&self, id: u64, subscription: &Subscription) -> Result<Option<Vec<u8>>> {
        let Subscription { topic, since, max_rate } = subscription;
        let request = Request {
            kind: "subscribe",
            id,
            topic,
            since: since.as_ref(),
            max_rate: *max_rate,
            ..Request::default()
        };
        self.encode(&request).map(Some)
    }

    fn publish(&self, publication: &Publication<'_>) -> Result<Vec<u8>> {
        let Publication { id, topic, key, message_id, durable, data, .. } = *publication;
        let ack = durable.then_some("durable");
        let data = Some(data);
        self.encode(&Request { kind: "publish", id, topic, key, message_id, ack, data, ..Request::default() })
    }

    fn http_publish<'a>(&self, publication: &Publication<'a>) -> Option<HttpPost<'a>> {
        Some(HttpPost::fanwire(publication))
    }

    fn decode(&self, payload: &[u8]) -> std::result::Result<Vec<Reply>, String> {
        Self::decode(*self, payload)
    }
}
