//! Payloads between the encodings, and through the HTTP bridge.

use data_encoding::BASE64;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Client, Connect, Encoding, Raw, Server, bin, get, mask, opcode, post};

/// A subscriber of each encoding, in the order of [`Encoding::BOTH`].
async fn readers(server: &Server, topic: &str) -> [Client; 2] {
    let mut json = Connect::to(server).encoding(Encoding::Json).open().await;
    let mut msgpack = Connect::to(server).encoding(Encoding::MsgPack).open().await;
    json.subscribe(topic).await;
    msgpack.subscribe(topic).await;
    [json, msgpack]
}

fn json_values() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(0),
        json!(-1),
        json!(127),
        json!(-32_769),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(0.1),
        json!(-1.5e300),
        json!(""),
        json!("ünïcödé ☂ \u{0} \u{7f} \" \\ \u{1F980}"),
        json!([]),
        json!({}),
        json!({ "": { "a": [{ "b": [[], {}] }] }, "type": "publish", "topic": 1 }),
        json!("x".repeat(40_000)),
        json!((0..2_000).collect::<Vec<_>>()),
    ]
}

#[tokio::test]
async fn every_json_value_reaches_both_encodings_unchanged() {
    let server = Server::development();
    let mut readers = readers(&server, "chat:values").await;
    for encoding in Encoding::BOTH {
        let mut writer = Connect::to(&server).encoding(encoding).open().await;
        for value in json_values() {
            writer.publish("chat:values", value.clone()).await;
            for reader in &mut readers {
                assert_eq!(reader.data().await, value, "from {encoding:?}");
            }
        }
    }
}

#[tokio::test]
async fn json_subscribers_get_the_text_as_it_was_published() {
    let server = Server::development();
    let mut reader = Raw::websocket(&server, "fanwire.v1.json").await;
    reader.send(&mask(opcode::TEXT, br#"{"type":"subscribe","id":1,"topic":"chat:text"}"#)).await;
    reader.frame().await.unwrap();
    let mut writer = Client::connect(&server).await;
    for data in
        ["{ \"b\" : 1.50e1,\t\"a\":[ 1.0 ,-0 ]}", r#""\u0041\/\u00e9""#, "123456789012345678901234567890"]
    {
        writer
            .send_frame(Message::text(format!(r#"{{"type":"publish","topic":"chat:text","data":{data}}}"#)))
            .await;
        let frame = String::from_utf8(reader.frame().await.unwrap().payload).unwrap();
        assert!(frame.contains(&format!(r#""data":{data}"#)), "{data} became {frame}");
    }
}

#[tokio::test]
async fn bytes_are_b64_in_json_and_bin_in_msgpack() {
    let server = Server::development();
    let [mut json_reader, mut msgpack_reader] = readers(&server, "chat:bytes").await;
    let mut json_writer = Client::connect(&server).await;
    let mut msgpack_writer = Connect::to(&server).encoding(Encoding::MsgPack).open().await;
    for bytes in [vec![], vec![0], vec![0xff, 0xfe, 0x00, 0x80], (0..=255).collect(), vec![7; 20_000]] {
        let b64 = BASE64.encode(&bytes);
        json_writer.ok(json!({ "type": "publish", "topic": "chat:bytes", "b64": b64 })).await;
        msgpack_writer.publish("chat:bytes", bin(&bytes)).await;
        for _ in 0..2 {
            let message = json_reader.expect("message").await;
            assert_eq!((&message["b64"], message.get("data")), (&json!(b64), None));
            let message = msgpack_reader.expect("message").await;
            assert_eq!((&message["data"], message.get("b64")), (&bin(&bytes), None));
        }
    }
}

#[tokio::test]
async fn keys_and_tags_reach_both_encodings() {
    let server = Server::development();
    let readers = readers(&server, "ticker:x").await;
    let mut writer = Client::connect(&server).await;
    let publish =
        json!({ "type": "publish", "topic": "ticker:x", "key": "BTC-USD", "tags": { "a": "b" }, "data": 1 });
    writer.ok(publish).await;
    for mut reader in readers {
        let message = reader.expect("message").await;
        assert_eq!((&message["key"], &message["tags"]), (&json!("BTC-USD"), &json!({ "a": "b" })));
    }
}

#[tokio::test]
async fn what_http_publishes_arrives_on_sockets() {
    let server = Server::development();
    let mut readers = readers(&server, "chat:http").await;
    let path = "/v1/topics/chat:http/messages";
    let bytes_b64 = [json!("AAH/"), bin(&[0, 1, 0xff])];
    let check = async |content_type: &str, body: &[u8], expect: [Value; 2], readers: &mut [Client; 2]| {
        let header = match content_type {
            "" => String::new(),
            given => format!("Content-Type: {given}\r\n"),
        };
        let answer = post(server.address, path, &header, body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let receipt = answer.json();
        assert_eq!(receipt["topic"], "chat:http");
        assert_eq!(receipt["duplicate"], false);
        assert_eq!(receipt["subscribers"], 2);
        assert!(receipt["epoch"].is_string(), "{receipt}");
        for (reader, expect) in readers.iter_mut().zip(expect) {
            let message = reader.expect("message").await;
            assert_eq!(message["offset"], receipt["offset"]);
            assert_eq!(message.get("b64").unwrap_or(&message["data"]), &expect, "{content_type}");
            assert_eq!(message.get("from"), None, "{message}");
        }
    };
    let same = |value: Value| [value.clone(), value];
    check("application/json", br#"{"text":"hi"}"#, same(json!({ "text": "hi" })), &mut readers).await;
    check("", b"[1, 2]", same(json!([1, 2])), &mut readers).await;
    check("text/plain", b"not {json", same(json!("not {json")), &mut readers).await;
    check("application/octet-stream", &[0, 1, 0xff], bytes_b64, &mut readers).await;
}

#[tokio::test]
async fn an_escaped_topic_in_the_path_is_the_same_topic() {
    let server = Server::development();
    let mut reader = Client::connect(&server).await;
    reader.subscribe("chat:東 京").await;
    let answer = post(server.address, "/v1/topics/chat%3A%E6%9D%B1%20%E4%BA%AC/messages", "", b"1").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(reader.data().await, 1);
}

#[tokio::test]
async fn http_refusals_are_problem_documents() {
    let server = Server::start("max_message_bytes = 1000");
    let check = async |path: &str, headers: &str, body: &[u8], status: u16, code: &str| {
        let answer = post(server.address, path, headers, body).await;
        assert_eq!(answer.status, status, "{path} {}", answer.body);
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
        assert_eq!(answer.json()["code"], code, "{path}");
        assert_eq!(answer.json()["status"], status, "{path}");
    };
    let json = "Content-Type: application/json\r\n";
    check("/v1/topics/chat:*/messages", "", b"1", 400, "bad_topic").await;
    check(&format!("/v1/topics/{}/messages", "x".repeat(201)), "", b"1", 400, "bad_topic").await;
    check("/v1/topics/chat:a/messages", json, b"{broken", 400, "bad_payload").await;
    check("/v1/topics/chat:a/messages", "", &[b'1'; 1001], 413, "too_large").await;
    let answer = post(server.address, "/v1/topics/chat:a/messages", "", &[b'1'; 900]).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test]
async fn health_and_unknown_paths() {
    let server = Server::development();
    assert_eq!(get(server.address, "/healthz").await.status, 200);
    assert_eq!(get(server.address, "/readyz").await.status, 200);
    assert_eq!(get(server.address, "/no/such/path").await.status, 404);
    assert_eq!(get(server.address, "/v1/nothing/chat:a").await.status, 404);
    // Slashes may come decoded, so this is a topic's name.
    let topic = get(server.address, "/v1/topics/chat:a/nothing").await;
    assert_eq!((topic.status, &topic.json()["topic"]), (200, &"chat:a/nothing".into()));
}
