//! Kind `log`: many subscribers that come and go at random while others publish at full speed. Afterwards every
//! transcript is checked against the ledger of what was acknowledged.

use std::{cell::Cell, rc::Rc};

use serde_json::json;
use tokio::task::{JoinSet, LocalSet};

use crate::support::{Client, Connect, Encoding, LONG_PATIENCE, Random, Server, Transcript, within};

const TOPIC: &str = "chat:storm";

/// Comes and goes until it has seen the last number.
async fn restless_reader(server: &Server, seed: u64, last: u64, started: Rc<Cell<usize>>) -> Transcript {
    let mut random = Random::new(seed);
    let mut transcript = Transcript::default();
    let encoding = *random.pick(&Encoding::BOTH);
    let mut client = Connect::to(server).encoding(encoding).open().await;
    transcript.subscribed(&client.subscribe(TOPIC).await);
    started.set(started.get() + 1);
    loop {
        for _ in 0..random.below(200) {
            if transcript.note(&client.next().await) == Some(last) {
                return transcript;
            }
        }
        // What was read from the socket but not yet noted is thrown away; a real client loses it likewise.
        match random.below(3) {
            0 => client.reset(),
            1 => drop(client),
            _ => client.close().await,
        }
        client = Connect::to(server).encoding(*random.pick(&Encoding::BOTH)).open().await;
        let (epoch, offset) = transcript.position();
        let reply = client.resume(TOPIC, &epoch, &offset).await;
        transcript.subscribed(&reply);
        // Without this a reader that was told of a loss at the very end would wait for ever.
        if reply["recovered"] == false && reply["offset"].as_u64() >= Some(last) {
            let history =
                client.ok(json!({ "type": "history", "topic": TOPIC, "reverse": true, "limit": 1 })).await;
            if history["messages"][0]["data"]["n"] == last
                && history["messages"][0]["offset"] == reply["offset"]
            {
                return transcript;
            }
        }
    }
}

/// Runs the storm; returns how many messages were declared lost.
async fn storm(server: Server, readers: u64, messages: u64, seed: u64) -> usize {
    let server = Rc::new(server);
    let started = Rc::new(Cell::new(0));
    let mut tasks = JoinSet::new();
    let local = LocalSet::new();
    for reader in 0..readers {
        let (server, started) = (Rc::clone(&server), Rc::clone(&started));
        let task = async move { restless_reader(&server, seed + reader, messages - 1, started).await };
        tasks.spawn_local_on(task, &local);
    }
    let run = local.run_until(async {
        while started.get() < usize::try_from(readers).unwrap() {
            tokio::task::yield_now().await;
        }
        let mut writer = Client::connect(&server).await;
        let published = writer.flood(TOPIC, 0..messages, 100).await;
        let mut lost = 0;
        while let Some(transcript) = tasks.join_next().await {
            let tally = transcript.unwrap().check(&published);
            assert_eq!(tally.received + tally.declared_lost, published.len());
            lost += tally.declared_lost;
        }
        lost
    });
    within(LONG_PATIENCE, run).await
}

#[tokio::test]
async fn with_enough_history_nothing_is_missed() {
    for seed in [1, 1_000] {
        let server = Server::start("[default]\nhistory_count = 1000000\nhistory_bytes = 268435456");
        assert_eq!(storm(server, 8, 8_000, seed).await, 0);
    }
}

#[tokio::test]
async fn with_little_history_every_loss_is_declared() {
    let mut lost = 0;
    for seed in [2, 2_000] {
        let server = Server::start("[default]\nhistory_count = 40");
        lost += storm(server, 8, 8_000, seed).await;
    }
    assert!(lost > 0, "the test does not reach what it is for");
}

#[tokio::test]
async fn a_change_of_heart_on_one_connection_loses_nothing() {
    let server = Server::start("[default]\nhistory_count = 1000000\nhistory_bytes = 268435456");
    let mut reader = Client::connect(&server).await;
    let mut writer = Client::connect(&server).await;
    let mut transcript = Transcript::default();
    let first = reader.subscribe(TOPIC).await;
    transcript.subscribed(&first);
    const MESSAGES: u64 = 5_000;
    let reading = async {
        let mut random = Random::new(7);
        loop {
            for _ in 0..random.below(100) {
                if transcript.note(&reader.next().await) == Some(MESSAGES - 1) {
                    return;
                }
            }
            // Everything that arrives before the reply still belongs to the subscription that ends.
            reader.send(&json!({ "type": "unsubscribe", "id": 5, "topic": TOPIC })).await;
            loop {
                let event = reader.next().await;
                if event["type"] == "ok" {
                    break;
                }
                if transcript.note(&event) == Some(MESSAGES - 1) {
                    return;
                }
            }
            let (epoch, offset) = transcript.position();
            let since = json!({ "epoch": epoch, "offset": offset });
            reader.send(&json!({ "type": "subscribe", "id": 6, "topic": TOPIC, "since": since })).await;
            let reply = reader.expect("ok").await;
            assert_eq!((&reply["id"], &reply["recovered"]), (&json!(6), &json!(true)));
            transcript.subscribed(&reply);
        }
    };
    let (published, ()) =
        within(LONG_PATIENCE, async { tokio::join!(writer.flood(TOPIC, 0..MESSAGES, 50), reading) }).await;
    assert_eq!(transcript.check(&published).received, published.len());
}
