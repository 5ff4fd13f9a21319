//! MQTT 3.1.1 over WebSocket, quality of service 0: publications are not acknowledged.

use super::{Adapter, Publication, Subscription};
use crate::clock;
use crate::error::{Error, Result};
use crate::wire::Reply;
use crate::ws::frame;

const CONNECT: u8 = 0x10;
const CONNACK: u8 = 0x20;
const PUBLISH: u8 = 0x30;
const SUBSCRIBE: u8 = 0x82;
const SUBACK: u8 = 0x90;
/// A return code from here on is a failure.
const REFUSED: u8 = 0x80;

/// The adapter.
#[derive(Clone, Copy, Debug)]
pub struct Mqtt;

/// A packet of `kind` around `body`.
fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    let mut length = body.len();
    loop {
        let [low, ..] = (length & 0x7f).to_le_bytes();
        length >>= 7;
        bytes.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            break;
        }
    }
    bytes.extend_from_slice(body);
    bytes
}

/// Appends text with its length in front.
fn push_text(into: &mut Vec<u8>, text: &str) -> Result<()> {
    let length = u16::try_from(text.len()).map_err(|_| Error::Usage("a name is too long for MQTT".into()))?;
    into.extend_from_slice(&length.to_be_bytes());
    into.extend_from_slice(text.as_bytes());
    Ok(())
}

/// The packet at the start of `bytes`: its kind, its body, and what follows.
fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&kind, mut rest) = bytes.split_first()?;
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        let (&byte, after) = rest.split_first()?;
        rest = after;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
        // Four bytes at most (MQTT 3.1.1 §2.2.3).
        if shift > 21 {
            return None;
        }
    }
    let (body, rest) = rest.split_at_checked(length)?;
    Some((kind, body, rest))
}

impl Adapter for Mqtt {
    fn name(&self) -> &'static str {
        "mqtt"
    }

    fn subprotocol(&self) -> Option<&'static str> {
        Some("mqtt")
    }

    fn opcode(&self) -> u8 {
        frame::BINARY
    }

    fn first_words(&self) -> Option<Vec<u8>> {
        // Protocol MQTT, level 4, clean session, no keepalive; the name must be unlike all others.
        let mut body = b"\x00\x04MQTT\x04\x02\x00\x00".to_vec();
        push_text(&mut body, &format!("lt{:x}-{:x}", std::process::id(), clock::now_ns())).ok()?;
        Some(packet(CONNECT, &body))
    }

    fn subscribe(&self, id: u64, subscription: &Subscription) -> Result<Option<Vec<u8>>> {
        let id = u16::try_from(id).map_err(|_| Error::Usage("too many subscriptions for MQTT".into()))?;
        let mut body = id.to_be_bytes().to_vec();
        push_text(&mut body, &subscription.topic)?;
        body.push(0);
        Ok(Some(packet(SUBSCRIBE, &body)))
    }

    fn publish(&self, publication: &Publication<'_>) -> Result<Vec<u8>> {
        let mut body = Vec::with_capacity(publication.topic.len() + publication.data.len() + 2);
        push_text(&mut body, publication.topic)?;
        body.extend_from_slice(publication.data.as_bytes());
        Ok(packet(PUBLISH, &body))
    }

    fn acknowledges(&self) -> bool {
        false
    }

    fn decode(&self, payload: &[u8]) -> std::result::Result<Vec<Reply>, String> {
        let mut replies = Vec::new();
        let mut rest = payload;
        while !rest.is_empty() {
            let (kind, body, after) = split(rest).ok_or("a packet that does not end")?;
            rest = after;
            let refused = body.last().is_none_or(|&code| code >= REFUSED);
            let kind = match kind & 0xf0 {
                CONNACK if body.get(1) == Some(&0) => "welcome",
                CONNACK => "error",
                SUBACK if refused => "error",
                SUBACK => "ok",
                PUBLISH => "message",
                _ => "other",
            };
            replies.push(Reply { kind: kind.into(), ..Reply::default() });
        }
        Ok(replies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_of_every_length_are_split_where_they_end() {
        for length in [0, 127, 128, 16_383, 16_384, 100_000] {
            let bytes = [packet(PUBLISH, &vec![7; length]), packet(SUBACK, &[0, 1, 0])].concat();
            let (kind, body, rest) = split(&bytes).unwrap();
            assert_eq!((kind, body.len(), rest.len()), (PUBLISH, length, 5));
            assert!(split(&bytes[..1]).is_none());
        }
        assert!(split(&[PUBLISH, 0xff, 0xff, 0xff, 0xff, 1]).is_none());
    }

    #[test]
    fn a_refused_subscription_is_an_error() {
        let frame =
            [packet(CONNACK, &[0, 0]), packet(SUBACK, &[0, 1, 0]), packet(SUBACK, &[0, 2, 0x80])].concat();
        let kinds: Vec<String> = Mqtt.decode(&frame).unwrap().into_iter().map(|reply| reply.kind).collect();
        assert_eq!(kinds, ["welcome", "ok", "error"]);
    }
}
