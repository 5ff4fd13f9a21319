//! Kind `log`: coming back to a topic, step by step.

use serde_json::{Value, json};

use crate::support::{Client, Connect, Encoding, Server};

/// Publishes 1 to `count` and returns the replies.
async fn publish(client: &mut Client, topic: &str, count: u64) -> Vec<Value> {
    let mut places = Vec::new();
    for n in 1..=count {
        places.push(client.publish(topic, n).await);
    }
    places
}

#[tokio::test]
async fn since_brings_what_was_missed_and_then_what_is_new() {
    let server = Server::development();
    for encoding in Encoding::BOTH {
        let topic = format!("chat:{encoding:?}");
        let mut writer = Connect::to(&server).encoding(encoding).open().await;
        let places = publish(&mut writer, &topic, 5).await;
        let mut reader = Connect::to(&server).encoding(encoding).open().await;
        let reply = reader.resume(&topic, &places[1]["epoch"], &places[1]["offset"]).await;
        assert_eq!((&reply["recovered"], &reply["offset"]), (&json!(true), &places[4]["offset"]));
        writer.publish(&topic, 6).await;
        for n in 3..=6 {
            assert_eq!(reader.data().await, n);
        }
        reader.expect_nothing().await;
    }
}

#[tokio::test]
async fn the_reply_comes_before_the_recovered_messages() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    publish(&mut client, "chat:a", 3).await;
    client.send(&json!({ "type": "subscribe", "id": 9, "topic": "chat:a", "last": 3 })).await;
    assert_eq!(client.expect("ok").await["id"], 9);
    for n in 1..=3 {
        assert_eq!(client.data().await, n);
    }
}

#[tokio::test]
async fn since_offset_zero_is_everything() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    let places = publish(&mut client, "chat:a", 3).await;
    let reply = client.resume("chat:a", &places[0]["epoch"], &json!(0)).await;
    assert_eq!(reply["recovered"], true);
    for n in 1..=3 {
        assert_eq!(client.data().await, n);
    }
}

#[tokio::test]
async fn since_the_present_is_recovered_with_nothing() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    let places = publish(&mut client, "chat:a", 3).await;
    let reply = client.resume("chat:a", &places[2]["epoch"], &places[2]["offset"]).await;
    assert_eq!((&reply["recovered"], &reply["offset"]), (&json!(true), &places[2]["offset"]));
    client.expect_nothing().await;
}

#[tokio::test]
async fn since_the_future_does_not_hide_what_comes() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    let places = publish(&mut client, "chat:a", 3).await;
    let reply = client.resume("chat:a", &places[2]["epoch"], &json!(1_000_000)).await;
    assert_eq!((&reply["recovered"], &reply["offset"]), (&json!(false), &places[2]["offset"]));
    client.publish("chat:a", 4).await;
    assert_eq!(client.data().await, 4);
}

#[tokio::test]
async fn a_foreign_epoch_is_not_recovered() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    let places = publish(&mut client, "chat:a", 3).await;
    for foreign in ["", "0", "0000000000000000", "ffffffffffffffff", "☂"] {
        let reply = client.resume("chat:a", &json!(foreign), &json!(1)).await;
        assert_eq!(reply["recovered"], false, "{foreign}");
        assert_eq!((&reply["epoch"], &reply["offset"]), (&places[2]["epoch"], &places[2]["offset"]));
        client.expect_nothing().await;
        client.ok(json!({ "type": "unsubscribe", "topic": "chat:a" })).await;
    }
}

#[tokio::test]
async fn another_process_has_another_epoch() {
    let (old, new) = (Server::development(), Server::development());
    let place = Client::connect(&old).await.publish("chat:a", 1).await;
    let mut client = Client::connect(&new).await;
    client.publish("chat:a", "other").await;
    let reply = client.resume("chat:a", &place["epoch"], &json!(0)).await;
    assert_ne!(reply["epoch"], place["epoch"]);
    assert_eq!(reply["recovered"], false);
    client.expect_nothing().await;
}

#[tokio::test]
async fn since_what_history_forgot_is_not_recovered() {
    let server = Server::start("[default]\nhistory_count = 3");
    let mut client = Client::connect(&server).await;
    let places = publish(&mut client, "chat:a", 6).await;
    let check = async |client: &mut Client, after: usize, missed: Option<Vec<u64>>| {
        let reply = client.resume("chat:a", &places[after - 1]["epoch"], &places[after - 1]["offset"]).await;
        assert_eq!(reply["recovered"], missed.is_some(), "after {after}");
        assert_eq!(reply["offset"], places[5]["offset"]);
        for n in missed.unwrap_or_default() {
            assert_eq!(client.data().await, n, "after {after}");
        }
        client.expect_nothing().await;
        client.ok(json!({ "type": "unsubscribe", "topic": "chat:a" })).await;
    };
    check(&mut client, 1, None).await;
    check(&mut client, 2, None).await;
    check(&mut client, 3, Some(vec![4, 5, 6])).await;
    check(&mut client, 4, Some(vec![5, 6])).await;
}

#[tokio::test]
async fn last_brings_the_newest_in_order() {
    let server = Server::start("[default]\nhistory_count = 4");
    let mut client = Client::connect(&server).await;
    publish(&mut client, "chat:a", 6).await;
    for (last, first) in [(0, 7), (1, 6), (3, 4), (4, 3), (5, 3), (u64::MAX, 3)] {
        client.ok(json!({ "type": "subscribe", "topic": "chat:a", "last": last })).await;
        for n in first..=6 {
            assert_eq!(client.data().await, n, "last {last}");
        }
        client.expect_nothing().await;
        client.ok(json!({ "type": "unsubscribe", "topic": "chat:a" })).await;
    }
}

#[tokio::test]
async fn since_wins_over_last() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    let places = publish(&mut client, "chat:a", 5).await;
    let since = json!({ "epoch": places[3]["epoch"], "offset": places[3]["offset"] });
    let reply = client.ok(json!({ "type": "subscribe", "topic": "chat:a", "since": since, "last": 3 })).await;
    assert_eq!(reply["recovered"], true);
    assert_eq!(client.data().await, 5);
    client.expect_nothing().await;
}

#[tokio::test]
async fn subscribing_plainly_brings_nothing_old() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    publish(&mut client, "chat:a", 3).await;
    let reply = client.subscribe("chat:a").await;
    assert_eq!(reply.get("recovered"), None, "{reply}");
    client.expect_nothing().await;
}

#[tokio::test]
async fn many_topics_are_resumed_in_one_frame() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    let mut commands = Vec::new();
    for topic in 0..50 {
        let places = publish(&mut client, &format!("room:{topic}"), 3).await;
        let since = json!({ "epoch": places[0]["epoch"], "offset": places[0]["offset"] });
        let id = 1000 + topic;
        commands
            .push(json!({ "type": "subscribe", "id": id, "topic": format!("room:{topic}"), "since": since }));
    }
    client.send(&commands.into()).await;
    let mut events = Vec::new();
    for _ in 0..150 {
        events.push(client.next().await);
    }
    for topic in 0..50 {
        let of_topic: Vec<_> =
            events.iter().filter(|event| event["topic"] == format!("room:{topic}")).collect();
        assert_eq!(of_topic[0]["recovered"], true, "{of_topic:?}");
        assert_eq!((&of_topic[1]["data"], &of_topic[2]["data"]), (&json!(2), &json!(3)));
    }
}
