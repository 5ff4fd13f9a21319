//! One topic, a thousand subscribers: none loses, repeats or reorders a message, stalled ones among them or not.

use std::rc::Rc;

use tokio::{
    sync::Barrier,
    task::{JoinSet, LocalSet},
};

use crate::support::{Client, Connect, Encoding, LONG_PATIENCE, Server, Transcript, eventually, get, within};

const TOPIC: &str = "chat:crowd";
async fn subscriber(server: Rc<Server>, index: usize, last: u64, everyone: Rc<Barrier>) -> Transcript {
    let mut client = Connect::to(&server).encoding(Encoding::BOTH[index % 2]).open().await;
    let mut transcript = Transcript::default();
    transcript.subscribed(&client.subscribe(TOPIC).await);
    everyone.wait().await;
    while transcript.note(&next(&mut client).await) != Some(last) {}
    transcript
}

/// The next event; of a thousand subscribers one may wait long for its turn.
async fn next(client: &mut Client) -> serde_json::Value {
    within(LONG_PATIENCE, client.next()).await
}

/// Who listens and what is published.
struct Crowd {
    subscribers: usize,
    /// How many of them read nothing until the others have everything.
    stalled: usize,
    messages: u64,
    padding: usize,
}

async fn check(config: &str, crowd: Crowd) {
    let Crowd { subscribers, stalled, messages, padding } = crowd;
    Server::expect_many_clients();
    let server = Rc::new(Server::start_patient(config));
    let local = LocalSet::new();
    let mut readers = JoinSet::new();
    let everyone = Rc::new(Barrier::new(subscribers - stalled + 1));
    for index in stalled..subscribers {
        let (server, everyone) = (Rc::clone(&server), Rc::clone(&everyone));
        readers.spawn_local_on(subscriber(server, index, messages - 1, everyone), &local);
    }
    let run = local.run_until(async {
        let mut sleepers = Vec::new();
        for index in 0..stalled {
            let connect = Connect::to(&server).encoding(Encoding::BOTH[index % 2]);
            let mut client = connect.receive_buffer(8 * 1024).open().await;
            let mut transcript = Transcript::default();
            transcript.subscribed(&client.subscribe(TOPIC).await);
            sleepers.push((client, transcript));
        }
        everyone.wait().await;
        let mut writer = Client::connect(&server).await;
        let published = writer.flood(TOPIC, 0..messages, padding).await;
        while let Some(transcript) = readers.join_next().await {
            let tally = transcript.unwrap().check(&published);
            assert_eq!((tally.received, tally.declared_lost), (published.len(), 0));
        }
        for (mut client, mut transcript) in sleepers {
            while transcript.note(&next(&mut client).await) != Some(messages - 1) {}
            let tally = transcript.check(&published);
            assert_eq!(tally.received + tally.declared_lost, published.len());
        }
    });
    within(3 * LONG_PATIENCE, run).await;
}

#[tokio::test]
async fn a_thousand_subscribers_get_every_message_once_and_in_order() {
    check("", Crowd { subscribers: 1_000, stalled: 0, messages: 200, padding: 60 }).await;
}

#[tokio::test]
async fn a_tenth_of_them_stalled_costs_the_others_nothing() {
    let crowd = Crowd { subscribers: 1_000, stalled: 100, messages: 300, padding: 4_000 };
    check("max_outbox_bytes = 524288", crowd).await;
}

#[tokio::test]
async fn one_shard_serves_as_many_do() {
    check("shards = 1", Crowd { subscribers: 500, stalled: 0, messages: 100, padding: 60 }).await;
    check("shards = 3", Crowd { subscribers: 500, stalled: 0, messages: 100, padding: 60 }).await;
}

#[tokio::test]
async fn ten_thousand_subscribers_of_one_topic_are_served() {
    check("", Crowd { subscribers: 10_000, stalled: 0, messages: 10, padding: 60 }).await;
}

#[tokio::test]
async fn subscribers_of_many_topics_get_their_own_only() {
    let server = Server::development();
    let mut clients = Vec::new();
    for index in 0..60 {
        let mut client = Connect::to(&server).encoding(Encoding::BOTH[index % 2]).open().await;
        for topic in [index % 3, 3 + index % 5, 8 + index % 7] {
            client.subscribe(&format!("room:{topic}")).await;
        }
        clients.push(client);
    }
    let mut writer = Client::connect(&server).await;
    for n in 0..300 {
        writer.publish(&format!("room:{}", n % 15), n).await;
    }
    for (index, client) in clients.iter_mut().enumerate() {
        let mine = [index % 3, 3 + index % 5, 8 + index % 7];
        let expect: Vec<_> = (0..300).filter(|n| mine.contains(&(n % 15))).collect();
        // Order holds within a topic; all were published one after the other here, so across topics too.
        let mut got = Vec::new();
        for _ in &expect {
            got.push(usize::try_from(client.data().await.as_u64().unwrap()).unwrap());
        }
        got.sort_unstable();
        assert_eq!(got, expect);
        client.expect_nothing().await;
    }
}

#[tokio::test]
async fn a_subscriber_that_joins_midway_starts_at_its_reply() {
    let server = Server::start("[default]\nhistory_count = 100000");
    let mut writer = Client::connect(&server).await;
    const MESSAGES: u64 = 3_000;
    let joining = async {
        let mut transcripts = Vec::new();
        for index in 0..30 {
            let mut client = Connect::to(&server).encoding(Encoding::BOTH[index % 2]).open().await;
            let mut transcript = Transcript::default();
            let reply = client.subscribe(TOPIC).await;
            transcript.subscribed(&reply);
            transcripts.push((client, transcript));
        }
        transcripts
    };
    let (mut published, transcripts) =
        within(LONG_PATIENCE, async { tokio::join!(writer.flood(TOPIC, 0..MESSAGES, 50), joining) }).await;
    published.extend(writer.flood(TOPIC, MESSAGES..MESSAGES + 1, 50).await);
    for (mut client, mut transcript) in transcripts {
        transcript.read_until(&mut client, MESSAGES).await;
        transcript.check(&published);
    }
}

#[tokio::test]
async fn connections_that_left_are_no_longer_counted() {
    let server = Server::development();
    let mut clients = Vec::new();
    for _ in 0..200 {
        let mut client = Client::connect(&server).await;
        client.subscribe(TOPIC).await;
        clients.push(client);
    }
    clients.into_iter().for_each(Client::reset);
    eventually(async || {
        let answer =
            crate::support::post(server.address, &format!("/v1/topics/{TOPIC}/messages"), "", b"1").await;
        (answer.json()["subscribers"] == 0).then_some(())
    })
    .await;
    assert_eq!(get(server.address, "/healthz").await.status, 200);
}

/// Joins a topic of newest values, and follows it until the value `last`.
async fn follower(server: Rc<Server>, last: u64, joined: Rc<Barrier>) {
    let mut client = Connect::to(&server).encoding(Encoding::Json).open().await;
    client.ok(serde_json::json!({ "type": "subscribe", "topic": TOPIC })).await;
    joined.wait().await;
    let (mut offset, mut expected) = (0, None);
    loop {
        let message = next(&mut client).await;
        let (new, value) = (message["offset"].as_u64().unwrap(), message["data"].as_u64().unwrap());
        assert!(new > offset, "{new} after {offset}");
        let skipped = message["skipped"].as_u64().unwrap_or(0);
        if let Some(expected) = expected {
            assert_eq!(value, expected + skipped, "what was left out is counted exactly");
        }
        (offset, expected) = (new, Some(value + 1));
        if value == last {
            return;
        }
    }
}

/// A pass over a large topic takes several slices; who joins between them has a newer snapshot than the pass carries.
#[tokio::test]
async fn joining_a_busy_topic_of_newest_values_repeats_nothing() {
    const VALUES: u64 = 400;
    const EARLY: usize = 600;
    Server::expect_many_clients();
    let server = Rc::new(Server::start_patient("shards = 1\n[default]\nkind = 'latest'\n"));
    let local = LocalSet::new();
    let crowd = local.run_until(async {
        let mut tasks = JoinSet::new();
        let early = Rc::new(Barrier::new(EARLY + 1));
        for _ in 0..EARLY {
            tasks.spawn_local(follower(server.clone(), VALUES, early.clone()));
        }
        early.wait().await;
        let mut writer = Client::connect(&server).await;
        for value in 1..=VALUES {
            writer.send(&serde_json::json!({ "type": "publish", "topic": TOPIC, "data": value })).await;
            if value < VALUES {
                tasks.spawn_local(follower(server.clone(), VALUES, Rc::new(Barrier::new(1))));
            }
            tokio::time::sleep(std::time::Duration::from_millis(3)).await;
        }
        while let Some(outcome) = tasks.join_next().await {
            outcome.unwrap();
        }
    });
    within(LONG_PATIENCE, crowd).await;
}
