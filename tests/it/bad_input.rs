//! Hostile frames on the JSON subprotocol: each gets the documented answer, and nobody else notices.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Client, Connect, Encoding, Server};

/// The frame is answered by an error with this code and id; the same connection and others work on.
async fn refused(server: &Server, bystander: &mut Client, frame: &str, code: &str, id: Value) {
    let shown: String = frame.chars().take(80).collect();
    let mut client = Client::connect(server).await;
    client.send_frame(Message::text(frame)).await;
    let event = client.next().await;
    assert_eq!((&event["type"], &event["code"]), (&json!("error"), &json!(code)), "{shown} got {event}");
    assert_eq!(event["id"], id, "{shown} got {event}");
    assert!(event["message"].is_string() && event["retry"].is_boolean(), "{shown} got {event}");
    assert!(event["message"].as_str().unwrap().len() < 500, "{shown} echoed");
    client.expect_nothing().await;
    bystander.expect_nothing().await;
}

#[tokio::test]
async fn what_is_no_object_or_array_is_a_bad_frame() {
    let server = Server::development();
    let mut bystander = Client::connect(&server).await;
    let deep = "[".repeat(20_000);
    let deep_object = r#"{"a":"#.repeat(10_000);
    for frame in [
        "",
        " ",
        "{",
        "}",
        "[",
        "nonsense",
        "null",
        "true",
        "42",
        "\"text\"",
        "[1]",
        "[null]",
        "[[]]",
        "{\"type\":\"ping\",\"id\":1",
        "{\"type\":\"ping\",\"id\":1} {\"type\":\"ping\",\"id\":2}",
        "{\"type\":\"ping\",\"id\":1},",
        "[{\"type\":\"ping\",\"id\":1},]",
        "{'type':'ping'}",
        "{type:\"ping\"}",
        "{\"type\":\"ping\",\"id\":01}",
        "\u{feff}{\"type\":\"ping\"}",
        "\0",
        "{\"type\":\"pi\nng\"}",
        &deep,
        &deep_object,
    ] {
        refused(&server, &mut bystander, frame, "bad_frame", Value::Null).await;
    }
}

#[tokio::test]
async fn what_is_no_command_says_what_is_wrong() {
    let server = Server::development();
    let mut bystander = Client::connect(&server).await;
    let name = |length| "x".repeat(length);
    for (command, code) in [
        (json!({ "id": 5 }), "bad_request"),
        (json!({ "id": 5, "type": null }), "bad_request"),
        (json!({ "id": 5, "type": 1 }), "bad_request"),
        (json!({ "id": 5, "type": ["ping"] }), "bad_request"),
        (json!({ "id": 5, "type": "" }), "unknown_type"),
        (json!({ "id": 5, "type": "PING" }), "unknown_type"),
        (json!({ "id": 5, "type": "welcome" }), "unknown_type"),
        (json!({ "id": 5, "type": name(50_000) }), "unknown_type"),
        (json!({ "id": 5, "type": "subscribe" }), "bad_request"),
        (json!({ "id": 5, "type": "subscribe", "topic": 7 }), "bad_request"),
        (json!({ "id": 5, "type": "subscribe", "topic": null }), "bad_request"),
        (json!({ "id": 5, "type": "subscribe", "topic": ["chat:a"] }), "bad_request"),
        (json!({ "id": 5, "type": "subscribe", "topic": "" }), "bad_topic"),
        (json!({ "id": 5, "type": "subscribe", "topic": "chat:*" }), "bad_topic"),
        (json!({ "id": 5, "type": "subscribe", "topic": "a\nb" }), "bad_topic"),
        (json!({ "id": 5, "type": "subscribe", "topic": "a\u{0}b" }), "bad_topic"),
        (json!({ "id": 5, "type": "subscribe", "topic": "a\u{85}b" }), "bad_topic"),
        (json!({ "id": 5, "type": "subscribe", "topic": name(201) }), "bad_topic"),
        (json!({ "id": 5, "type": "subscribe", "topic": name(60_000) }), "bad_topic"),
        (json!({ "id": 5, "type": "subscribe", "topic": "a", "since": 5 }), "bad_request"),
        (json!({ "id": 5, "type": "subscribe", "topic": "a", "since": {} }), "bad_request"),
        (
            json!({ "id": 5, "type": "subscribe", "topic": "a", "since": { "epoch": 1, "offset": 1 } }),
            "bad_request",
        ),
        (
            json!({ "id": 5, "type": "subscribe", "topic": "a", "since": { "epoch": "1", "offset": -1 } }),
            "bad_request",
        ),
        (json!({ "id": 5, "type": "subscribe", "topic": "a", "last": -1 }), "bad_request"),
        (json!({ "id": 5, "type": "subscribe", "topic": "a", "last": "3" }), "bad_request"),
        (json!({ "id": 5, "type": "subscribe", "topic": "a", "presence": "yes" }), "bad_request"),
        (json!({ "id": 5, "type": "subscribe", "topic": "a", "max_rate": 0 }), "bad_request"),
        (json!({ "id": 5, "type": "subscribe", "topic": "a", "max_rate": -2.5 }), "bad_request"),
        (json!({ "id": 5, "type": "subscribe", "topic": "a", "max_rate": "5" }), "bad_request"),
        (json!({ "id": 5, "type": "unsubscribe", "topic": "a" }), "not_subscribed"),
        (json!({ "id": 5, "type": "unsubscribe", "topic": "**" }), "bad_topic"),
        (json!({ "id": 5, "type": "publish", "topic": "a" }), "bad_request"),
        (json!({ "id": 5, "type": "publish", "data": 1 }), "bad_request"),
        (json!({ "id": 5, "type": "publish", "topic": "chat:*", "data": 1 }), "bad_topic"),
        (json!({ "id": 5, "type": "publish", "topic": "chat:**", "data": 1 }), "bad_topic"),
        (json!({ "id": 5, "type": "publish", "topic": "a", "data": 1, "b64": "AA==" }), "bad_request"),
        (json!({ "id": 5, "type": "publish", "topic": "a", "b64": "A" }), "bad_payload"),
        (json!({ "id": 5, "type": "publish", "topic": "a", "b64": "!!!!" }), "bad_payload"),
        (json!({ "id": 5, "type": "publish", "topic": "a", "b64": 3 }), "bad_payload"),
        (json!({ "id": 5, "type": "publish", "topic": "a", "data": 1, "key": 3 }), "bad_request"),
        (json!({ "id": 5, "type": "publish", "topic": "a", "data": 1, "message_id": {} }), "bad_request"),
        (json!({ "id": 5, "type": "publish", "topic": "a", "data": 1, "tags": [] }), "bad_request"),
        (json!({ "id": 5, "type": "publish", "topic": "a", "data": 1, "tags": { "a": 1 } }), "bad_request"),
        (json!({ "id": 5, "type": "history", "topic": "a", "limit": -1 }), "bad_request"),
        (json!({ "id": 5, "type": "history", "topic": "a", "reverse": 1 }), "bad_request"),
        (json!({ "id": 5, "type": "presence" }), "bad_request"),
        (json!({ "id": 5, "type": "auth" }), "bad_request"),
        (json!({ "id": 5, "type": "auth", "token": 1 }), "bad_request"),
    ] {
        refused(&server, &mut bystander, &command.to_string(), code, json!(5)).await;
    }
}

#[tokio::test]
async fn ids_are_integers_of_64_bits() {
    let server = Server::development();
    let mut bystander = Client::connect(&server).await;
    for id in ["-1", "1.5", "1e3", "18446744073709551616", "\"1\"", "true", "[]", "{}", "1e999"] {
        let frame = format!(r#"{{"type":"ping","id":{id}}}"#);
        refused(&server, &mut bystander, &frame, "bad_request", Value::Null).await;
    }
}

#[tokio::test]
async fn payloads_that_no_encoding_can_carry_are_refused() {
    let server = Server::development();
    let mut bystander = Client::connect(&server).await;
    bystander.subscribe("chat:a").await;
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for data in ["1e999", "-1e999", r#""\ud800""#, r#"["\udfff"]"#, &deep] {
        let frame = format!(r#"{{"type":"publish","id":5,"topic":"chat:a","data":{data}}}"#);
        let mut client = Client::connect(&server).await;
        client.send_frame(Message::text(frame)).await;
        let event = client.expect("error").await;
        let code = event["code"].as_str().unwrap();
        assert!(matches!(code, "bad_payload" | "bad_frame"), "{data} got {event}");
        client.expect_nothing().await;
        bystander.expect_nothing().await;
    }
}

#[tokio::test]
async fn payloads_nest_as_deep_as_the_limit() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:a").await;
    let publish = |depth: usize| {
        let data = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        Message::text(format!(r#"{{"type":"publish","topic":"chat:a","data":{data}}}"#))
    };
    client.send_frame(publish(120)).await;
    assert!(client.data().await.is_array());
    client.send_frame(publish(121)).await;
    assert_eq!(client.expect("error").await["code"], "bad_payload");
}

#[tokio::test]
async fn a_field_given_twice_is_refused() {
    let server = Server::development();
    for frame in [
        r#"{"type":"ping","id":1,"id":2}"#,
        r#"{"type":"ping","type":"ping","id":1}"#,
        r#"{"type":"publish","topic":"a","topic":"b","data":1}"#,
        r#"{"type":"publish","topic":"a","data":1,"data":1}"#,
    ] {
        let mut client = Client::connect(&server).await;
        client.send_frame(Message::text(frame)).await;
        assert_eq!(client.expect("error").await["code"], "bad_request", "{frame}");
        client.expect_nothing().await;
    }
}

#[tokio::test]
async fn good_objects_between_bad_ones_are_carried_out() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:a").await;
    let frame = r#"[{"type":"ping","id":1},7,{"type":"publish","id":2,"topic":"chat:*","data":1},
        {"type":"ping","id":3},{},{"type":"ping","id":4}]"#;
    client.send_frame(Message::text(frame)).await;
    let mut seen = Vec::new();
    for _ in 0..6 {
        let event = client.next().await;
        seen.push((event["type"].as_str().unwrap().to_owned(), event["id"].as_u64()));
    }
    let expect = [
        ("pong", Some(1)),
        ("error", None),
        ("error", Some(2)),
        ("pong", Some(3)),
        ("error", None),
        ("pong", Some(4)),
    ];
    assert_eq!(seen, expect.map(|(kind, id)| (kind.to_owned(), id)));
}

#[tokio::test]
async fn a_frame_full_of_mistakes_is_answered_for_each_up_to_the_limit() {
    let server = Server::development();
    let frame = |count: usize| -> Value { (0..count).map(|_| json!({})).collect() };
    let mut client = Client::connect(&server).await;
    client.send(&frame(4096)).await;
    for _ in 0..4096 {
        assert_eq!(client.expect("error").await["code"], "bad_request");
    }
    client.send(&frame(4097)).await;
    assert_eq!(client.expect("error").await["code"], "bad_frame");
    client.expect_nothing().await;
}

#[tokio::test]
async fn a_binary_frame_on_json_and_a_text_frame_on_msgpack_are_closed_with_1003() {
    let server = Server::development();
    let mut bystander = Client::connect(&server).await;
    for (encoding, frame) in [
        (Encoding::Json, Message::binary(b"{\"type\":\"ping\",\"id\":1}".to_vec())),
        (Encoding::Json, Message::binary(Vec::new())),
        (Encoding::MsgPack, Message::text("{\"type\":\"ping\",\"id\":1}")),
        (Encoding::MsgPack, Message::text("")),
    ] {
        let mut client = Connect::to(&server).encoding(encoding).open().await;
        client.send_frame(frame).await;
        assert_eq!(client.next_or_end().await.unwrap_err().code, Some(1003), "{encoding:?}");
        bystander.expect_nothing().await;
    }
}
