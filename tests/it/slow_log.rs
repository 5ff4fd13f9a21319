//! Kind `log`: a subscriber that stops reading while megabytes are published, and then reads again.

use serde_json::json;

use crate::support::{Client, Connect, Encoding, LONG_PATIENCE, Server, Transcript, within};

const TOPIC: &str = "chat:slow";

/// 24 MB: more than the kernel buffers for a connection (4 MiB at most) and the broker's outbox together.
const MESSAGES: u64 = 1_200;
const PADDING: usize = 20_000;

/// A subscriber with a small window that will not read for a while.
async fn stalled(server: &Server, encoding: Encoding) -> (Client, Transcript) {
    let mut client = Connect::to(server).encoding(encoding).receive_buffer(8 * 1024).open().await;
    let mut transcript = Transcript::default();
    transcript.subscribed(&client.subscribe(TOPIC).await);
    (client, transcript)
}

#[tokio::test]
async fn within_history_it_gets_everything_in_order() {
    let server = Server::start_patient(
        "max_outbox_bytes = 524288\n[default]\nhistory_count = 10000\nhistory_bytes = 67108864",
    );
    let mut writer = Client::connect(&server).await;
    for encoding in Encoding::BOTH {
        let (mut slow, mut transcript) = stalled(&server, encoding).await;
        let published = writer.flood(TOPIC, 0..MESSAGES, PADDING).await;
        within(LONG_PATIENCE, transcript.read_until(&mut slow, MESSAGES - 1)).await;
        assert_eq!(transcript.check(&published).received, published.len());
        slow.expect_nothing().await;
        slow.close().await;
    }
}

#[tokio::test]
async fn beyond_history_it_is_told_of_the_gap_and_goes_on() {
    let server = Server::start_patient("max_outbox_bytes = 524288\n[default]\nhistory_count = 50");
    let mut writer = Client::connect(&server).await;
    for encoding in Encoding::BOTH {
        let (mut slow, mut transcript) = stalled(&server, encoding).await;
        let mut published = writer.flood(TOPIC, 0..MESSAGES, PADDING).await;
        within(LONG_PATIENCE, transcript.read_until(&mut slow, MESSAGES - 1)).await;
        let tally = transcript.check(&published);
        assert!(tally.declared_lost > 0, "{tally:?}");
        assert_eq!(tally.received + tally.declared_lost, published.len());
        // It is live again.
        published.extend(writer.flood(TOPIC, MESSAGES..MESSAGES + 10, 10).await);
        transcript.read_until(&mut slow, MESSAGES + 9).await;
        transcript.check(&published);
        slow.close().await;
    }
}

#[tokio::test]
async fn a_gap_names_the_epoch() {
    let server = Server::start_patient("max_outbox_bytes = 524288\n[default]\nhistory_count = 10");
    let mut writer = Client::connect(&server).await;
    let (mut slow, _) = stalled(&server, Encoding::Json).await;
    let epoch = writer.publish(TOPIC, json!({ "n": 0 })).await["epoch"].clone();
    writer.flood(TOPIC, 1..MESSAGES, PADDING).await;
    let gap = loop {
        let event = slow.next().await;
        if event["type"] == "gap" {
            break event;
        }
    };
    assert_eq!((&gap["topic"], &gap["epoch"]), (&json!(TOPIC), &epoch));
    let next = slow.expect("message").await;
    assert_eq!(next["offset"], gap["next"]);
}

#[tokio::test]
async fn others_notice_nothing() {
    let server = Server::start_patient("max_outbox_bytes = 524288\n[default]\nhistory_count = 50");
    let mut writer = Client::connect(&server).await;
    let mut stalled_ones = Vec::new();
    for encoding in [Encoding::Json, Encoding::MsgPack, Encoding::Json] {
        stalled_ones.push(stalled(&server, encoding).await);
    }
    let mut healthy = Client::connect(&server).await;
    let mut transcript = Transcript::default();
    transcript.subscribed(&healthy.subscribe(TOPIC).await);
    // Lockstep: what is published next waits for the healthy subscriber, which is therefore never behind.
    let mut published = Default::default();
    within(LONG_PATIENCE, async {
        for start in (0..MESSAGES).step_by(20) {
            let batch = writer.flood(TOPIC, start..start + 20, PADDING).await;
            transcript.read_until(&mut healthy, start + 19).await;
            std::collections::BTreeMap::extend(&mut published, batch);
        }
    })
    .await;
    let tally = transcript.check(&published);
    assert_eq!((tally.received, tally.declared_lost), (published.len(), 0));
    // The stalled ones are still connected and answer for their position.
    for (mut slow, mut transcript) in stalled_ones {
        within(LONG_PATIENCE, transcript.read_until(&mut slow, MESSAGES - 1)).await;
        transcript.check(&published);
    }
}

#[tokio::test]
async fn a_slow_resume_is_served_in_full_while_more_is_published() {
    let server = Server::start_patient(
        "max_outbox_bytes = 524288\n[default]\nhistory_count = 10000\nhistory_bytes = 67108864",
    );
    let mut writer = Client::connect(&server).await;
    let mut transcript = Transcript::default();
    let (_, start) = {
        let mut early = Client::connect(&server).await;
        let reply = early.subscribe(TOPIC).await;
        transcript.subscribed(&reply);
        (early, reply)
    };
    let mut published = writer.flood(TOPIC, 0..400, PADDING).await;
    let mut slow = Connect::to(&server).receive_buffer(8 * 1024).open().await;
    let reply = slow.resume(TOPIC, &start["epoch"], &start["offset"]).await;
    assert_eq!(reply["recovered"], true);
    transcript.subscribed(&reply);
    published.extend(writer.flood(TOPIC, 400..800, PADDING).await);
    within(LONG_PATIENCE, transcript.read_until(&mut slow, 799)).await;
    assert_eq!(transcript.check(&published).received, 800);
}

#[tokio::test]
async fn a_client_that_never_reads_its_replies_is_closed_not_hoarded() {
    let server = Server::start_patient("max_outbox_bytes = 524288");
    let mut greedy = Connect::to(&server).receive_buffer(8 * 1024).open().await;
    greedy.publish(TOPIC, "x".repeat(30_000)).await;
    let history = json!({ "type": "history", "id": 1, "topic": TOPIC });
    let batch = (0..100).map(|_| history.clone()).collect();
    // Either the broker stops reading from it or it hangs up; in both cases writing fails or stalls at last.
    let asking = async { while greedy.try_send(&batch).await.is_ok() {} };
    let _ = tokio::time::timeout(std::time::Duration::from_secs(3), asking).await;
    let mut other = Client::connect(&server).await;
    other.publish(TOPIC, 1).await;
}
