//! Kind `latest` with `max_rate`: at once, then not too often, and never without the last value.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::support::{Client, Connect, Encoding, Server, eventually};

const TOPIC: &str = "ticker:rated";

async fn subscribe(client: &mut Client, max_rate: f64) {
    client.ok(json!({ "type": "subscribe", "topic": TOPIC, "max_rate": max_rate })).await;
}

fn skipped(message: &Value) -> u64 {
    message["skipped"].as_u64().unwrap_or(0)
}

#[tokio::test]
async fn the_first_update_comes_at_once_and_the_last_one_without_another_to_push_it() {
    let server = Server::development();
    let mut writer = Client::connect(&server).await;
    let mut reader = Client::connect(&server).await;
    subscribe(&mut reader, 2.0).await;
    let start = Instant::now();
    writer.publish(TOPIC, 0).await;
    // Were the first one held back for the period, this would not have come before the others are published.
    let first = reader.expect("message").await;
    assert_eq!((&first["data"], skipped(&first)), (&json!(0), 0));
    for n in 1..=50 {
        writer.publish(TOPIC, n).await;
    }
    let (mut received, mut left_out, mut last) = (1, 0, 0);
    while last != 50 {
        let message = reader.expect("message").await;
        last = message["data"].as_u64().unwrap();
        left_out += skipped(&message);
        received += 1;
    }
    assert_eq!(received + left_out, 51);
    at_most(received, 2.0, start.elapsed());
    reader.expect_nothing().await;
}

#[tokio::test]
async fn after_a_pause_the_next_update_comes_at_once_again() {
    let server = Server::development();
    let mut writer = Client::connect(&server).await;
    let mut reader = Client::connect(&server).await;
    subscribe(&mut reader, 0.05).await; // one in 20 s: a held back message would outlast the test's patience
    writer.publish(TOPIC, 0).await;
    assert_eq!(reader.data().await, 0);
    let mut other = Client::connect(&server).await;
    subscribe(&mut other, 20.0).await;
    assert_eq!(other.data().await, 0); // the snapshot
    for n in 1..=5 {
        writer.publish(TOPIC, n).await;
        assert_eq!(other.data().await, n);
    }
    reader.expect_nothing().await;
}

#[tokio::test]
async fn a_steady_stream_is_thinned_to_the_rate() {
    let server = Server::development();
    let mut writer = Client::connect(&server).await;
    for encoding in Encoding::BOTH {
        let mut reader = Connect::to(&server).encoding(encoding).open().await;
        reader.ok(json!({ "type": "subscribe", "topic": "ticker:steady", "max_rate": 10 })).await;
        if encoding == Encoding::MsgPack {
            reader.data().await; // the snapshot of the round before
        }
        let start = Instant::now();
        let mut published = 0;
        while start.elapsed() < Duration::from_millis(1_500) {
            published += writer.flood("ticker:steady", published..published + 64, 20).await.len() as u64;
        }
        let (mut received, mut left_out, mut last) = (0, 0, None);
        while last != Some(published - 1) {
            let message = reader.expect("message").await;
            let n = message["data"]["n"].as_u64();
            assert!(n > last, "{n:?} after {last:?}");
            last = n;
            left_out += skipped(&message);
            received += 1;
        }
        assert_eq!(received + left_out, published);
        at_most(received, 10.0, start.elapsed());
        assert!(received >= 3, "{received} updates in 1.5 s at 10/s");
    }
}

/// The rate holds: one update at once, and one per period that began since.
#[track_caller]
fn at_most(received: u64, rate: f64, elapsed: Duration) {
    let allowed = elapsed.as_secs_f64() * rate + 2.0;
    assert!((received as f64) <= allowed, "{received} updates in {elapsed:?} at {rate}/s");
}

#[tokio::test]
async fn each_period_brings_the_newest_value_of_every_key() {
    let server = Server::development();
    let mut writer = Client::connect(&server).await;
    let mut reader = Client::connect(&server).await;
    subscribe(&mut reader, 2.0).await;
    writer.publish_key(TOPIC, "a", 0).await;
    let first = reader.expect("message").await;
    assert_eq!((&first["key"], &first["data"]), (&json!("a"), &json!(0)));
    let mut published = BTreeMap::from([("a", 1), ("b", 0), ("c", 0)]);
    for n in 1..=20 {
        for key in ["a", "b", "c"] {
            writer.publish_key(TOPIC, key, n).await;
            *published.get_mut(key).unwrap() += 1;
        }
    }
    let mut accounted = BTreeMap::from([("a", 1), ("b", 0), ("c", 0)]);
    let mut last = BTreeMap::new();
    while last.len() < 3 || last.values().any(|&n| n != 20) {
        let message = reader.expect("message").await;
        let key = ["a", "b", "c"].into_iter().find(|key| message["key"] == *key).unwrap();
        *accounted.get_mut(key).unwrap() += 1 + skipped(&message);
        last.insert(key, message["data"].as_u64().unwrap());
    }
    assert_eq!(accounted, published);
    reader.expect_nothing().await;
}

#[tokio::test]
async fn rates_differ_between_subscribers() {
    let server = Server::development();
    let mut writer = Client::connect(&server).await;
    let (mut slow, mut fast) = (Client::connect(&server).await, Client::connect(&server).await);
    subscribe(&mut slow, 1.0).await;
    fast.subscribe(TOPIC).await;
    for n in 0..30 {
        writer.publish(TOPIC, n).await;
        let message = fast.expect("message").await;
        assert_eq!((&message["data"], skipped(&message)), (&json!(n), 0));
    }
    let mut accounted = 0;
    loop {
        let message = slow.expect("message").await;
        accounted += 1 + skipped(&message);
        if message["data"] == 29 {
            break;
        }
    }
    assert_eq!(accounted, 30);
}

#[tokio::test]
async fn a_subscriber_that_leaves_while_a_value_waits_gets_nothing_more() {
    let server = Server::development();
    let mut writer = Client::connect(&server).await;
    let mut reader = Client::connect(&server).await;
    subscribe(&mut reader, 5.0).await;
    for n in 0..10 {
        writer.publish(TOPIC, n).await;
    }
    reader.ok(json!({ "type": "unsubscribe", "topic": TOPIC })).await;
    // Past the reply nothing of the topic may come, also not when the period ends.
    let until = Instant::now() + Duration::from_millis(500);
    let mut stray = Vec::new();
    eventually(async || {
        let event = reader.call(json!({ "type": "ping" })).await;
        assert_eq!(event["type"], "pong");
        (Instant::now() > until).then_some(())
    })
    .await;
    reader.subscribe("ticker:other").await;
    reader.publish("ticker:other", "sentinel").await;
    loop {
        let event = reader.expect("message").await;
        if event["data"] == "sentinel" {
            break;
        }
        stray.push(event);
    }
    // What was delivered before the reply is at most what the rate allowed by then.
    assert!(stray.iter().all(|event| event["data"].as_u64() < Some(10)), "{stray:?}");
    assert!(stray.len() <= 4, "{stray:?}");
}
