//! Kind `latest`: the newest value per key.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{Client, Connect, Encoding, LONG_PATIENCE, Server, within};

const TOPIC: &str = "ticker:all";

/// The next `count` events, messages all of them, as key → data.
async fn values(client: &mut Client, count: usize) -> BTreeMap<String, Value> {
    let mut values = BTreeMap::new();
    for _ in 0..count {
        let message = client.expect("message").await;
        let key = message["key"].as_str().unwrap_or("").to_owned();
        assert!(values.insert(key, message["data"].clone()).is_none(), "twice: {message}");
    }
    values
}

#[tokio::test]
async fn a_subscriber_gets_the_current_value_then_live_ones() {
    let server = Server::development();
    for encoding in Encoding::BOTH {
        let topic = format!("ticker:{encoding:?}");
        let mut writer = Client::connect(&server).await;
        writer.publish(&topic, 1).await;
        let second = writer.publish(&topic, 2).await;
        let mut reader = Connect::to(&server).encoding(encoding).open().await;
        let reply = reader.subscribe(&topic).await;
        assert_eq!(reply["offset"], second["offset"]);
        let snapshot = reader.expect("message").await;
        assert_eq!((&snapshot["data"], &snapshot["offset"]), (&json!(2), &second["offset"]));
        assert_eq!(snapshot.get("skipped"), None, "{snapshot}");
        writer.publish(&topic, 3).await;
        assert_eq!(reader.data().await, 3);
        reader.expect_nothing().await;
    }
}

#[tokio::test]
async fn an_unpublished_topic_has_an_empty_snapshot() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    client.subscribe(TOPIC).await;
    client.expect_nothing().await;
}

#[tokio::test]
async fn the_snapshot_holds_one_value_per_key() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    for round in 0..3 {
        for key in ["a", "b", "c"] {
            client.publish_key(TOPIC, key, json!({ "key": key, "round": round })).await;
        }
    }
    client.publish(TOPIC, "no key").await;
    client.subscribe(TOPIC).await;
    let expect = ["a", "b", "c"].map(|key| (key.to_owned(), json!({ "key": key, "round": 2 })));
    let mut expect = BTreeMap::from(expect);
    expect.insert(String::new(), json!("no key"));
    assert_eq!(values(&mut client, 4).await, expect);
    client.expect_nothing().await;
}

#[tokio::test]
async fn the_snapshot_and_live_updates_meet_without_a_hole() {
    let server = Server::development();
    let mut writer = Client::connect(&server).await;
    let mut reader = Client::connect(&server).await;
    let flooding = writer.flood(TOPIC, 0..4_000, 20);
    let reading = async {
        loop {
            let reply = reader.subscribe(TOPIC).await;
            let mut position = None;
            for _ in 0..20 {
                let message = reader.expect("message").await;
                let (offset, n) = (message["offset"].as_u64(), message["data"]["n"].as_u64().unwrap());
                match position {
                    // The snapshot is the topic at the reply's offset.
                    None if reply["offset"] != 0 => assert_eq!(offset, reply["offset"].as_u64()),
                    None => assert_eq!(n, message["skipped"].as_u64().unwrap_or(0)),
                    Some(before) => assert_eq!(n, before + 1 + message["skipped"].as_u64().unwrap_or(0)),
                }
                position = Some(n);
                if n == 3_999 {
                    return;
                }
            }
            reader.send(&json!({ "type": "unsubscribe", "id": 1, "topic": TOPIC })).await;
            while reader.next().await["type"] == "message" {}
        }
    };
    within(LONG_PATIENCE, async { tokio::join!(flooding, reading) }).await;
}

#[tokio::test]
async fn the_snapshot_and_the_history_are_in_the_order_of_the_last_change() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    for key in ["a", "b", "c", "a"] {
        client.publish_key(TOPIC, key, 1).await;
    }
    let history = client.ok(json!({ "type": "history", "topic": TOPIC })).await;
    client.subscribe(TOPIC).await;
    for (index, key) in ["b", "c", "a"].into_iter().enumerate() {
        assert_eq!(history["messages"][index]["key"], key);
        assert_eq!(client.expect("message").await["key"], key);
    }
}

#[tokio::test]
async fn since_brings_what_changed() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    client.publish_key(TOPIC, "a", 1).await;
    let place = client.publish_key(TOPIC, "b", 1).await;
    client.publish_key(TOPIC, "b", 2).await;
    client.publish_key(TOPIC, "c", 1).await;
    let reply = client.resume(TOPIC, &place["epoch"], &place["offset"]).await;
    assert_eq!(reply["recovered"], true);
    assert_eq!(
        values(&mut client, 2).await,
        BTreeMap::from([("b".into(), json!(2)), ("c".into(), json!(1))])
    );
    client.expect_nothing().await;
}

#[tokio::test]
async fn since_a_foreign_epoch_brings_the_whole_snapshot() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    client.publish_key(TOPIC, "a", 1).await;
    client.publish_key(TOPIC, "b", 2).await;
    let reply = client.resume(TOPIC, &json!("f00"), &json!(2)).await;
    assert_eq!(reply["recovered"], false);
    assert_eq!(
        values(&mut client, 2).await,
        BTreeMap::from([("a".into(), json!(1)), ("b".into(), json!(2))])
    );
    client.expect_nothing().await;
}

#[tokio::test]
async fn keys_are_limited() {
    let server = Server::start("[default]\nkind = \"latest\"\nmax_keys = 3");
    let mut client = Client::connect(&server).await;
    for key in ["a", "b", "c", "a"] {
        client.publish_key(TOPIC, key, 1).await;
    }
    let publish = json!({ "type": "publish", "topic": TOPIC, "key": "d", "data": 1 });
    assert_eq!(client.error(publish).await, "too_many_keys");
    client.publish_key(TOPIC, "c", 2).await;
    client.subscribe(TOPIC).await;
    assert_eq!(values(&mut client, 3).await.into_keys().collect::<Vec<_>>(), ["a", "b", "c"]);
}

#[tokio::test]
async fn a_slow_reader_gets_the_last_value_and_an_exact_count() {
    let server = Server::start_patient("max_outbox_bytes = 524288\n[default]\nkind = \"latest\"");
    let mut writer = Client::connect(&server).await;
    for encoding in Encoding::BOTH {
        let mut slow = Connect::to(&server).encoding(encoding).receive_buffer(8 * 1024).open().await;
        let topic = format!("ticker:{encoding:?}");
        slow.subscribe(&topic).await;
        writer.flood(&topic, 0..1_000, 20_000).await;
        let (mut received, mut skipped, mut last) = (0, 0, None);
        while last != Some(999) {
            let message = slow.expect("message").await;
            let n = message["data"]["n"].as_u64();
            assert!(n > last, "{n:?} after {last:?}");
            last = n;
            received += 1;
            skipped += message["skipped"].as_u64().unwrap_or(0);
        }
        assert_eq!(received + skipped, 1_000);
        assert!(skipped > 0, "24 MB waited for a subscriber of kind latest");
        slow.expect_nothing().await;
    }
}

#[tokio::test]
async fn a_slow_reader_gets_the_last_value_of_every_key() {
    let server = Server::start_patient("max_outbox_bytes = 524288\n[default]\nkind = \"latest\"");
    let mut writer = Client::connect(&server).await;
    let mut slow = Connect::to(&server).receive_buffer(8 * 1024).open().await;
    slow.subscribe(TOPIC).await;
    let pad = "x".repeat(20_000);
    for n in 0..1_000 {
        writer.publish_key(TOPIC, &format!("key-{}", n % 10), json!({ "n": n, "pad": pad })).await;
    }
    let (mut received, mut last) = (0, BTreeMap::new());
    while last.len() < 10 || last.values().any(|&n| n < 990) {
        let message = slow.expect("message").await;
        received += 1 + message["skipped"].as_u64().unwrap_or(0);
        let n = message["data"]["n"].as_u64().unwrap();
        let before = last.insert(message["key"].as_str().unwrap().to_owned(), n);
        assert!(before < Some(n), "{n} after {before:?}");
    }
    assert_eq!(received, 1_000);
    slow.expect_nothing().await;
}

#[tokio::test]
async fn who_does_not_read_a_large_snapshot_holds_little() {
    const KEYS: u64 = 10_000;
    let server = Server::start_patient("[[rule]]\npattern = 'ticker:**'\nkind = 'latest'");
    let mut writer = Client::connect(&server).await;
    for round in 0..KEYS / 500 {
        let values: Vec<Value> = (0..500)
            .map(|n| json!({ "type": "publish", "topic": TOPIC, "key": format!("key-{}", round * 500 + n), "data": n }))
            .collect();
        writer.send(&json!(values)).await;
        writer.expect_nothing().await;
    }
    let subscribe = json!({ "type": "subscribe", "topic": TOPIC });
    let mut stalled = Vec::new();
    let mut stall = async |count: usize| {
        for _ in 0..count {
            let mut reader = Connect::to(&server).receive_buffer(4_096).open().await;
            reader.send(&subscribe).await;
            stalled.push(reader);
        }
        // Each has asked; a command after theirs is answered after theirs.
        writer.expect_nothing().await;
    };
    stall(10).await;
    let before = server.resident_bytes();
    stall(40).await;
    let each = server.resident_bytes().saturating_sub(before) / 40;
    assert!(each < 400_000, "{each} bytes each");
    // And everybody gets everything in the end.
    let mut reader = stalled.pop().unwrap();
    let count = async {
        let mut keys = std::collections::BTreeSet::new();
        while (keys.len() as u64) < KEYS {
            let event = reader.next().await;
            if event["type"] == "message" {
                assert!(keys.insert(event["key"].as_str().unwrap().to_owned()), "{event}");
            }
        }
    };
    within(LONG_PATIENCE, count).await;
}
