//! Heads and blocks as bytes: MessagePack arrays with a version in front. Damage inside them is found by the store's
//! checksum; what is checked here is that they make sense.

use std::sync::Arc;

use bytes::Bytes;
use fanwire_proto::{ClientId, Epoch, Kind, Member, Message, Offset, Payload, Tags, TopicName};
use serde::{Deserialize, Serialize};
use serde_bytes::Bytes as Raw;
use serde_json::value::RawValue;

use crate::topic::{self, Unkept};

/// The version of blocks, and the first one of heads.
const VERSION: u8 = 1;

/// Of heads: with what is known to be damaged.
const HEAD_VERSION: u8 = 2;

/// Why bytes are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct DamagedRecord(String);

impl From<rmp_serde::decode::Error> for DamagedRecord {
    fn from(error: rmp_serde::decode::Error) -> Self {
        Self(error.to_string())
    }
}

/// A topic's head as it is on the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoredHead {
    /// What the topic knows of itself.
    pub head: topic::Head,
    /// Crashes until it was written.
    pub crashes: u64,
    /// When it was written, in milliseconds since 1970.
    pub written_ms: u64,
}

/// A block as it is on the disk.
#[derive(Debug)]
pub struct StoredBlock {
    /// The epoch its messages were numbered in.
    pub epoch: Epoch,
    /// Crashes until it was written.
    pub crashes: u64,
    /// The last durable offset before it.
    pub previous: Offset,
    /// Messages in offset order, each with what makes its publish idempotent. Never empty.
    pub messages: Vec<(Message, Option<String>)>,
}

#[derive(Serialize, Deserialize)]
struct HeadWire {
    version: u8,
    kind: u8,
    epoch: u64,
    last: u64,
    numbered: u64,
    evicted: u64,
    crashes: u64,
    written_ms: u64,
    /// Not in the first version.
    #[serde(default)]
    damage: u64,
}

#[derive(Serialize, Deserialize)]
struct BlockWire<'a> {
    version: u8,
    epoch: u64,
    crashes: u64,
    previous: u64,
    #[serde(borrow)]
    messages: Vec<MessageWire<'a>>,
}

#[derive(Serialize, Deserialize)]
struct MessageWire<'a> {
    offset: u64,
    time: u64,
    is_json: bool,
    #[serde(borrow)]
    payload: &'a Raw,
    key: Option<&'a str>,
    tags: Option<Tags>,
    from: Option<(u64, Option<&'a str>)>,
    message_id: Option<&'a str>,
}

/// The numbers are on the disk: never reuse one.
const fn number_of(kind: Kind) -> u8 {
    match kind {
        Kind::Log => 0,
        Kind::Latest => 1,
        Kind::Volatile => 2,
        Kind::Document => 3,
    }
}

fn kind_of(number: u8) -> Result<Kind, DamagedRecord> {
    let found = Kind::ALL.iter().copied().find(|kind| number_of(*kind) == number);
    found.ok_or_else(|| DamagedRecord(format!("unknown kind {number}")))
}

fn check_version(version: u8) -> Result<(), DamagedRecord> {
    match version {
        VERSION => Ok(()),
        other => Err(DamagedRecord(format!("version {other} is not known here"))),
    }
}

/// Writes a head.
pub(super) fn encode_head(
    head: &topic::Head,
    crashes: u64,
    written_ms: u64,
) -> Result<Bytes, rmp_serde::encode::Error> {
    let wire = HeadWire {
        version: HEAD_VERSION,
        kind: number_of(head.kind),
        epoch: head.epoch.0,
        last: head.last.0,
        numbered: head.numbered.0,
        evicted: head.evicted.0,
        crashes,
        written_ms,
        damage: head.damage,
    };
    Ok(rmp_serde::to_vec(&wire)?.into())
}

/// Reads a head.
pub fn decode_head(bytes: &[u8]) -> Result<StoredHead, DamagedRecord> {
    let wire: HeadWire = rmp_serde::from_slice(bytes)?;
    // The first version had no `damage`, which then reads as none.
    if wire.version != HEAD_VERSION {
        check_version(wire.version)?;
    }
    let head = topic::Head {
        kind: kind_of(wire.kind)?,
        epoch: Epoch(wire.epoch),
        last: Offset(wire.last),
        numbered: Offset(wire.numbered),
        evicted: Offset(wire.evicted),
        damage: wire.damage,
    };
    Ok(StoredHead { head, crashes: wire.crashes, written_ms: wire.written_ms })
}

/// Writes a block.
pub(super) fn encode_block(
    epoch: Epoch,
    crashes: u64,
    previous: Offset,
    entries: &[&Unkept],
) -> Result<Bytes, rmp_serde::encode::Error> {
    let messages = entries.iter().map(|entry| wire_of(entry)).collect();
    let wire = BlockWire { version: VERSION, epoch: epoch.0, crashes, previous: previous.0, messages };
    Ok(rmp_serde::to_vec(&wire)?.into())
}

fn wire_of(entry: &Unkept) -> MessageWire<'_> {
    let message = &entry.message;
    let (is_json, payload) = match &message.payload {
        Payload::Json(raw) => (true, raw.get().as_bytes()),
        Payload::Bytes(bytes) => (false, &bytes[..]),
    };
    MessageWire {
        offset: message.offset.0,
        time: message.time,
        is_json,
        payload: Raw::new(payload),
        key: message.key.as_deref(),
        tags: message.tags.as_deref().cloned(),
        from: message.from.as_ref().map(|from| (from.client.0, from.user.as_deref())),
        message_id: entry.message_id.as_deref(),
    }
}

/// Reads a block of a topic.
pub fn decode_block(topic: &TopicName, bytes: &[u8]) -> Result<StoredBlock, DamagedRecord> {
    let wire: BlockWire<'_> = rmp_serde::from_slice(bytes)?;
    check_version(wire.version)?;
    // Topics look for offsets by halving: one out of order would hide others.
    let ascending = wire.messages.windows(2).all(|pair| pair[0].offset < pair[1].offset);
    if wire.messages.is_empty() || !ascending {
        return Err(DamagedRecord("its messages are not in order".into()));
    }
    let messages = wire.messages.into_iter().map(|message| message_of(topic, message));
    Ok(StoredBlock {
        epoch: Epoch(wire.epoch),
        crashes: wire.crashes,
        previous: Offset(wire.previous),
        messages: messages.collect::<Result<_, _>>()?,
    })
}

fn message_of(topic: &TopicName, wire: MessageWire<'_>) -> Result<(Message, Option<String>), DamagedRecord> {
    let payload = match wire.is_json {
        false => Payload::Bytes(Bytes::copy_from_slice(wire.payload)),
        true => serde_json::from_slice::<&RawValue>(wire.payload)
            .map(|raw| Payload::Json(raw.to_owned()))
            .map_err(|error| DamagedRecord(format!("message {}: {error}", wire.offset)))?,
    };
    let member = |(client, user): (u64, Option<&str>)| Member {
        client: ClientId(client),
        user: user.map(Arc::from),
        info: None,
    };
    let message = Message {
        topic: topic.clone(),
        offset: Offset(wire.offset),
        time: wire.time,
        payload,
        key: wire.key.map(Into::into),
        tags: wire.tags.map(Box::new),
        from: wire.from.map(member),
        skipped: 0,
    };
    Ok((message, wire.message_id.map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn topic() -> TopicName {
        "chat:lobby".parse().unwrap()
    }

    fn entry(offset: u64, payload: Payload, label: Option<String>) -> Unkept {
        let tags = label.clone().map(|label| Box::new(Tags::from([("t".to_owned(), label)])));
        let from = label.clone().map(|user| Member {
            client: ClientId(offset),
            user: Some(user.into()),
            info: None,
        });
        let key = label.clone().map(Into::into);
        let message =
            Message { topic: topic(), offset: Offset(offset), time: 7, payload, key, tags, from, skipped: 0 };
        Unkept { message, message_id: label, not_to: None }
    }

    proptest! {
        #[test]
        fn a_block_comes_back_as_it_was(
            payloads in prop::collection::vec((any::<Option<Vec<u8>>>(), any::<Option<String>>()), 1..20)
        ) {
            let entries: Vec<Unkept> = payloads
                .into_iter()
                .zip(1..)
                .map(|((bytes, label), offset)| {
                    let payload = bytes.map_or_else(
                        || Payload::json("{\"a\":[1,2]}").unwrap(),
                        |bytes| Payload::Bytes(bytes.into()),
                    );
                    entry(offset * 3, payload, label)
                })
                .collect();
            let refs: Vec<&Unkept> = entries.iter().collect();
            let bytes = encode_block(Epoch(9), 2, Offset(1), &refs).unwrap();
            let block = decode_block(&topic(), &bytes).unwrap();
            prop_assert_eq!((block.epoch, block.crashes, block.previous), (Epoch(9), 2, Offset(1)));
            let expected: Vec<_> =
                entries.into_iter().map(|entry| (entry.message, entry.message_id)).collect();
            prop_assert_eq!(block.messages, expected);
        }

        #[test]
        fn bytes_that_are_no_record_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_block(&topic(), &bytes);
            let _ = decode_head(&bytes);
        }
    }

    #[test]
    fn a_head_comes_back_as_it_was() {
        let head = topic::Head {
            kind: Kind::Latest,
            epoch: Epoch(u64::MAX),
            last: Offset(5),
            numbered: Offset(6),
            evicted: Offset(4),
            damage: 11,
        };
        let bytes = encode_head(&head, 3, 9).unwrap();
        assert_eq!(decode_head(&bytes), Ok(StoredHead { head, crashes: 3, written_ms: 9 }));
        assert!(decode_head(&bytes[..bytes.len() - 1]).is_err());
        let first_version = rmp_serde::to_vec(&(1_u8, 1_u8, u64::MAX, 5, 6, 4, 3, 9)).unwrap();
        let known = StoredHead { head: topic::Head { damage: 0, ..head }, crashes: 3, written_ms: 9 };
        assert_eq!(decode_head(&first_version), Ok(known));
    }
}
