//! Limits of what one connection may send and hold: each below, at and above its value.

use std::time::Duration;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{
    Client, Connect, Encoding, LONG_PATIENCE, Raw, Server, eventually, mask, opcode, within,
};

/// A ping command padded to this many bytes.
fn padded_ping(bytes: usize) -> String {
    let frame = json!({ "type": "ping", "id": 1, "pad": "" }).to_string();
    frame.replace(r#""pad":"""#, &format!(r#""pad":"{}""#, "x".repeat(bytes - frame.len())))
}

#[tokio::test]
async fn a_message_may_be_as_large_as_the_limit() {
    let server = Server::start("max_message_bytes = 1000");
    for size in [999, 1000] {
        let mut client = Client::connect(&server).await;
        assert_eq!(client.welcome["max_message_bytes"], 1000);
        assert_eq!(padded_ping(size).len(), size);
        client.send_frame(Message::text(padded_ping(size))).await;
        assert_eq!(client.expect("pong").await["id"], 1);
        client.expect_nothing().await;
    }
    for size in [1001, 2000, 100_000] {
        let mut client = Client::connect(&server).await;
        client.send_frame(Message::text(padded_ping(size))).await;
        assert_eq!(client.next_or_end().await.unwrap_err().code, Some(1009), "{size} bytes");
    }
}

#[tokio::test]
async fn fragments_count_together() {
    let server = Server::start("max_message_bytes = 1000");
    let ping = padded_ping(1000);
    let send = async |text: &str| {
        let mut raw = Raw::websocket(&server, "fanwire.v1.json").await;
        raw.send(&mask(opcode::TEXT_START, &text.as_bytes()[..400])).await;
        raw.send(&mask(opcode::CONTINUATION_MORE, &text.as_bytes()[400..800])).await;
        raw.send(&mask(opcode::CONTINUATION, &text.as_bytes()[800..])).await;
        raw.frame().await.unwrap()
    };
    assert!(String::from_utf8(send(&ping).await.payload).unwrap().contains("pong"));
    assert_eq!(send(&padded_ping(1001)).await.close_code(), Some(1009));
}

#[tokio::test]
async fn the_declared_length_alone_is_too_much() {
    let server = Server::start("max_message_bytes = 1000");
    let mut raw = Raw::websocket(&server, "fanwire.v1.json").await;
    // A header that announces 1 GiB; nothing follows.
    raw.send(&[opcode::TEXT, 0x80 | 127, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4]).await;
    assert_eq!(raw.close_code().await, Some(1009));
}

#[tokio::test]
async fn a_message_near_the_limit_reaches_subscribers_of_both_encodings() {
    let server = Server::start("max_message_bytes = 60000\nmax_outbox_bytes = 524288");
    let mut readers = Vec::new();
    for encoding in Encoding::BOTH {
        let mut reader = Connect::to(&server).encoding(encoding).open().await;
        reader.subscribe("chat:big").await;
        readers.push(reader);
    }
    let mut writer = Client::connect(&server).await;
    for n in 0..5 {
        let data = json!({ "n": n, "pad": "\u{1}".repeat(9_900) }); // six bytes each in JSON
        writer.publish("chat:big", data.clone()).await;
        for reader in &mut readers {
            assert_eq!(reader.data().await, data);
        }
    }
}

#[tokio::test]
async fn subscriptions_are_limited_per_connection() {
    let server = Server::start("max_subscriptions = 3");
    let mut client = Client::connect(&server).await;
    for topic in ["chat:1", "chat:2", "chat:3"] {
        client.subscribe(topic).await;
    }
    let fourth = json!({ "type": "subscribe", "topic": "chat:4" });
    assert_eq!(client.error(fourth.clone()).await, "too_many_subscriptions");
    assert_eq!(client.error(json!({ "type": "subscribe", "topic": "chat:1" })).await, "already_subscribed");
    client.publish("chat:4", "unheard").await;
    client.publish("chat:3", "heard").await;
    assert_eq!(client.data().await, "heard");
    client.ok(json!({ "type": "unsubscribe", "topic": "chat:2" })).await;
    client.ok(fourth.clone()).await;
    assert_eq!(
        client.error(json!({ "type": "subscribe", "topic": "chat:2" })).await,
        "too_many_subscriptions"
    );
    Client::connect(&server).await.ok(fourth).await; // another connection has its own count
}

#[tokio::test]
async fn topics_are_limited() {
    let server = Server::start("max_topics = 3");
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:1").await;
    client.publish("chat:2", 1).await;
    client.publish("chat:3", 1).await;
    for kind in ["subscribe", "publish"] {
        let reply = client.call(json!({ "type": kind, "topic": "chat:4", "data": 1 })).await;
        assert_eq!((&reply["code"], &reply["retry"]), (&json!("too_many_topics"), &json!(true)), "{reply}");
    }
    client.publish("chat:1", "known topics work on").await;
    assert_eq!(client.data().await, "known topics work on");
    client.subscribe("chat:3").await;
}

#[tokio::test]
#[ignore = "takes the minute after which an idle topic is forgotten"]
async fn an_idle_empty_topic_makes_room() {
    let server = Server::start("max_topics = 1");
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:1").await;
    let subscribe = json!({ "type": "subscribe", "topic": "chat:2" });
    assert_eq!(client.error(subscribe.clone()).await, "too_many_topics");
    client.ok(json!({ "type": "unsubscribe", "topic": "chat:1" })).await;
    let room = async {
        while client.call(subscribe.clone()).await["type"] != "ok" {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    within(LONG_PATIENCE, room).await;
}

#[tokio::test]
async fn commands_are_limited_per_second() {
    let server = Server::start("max_commands_per_second = 20");
    let pings = |count: u64| -> Value { (0..count).map(|id| json!({ "type": "ping", "id": id })).collect() };
    let mut client = Client::connect(&server).await;
    client.send(&pings(20)).await;
    for id in 0..20 {
        assert_eq!(client.next().await, json!({ "type": "pong", "id": id }));
    }
    let mut client = Client::connect(&server).await;
    client.send(&pings(200)).await;
    let (mut answered, mut refused) = (0, 0);
    for _ in 0..200 {
        let event = client.next().await;
        match event["type"].as_str().unwrap() {
            "pong" => answered += 1,
            "error" => {
                assert_eq!((&event["code"], &event["retry"]), (&json!("rate_limited"), &json!(true)));
                refused += 1;
            }
            _ => panic!("{event}"),
        }
    }
    assert!((20..=100).contains(&answered), "{answered} answered, {refused} refused");
    // The connection lives and may speak again in a while; another one was never affected.
    Client::connect(&server).await.expect_nothing().await;
    eventually(async || (client.call(json!({ "type": "ping" })).await["type"] == "pong").then_some(())).await;
}

#[tokio::test]
async fn names_and_labels_are_limited() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    let publish = |field: &str, value: Value| {
        let mut command = json!({ "type": "publish", "topic": "ticker:a", "data": 1 });
        command[field] = value;
        command
    };
    for field in ["key", "message_id"] {
        client.ok(publish(field, json!("x".repeat(200)))).await;
        assert_eq!(client.error(publish(field, json!("x".repeat(201)))).await, "bad_request");
        assert_eq!(client.error(publish(field, json!(""))).await, "bad_request");
    }
    let tags = |count: u64| -> Value {
        (0..count).map(|n| (n.to_string(), json!("v"))).collect::<serde_json::Map<_, _>>().into()
    };
    client.ok(publish("tags", tags(16))).await;
    assert_eq!(client.error(publish("tags", tags(17))).await, "bad_request");
    client.ok(publish("topic", json!("é".repeat(100)))).await;
    assert_eq!(client.error(publish("topic", json!("é".repeat(100) + "x"))).await, "bad_topic");
}
