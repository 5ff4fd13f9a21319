//! fanwire's own protocol, in both encodings.

use super::{Adapter, Author, HttpPost, Publication, Subscription};
use crate::error::Result;
use crate::wire::{Data, Encoding, Reply, Request};

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
        let Publication { id, topic, key, message_id, durable, update, data, .. } = *publication;
        let ack = durable.then_some("durable");
        let update = update.map(|author| insertion(author, data));
        let data = Some(update.as_deref().map_or(Data::Text(data), Data::Bytes));
        self.encode(&Request { kind: "publish", id, topic, key, message_id, ack, data, ..Request::default() })
    }

    fn http_publish<'a>(&self, publication: &Publication<'a>) -> Option<HttpPost<'a>> {
        Some(HttpPost::fanwire(publication))
    }

    fn decode(&self, payload: &[u8]) -> std::result::Result<Vec<Reply>, String> {
        Self::decode(*self, payload)
    }
}

/// The root text of documents, a name of one letter.
pub const ROOT: &str = "t";

/// A Yjs update, in its first encoding, that inserts `text` at the beginning of the text [`ROOT`]: one client with one
/// item of text whose parent is named, and nothing deleted.
fn insertion(author: Author, text: &str) -> Vec<u8> {
    const STRING_WITHOUT_NEIGHBOURS: u8 = 4;
    const PARENT_IS_ROOT: u8 = 1;
    let mut update = vec![1, 1];
    push_number(&mut update, author.client);
    push_number(&mut update, author.clock);
    update.extend_from_slice(&[STRING_WITHOUT_NEIGHBOURS, PARENT_IS_ROOT, 1]);
    update.extend_from_slice(ROOT.as_bytes());
    push_number(&mut update, text.len() as u64);
    update.extend_from_slice(text.as_bytes());
    update.push(0);
    update
}

/// Seven bits a byte, the lowest first.
fn push_number(into: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = (number & 0x7f).to_le_bytes();
        number >>= 7;
        into.push(if number > 0 { low | 0x80 } else { low });
        if number == 0 {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_update_is_as_yjs_writes_it() {
        // Client 300, which had written 128 units, inserts `hi` into the text named `t`.
        let update = insertion(Author { client: 300, clock: 128 }, "hi");
        assert_eq!(update, [1, 1, 0xac, 2, 0x80, 1, 4, 1, 1, b't', 2, b'h', b'i', 0]);
    }
}
