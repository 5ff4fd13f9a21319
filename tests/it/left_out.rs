//! Messages that are not for everybody: `echo` on a subscription, `except` on a publish.

use serde_json::{Value, json};

use crate::support::{Client, Launch, Scratch, Server, post};

/// The next `count` messages' data.
async fn data_of(client: &mut Client, count: usize) -> Vec<Value> {
    let mut data = Vec::new();
    for _ in 0..count {
        data.push(client.expect("message").await["data"].clone());
    }
    data
}

const KINDS: &str = "[[rule]]\npattern = 'chat:**'\nkind = 'log'\n\
     [[rule]]\npattern = 'ticker:**'\nkind = 'latest'\n\
     [[rule]]\npattern = 'game:**'\nkind = 'volatile'\n";

#[tokio::test]
async fn a_subscription_without_echo_goes_without_what_its_connection_publishes() {
    let server = Server::start(KINDS);
    for topic in ["chat:a", "ticker:a", "game:a"] {
        let (mut quiet, mut other) = (Client::connect(&server).await, Client::connect(&server).await);
        quiet.ok(json!({ "type": "subscribe", "topic": topic, "echo": false })).await;
        other.ok(json!({ "type": "subscribe", "topic": topic })).await;
        for value in 0..6 {
            let is_own = value % 3 < 2;
            let publisher = if is_own { &mut quiet } else { &mut other };
            publisher.ok(json!({ "type": "publish", "topic": topic, "data": value })).await;
            assert_eq!(data_of(&mut other, 1).await, [json!(value)], "{topic}");
            if !is_own {
                // At once, so that no newer value takes its place.
                assert_eq!(data_of(&mut quiet, 1).await, [json!(value)], "{topic}");
            }
        }
    }
}

#[tokio::test]
async fn a_durable_topic_leaves_out_the_same() {
    let data = Scratch::new();
    let path = data.path().join("data");
    let rules = "[[rule]]\npattern = 'order:**'\ndurable = true\n";
    let server = Launch::default().config(rules).flag("--data-dir", path.to_str().unwrap()).start();
    let (mut quiet, mut other) = (Client::connect(&server).await, Client::connect(&server).await);
    quiet.ok(json!({ "type": "subscribe", "topic": "order:a", "echo": false })).await;
    other.ok(json!({ "type": "subscribe", "topic": "order:a" })).await;
    quiet.publish("order:a", 1).await;
    let name = quiet.id().clone();
    other.ok(json!({ "type": "publish", "topic": "order:a", "data": 2, "except": name })).await;
    other.publish("order:a", 3).await;
    assert_eq!(data_of(&mut other, 3).await, [json!(1), json!(2), json!(3)]);
    assert_eq!(data_of(&mut quiet, 1).await, [json!(3)]);
}

#[tokio::test]
async fn several_messages_of_one_pass_are_told_apart() {
    let server = Server::start(KINDS);
    let mut quiet = Client::connect(&server).await;
    quiet.ok(json!({ "type": "subscribe", "topic": "chat:a", "echo": false })).await;
    let name = quiet.id().clone();
    // One frame: all of it may ride in one pass.
    let publishes = (0..20).map(|value| match value % 2 {
        0 => json!({ "type": "publish", "topic": "chat:a", "data": value }),
        _ => json!({ "type": "publish", "topic": "chat:a", "data": value, "except": name }),
    });
    let mut other = Client::connect(&server).await;
    other.send(&json!(publishes.collect::<Vec<_>>())).await;
    assert_eq!(data_of(&mut quiet, 10).await, (0..20).step_by(2).map(Value::from).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_past_comes_without_them_too_and_history_has_them() {
    let server = Server::start(KINDS);
    let mut quiet = Client::connect(&server).await;
    let mut other = Client::connect(&server).await;
    for value in 0..4 {
        let publisher = if value == 1 { &mut other } else { &mut quiet };
        publisher.publish("chat:a", value).await;
    }
    let ok = quiet.ok(json!({ "type": "subscribe", "topic": "chat:a", "last": 10, "echo": false })).await;
    assert_eq!(ok["offset"], 4);
    assert_eq!(data_of(&mut quiet, 1).await, [json!(1)]);
    other.publish("chat:a", 9).await;
    assert_eq!(data_of(&mut quiet, 1).await, [json!(9)], "and nothing between");
    let history = quiet.ok(json!({ "type": "history", "topic": "chat:a" })).await;
    assert_eq!(history["messages"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn a_publish_over_http_leaves_a_client_out() {
    let server = Server::start(KINDS);
    let (mut one, mut two) = (Client::connect(&server).await, Client::connect(&server).await);
    for client in [&mut one, &mut two] {
        client.ok(json!({ "type": "subscribe", "topic": "chat:a" })).await;
    }
    let name = one.id().as_str().unwrap().to_owned();
    let head = format!("content-type: application/json\r\nmessage-except: {name}\r\n");
    let answer = post(server.address, "/v1/topics/chat:a/messages", &head, b"1").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let batch = json!({ "messages": [
        { "topic": "chat:a", "data": 2, "except": name },
        { "topic": "chat:a", "data": 3 },
    ]});
    let head = "content-type: application/json\r\n";
    let answer = post(server.address, "/v1/publish", head, batch.to_string().as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(data_of(&mut two, 3).await, [json!(1), json!(2), json!(3)]);
    assert_eq!(data_of(&mut one, 1).await, [json!(3)]);
    let wrong = "content-type: application/json\r\nmessage-except: me\r\n";
    let answer = post(server.address, "/v1/topics/chat:a/messages", wrong, b"1").await;
    assert_eq!(answer.status, 400);
    assert!(answer.body.contains("message-except"), "{}", answer.body);
}
