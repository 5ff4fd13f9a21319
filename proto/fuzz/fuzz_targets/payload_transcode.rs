//! Any JSON text that is a payload is the same value after a trip through MessagePack.
#![no_main]

use fanwire_proto::{Command, Format, Payload, Publish, Request};
use serde_json::Value;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let Ok(payload) = Payload::json(text) else { return };
    let command = Command::Publish(Publish {
        topic: "t".parse().expect("a topic"),
        payload,
        key: None,
        message_id: None,
        tags: None,
    });
    let packed =
        Format::MsgPack.encode_request(&Request { id: None, command }).expect("a request can be written");
    let back = Format::MsgPack.decode_requests(&packed).pop().expect("one result").expect("a request");
    let Command::Publish(Publish { payload: Payload::Json(raw), .. }) = back.command else {
        panic!("another command");
    };
    let before: Value = serde_json::from_str(text).expect("JSON");
    let after: Value = serde_json::from_str(raw.get()).expect("JSON");
    assert_eq!(before, after);
});
