//! Taps: messages of any topic, for those who look after the broker.

use serde_json::{Value, json};

use crate::support::{Client, EventStream, Launch, Scratch, Server, get, post, request};

async fn open(server: &Server, query: &str) -> EventStream {
    let mut tap = EventStream::open(server, &format!("/v1/tap{query}"), "").await;
    tap.named("open").await;
    tap
}

#[tokio::test]
async fn a_tap_shows_what_its_pattern_matches() {
    let server = Server::development();
    let mut tap = open(&server, "?match=chat:**").await;
    let mut everything = open(&server, "").await;
    let mut client = Client::connect(&server).await;
    let published = client
        .ok(json!({
            "type": "publish", "topic": "ticker:a", "key": "k", "data": 1, "tags": { "a": "b" }
        }))
        .await;
    client.publish("chat:a:b", json!({ "text": "two\nlines" })).await;
    client.ok(json!({ "type": "publish", "topic": "chat:c", "b64": "AAH+/w==" })).await;
    post(server.address, "/v1/topics/chat:d/messages", "", b"{\n  \"n\": 1\r\n}").await;

    let keyed = everything.named("message").await;
    assert_eq!(
        (&keyed["topic"], &keyed["key"], &keyed["tags"]),
        (&json!("ticker:a"), &json!("k"), &json!({ "a": "b" }))
    );
    assert_eq!((&keyed["epoch"], &keyed["offset"]), (&published["epoch"], &published["offset"]));
    let text = tap.named("message").await;
    assert_eq!((&text["topic"], &text["data"]), (&json!("chat:a:b"), &json!({ "text": "two\nlines" })));
    assert_eq!((&text["from"]["client"], &text["size"]), (client.id(), &json!(21)));
    let bytes = tap.named("message").await;
    assert_eq!((&bytes["b64"], &bytes["size"]), (&json!("AAH+/w=="), &json!(4)));
    let spaced = tap.named("message").await;
    assert_eq!((&spaced["data"], spaced.get("from")), (&json!({ "n": 1 }), None));
}

#[tokio::test]
async fn a_tap_is_no_subscriber() {
    let server = Server::development();
    let _tap = open(&server, "").await;
    let mut client = Client::connect(&server).await;
    client.publish("chat:a", 1).await;
    let topic = get(server.address, "/v1/topics/chat:a").await.json();
    assert_eq!((&topic["subscribers"], &topic["clients"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn a_repeated_publish_is_shown_once() {
    let server = Server::development();
    let mut tap = open(&server, "").await;
    let mut client = Client::connect(&server).await;
    for _ in 0..2 {
        client.ok(json!({ "type": "publish", "topic": "chat:a", "message_id": "m", "data": 1 })).await;
    }
    client.publish("chat:a", 2).await;
    assert_eq!(
        [tap.named("message").await["data"].clone(), tap.named("message").await["data"].clone()],
        [1, 2]
    );
}

#[tokio::test]
async fn a_large_message_is_told_but_not_shown() {
    let server = Server::development();
    let mut tap = open(&server, "").await;
    let mut client = Client::connect(&server).await;
    for size in [16 * 1024 - 2, 16 * 1024 - 1] {
        client.publish("chat:a", "x".repeat(size)).await;
    }
    let whole = tap.named("message").await;
    assert_eq!((whole["data"].as_str().unwrap().len(), whole.get("cut")), (16 * 1024 - 2, None));
    let cut = tap.named("message").await;
    assert_eq!((&cut["cut"], cut.get("data"), &cut["size"]), (&json!(true), None, &json!(16 * 1024 + 1)));
    assert_eq!(cut["offset"], 2);
}

#[tokio::test]
async fn what_is_left_out_is_counted() {
    let server = Server::development();
    let mut tap = open(&server, "").await;
    let messages: Vec<Value> = (0..1_000).map(|n| json!({ "topic": "chat:a", "data": n })).collect();
    let body = json!({ "messages": messages }).to_string();
    for _ in 0..4 {
        post(server.address, "/v1/publish", "Content-Type: application/json\r\n", body.as_bytes()).await;
    }
    let (mut shown, mut left_out, mut last) = (0, 0, 0);
    while shown + left_out < 4_000 {
        let (name, event) = tap.next().await.unwrap();
        match name.as_str() {
            "message" => {
                let offset = event["offset"].as_u64().unwrap();
                assert!(offset > last);
                (last, shown) = (offset, shown + 1);
            }
            _ => left_out += event["count"].as_u64().unwrap(),
        }
    }
    assert_eq!(shown + left_out, 4_000);
    assert!(shown > 0 && left_out > 0, "{shown} shown, {left_out} left out");
}

#[tokio::test]
async fn a_tap_wants_a_pattern() {
    let server = Server::development();
    for wrong in ["?match=a**", "?match=", "?topic=a"] {
        let answer = get(server.address, &format!("/v1/tap{wrong}")).await;
        assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("bad_request")), "{wrong}");
    }
}

/// A commit waits long enough that what was published meanwhile is seen first.
#[tokio::test]
async fn a_durable_message_is_shown_when_subscribers_may_see_it() {
    let data = Scratch::new();
    let rules = "commit_delay_ms = 1000\n[[rule]]\npattern = 'safe:**'\ndurable = true\n\
        [[rule]]\npattern = 'early:**'\ndurable = true\ndeliver = 'accepted'\n";
    let launch = Launch::default().config(rules);
    let server = launch.flag("--data-dir", data.path().join("data").to_str().unwrap()).start();
    let mut tap = open(&server, "").await;
    for topic in ["safe:a", "early:a", "chat:a"] {
        let path = format!("/v1/topics/{topic}/messages?ack=accepted");
        assert_eq!(post(server.address, &path, "", b"1").await.status, 200);
    }
    let mut shown = Vec::new();
    for _ in 0..3 {
        shown.push(tap.named("message").await);
    }
    let topics: Vec<_> = shown.iter().map(|message| message["topic"].as_str().unwrap()).collect();
    assert_eq!(topics, ["early:a", "chat:a", "safe:a"]);
    let history = get(server.address, "/v1/topics/safe:a/messages").await.json();
    assert_eq!(history["messages"][0]["offset"], shown[2]["offset"], "it can be read by then");
    assert_eq!(history["epoch"], shown[2]["epoch"]);
}

#[tokio::test]
async fn an_edit_over_http_is_shown() {
    let server = Server::development();
    let mut tap = open(&server, "?match=doc:**").await;
    let body = br#"{"list":[1]}"#;
    let head = format!(
        "PUT /v1/documents/doc:a HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    let made = request(server.address, &head, body).await;
    assert_eq!(made.status, 200, "{}", made.body);
    let shown = tap.named("message").await;
    assert_eq!((&shown["topic"], &shown["offset"]), (&json!("doc:a"), &made.json()["offset"]));
}
