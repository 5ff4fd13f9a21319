//! Subscriptions that the server makes: those that a token names, and those that a back end asks for.

use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::support::{
    ADMIN, Client, Connect, Encoding, EventStream, Launch, SECRET, Scratch, Server, WRITER, mint, now_s,
    post, seconds_from_now, with_keys,
};

fn config() -> String {
    with_keys("**")
}

/// A token that allows nothing by a pattern, with these claims beside.
fn token(extra: Value) -> String {
    let mut claims = json!({ "sub": "alice", "exp": seconds_from_now(3600), "subscribe": [], "publish": [] });
    claims.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    mint(SECRET, &claims)
}

async fn connect(server: &Server, claims: Value) -> Client {
    Connect::to(server).token(&token(claims)).open().await
}

async fn order(server: &Server, path: &str, body: Value) -> (u16, Value) {
    let headers = format!("Authorization: Bearer {ADMIN}\r\nContent-Type: application/json\r\n");
    let answer = post(server.address, path, &headers, body.to_string().as_bytes()).await;
    (answer.status, answer.json())
}

async fn publish(server: &Server, topic: &str, data: u32) -> Value {
    let headers = format!("Authorization: Bearer {ADMIN}\r\nContent-Type: application/json\r\n");
    let path = format!("/v1/topics/{topic}/messages");
    let answer = post(server.address, &path, &headers, data.to_string().as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    answer.json()
}

/// The `subscribed` of a topic, which comes next.
async fn subscribed(client: &mut Client, topic: &str) -> Value {
    let event = client.expect("subscribed").await;
    assert_eq!(event["topic"], topic, "{event}");
    event
}

async fn ended(client: &mut Client, topic: &str, code: &str) {
    let end = client.expect("end").await;
    assert_eq!((&end["topic"], &end["code"]), (&json!(topic), &json!(code)));
}

#[tokio::test]
async fn a_token_names_topics_that_need_no_pattern() {
    let server = Server::start(&config());
    for data in 1..=3 {
        publish(&server, "news:a", data).await;
    }
    let claims = json!({ "subs": { "news:a": { "last": 2, "presence": true }, "news:b": {} } });
    let mut alice = connect(&server, claims).await;
    let made = subscribed(&mut alice, "news:a").await;
    assert_eq!((&made["offset"], &made["kind"]), (&json!(3), &json!("log")));
    assert_eq!(made["members"], json!([{ "client": alice.id(), "user": "alice" }]));
    assert_eq!([alice.data().await, alice.data().await], [json!(2), json!(3)]);
    let made = subscribed(&mut alice, "news:b").await;
    assert_eq!((made.get("members"), made.get("recovered"), made.get("expires")), (None, None, None));
    publish(&server, "news:b", 4).await;
    assert_eq!(alice.data().await, 4);
    assert_eq!(alice.error(json!({ "type": "subscribe", "topic": "news:b" })).await, "already_subscribed");
    assert_eq!(alice.error(json!({ "type": "subscribe", "topic": "news:c" })).await, "forbidden");
}

#[tokio::test]
async fn a_token_may_say_after_which_message() {
    let server = Server::start(&config());
    let second = [publish(&server, "news:a", 1).await, publish(&server, "news:a", 2).await][1].clone();
    publish(&server, "news:a", 3).await;
    let since = |epoch: &Value| json!({ "news:a": { "since": { "epoch": epoch, "offset": 2 } } });
    let mut alice = connect(&server, json!({ "subs": since(&second["epoch"]) })).await;
    assert_eq!(subscribed(&mut alice, "news:a").await["recovered"], true);
    assert_eq!(alice.data().await, 3);
    let mut late = connect(&server, json!({ "subs": since(&json!("another")) })).await;
    assert_eq!(subscribed(&mut late, "news:a").await["recovered"], false);
    late.expect_nothing().await;
}

#[tokio::test]
async fn what_a_token_names_is_there_before_the_next_command() {
    for encoding in [Encoding::Json, Encoding::MsgPack] {
        let server = Server::start(&config());
        let mut alice = Connect::to(&server).encoding(encoding).open().await;
        let token =
            token(json!({ "subs": { "news:a": { "echo": false }, "news:b": {} }, "publish": ["news:*"] }));
        let publish = |topic: &str| json!({ "type": "publish", "topic": topic, "data": 7 });
        alice
            .send(&json!([{ "type": "auth", "id": 1, "token": token }, publish("news:a"), publish("news:b")]))
            .await;
        assert_eq!(alice.reply(1).await["user"], "alice");
        subscribed(&mut alice, "news:a").await;
        subscribed(&mut alice, "news:b").await;
        assert_eq!(alice.expect("message").await["topic"], "news:b");
    }
}

#[tokio::test]
async fn another_token_makes_what_it_names_and_ends_what_it_does_not_cover() {
    let server = Server::start(&config());
    let mut alice = connect(&server, json!({ "subs": { "news:a": {}, "news:b": {}, "news:c": {} } })).await;
    for topic in ["news:a", "news:b", "news:c"] {
        subscribed(&mut alice, topic).await;
    }
    let next = token(json!({ "subs": { "news:b": {}, "news:d": {} }, "subscribe": ["news:c"] }));
    alice.send(&json!({ "type": "auth", "token": next })).await;
    ended(&mut alice, "news:a", "forbidden").await;
    subscribed(&mut alice, "news:d").await;
    for topic in ["news:a", "news:b", "news:c", "news:d"] {
        publish(&server, topic, 1).await;
    }
    for topic in ["news:b", "news:c", "news:d"] {
        assert_eq!(alice.expect("message").await["topic"], topic);
    }
    alice.expect_nothing().await;
}

#[tokio::test]
async fn one_subscription_ends_before_its_connection() {
    let server = Server::start(&config());
    let ends_s = now_s() + 2;
    let claims = json!({ "subs": {
        "news:a": { "expire_at": ends_s },
        "news:b": {},
        "news:c": { "expire_at": ends_s - 60 },
    } });
    let mut alice = connect(&server, claims).await;
    let made = subscribed(&mut alice, "news:a").await;
    // The broker's clock and ours are the same but for the moment at which they were looked at.
    let expires = made["expires"].as_u64().unwrap();
    assert!(expires.abs_diff(ends_s * 1_000) < 1_000, "{expires}");
    subscribed(&mut alice, "news:b").await;
    publish(&server, "news:a", 1).await;
    assert_eq!(alice.data().await, 1);
    ended(&mut alice, "news:a", "expired").await;
    assert!(now_s() >= ends_s);
    publish(&server, "news:a", 2).await;
    publish(&server, "news:b", 3).await;
    assert_eq!(alice.data().await, 3);
    assert_eq!(alice.error(json!({ "type": "subscribe", "topic": "news:a" })).await, "forbidden");
}

#[tokio::test]
async fn who_subscribes_by_himself_to_what_is_named_has_the_same_terms() {
    let server = Server::start(&config());
    let subs = json!({ "news:a": { "expire_at": now_s() + 2, "last": 0 } });
    let mut alice = connect(&server, json!({ "subs": subs })).await;
    subscribed(&mut alice, "news:a").await;
    publish(&server, "news:a", 1).await;
    assert_eq!(alice.data().await, 1);
    alice.ok(json!({ "type": "unsubscribe", "topic": "news:a" })).await;
    alice.ok(json!({ "type": "subscribe", "topic": "news:a", "last": 1 })).await;
    assert_eq!(alice.data().await, 1);
    let watch = json!({ "type": "subscribe", "topic": "news:a", "presence": true });
    alice.ok(json!({ "type": "unsubscribe", "topic": "news:a" })).await;
    assert_eq!(alice.error(watch).await, "forbidden");
    alice.subscribe("news:a").await;
    ended(&mut alice, "news:a", "expired").await;
}

#[tokio::test]
async fn others_see_on_a_topic_what_is_said_for_it() {
    let server = Server::start(&config());
    let mut watcher = connect(&server, json!({ "sub": "bob", "subscribe": ["**"] })).await;
    for topic in ["room:a", "room:b"] {
        watcher.ok(json!({ "type": "subscribe", "topic": topic, "presence": true })).await;
    }
    let claims = |role: Value| {
        let subs = json!({ "room:a": { "info": role }, "room:b": {} });
        json!({ "info": { "name": "Alice" }, "subs": subs })
    };
    let mut alice = connect(&server, claims(json!({ "role": "host" }))).await;
    let (join_a, join_b) = (watcher.expect("join").await, watcher.expect("join").await);
    assert_eq!((&join_a["topic"], &join_a["info"]), (&json!("room:a"), &json!({ "role": "host" })));
    assert_eq!((&join_b["topic"], &join_b["info"]), (&json!("room:b"), &json!({ "name": "Alice" })));
    alice.ok(json!({ "type": "auth", "token": token(claims(json!({ "role": "guest" }))) })).await;
    assert_eq!(watcher.expect("leave").await["topic"], "room:a");
    assert_eq!(watcher.expect("join").await["info"], json!({ "role": "guest" }));
    alice.ok(json!({ "type": "auth", "token": token(claims(Value::Null)) })).await;
    assert_eq!(watcher.expect("leave").await["topic"], "room:a");
    assert_eq!(watcher.expect("join").await["info"], json!({ "name": "Alice" }));
    alice.close().await;
    let mut left =
        [watcher.expect("leave").await, watcher.expect("leave").await].map(|leave| leave["topic"].clone());
    left.sort_by_key(Value::to_string);
    assert_eq!(left, ["room:a", "room:b"]);
}

#[tokio::test]
async fn a_named_subscription_that_cannot_be_made_is_told_of() {
    let server = Server::start(&format!(
        "max_subscriptions = 2\n{}[[rule]]\npattern = 'quiet:*'\npresence = false\n",
        config()
    ));
    let subs = json!({ "a": {}, "b": {}, "c": {}, "quiet:a": { "presence": true } });
    let mut alice = connect(&server, json!({ "subs": subs })).await;
    subscribed(&mut alice, "a").await;
    subscribed(&mut alice, "b").await;
    ended(&mut alice, "c", "too_many_subscriptions").await;
    ended(&mut alice, "quiet:a", "too_many_subscriptions").await;
    let mut bob = connect(&server, json!({ "subs": { "quiet:a": { "presence": true } } })).await;
    ended(&mut bob, "quiet:a", "presence_off").await;
    bob.expect_nothing().await;
}

#[tokio::test]
async fn tokens_with_subscriptions_that_make_no_sense_are_refused() {
    let server = Server::start(&config());
    let mut client = Client::connect(&server).await;
    let many: serde_json::Map<_, _> = (0..129).map(|number| (format!("t{number}"), json!({}))).collect();
    for subs in [
        json!(["news:a"]),
        json!({ "news:*": {} }),
        json!({ "news:a": { "max_rate": 0 } }),
        json!({ "news:a": { "since": { "epoch": "e" } } }),
        json!({ "news:a": { "info": "x".repeat(2_000) } }),
        Value::Object(many.clone()),
    ] {
        let token = token(json!({ "subs": subs }));
        let refused = client.call(json!({ "type": "auth", "token": token })).await;
        assert_eq!(refused["code"], "invalid_token");
        assert!(refused["message"].as_str().unwrap().contains("`subs`"), "{refused}");
        client = Client::connect(&server).await;
    }
    let most = many.into_iter().take(128).collect();
    let mut alice = connect(&server, json!({ "subs": Value::Object(most) })).await;
    for _ in 0..128 {
        alice.expect("subscribed").await;
    }
    alice.expect_nothing().await;
}

#[tokio::test]
async fn a_named_topic_comes_from_the_disk() {
    let data = Scratch::new();
    let config = format!("{}[[rule]]\npattern = 'order:*'\ndurable = true\n", config());
    let launch =
        || Launch::default().config(&config).flag("--data-dir", data.path().join("d").to_str().unwrap());
    let mut server = launch().start();
    publish(&server, "order:a", 1).await;
    publish(&server, "order:b", 2).await;
    server.signal("TERM");
    server.exit().await;
    server = launch().start();
    let subs = json!({ "news:a": {}, "order:a": { "last": 1 }, "order:b": { "last": 1 } });
    let mut alice = connect(&server, json!({ "subs": subs, "publish": ["**"] })).await;
    subscribed(&mut alice, "news:a").await;
    for (topic, data) in [("order:a", 1), ("order:b", 2)] {
        subscribed(&mut alice, topic).await;
        assert_eq!(alice.data().await, data);
    }
    alice.publish("order:a", 3).await;
    assert_eq!(alice.data().await, 3);
}

#[tokio::test]
async fn a_back_end_subscribes_all_connections_of_a_user() {
    let server = Server::start(&config());
    publish(&server, "news:a", 1).await;
    let mut first = connect(&server, json!({})).await;
    let claims = json!({ "sub": "alice", "jti": "2", "exp": seconds_from_now(3600), "subscribe": [] });
    let token = mint(SECRET, &claims);
    let mut second = Connect::to(&server).token(&token).encoding(Encoding::MsgPack).open().await;
    let mut other = connect(&server, json!({ "sub": "bob" })).await;
    let body = json!({ "user": "alice", "topic": "news:a", "last": 1, "presence": true });
    assert_eq!(order(&server, "/v1/subscribe", body.clone()).await, (200, json!({ "count": 2 })));
    for client in [&mut first, &mut second] {
        let made = client.expect("subscribed").await;
        assert_eq!((&made["topic"], &made["offset"]), (&json!("news:a"), &json!(1)));
        assert!(made["members"].is_array(), "{made}");
    }
    assert_eq!(order(&server, "/v1/subscribe", body).await, (200, json!({ "count": 0 })));
    publish(&server, "news:a", 2).await;
    for client in [&mut first, &mut second] {
        let mut data = Vec::new();
        while data.len() < 2 {
            let event = client.next().await;
            match event["type"].as_str().unwrap() {
                "message" => data.push(event["data"].clone()),
                kind => assert_eq!(kind, "join"),
            }
        }
        assert_eq!(data, [1, 2]);
    }
    other.expect_nothing().await;
    for (target, count) in [
        (json!({ "client": other.id() }), 1),
        (json!({ "token": "2" }), 1),
        (json!({ "key": "admin" }), 0),
        (json!({ "user": "nobody" }), 0),
    ] {
        let mut body = json!({ "topic": "news:b" });
        body.as_object_mut().unwrap().extend(target.as_object().unwrap().clone());
        assert_eq!(order(&server, "/v1/subscribe", body).await, (200, json!({ "count": count })), "{target}");
    }
    subscribed(&mut other, "news:b").await;
    let body = json!({ "user": "bob", "topic": "news:b" });
    assert_eq!(order(&server, "/v1/unsubscribe", body).await.1["count"], 1);
    ended(&mut other, "news:b", "forbidden").await;
}

#[tokio::test]
async fn what_a_back_end_allows_outlives_the_token_but_not_the_user() {
    let server = Server::start(&config());
    let mut alice = connect(&server, json!({})).await;
    let body = json!({ "user": "alice", "topic": "news:a", "presence": true });
    assert_eq!(order(&server, "/v1/subscribe", body).await.1["count"], 1);
    subscribed(&mut alice, "news:a").await;
    alice.ok(json!({ "type": "auth", "token": token(json!({})) })).await;
    publish(&server, "news:a", 1).await;
    assert_eq!(alice.data().await, 1);
    let covered = json!({ "user": "alice", "topic": "chat:a" });
    assert_eq!(order(&server, "/v1/subscribe", covered).await.1["count"], 1);
    subscribed(&mut alice, "chat:a").await;
    alice
        .send(&json!({ "type": "auth", "token": token(json!({ "sub": "bob", "subscribe": ["chat:*"] })) }))
        .await;
    ended(&mut alice, "news:a", "forbidden").await;
    publish(&server, "chat:a", 2).await;
    assert_eq!(alice.data().await, 2);
}

#[tokio::test]
async fn a_back_end_may_say_for_how_long() {
    let server = Server::start(&config());
    let mut alice = connect(&server, json!({})).await;
    let before_s = now_s();
    for (topic, seconds) in [("news:a", 3), ("news:b", 1)] {
        let body = json!({ "user": "alice", "topic": topic, "expires_in_s": seconds });
        assert_eq!(order(&server, "/v1/subscribe", body).await.1["count"], 1);
        assert!(subscribed(&mut alice, topic).await["expires"].as_u64().unwrap() >= before_s * 1_000);
    }
    ended(&mut alice, "news:b", "expired").await;
    publish(&server, "news:a", 1).await;
    assert_eq!(alice.data().await, 1);
    ended(&mut alice, "news:a", "expired").await;
    assert!(now_s() >= before_s + 3);
    alice.expect_nothing().await;
}

#[tokio::test]
async fn more_connections_than_one_turn_takes_are_subscribed() {
    let server = Server::start(&config());
    let mut clients = Vec::new();
    for _ in 0..300 {
        clients.push(connect(&server, json!({})).await);
    }
    let body = json!({ "user": "alice", "topic": "news:a" });
    assert_eq!(order(&server, "/v1/subscribe", body).await, (200, json!({ "count": 300 })));
    publish(&server, "news:a", 1).await;
    for client in &mut clients {
        subscribed(client, "news:a").await;
        assert_eq!(client.data().await, 1);
    }
}

#[tokio::test]
async fn connections_that_are_for_something_else_are_counted_apart() {
    let documents = "[[rule]]\npattern = 'doc:*'\nkind = 'document'\n";
    let server = Server::start(&format!("max_subscriptions = 1\n{}{documents}", config()));
    let token = token(json!({ "subscribe": ["**"], "publish": ["**"] }));
    let mut stream = EventStream::open(&server, &format!("/v1/events?topic=news:b&token={token}"), "").await;
    assert_eq!(stream.next().await.unwrap().0, "subscribed");
    let editor = tokio_tungstenite::connect_async(format!("ws://{}/yjs/doc:a?token={token}", server.address));
    let (mut editor, _) = editor.await.unwrap();
    // It is asked for what it has once it is in.
    assert!(editor.next().await.unwrap().unwrap().is_binary());
    let mut full = Connect::to(&server).token(&token).open().await;
    full.subscribe("news:c").await;
    let mut alice = Connect::to(&server).token(&token).open().await;
    let body = json!({ "user": "alice", "topic": "news:a" });
    let refused = json!([{ "code": "too_many_subscriptions", "count": 3 }]);
    let answer = order(&server, "/v1/subscribe", body).await;
    assert_eq!(answer, (200, json!({ "count": 1, "refused": refused })));
    subscribed(&mut alice, "news:a").await;
    full.expect_nothing().await;
}

#[tokio::test]
async fn orders_to_subscribe_are_checked() {
    let server = Server::start(&format!(
        "max_topics = 2\n{}[[rule]]\npattern = 'quiet:*'\npresence = false\n",
        config()
    ));
    for (status, body) in [
        (400, json!({ "user": "alice" })),
        (400, json!({ "topic": "news:a" })),
        (400, json!({ "user": "alice", "client": "0000000000000001", "topic": "news:a" })),
        (400, json!({ "user": "alice", "topic": "news:*" })),
        (400, json!({ "user": "alice", "topic": "news:a", "max_rate": 0 })),
        (400, json!({ "user": "alice", "topic": "news:a", "expires_in_s": 0 })),
        (400, json!({ "user": "alice", "topic": "news:a", "info": "x".repeat(2_000) })),
        (400, json!({ "user": "alice", "topic": "news:a", "since": 7 })),
        (409, json!({ "user": "alice", "topic": "quiet:a", "presence": true })),
        // A key may make half of all topics, and has made the one before.
        (503, json!({ "user": "alice", "topic": "news:a" })),
    ] {
        assert_eq!(order(&server, "/v1/subscribe", body.clone()).await.0, status, "{body}");
    }
    let headers = format!("Authorization: Bearer {WRITER}\r\n");
    let body = json!({ "user": "alice", "topic": "news:a" }).to_string();
    assert_eq!(post(server.address, "/v1/subscribe", &headers, body.as_bytes()).await.status, 403);
}

#[tokio::test]
async fn other_doors_take_what_a_token_names_for_allowed() {
    let server = Server::start(&config());
    let subs = json!({ "news:a": { "expire_at": now_s() + 2 }, "news:b": {} });
    let token = token(json!({ "subs": subs }));
    let path = |topics: &str| format!("/v1/events?{topics}&token={token}");
    let mut stream = EventStream::open(&server, &path("topic=news:a&topic=news:b"), "").await;
    assert_eq!(stream.next().await.unwrap().0, "subscribed");
    assert_eq!(stream.next().await.unwrap().0, "subscribed");
    let (name, end) = stream.next().await.unwrap();
    assert_eq!((name.as_str(), &end["topic"], &end["code"]), ("end", &json!("news:a"), &json!("expired")));
    publish(&server, "news:b", 1).await;
    assert_eq!(stream.next().await.unwrap().1["data"], 1);
    let refused = EventStream::open(&server, &path("topic=news:c"), "").await;
    assert!(refused.head.starts_with("http/1.1 403"), "{}", refused.head);
}
