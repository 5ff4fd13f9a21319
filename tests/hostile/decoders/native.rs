//! The native protocol, in both of its formats.

use fanwire_proto::Format;
use serde_json::Value;

use super::{Decode, files};
use crate::{json, random::Random};

/// What MessagePack begins lists, maps and small numbers with.
pub(super) const MARKS: &[&str] = &["\u{1}", "\0", "data", "type", "tags"];

pub(super) fn requests_json() -> Vec<Vec<u8>> {
    let vectors =
        files("proto/vectors").into_iter().filter_map(|bytes| serde_json::from_slice::<Value>(&bytes).ok());
    let requests: Vec<Vec<u8>> =
        vectors.filter_map(|vector| Some(vector["json"].as_str()?.as_bytes().to_vec())).collect();
    [
        requests,
        vec![
            br#"{"type":"publish","id":1,"topic":"chat:a","data":{"a":[1,2]},"key":"k","tags":{"a":"b"}}"#
                .into(),
        ],
    ]
    .concat()
}

pub(super) fn request_json(random: &mut Random) -> Vec<u8> {
    let value = json::value(random);
    let around: (&[u8], &[u8]) = match random.below(5) {
        0 => (br#"{"type":"publish","id":1,"topic":"chat:a","data":"#, b"}"),
        1 => (br#"{"type":"publish","topic":"chat:a","data":1,"tags":"#, b"}"),
        2 => (br#"{"unknown":"#, br#","type":"subscribe","id":1,"topic":"chat:a","last":20}"#),
        3 => (br#"[{"type":"ping","id":"#, b"}]"),
        _ => {
            let command = r#"{"type":"ping","id":1},"#.repeat(random.size(10_000));
            return format!("[{}]", command.trim_end_matches(',')).into_bytes();
        }
    };
    [around.0, &value, around.1].concat()
}

pub(super) fn requests_msgpack() -> Vec<Vec<u8>> {
    let requests = requests_json().into_iter().flat_map(|json| Format::Json.decode_requests(&json)).flatten();
    requests.map(|request| Format::MsgPack.encode_request(&request).unwrap().to_vec()).collect()
}

pub(super) fn request_msgpack(random: &mut Random) -> Vec<u8> {
    // {"type": "publish", "topic": "t", "data": …}
    let mut bytes = b"\x83\xa4type\xa7publish\xa5topic\xa1t\xa4data".to_vec();
    bytes.extend(marks(random));
    match random.below(3) {
        0 => [vec![0xdc, 0xff, 0xff], bytes].concat(),
        _ => bytes,
    }
}

/// A value whose nesting is deep, or whose length nothing bears out.
pub(super) fn marks(random: &mut Random) -> Vec<u8> {
    let depth = random.size(100_000);
    let mut bytes = match random.below(6) {
        0 => [0x91].repeat(depth),
        1 => [0x81, 0xa1, b'a'].repeat(depth),
        2 => vec![0xdd, 0xff, 0xff, 0xff, 0xff],
        3 => vec![0xdf, 0xff, 0xff, 0xff, 0xff, 0xa1, b'a'],
        4 => vec![0xdb, 0x7f, 0xff, 0xff, 0xff, b'a'],
        _ => vec![0xc9, 0xff, 0xff, 0xff, 0xff, 1],
    };
    bytes.push(0xc0);
    bytes
}

/// A client's and a server's side of it; what is understood can be written again.
pub(super) fn decoder(format: Format) -> Decode {
    Box::new(move |bytes| {
        for request in format.decode_requests(bytes).into_iter().flatten() {
            for other in Format::ALL {
                let written = other.encode_request(&request).unwrap();
                assert!(other.decode_requests(&written).iter().all(Result::is_ok));
            }
        }
        for event in format.decode_events(bytes).unwrap_or_default() {
            format.encode_event(&event).unwrap();
        }
    })
}
