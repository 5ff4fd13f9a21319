//! Clients that ask for much and read late: nothing is lost, nothing piles up without bound.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::{
    Client, Connect, Encoding, LONG_PATIENCE, Raw, Server, Transcript, mask, opcode, within,
};

/// A client with a small window, so that not reading shows soon.
async fn slow(server: &Server, encoding: Encoding) -> Client {
    Connect::to(server).encoding(encoding).receive_buffer(8 * 1024).open().await
}

#[tokio::test]
async fn replies_that_are_read_late_are_all_there_and_in_order() {
    let server = Server::start_patient("");
    for encoding in Encoding::BOTH {
        let topic = format!("chat:{encoding:?}");
        let mut client = slow(&server, encoding).await;
        client.publish(&topic, "x".repeat(30_000)).await;
        for id in 0..400 {
            client.send(&json!({ "type": "history", "id": 1_000 + id, "topic": topic })).await;
        }
        for id in 0..400 {
            let reply = client.next().await;
            assert_eq!((&reply["type"], &reply["id"]), (&json!("ok"), &json!(1_000 + id)));
            assert_eq!(reply["messages"].as_array().unwrap().len(), 1);
        }
        client.expect_nothing().await;
    }
}

#[tokio::test]
async fn too_much_asked_in_one_frame_is_refused_not_hoarded() {
    let server = Server::start_patient("");
    let mut client = slow(&server, Encoding::Json).await;
    client.publish("chat:a", "x".repeat(30_000)).await;
    let frame =
        (0..400).map(|id| json!({ "type": "history", "id": 1_000 + id, "topic": "chat:a" })).collect();
    client.send(&frame).await;
    let mut refused = 0;
    for id in 0..400 {
        let reply = client.next().await;
        assert_eq!(reply["id"], 1_000 + id, "{}", reply["type"]);
        refused += usize::from(reply["code"] == "rate_limited");
        assert!(reply["type"] == "ok" || reply["code"] == "rate_limited", "{reply}");
    }
    assert!(refused > 0, "12 MB of replies waited");
    client.expect_nothing().await;
}

#[tokio::test]
async fn a_snapshot_larger_than_the_outbox_arrives_whole() {
    let server = Server::start_patient("max_outbox_bytes = 524288\n[default]\nkind = \"latest\"");
    let mut writer = Client::connect(&server).await;
    let pad = "x".repeat(2_000);
    for start in (0..2_000).step_by(20) {
        let batch = (start..start + 20).map(
            |n| json!({ "type": "publish", "id": n, "topic": "ticker:wide", "key": format!("k{n}"), "data": { "n": n, "pad": pad } }),
        );
        writer.send(&batch.collect()).await;
        for n in start..start + 20 {
            assert_eq!(writer.reply(n).await["type"], "ok");
        }
    }
    for encoding in Encoding::BOTH {
        for mut reader in
            [Connect::to(&server).encoding(encoding).open().await, slow(&server, encoding).await]
        {
            reader.subscribe("ticker:wide").await;
            for n in 0..2_000 {
                assert_eq!(reader.data().await["n"], n);
            }
            reader.expect_nothing().await;
        }
    }
}

#[tokio::test]
async fn a_past_larger_than_the_outbox_arrives_whole() {
    let server = Server::start_patient("max_outbox_bytes = 524288\n[default]\nhistory_bytes = 67108864");
    let mut writer = Client::connect(&server).await;
    writer.flood("chat:long", 0..500, 20_000).await;
    for encoding in Encoding::BOTH {
        for mut reader in
            [Connect::to(&server).encoding(encoding).open().await, slow(&server, encoding).await]
        {
            reader.ok(json!({ "type": "subscribe", "topic": "chat:long", "last": 400 })).await;
            for n in 100..500 {
                assert_eq!(reader.data().await["n"], n);
            }
            reader.expect_nothing().await;
        }
    }
}

#[tokio::test]
async fn one_late_reader_of_many_topics_gets_each_of_them_whole() {
    let server = Server::start_patient("max_outbox_bytes = 524288\n[default]\nhistory_bytes = 67108864");
    let mut writer = Client::connect(&server).await;
    let mut reader = slow(&server, Encoding::MsgPack).await;
    let topics: Vec<String> = (0..20).map(|n| format!("room:{n}")).collect();
    let mut transcripts = BTreeMap::new();
    for topic in &topics {
        let mut transcript = Transcript::default();
        transcript.subscribed(&reader.subscribe(topic).await);
        transcripts.insert(topic.clone(), (transcript, BTreeMap::new(), false));
    }
    for round in 0..5 {
        for topic in &topics {
            let published = writer.flood(topic, round * 20..(round + 1) * 20, 10_000).await;
            transcripts.get_mut(topic).unwrap().1.extend(published);
        }
    }
    let reading = async {
        while transcripts.values().any(|(.., complete)| !complete) {
            let event = reader.next().await;
            let (transcript, _, complete) = transcripts.get_mut(event["topic"].as_str().unwrap()).unwrap();
            *complete |= transcript.note(&event) == Some(99);
        }
    };
    within(LONG_PATIENCE, reading).await;
    for (transcript, published, _) in transcripts.values() {
        assert_eq!(transcript.check(published).received, 100);
    }
    reader.expect_nothing().await;
}

#[tokio::test]
async fn leaving_a_topic_while_behind_ends_it_there_and_then() {
    let server = Server::start_patient("max_outbox_bytes = 524288\n[default]\nhistory_bytes = 67108864");
    let mut writer = Client::connect(&server).await;
    let mut reader = slow(&server, Encoding::Json).await;
    reader.subscribe("chat:left").await;
    let mut kept = Transcript::default();
    kept.subscribed(&reader.subscribe("chat:kept").await);
    writer.flood("chat:left", 0..400, 20_000).await;
    let published = writer.flood("chat:kept", 0..400, 20_000).await;
    reader.send(&json!({ "type": "unsubscribe", "id": 77, "topic": "chat:left" })).await;
    let mut left = false;
    let reading = async {
        loop {
            let event = reader.next().await;
            if event["id"] == 77 {
                assert_eq!(event["type"], "ok");
                left = true;
            } else if event["topic"] == "chat:left" {
                assert!(!left, "after the reply: {}", event["offset"]);
            } else if kept.note(&event) == Some(399) && left {
                return;
            }
        }
    };
    within(LONG_PATIENCE, reading).await;
    assert_eq!(kept.check(&published).received, 400);
    // Coming back starts anew, with what is published from now on.
    reader.subscribe("chat:left").await;
    writer.flood("chat:left", 400..401, 10).await;
    assert_eq!(reader.data().await["n"], 400);
}

#[tokio::test]
async fn a_crowd_that_stalls_costs_bounded_memory() {
    let server = Server::start_patient("max_outbox_bytes = 524288\n[default]\nhistory_count = 50");
    let mut writer = Client::connect(&server).await;
    writer.flood("chat:crowd", 0..50, 20_000).await;
    let mut stalled = Vec::new();
    for _ in 0..100 {
        let mut raw = Raw::websocket(&server, "fanwire.v1.json").await;
        raw.send(&mask(opcode::TEXT, br#"{"type":"subscribe","id":1,"topic":"chat:crowd"}"#)).await;
        raw.frame().await.unwrap();
        stalled.push(raw);
    }
    let before = server.resident_bytes();
    writer.flood("chat:crowd", 50..1_250, 20_000).await;
    writer.publish("chat:crowd", Value::Null).await;
    let grown = server.resident_bytes().saturating_sub(before);
    // Every outbox full to the brim, and as much again for everything else; kept for all it would be 2.4 GB.
    assert!(grown < 2 * 100 * 524_288, "grown by {grown} bytes");
}
