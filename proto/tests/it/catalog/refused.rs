//! Frames the broker refuses, whole or in part.

use super::{Direction, Outcome, TAKEN, Vector, written};

pub(super) fn vectors() -> Vec<Vector> {
    let mut vectors = fields();
    vectors.extend(frames());
    vectors.extend(json_only());
    vectors.extend(msgpack_only());
    vectors
}

fn refused(code: &'static str, id: impl Into<Option<u64>>) -> Outcome {
    Outcome::Refused { code, id: id.into() }
}

#[expect(clippy::too_many_lines, reason = "one table")]
fn fields() -> Vec<Vector> {
    let one = |name: &str, note: &str, json: &str, code, id: Option<u64>| {
        written(&format!("refused_{name}"), note, json, vec![refused(code, id)])
    };
    let long_key = format!(r#"{{"type":"publish","id":1,"topic":"t","data":0,"key":"{}"}}"#, "k".repeat(201));
    let long_topic = format!(r#"{{"type":"presence","id":1,"topic":"{}"}}"#, "t".repeat(201));
    let tags: Vec<_> = (0..17).map(|n| format!(r#""{n}":"""#)).collect();
    let many_tags =
        format!(r#"{{"type":"publish","id":1,"topic":"t","data":0,"tags":{{{}}}}}"#, tags.join(","));
    let long_tag =
        format!(r#"{{"type":"publish","id":1,"topic":"t","data":0,"tags":{{"a":"{}"}}}}"#, "v".repeat(201));
    let deep =
        format!(r#"{{"type":"publish","id":1,"topic":"t","data":{}{}}}"#, "[".repeat(121), "]".repeat(121));
    vec![
        one("unknown_type", "", r#"{"type":"shout","id":1}"#, "unknown_type", Some(1)),
        one("no_type", "", r#"{"id":1}"#, "bad_request", Some(1)),
        one("no_topic", "", r#"{"type":"subscribe","id":1}"#, "bad_request", Some(1)),
        one(
            "topic_wildcard",
            "Only patterns have `*`.",
            r#"{"type":"subscribe","id":1,"topic":"chat:*"}"#,
            "bad_topic",
            Some(1),
        ),
        one("topic_empty", "", r#"{"type":"subscribe","id":1,"topic":""}"#, "bad_topic", Some(1)),
        one("topic_long", "201 bytes.", &long_topic, "bad_topic", Some(1)),
        one("topic_number", "", r#"{"type":"subscribe","id":1,"topic":7}"#, "bad_request", Some(1)),
        one("id_negative", "", r#"{"type":"ping","id":-1}"#, "bad_request", None),
        one("id_float", "", r#"{"type":"ping","id":1.0}"#, "bad_request", None),
        one("id_string", "", r#"{"type":"ping","id":"1"}"#, "bad_request", None),
        one(
            "since_incomplete",
            "",
            r#"{"type":"subscribe","id":1,"topic":"t","since":{"epoch":"e"}}"#,
            "bad_request",
            Some(1),
        ),
        one(
            "ack_unknown",
            "",
            r#"{"type":"publish","id":1,"topic":"t","data":1,"ack":"none"}"#,
            "bad_request",
            Some(1),
        ),
        one(
            "except_nobody",
            "",
            r#"{"type":"publish","id":1,"topic":"t","data":1,"except":"me"}"#,
            "bad_request",
            Some(1),
        ),
        one(
            "max_rate_zero",
            "",
            r#"{"type":"subscribe","id":1,"topic":"t","max_rate":0}"#,
            "bad_request",
            Some(1),
        ),
        one(
            "last_negative",
            "",
            r#"{"type":"subscribe","id":1,"topic":"t","last":-1}"#,
            "bad_request",
            Some(1),
        ),
        one("no_payload", "", r#"{"type":"publish","id":1,"topic":"t"}"#, "bad_request", Some(1)),
        one(
            "two_payloads",
            "",
            r#"{"type":"publish","id":1,"topic":"t","data":null,"b64":""}"#,
            "bad_request",
            Some(1),
        ),
        one(
            "b64_broken",
            "Standard alphabet, padded, no white space.",
            r#"{"type":"publish","id":1,"topic":"t","b64":"AAE"}"#,
            "bad_payload",
            Some(1),
        ),
        one("key_long", "201 bytes.", &long_key, "bad_request", Some(1)),
        one("tags_long", "A value of 201 bytes.", &long_tag, "bad_request", Some(1)),
        one("tags_many", "17 entries.", &many_tags, "bad_request", Some(1)),
        one(
            "tags_numbers",
            "",
            r#"{"type":"publish","id":1,"topic":"t","data":0,"tags":{"a":1}}"#,
            "bad_request",
            Some(1),
        ),
        one("payload_deep", "Nested 121 deep.", &deep, "bad_payload", Some(1)),
        one("no_token", "", r#"{"type":"auth","id":1}"#, "bad_request", Some(1)),
    ]
}

fn frames() -> Vec<Vector> {
    vec![
        written(
            "refused_scalar",
            "A frame is an object or an array of objects.",
            "7",
            vec![refused("bad_frame", None)],
        ),
        written(
            "refused_in_batch",
            "Each object of an array is judged alone.",
            r#"[{"type":"ping","id":1},{"type":"shout","id":2},7,[{"type":"ping"}],{"type":"ping","id":3}]"#,
            vec![
                TAKEN,
                refused("unknown_type", 2),
                refused("bad_frame", None),
                refused("bad_frame", None),
                TAKEN,
            ],
        ),
    ]
}

fn json_only() -> Vec<Vector> {
    let one = |name: &str, note: &str, json: &str, code, id: Option<u64>| Vector {
        name: format!("refused_json_{name}"),
        direction: Direction::Request,
        json: Some(json.into()),
        msgpack: None,
        outcomes: vec![refused(code, id)],
        note: note.into(),
    };
    vec![
        one("empty", "", "", "bad_frame", None),
        one("cut_off", "", r#"{"type":"ping","id":1"#, "bad_frame", None),
        one("trailing", "", r#"{"type":"ping","id":1} {"type":"ping","id":2}"#, "bad_frame", None),
        one(
            "broken_batch",
            "One syntax error spoils the frame.",
            r#"[{"type":"ping","id":1},{"type":}]"#,
            "bad_frame",
            None,
        ),
        one("id_huge", "2^64.", r#"{"type":"ping","id":18446744073709551616}"#, "bad_request", None),
        one(
            "surrogate",
            "Half a surrogate pair is no character.",
            r#"{"type":"publish","id":1,"topic":"t","data":["\ud800"]}"#,
            "bad_payload",
            Some(1),
        ),
        one(
            "number_huge",
            "No double holds it.",
            r#"{"type":"publish","id":1,"topic":"t","data":1e999}"#,
            "bad_payload",
            Some(1),
        ),
        one(
            "twice",
            "A field that the command reads may stand only once.",
            r#"{"type":"subscribe","id":1,"topic":"a","topic":"b"}"#,
            "bad_request",
            Some(1),
        ),
    ]
}

/// `{"type":"publish","id":1,"topic":"t","data":…}` with these bytes as `data`.
pub(crate) fn publish_packed(data: &[u8]) -> Vec<u8> {
    let mut frame = b"\x84\xa4type\xa7publish\xa2id\x01\xa5topic\xa1t\xa4data".to_vec();
    frame.extend_from_slice(data);
    frame
}

fn msgpack_only() -> Vec<Vector> {
    let one = |name: &str, note: &str, frame: &[u8], outcomes| Vector {
        name: format!("refused_msgpack_{name}"),
        direction: Direction::Request,
        json: None,
        msgpack: Some(frame.into()),
        outcomes,
        note: note.into(),
    };
    let payload = |name: &str, note: &str, data: &[u8]| {
        one(name, note, &publish_packed(data), vec![refused("bad_payload", 1)])
    };
    let whole = || vec![refused("bad_frame", None)];
    let mut batch = vec![0x92];
    batch.extend(publish_packed(b"\x81\xa1x\xc4\x01\x00"));
    batch.extend(b"\x82\xa4type\xa4ping\xa2id\x02");
    vec![
        one("empty", "", b"", whole()),
        one("cut_off", "", b"\x82\xa4type\xa4ping\xa2id", whole()),
        one("trailing", "", b"\x82\xa4type\xa4ping\xa2id\x01\xc0", whole()),
        one(
            "claims_4g",
            "An array of 2^32-1 elements, of which none is there.",
            b"\xdd\xff\xff\xff\xff",
            whole(),
        ),
        one("never_used", "0xc1 is no MessagePack.", b"\x81\xa4type\xc1", whole()),
        payload(
            "extension",
            "Extension types are not JSON, timestamps included.",
            b"\xd6\xff\x00\x00\x00\x00",
        ),
        payload("nan", "", b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"),
        payload("nested_bytes", "Bytes are a payload only as a whole.", b"\x81\xa1x\xc4\x01\x00"),
        payload("number_key", "", b"\x81\x01\x02"),
        payload("not_utf8", "", b"\xa2\xff\xfe"),
        one(
            "in_batch",
            "A value that JSON cannot express costs its own object only.",
            &batch,
            vec![refused("bad_payload", 1), TAKEN],
        ),
        one(
            "unknown_fields",
            "Not refused: fields nobody knows are ignored, whatever they are called and hold.",
            b"\x85\xa4type\xa4ping\xa2id\x01\xa1x\xd4\x01\x00\xa1y\x91\xc4\x00\x07\x08",
            vec![TAKEN],
        ),
    ]
}
