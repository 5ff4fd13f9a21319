//! Frames made to hurt: each costs one answer, little memory, and nothing else.

use fanwire_proto::{Command, FRAME_OBJECTS_MAX, Format, Payload, Rejection, Request};

use super::catalog::refused::publish_packed;

type Results = Vec<Result<Request, Rejection>>;

fn json(frame: &str) -> Results {
    Format::Json.decode_requests(frame.as_bytes())
}

fn msgpack(frame: &[u8]) -> Results {
    Format::MsgPack.decode_requests(frame)
}

/// One rejection, as (code, id).
#[track_caller]
fn refusal(mut results: Results) -> (&'static str, Option<u64>) {
    assert_eq!(results.len(), 1, "{results:?}");
    let rejection = results.remove(0).unwrap_err();
    assert!(rejection.message.len() < 300, "{}", rejection.message);
    (rejection.code.as_str(), rejection.id)
}

#[track_caller]
fn payload(mut results: Results) -> Payload {
    assert_eq!(results.len(), 1, "{results:?}");
    match results.remove(0).unwrap().command {
        Command::Publish(publish) => publish.payload,
        other => panic!("{other:?}"),
    }
}

#[test]
fn depth_is_bounded_alike_in_both_formats() {
    let text = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!(r#"{{"type":"publish","id":1,"topic":"t","data":{open}{close}}}"#)
    };
    let packed = |depth: usize| {
        let mut data = vec![0x91; depth - 1];
        data.push(0x90);
        publish_packed(&data)
    };
    payload(json(&text(120)));
    payload(msgpack(&packed(120)));
    for depth in [121, 127, 128, 129, 1000, 1_000_000] {
        assert_eq!(refusal(json(&text(depth))), ("bad_payload", Some(1)), "{depth}");
        assert_eq!(refusal(msgpack(&packed(depth))), ("bad_payload", Some(1)), "{depth}");
    }
}

#[test]
fn the_deepest_payload_can_be_delivered_and_read() {
    let deepest = format!("{}0{}", "[{\"a\":".repeat(60), "}]".repeat(60));
    let message = fanwire_proto::Message {
        topic: "t".parse().unwrap(),
        offset: fanwire_proto::Offset(1),
        time: 0,
        payload: Payload::json(&deepest).unwrap(),
        key: None,
        tags: None,
        from: None,
        skipped: 0,
    };
    let reply = fanwire_proto::Reply { messages: Some(vec![message]), ..Default::default() };
    for format in Format::ALL {
        let event = fanwire_proto::Event::Reply(Box::new(reply.clone()));
        let mut frame = format.encode_event(&event).unwrap();
        match format {
            Format::Json => frame = [b"[", &frame[..], b"]"].concat(),
            Format::MsgPack => frame.insert(0, 0x91),
        }
        assert_eq!(format.decode_events(&frame).unwrap(), [event]);
    }
}

#[test]
fn nested_frames_are_no_objects() {
    let deep = "[".repeat(100_000);
    assert_eq!(refusal(json(&deep)), ("bad_frame", None));
    let closed = deep.clone() + &"]".repeat(100_000);
    assert_eq!(refusal(json(&closed)), ("bad_frame", None));
    let mut packed = vec![0x91; 100_000];
    packed.push(0x90);
    assert_eq!(refusal(msgpack(&packed)), ("bad_frame", None));
    // Deep unknown fields, too, are only skipped.
    let ignored = format!(r#"{{"type":"ping","x":{closed}}}"#);
    assert!(json(&ignored)[0].is_ok());
    let ignored = [b"\x82\xa4type\xa4ping\xa1x", &packed[..]].concat();
    assert!(msgpack(&ignored)[0].is_ok());
    // A key may be a container as well.
    let ignored = [b"\x82\xa4type\xa4ping", &packed[..], b"\x00"].concat();
    assert!(msgpack(&ignored)[0].is_ok());
}

#[test]
fn objects_of_a_frame_are_bounded() {
    let frame = |count: usize| format!("[{}]", vec![r#"{"type":"ping"}"#; count].join(","));
    assert_eq!(json(&frame(FRAME_OBJECTS_MAX)).len(), FRAME_OBJECTS_MAX);
    assert_eq!(refusal(json(&frame(FRAME_OBJECTS_MAX + 1))), ("bad_frame", None));
    let count = u16::try_from(FRAME_OBJECTS_MAX + 1).unwrap().to_be_bytes();
    let packed = [&[0xdc][..], &count, &vec![0x80; FRAME_OBJECTS_MAX + 1]].concat();
    assert_eq!(refusal(msgpack(&packed)), ("bad_frame", None));
}

#[test]
fn cut_off_anywhere_is_one_bad_frame() {
    let request = r#"[{"type":"publish","id":1,"topic":"t","data":{"a":[1,2.5,"x"]},"tags":{"k":"v"}}]"#;
    for end in 0..request.len() {
        assert_eq!(refusal(json(&request[..end])), ("bad_frame", None), "{end}");
    }
    let packed =
        publish_packed(b"\x83\xa1a\x92\x01\xcb\x40\x04\x00\x00\x00\x00\x00\x00\xa1b\xc0\xa1c\xd9\x01x");
    assert!(msgpack(&packed)[0].is_ok());
    for end in 0..packed.len() {
        assert_eq!(refusal(msgpack(&packed[..end])), ("bad_frame", None), "{end}");
    }
}

#[test]
fn text_that_is_not_unicode() {
    let frame = b"{\"type\":\"ping\",\"x\":\"\xff\"}";
    assert_eq!(refusal(Format::Json.decode_requests(frame)), ("bad_frame", None));
    for data in [r#""\ud800""#, r#""\udc00\ud800""#, r#"{"\ud800":1}"#, r#"["\ud800x"]"#] {
        let frame = format!(r#"{{"type":"publish","id":1,"topic":"t","data":{data}}}"#);
        assert_eq!(refusal(json(&frame)), ("bad_payload", Some(1)), "{data}");
    }
    // Half a pair where no one reads is skipped like anything unknown, as name and as value.
    assert!(json(r#"{"type":"ping","x":"\ud800","\ud800":1}"#)[0].is_ok());
    assert!(msgpack(b"\x82\xa4type\xa4ping\xa1\xff\xa1\xff")[0].is_ok());
    // Where someone reads, it is no string.
    assert_eq!(refusal(json(r#"{"type":"auth","id":1,"token":"\ud800"}"#)), ("bad_request", Some(1)));
    assert_eq!(
        refusal(msgpack(b"\x83\xa4type\xa4auth\xa2id\x01\xa5token\xa1\xff")),
        ("bad_request", Some(1))
    );
    assert_eq!(refusal(msgpack(&publish_packed(b"\x81\xa1\xff\x00"))), ("bad_payload", Some(1)));
}

#[test]
fn numbers_no_format_shares() {
    for data in ["1e999", "-1e999", "[1e400]", r#"{"a":1e309}"#] {
        let frame = format!(r#"{{"type":"publish","id":1,"topic":"t","data":{data}}}"#);
        assert_eq!(refusal(json(&frame)), ("bad_payload", Some(1)), "{data}");
    }
    for data in
        [&b"\xca\x7f\xc0\x00\x00"[..], b"\xcb\xff\xf0\x00\x00\x00\x00\x00\x00", b"\x91\xca\x7f\x80\x00\x00"]
    {
        assert_eq!(refusal(msgpack(&publish_packed(data))), ("bad_payload", Some(1)), "{data:x?}");
    }
}

#[test]
fn ids_are_read_strictly() {
    for id in ["-1", "1.5", "1.0", "1e3", "\"1\"", "18446744073709551616", "1e999", "true", "[1]", "{}"] {
        let frame = format!(r#"{{"type":"ping","id":{id}}}"#);
        assert_eq!(refusal(json(&frame)), ("bad_request", None), "{id}");
    }
    for id in [
        &b"\xff"[..],
        b"\xcb\x3f\xf0\0\0\0\0\0\0",
        b"\xa11",
        b"\xc3",
        b"\xd4\x01\0",
        b"\xc4\x01\x01",
        b"\x90",
    ] {
        let frame = [b"\x82\xa4type\xa4ping\xa2id", id].concat();
        assert_eq!(refusal(msgpack(&frame)), ("bad_request", None), "{id:x?}");
    }
    assert_eq!(refusal(json(r#"{"type":"ping","id":1,"id":2}"#)), ("bad_request", None));
    // However an integer is written, it is the same integer.
    for id in [&b"\x05"[..], b"\xcc\x05", b"\xcd\0\x05", b"\xd0\x05", b"\xd3\0\0\0\0\0\0\0\x05"] {
        let frame = [b"\x82\xa4type\xa4ping\xa2id", id].concat();
        assert_eq!(msgpack(&frame)[0].as_ref().unwrap().id, Some(5), "{id:x?}");
    }
}

#[test]
fn fields_given_twice_matter_only_where_read() {
    assert_eq!(refusal(json(r#"{"type":"ping","id":1,"type":"ping"}"#)), ("bad_request", Some(1)));
    assert_eq!(
        refusal(json(r#"{"type":"publish","id":1,"topic":"t","data":1,"data":1}"#)),
        ("bad_request", Some(1))
    );
    assert!(json(r#"{"type":"ping","id":1,"x":1,"x":2,"token":1,"token":2}"#)[0].is_ok());
    assert_eq!(
        refusal(json(r#"{"type":"publish","id":1,"topic":"t","data":1,"tags":{"a":"","a":""}}"#)),
        ("bad_request", Some(1))
    );
}

#[test]
fn unknown_fields_inside_objects_are_ignored_too() {
    let since = b"\x84\xa4type\xa9subscribe\xa2id\x01\xa5topic\xa1t\xa5since\x83\xa5epoch\xa1e\xa6offset\x01\xa1x\xd4\x01\x00";
    assert!(msgpack(since)[0].is_ok());
}

#[test]
fn bytes_and_json_cross_over() {
    let bytes = payload(msgpack(&publish_packed(b"\xc4\x03\x00\x01\xff")));
    assert_eq!(bytes, Payload::Bytes(vec![0, 1, 255].into()));
    assert_eq!(payload(json(r#"{"type":"publish","topic":"t","b64":"AAH/"}"#)), bytes);
    // A single-precision float is the double it stands for.
    assert_eq!(
        payload(msgpack(&publish_packed(b"\xca\x3d\xcc\xcc\xcd"))),
        Payload::json("0.10000000149011612").unwrap()
    );
}

#[test]
fn long_texts_are_not_echoed() {
    let long = "x".repeat(60_000);
    let (code, _) = refusal(json(&format!(r#"{{"type":"{long}"}}"#)));
    assert_eq!(code, "unknown_type");
    let (code, _) = refusal(json(&format!(r#"{{"type":"auth","token":["{long}"]}}"#)));
    assert_eq!(code, "bad_request");
    let (code, _) = refusal(json(&format!(r#"{{"type":"subscribe","topic":"{long}"}}"#)));
    assert_eq!(code, "bad_topic");
    let (code, _) = refusal(json(&format!(r#"{{"type":"publish","topic":"t","b64":"{long}!"}}"#)));
    assert_eq!(code, "bad_payload");
}

#[test]
fn clients_refuse_broken_events() {
    for frame in [
        "",
        "{",
        "7",
        "[7]",
        r#"{"type":"pong","id":-1}"#,
        r#"{"type":"message","topic":"t"}"#,
        r#"{"id":1}"#,
    ] {
        assert!(Format::Json.decode_events(frame.as_bytes()).is_err(), "{frame}");
    }
    assert_eq!(Format::Json.decode_events(b"[]"), Ok(vec![]));
    assert_eq!(Format::MsgPack.decode_events(b"\x90"), Ok(vec![]));
}
