//! Every frame worth keeping as a vector: what `vectors/` holds is written from this list.

mod events;
pub(crate) mod refused;
mod requests;

use std::{collections::BTreeMap, path::PathBuf};

use fanwire_proto::{ClientId, Epoch, Event, Format, Offset, Payload, Position, Request, TopicName};
use serde::Serialize;

/// One frame in both formats. Every frame from `vectors/` has this shape.
#[derive(Serialize)]
pub(crate) struct Vector {
    pub(crate) name: String,
    pub(crate) direction: Direction,
    /// The text frame; absent when only MessagePack can express it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) json: Option<String>,
    /// The binary frame; absent when only JSON can express it.
    #[serde(rename = "msgpack_hex", skip_serializing_if = "Option::is_none", serialize_with = "hex")]
    pub(crate) msgpack: Option<Vec<u8>>,
    /// What becomes of each object of the frame.
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) note: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Direction {
    Request,
    Event,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Outcome {
    /// `"taken"` or `"ignored"`.
    Plain(&'static str),
    /// The `error` reply it earns.
    Refused { code: &'static str, id: Option<u64> },
}

pub(crate) const TAKEN: Outcome = Outcome::Plain("taken");
pub(crate) const IGNORED: Outcome = Outcome::Plain("ignored");

/// Every vector, named apart.
pub(crate) fn all() -> Vec<Vector> {
    let mut vectors = requests::vectors();
    vectors.extend(refused::vectors());
    vectors.extend(events::vectors());
    vectors
}

/// Where the vectors are kept.
pub(crate) fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

/// The files' names and contents.
pub(crate) fn files() -> BTreeMap<String, String> {
    let vectors = all();
    let count = vectors.len();
    let file = |vector: Vector| {
        (format!("{}.json", vector.name), serde_json::to_string_pretty(&vector).unwrap() + "\n")
    };
    let files: BTreeMap<_, _> = vectors.into_iter().map(file).collect();
    assert_eq!(files.len(), count, "two vectors have the same name");
    files
}

fn request(name: &str, note: &str, request: Request) -> Vector {
    Vector {
        name: format!("request_{name}"),
        direction: Direction::Request,
        json: Some(String::from_utf8(Format::Json.encode_request(&request).unwrap()).unwrap()),
        msgpack: Some(Format::MsgPack.encode_request(&request).unwrap()),
        outcomes: vec![TAKEN],
        note: note.into(),
    }
}

fn event(name: &str, note: &str, event: &Event) -> Vector {
    Vector {
        name: format!("event_{name}"),
        direction: Direction::Event,
        json: Some(String::from_utf8(Format::Json.encode_event(event).unwrap()).unwrap()),
        msgpack: Some(Format::MsgPack.encode_event(event).unwrap()),
        outcomes: vec![TAKEN],
        note: note.into(),
    }
}

/// JSON text as it is, and the same value in MessagePack.
fn written(name: &str, note: &str, json: &str, outcomes: Vec<Outcome>) -> Vector {
    // Unchecked, so that it may be a payload no one may publish.
    let value = Payload::Json(serde_json::from_str::<&serde_json::value::RawValue>(json).unwrap().to_owned());
    Vector {
        name: name.into(),
        direction: if name.starts_with("event") { Direction::Event } else { Direction::Request },
        json: Some(json.into()),
        msgpack: Some(rmp_serde::to_vec_named(&value).unwrap()),
        outcomes,
        note: note.into(),
    }
}

fn hex<S: serde::Serializer>(bytes: &Option<Vec<u8>>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&data_encoding::HEXLOWER.encode_display(bytes.as_deref().unwrap_or_default()))
}

fn topic(name: &str) -> TopicName {
    name.parse().unwrap()
}

fn json(text: &str) -> Payload {
    Payload::json(text).unwrap()
}

const EPOCH: Epoch = Epoch(0x0000_5c6e_1f0a_77d3);
const CLIENT: ClientId = ClientId(0x9f86_d081_884c_7d65);

fn position(offset: u64) -> Position {
    Position { epoch: EPOCH, offset: Offset(offset) }
}
