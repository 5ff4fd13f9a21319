//! SIGTERM: everyone is told, nothing acknowledged is lost, exit 0.

use std::{collections::BTreeMap, rc::Rc};

use serde_json::{Value, json};
use tokio::{
    sync::Notify,
    task::{JoinSet, LocalSet},
};

use crate::support::{Client, Connect, Encoding, Ending, LONG_PATIENCE, Server, eventually, get, within};

const TOPIC: &str = "chat:drain";

#[track_caller]
fn assert_goodbye(event: &Value) {
    assert_eq!(event["type"], "goodbye", "{event}");
    assert_eq!((&event["code"], &event["reconnect"]), (&json!("draining"), &json!(true)), "{event}");
    assert!(event["after_ms"].is_u64(), "{event}");
}

/// Reads to the end, which has to be a goodbye and close code 1001; what came before.
async fn read_to_goodbye(client: &mut Client) -> Vec<Value> {
    let mut events = Vec::new();
    let Ending { code, .. } = loop {
        match client.next_or_end().await {
            Ok(event) => events.push(event),
            Err(ending) => break ending,
        }
    };
    assert_eq!(code, Some(1001), "after {:?}", events.last());
    assert_goodbye(&events.pop().expect("a goodbye"));
    events
}

#[tokio::test]
async fn idle_clients_are_told_and_the_process_ends() {
    let mut server = Server::development();
    let mut clients = Vec::new();
    for encoding in [Encoding::Json, Encoding::MsgPack, Encoding::Json] {
        clients.push(Connect::to(&server).encoding(encoding).open().await);
    }
    server.signal("TERM");
    for client in &mut clients {
        assert_eq!(read_to_goodbye(client).await, Vec::<Value>::new());
    }
    assert_eq!(server.exit().await.code(), Some(0));
}

#[tokio::test]
async fn without_clients_it_ends_at_once() {
    let mut server = Server::development();
    server.signal("TERM");
    assert_eq!(server.exit().await.code(), Some(0));
}

/// Publishes 64 at a time until the broker says goodbye; the numbers that were acknowledged, by offset.
async fn publish_until_goodbye(mut client: Client, first: u64, going: Rc<Notify>) -> BTreeMap<u64, u64> {
    let mut acknowledged = BTreeMap::new();
    let mut next = first;
    loop {
        let batch: Value = (next..next + 64)
            .map(|n| json!({ "type": "publish", "id": n, "topic": TOPIC, "data": { "n": n } }))
            .collect();
        if client.try_send(&batch).await.is_err() {
            return acknowledged;
        }
        let mut answered = 0;
        while answered < 64 {
            let Ok(event) = client.next_or_end().await else { return acknowledged };
            match event["type"].as_str().unwrap() {
                "ok" => {
                    acknowledged.insert(event["offset"].as_u64().unwrap(), event["id"].as_u64().unwrap());
                    answered += 1;
                }
                "error" => {
                    assert_eq!((&event["code"], &event["retry"]), (&json!("draining"), &json!(true)));
                    answered += 1;
                }
                _ => assert_goodbye(&event),
            }
        }
        next += 64;
        if next - first >= 64 * 20 {
            going.notify_one();
        }
    }
}

#[tokio::test]
async fn under_load_every_acknowledged_message_reaches_every_subscriber() {
    let mut server = Server::start("[default]\nhistory_count = 1000000\nhistory_bytes = 268435456");
    let local = LocalSet::new();
    let mut readers = JoinSet::new();
    for reader in 0..40 {
        let encoding = Encoding::BOTH[reader % 2];
        let mut client = Connect::to(&server).encoding(encoding).open().await;
        client.subscribe(TOPIC).await;
        readers.spawn_local_on(async move { read_to_goodbye(&mut client).await }, &local);
    }
    let going = Rc::new(Notify::new());
    let mut writers = JoinSet::new();
    for writer in 0..2 {
        let client = Client::connect(&server).await;
        writers.spawn_local_on(publish_until_goodbye(client, writer << 32, Rc::clone(&going)), &local);
    }
    let run = local.run_until(async {
        going.notified().await;
        server.signal("TERM");
        let mut acknowledged = BTreeMap::new();
        while let Some(of_writer) = writers.join_next().await {
            acknowledged.extend(of_writer.unwrap());
        }
        assert!(acknowledged.len() >= 64 * 19);
        while let Some(events) = readers.join_next().await {
            let mut seen = BTreeMap::new();
            for event in events.unwrap() {
                assert_eq!(event["type"], "message", "{event}");
                let (offset, n) = (event["offset"].as_u64().unwrap(), event["data"]["n"].as_u64().unwrap());
                assert!(
                    seen.last_key_value().is_none_or(|(&last, _)| last < offset),
                    "{offset} out of order"
                );
                seen.insert(offset, n);
            }
            for (offset, n) in &acknowledged {
                assert_eq!(seen.get(offset), Some(n), "acknowledged but not delivered");
            }
        }
    });
    within(LONG_PATIENCE, run).await;
    assert_eq!(server.exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_draining_broker_takes_nobody_new() {
    let mut server = Server::development();
    let mut client = Client::connect(&server).await;
    assert_eq!(get(server.address, "/readyz").await.status, 200);
    server.signal("TERM");
    read_to_goodbye(&mut client).await;
    assert!(Connect::to(&server).attempt().await.is_err());
    assert_eq!(server.exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_stalled_subscriber_does_not_hold_up_the_end() {
    let mut server = Server::start_patient("drain_ms = 500");
    let mut stalled = Connect::to(&server).receive_buffer(8 * 1024).open().await;
    stalled.subscribe(TOPIC).await;
    let mut healthy = Client::connect(&server).await;
    healthy.subscribe(TOPIC).await;
    let mut writer = Client::connect(&server).await;
    for start in (0..600).step_by(10) {
        writer.flood(TOPIC, start..start + 10, 20_000).await;
        for n in start..start + 10 {
            assert_eq!(healthy.data().await["n"], n);
        }
    }
    server.signal("TERM");
    read_to_goodbye(&mut healthy).await;
    assert_eq!(server.exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_late_reader_gets_everything_before_the_goodbye() {
    let mut server = Server::start_patient("drain_ms = 60000\n[default]\nhistory_bytes = 67108864");
    let mut late = Vec::new();
    for encoding in Encoding::BOTH {
        let mut reader = Connect::to(&server).encoding(encoding).receive_buffer(8 * 1024).open().await;
        reader.subscribe(TOPIC).await;
        late.push(reader);
    }
    let mut writer = Client::connect(&server).await;
    writer.flood(TOPIC, 0..500, 20_000).await;
    server.signal("TERM");
    read_to_goodbye(&mut writer).await; // draining has begun
    for reader in &mut late {
        let events = within(LONG_PATIENCE, read_to_goodbye(reader)).await;
        let seen: Vec<_> = events.iter().map(|event| event["data"]["n"].as_u64().unwrap()).collect();
        assert_eq!(seen, (0..500).collect::<Vec<_>>());
    }
    assert_eq!(server.exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_value_held_back_by_max_rate_is_delivered_before_the_goodbye() {
    let mut server = Server::development();
    let mut writer = Client::connect(&server).await;
    let mut reader = Client::connect(&server).await;
    reader.ok(json!({ "type": "subscribe", "topic": "ticker:a", "max_rate": 0.01 })).await;
    for n in 0..5 {
        writer.publish("ticker:a", n).await;
    }
    server.signal("TERM");
    let events = read_to_goodbye(&mut reader).await;
    assert_eq!(events.last().unwrap()["data"], 4, "{events:?}");
    eventually(async || (!server.is_running()).then_some(())).await;
}
