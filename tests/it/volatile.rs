//! Kind `volatile`: now or never.

use serde_json::json;

use crate::support::{Client, Connect, Encoding, Server, eventually, get};

#[tokio::test]
async fn subscribers_get_what_is_published_now() {
    let server = Server::development();
    for encoding in Encoding::BOTH {
        let mut client = Connect::to(&server).encoding(encoding).open().await;
        client.publish("game:a", "before").await;
        client.subscribe("game:a").await;
        client.expect_nothing().await;
        for n in 0..100 {
            client.publish("game:a", n).await;
        }
        for n in 0..100 {
            assert_eq!(client.data().await, n);
        }
        client.ok(json!({ "type": "unsubscribe", "topic": "game:a" })).await;
    }
}

#[tokio::test]
async fn there_is_no_history_and_no_resume() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    let place = client.publish("game:a", 1).await;
    client.publish("game:a", 2).await;
    let history = client.ok(json!({ "type": "history", "topic": "game:a" })).await;
    assert_eq!((&history["messages"], &history["more"]), (&json!([]), &json!(false)));
    let reply = client.resume("game:a", &place["epoch"], &place["offset"]).await;
    assert_eq!(reply["recovered"], false);
    client.expect_nothing().await;
    client.ok(json!({ "type": "unsubscribe", "topic": "game:a" })).await;
    client.ok(json!({ "type": "subscribe", "topic": "game:a", "last": 5 })).await;
    client.expect_nothing().await;
}

#[tokio::test]
async fn a_slow_subscriber_misses_messages_and_is_live_again_afterwards() {
    let server = Server::start_patient("max_outbox_bytes = 524288\n[default]\nkind = \"volatile\"");
    let mut writer = Client::connect(&server).await;
    let mut healthy = Client::connect(&server).await;
    healthy.subscribe("game:a").await;
    let mut slow = Connect::to(&server).receive_buffer(8 * 1024).open().await;
    slow.subscribe("game:a").await;
    const MESSAGES: u64 = 1_000;
    for start in (0..MESSAGES).step_by(4) {
        writer.flood("game:a", start..start + 4, 20_000).await;
        for n in start..start + 4 {
            assert_eq!(healthy.data().await["n"], n, "the healthy subscriber missed one");
        }
    }
    // The slow one reads again: in order, with holes.
    slow.send(&json!({ "type": "ping", "id": 99 })).await;
    let mut seen: Vec<u64> = Vec::new();
    loop {
        let event = slow.next().await;
        if event["type"] == "pong" {
            break;
        }
        seen.push(event["data"]["n"].as_u64().unwrap());
    }
    assert!(seen.is_sorted_by(|a, b| a < b), "out of order: {seen:?}");
    assert!((seen.len() as u64) < MESSAGES, "nothing was dropped");
    let mut round = 0;
    eventually(async || {
        round += 1;
        writer.publish("game:a", json!({ "n": MESSAGES + round })).await;
        slow.call(json!({ "type": "ping" })).await;
        while let Some(event) = slow.queued() {
            seen.push(event["data"]["n"].as_u64().unwrap());
        }
        (seen.last() == Some(&(MESSAGES + round))).then_some(())
    })
    .await;
    assert!(seen.is_sorted_by(|a, b| a < b), "out of order: {seen:?}");
    for n in 0..10 {
        writer.publish("game:a", json!({ "live": n })).await;
        assert_eq!(slow.data().await["live"], n);
    }
    seen.retain(|&n| n < MESSAGES);
    let metrics = get(server.address, "/metrics").await.body;
    let dropped = metrics.lines().find_map(|line| line.strip_prefix("fanwire_deliveries_dropped_total "));
    let missed = (MESSAGES - seen.len() as u64) as f64;
    assert!(dropped.unwrap().parse::<f64>().unwrap() >= missed, "{missed} missed:\n{metrics}");
}

#[tokio::test]
async fn a_tick_gathers_messages_in_order() {
    let server = Server::start("[default]\nkind = \"volatile\"\ntick_ms = 200");
    let mut writer = Client::connect(&server).await;
    for encoding in Encoding::BOTH {
        let mut reader = Connect::to(&server).encoding(encoding).open().await;
        reader.subscribe("game:tick").await;
        for n in 0..50 {
            writer.publish("game:tick", n).await;
        }
        for n in 0..50 {
            assert_eq!(reader.data().await, n);
        }
        reader.expect_nothing().await;
    }
}
