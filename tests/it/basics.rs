//! The first minutes of a client: connect, subscribe, publish, leave.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Error, Message, http::header};

use crate::support::{Client, Connect, Encoding, Server};

#[tokio::test]
async fn welcome_comes_first() {
    let server = Server::development();
    for encoding in Encoding::BOTH {
        let client = Connect::to(&server).encoding(encoding).open().await;
        assert_eq!(client.chosen.as_deref(), Some(encoding.subprotocol()));
        assert_eq!(client.welcome["type"], "welcome");
        assert!(client.welcome["client"].is_string(), "{}", client.welcome);
        assert!(client.welcome["version"].as_str().unwrap().starts_with("fanwire/"), "{}", client.welcome);
        assert_eq!(client.welcome["ping_s"], 25);
        assert_eq!(client.welcome["max_message_bytes"], 65536);
    }
}

#[tokio::test]
async fn client_ids_differ() {
    let server = Server::development();
    let (a, b) = (Client::connect(&server).await, Client::connect(&server).await);
    assert_ne!(a.id(), b.id());
}

#[tokio::test]
async fn without_a_subprotocol_it_is_json() {
    let server = Server::development();
    let mut client = Connect::to(&server).subprotocol(None).open().await;
    assert_eq!(client.chosen, None);
    client.send(&json!({ "type": "ping", "id": 7 })).await;
    assert_eq!(client.next().await, json!({ "type": "pong", "id": 7 }));
}

#[tokio::test]
async fn the_first_known_subprotocol_is_chosen() {
    let server = Server::development();
    let check = async |offer, expect: &str| {
        let client = Connect::to(&server).subprotocol(Some(offer)).open().await;
        assert_eq!(client.chosen.as_deref(), Some(expect), "{offer}");
    };
    check("fanwire.v1.msgpack, fanwire.v1.json", "fanwire.v1.msgpack").await;
    check("fanwire.v1.json, fanwire.v1.msgpack", "fanwire.v1.json").await;
    check("soap, fanwire.v1.msgpack", "fanwire.v1.msgpack").await;
}

#[tokio::test]
async fn only_unknown_subprotocols_are_refused() {
    let server = Server::development();
    match Connect::to(&server).subprotocol(Some("soap, graphql-ws")).attempt().await {
        Err(Error::Http(response)) => assert_eq!(response.status().as_u16(), 400),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("connected"),
    }
}

#[tokio::test]
async fn a_message_arrives_with_its_place_and_publisher() {
    let server = Server::development();
    for encoding in Encoding::BOTH {
        let topic = format!("chat:{encoding:?}");
        let mut reader = Connect::to(&server).encoding(encoding).open().await;
        let mut writer = Connect::to(&server).encoding(encoding).open().await;
        let subscribed = reader.subscribe(&topic).await;
        assert_eq!(subscribed["topic"], topic);
        let published = writer.publish(&topic, json!({ "text": "hi", "list": [1, 2.5, null, true] })).await;
        assert_eq!(published["topic"], topic);
        assert_eq!(published["epoch"], subscribed["epoch"]);
        assert!(published["offset"].as_u64() > subscribed["offset"].as_u64(), "{subscribed} {published}");
        let message = reader.expect("message").await;
        assert_eq!(message["topic"], topic);
        assert_eq!(message["offset"], published["offset"]);
        assert_eq!(message["data"], json!({ "text": "hi", "list": [1, 2.5, null, true] }));
        assert_eq!(&message["from"]["client"], writer.id());
        assert!(message["time"].as_u64().unwrap() > 1_700_000_000_000, "{message}");
        reader.expect_nothing().await;
    }
}

#[tokio::test]
async fn a_publisher_hears_itself_when_subscribed() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:echo").await;
    client.publish("chat:echo", "me").await;
    assert_eq!(client.data().await, "me");
    client.expect_nothing().await;
}

#[tokio::test]
async fn a_publisher_does_not_hear_what_it_did_not_subscribe_to() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:a").await;
    client.publish("chat:b", 1).await;
    client.publish("chat:a", 2).await;
    assert_eq!(client.data().await, 2);
}

#[tokio::test]
async fn an_array_is_many_commands_and_their_replies_keep_its_order() {
    let server = Server::development();
    for encoding in Encoding::BOTH {
        let mut client = Connect::to(&server).encoding(encoding).open().await;
        client
            .send(&json!([
                { "type": "ping", "id": 1 },
                { "type": "subscribe", "id": 2, "topic": format!("chat:{encoding:?}") },
                { "type": "nonsense", "id": 3 },
                { "type": "ping", "id": 4 },
            ]))
            .await;
        let mut kinds = Vec::new();
        for id in 1..=4 {
            let event = client.next().await;
            assert_eq!(event["id"], id, "{event}");
            kinds.push(event["type"].clone());
        }
        assert_eq!(kinds, ["pong", "ok", "error", "pong"]);
    }
}

#[tokio::test]
async fn an_empty_array_asks_nothing() {
    let server = Server::development();
    for encoding in Encoding::BOTH {
        let mut client = Connect::to(&server).encoding(encoding).open().await;
        client.send(&json!([])).await;
        client.expect_nothing().await;
    }
}

#[tokio::test]
async fn without_an_id_only_failures_are_answered() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    client.send(&json!({ "type": "subscribe", "topic": "chat:quiet" })).await;
    client.send(&json!({ "type": "publish", "topic": "chat:quiet", "data": 1 })).await;
    assert_eq!(client.data().await, 1);
    client.send(&json!({ "type": "unsubscribe", "topic": "chat:quiet" })).await;
    client.expect_nothing().await;
    client.send(&json!({ "type": "unsubscribe", "topic": "chat:quiet" })).await;
    let error = client.expect("error").await;
    assert_eq!((&error["code"], &error["id"]), (&json!("not_subscribed"), &Value::Null));
}

#[tokio::test]
async fn a_ping_without_an_id_gets_its_pong() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    client.send(&json!({ "type": "ping" })).await;
    assert_eq!(client.next().await, json!({ "type": "pong" }));
}

#[tokio::test]
async fn what_another_kind_has_is_refused_or_ignored() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    let publish = json!({ "type": "publish", "topic": "chat:a", "key": "k", "data": 1 });
    assert_eq!(client.error(publish).await, "wrong_kind");
    client.ok(json!({ "type": "subscribe", "topic": "chat:a", "max_rate": 5 })).await;
    for n in 0..10 {
        client.publish("chat:a", n).await;
        assert_eq!(client.data().await, n);
    }
}

#[tokio::test]
async fn any_number_of_64_bits_is_an_id() {
    let server = Server::development();
    for encoding in Encoding::BOTH {
        let mut client = Connect::to(&server).encoding(encoding).open().await;
        for id in [0, 1, 127, 128, 65_536, u64::from(u32::MAX), u64::MAX] {
            client.send(&json!({ "type": "ping", "id": id })).await;
            assert_eq!(client.next().await, json!({ "type": "pong", "id": id }));
        }
    }
}

#[tokio::test]
async fn unsubscribing_ends_delivery_and_subscribing_again_starts_it() {
    let server = Server::development();
    let mut reader = Client::connect(&server).await;
    let mut writer = Client::connect(&server).await;
    reader.subscribe("chat:a").await;
    assert_eq!(reader.error(json!({ "type": "subscribe", "topic": "chat:a" })).await, "already_subscribed");
    let left = reader.ok(json!({ "type": "unsubscribe", "topic": "chat:a" })).await;
    assert_eq!(left["topic"], "chat:a");
    writer.publish("chat:a", "unheard").await;
    reader.subscribe("chat:a").await;
    writer.publish("chat:a", "heard").await;
    assert_eq!(reader.data().await, "heard");
    reader.ok(json!({ "type": "unsubscribe", "topic": "chat:a" })).await;
    assert_eq!(reader.error(json!({ "type": "unsubscribe", "topic": "chat:a" })).await, "not_subscribed");
}

#[tokio::test]
async fn unknown_fields_are_ignored() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    client.ok(json!({ "type": "subscribe", "topic": "chat:a", "colour": { "red": [1] } })).await;
    client.ok(json!({ "type": "publish", "topic": "chat:a", "data": null, "ttl": -1 })).await;
    assert_eq!(client.data().await, Value::Null);
}

#[tokio::test]
async fn a_message_id_seen_before_is_no_second_message() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:once").await;
    let publish = json!({ "type": "publish", "topic": "chat:once", "data": 1, "message_id": "m-1" });
    let first = client.ok(publish.clone()).await;
    assert_ne!(first["duplicate"], true);
    let second = client.ok(publish).await;
    assert_eq!(second["duplicate"], true);
    assert_eq!((&second["offset"], &second["epoch"]), (&first["offset"], &first["epoch"]));
    assert_eq!(client.data().await, 1);
    client.expect_nothing().await;
}

#[tokio::test]
async fn tags_travel_along() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:tags").await;
    let tags = json!({ "lang": "en", "colour": "ünïcode" });
    client.ok(json!({ "type": "publish", "topic": "chat:tags", "data": 1, "tags": tags })).await;
    assert_eq!(client.expect("message").await["tags"], tags);
}

#[tokio::test]
async fn topics_may_be_any_plain_unicode() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    for topic in ["x", "日本:東京 ☂", "a:b:c:d", "::", &"y".repeat(200)] {
        client.subscribe(topic).await;
        client.publish(topic, "here").await;
        assert_eq!(client.expect("message").await["topic"], topic);
    }
}

#[tokio::test]
async fn a_ping_frame_is_answered_with_its_payload() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    client.send_frame(Message::Ping("abc".into())).await;
    client.expect_nothing().await;
    client.close().await;
}

#[tokio::test]
async fn browsers_of_foreign_origins_are_refused_when_origins_are_listed() {
    let server = Server::start(r#"allowed_origins = ["https://app.example"]"#);
    let from = |origin| Connect::to(&server).header(header::ORIGIN, origin);
    from("https://app.example").open().await;
    assert!(from("https://evil.example").attempt().await.is_err());
    Client::connect(&server).await; // no browser, no origin
}
