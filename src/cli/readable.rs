//! Entries of a store for people and for other programs.

use std::collections::HashMap;

use data_encoding::BASE64;
use fanwire::{
    durable::{StoredBlock, StoredHead, decode_block, decode_head, topic_of},
    memory::unscoped,
    store::{Damaged, Space},
};
use fanwire_proto::{Event, Format, Message, Offset, TopicName};
use serde_json::{Map, Value, json};

/// A key as text: topic and place where it has them.
pub(super) fn named(space: Space, key: &[u8]) -> String {
    let topic = matches!(space, Space::Messages | Space::Values).then(|| topic_of(key)).flatten();
    let Some(topic) = topic else { return key.escape_ascii().to_string() };
    let rest = &key[topic.as_str().len() + 1..];
    match (space, rest.try_into()) {
        (Space::Messages, Ok(first)) => format!("{topic} {}", u64::from_be_bytes(first)),
        _ => format!("{topic} {}", rest.escape_ascii()),
    }
}

/// The lines of JSON for an entry: one for each message of a block, one for anything else.
pub(super) fn exported(space: Space, key: &[u8], value: &[u8], certain: bool) -> Vec<Value> {
    let decoded = match space {
        Space::Messages | Space::Values => topic_of(key).and_then(|topic| block(&topic, value)),
        Space::Topics => head(key, value).map(|line| vec![line]),
        Space::Deliveries | Space::Seen | Space::Documents | Space::Store => None,
    };
    let lines = decoded.unwrap_or_else(|| vec![raw(key, value)]);
    lines
        .into_iter()
        .map(|mut line| {
            line.insert("space".into(), space.name().into());
            if !certain {
                line.insert("certain".into(), false.into());
            }
            Value::Object(line)
        })
        .collect()
}

fn raw(key: &[u8], value: &[u8]) -> Map<String, Value> {
    let line = json!({
        "key": key.escape_ascii().to_string(),
        "key_b64": BASE64.encode(key),
        "value_b64": BASE64.encode(value),
    });
    object(line)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn head(key: &[u8], value: &[u8]) -> Option<Map<String, Value>> {
    let topic = std::str::from_utf8(key).ok()?;
    let StoredHead { head, .. } = decode_head(value).ok()?;
    let kind = format!("{:?}", head.kind).to_lowercase();
    Some(object(json!({
        "topic": topic, "kind": kind, "epoch": head.epoch, "last": head.last, "evicted": head.evicted,
    })))
}

fn block(topic: &TopicName, value: &[u8]) -> Option<Vec<Map<String, Value>>> {
    let StoredBlock { epoch, messages, .. } = decode_block(topic, value).ok()?;
    let line = |(message, message_id): (Message, Option<String>)| {
        // As the protocol has it, so that whoever reads one reads the other.
        let text = Format::Json.encode_event(&Event::Message(message)).ok()?;
        let mut line: Map<String, Value> = serde_json::from_slice(&text).ok()?;
        line.remove("type");
        line.insert("epoch".into(), json!(epoch));
        if let Some(id) = message_id {
            line.insert("message_id".into(), Value::String(unscoped(&id).to_owned()));
        }
        Some(line)
    };
    messages.into_iter().map(line).collect()
}

/// Looks whether blocks of messages follow each other.
#[derive(Default)]
pub(super) struct Blocks {
    /// The last offset of each topic so far.
    last: HashMap<TopicName, Offset>,
}

impl Blocks {
    /// What is wrong with an entry that is as it was written: it makes no sense, or one before it is missing.
    pub(super) fn problem(&mut self, space: Space, key: &[u8], value: &[u8]) -> Option<Damaged> {
        let damaged =
            |what: String| Some(Damaged { place: format!("{} {}", space.name(), named(space, key)), what });
        if !matches!(space, Space::Messages | Space::Values) {
            return None;
        }
        let Some(topic) = topic_of(key) else { return damaged("no topic has such a key".into()) };
        let block = match decode_block(&topic, value) {
            Ok(block) => block,
            Err(error) => return damaged(error.to_string()),
        };
        let last = block.messages.last()?.0.offset;
        // Values have no predecessors: each key has only its newest, so there is nothing that could be missing between
        // two.
        let before = self.last.insert(topic, last).filter(|_| space == Space::Messages)?;
        if before == block.previous {
            return None;
        }
        damaged(format!("offset {} should come before it, {before} does", block.previous))
    }
}
