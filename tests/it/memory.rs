//! What the broker takes in memory in all, and how it stays within that.

use serde_json::{Value, json};

use crate::support::{
    Client, Connect, LONG_PATIENCE, Launch, PATIENCE, Server, eventually, get, mint, within,
};

const MEMORY: u64 = 128 * 1024 * 1024;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

async fn share(server: &Server, name: &str) -> (u64, u64) {
    let stats = get(server.address, "/v1/stats").await.json();
    let share = &stats["memory"]["shares"][name];
    (share["used"].as_u64().unwrap(), share["limit"].as_u64().unwrap())
}

/// A message of about this many bytes.
fn large(topic: &str, id: u64, bytes: usize) -> Value {
    json!({ "type": "publish", "id": id, "topic": topic, "data": "x".repeat(bytes) })
}

/// Publishes to many topics as fast as they are answered; returns how many were taken, and what the others were told.
async fn fill(client: &mut Client, topics: u64, rounds: u64, bytes: usize) -> (u64, Vec<Value>) {
    let (mut taken, mut refused) = (0, Vec::new());
    for round in 0..rounds {
        for topic in 0..topics {
            client.send(&large(&format!("flood:{topic}"), round * topics + topic + 1, bytes)).await;
        }
        for topic in 0..topics {
            let reply = client.reply(round * topics + topic + 1).await;
            match reply["type"] == "ok" {
                true => taken += 1,
                false => refused.push(reply),
            }
        }
    }
    (taken, refused)
}

#[tokio::test]
async fn histories_stay_within_their_share() {
    let server = Server::start(&format!("max_memory_bytes = {MEMORY}"));
    let mut client = Client::connect(&server).await;
    client.publish("chat:quiet", "kept").await;
    let before = server.resident_bytes();
    // 400 topics may keep 4 MiB each by their rule: 1.6 GB in all; 140 MB are sent.
    let (taken, refused) = within(LONG_PATIENCE, fill(&mut client, 400, 3, 60_000)).await;
    assert!(taken > 600, "{taken} taken");
    for reply in &refused {
        assert_eq!((&reply["code"], &reply["retry"]), (&json!("overloaded"), &json!(true)), "{reply}");
        assert!(reply["message"].as_str().unwrap().contains("max_memory_bytes"), "{reply}");
    }
    let (used, limit) = share(&server, "topics").await;
    assert!(used <= limit && limit < MEMORY / 2, "{used} of {limit}");
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < MEMORY, "{grown} bytes more");
    // Whoever keeps little keeps it, and newcomers are served.
    let quiet = client.ok(json!({ "type": "history", "topic": "chat:quiet" })).await;
    assert_eq!(quiet["messages"][0]["data"], "kept");
    eventually(async || {
        let reply = client.call(json!({ "type": "publish", "topic": "chat:new", "data": 1 })).await;
        (reply["type"] == "ok").then_some(())
    })
    .await;
}

#[tokio::test]
async fn who_is_cut_short_is_told_of_the_gap() {
    let server = Server::start(&format!("max_memory_bytes = {MEMORY}"));
    let mut client = Client::connect(&server).await;
    let first = client.publish("flood:0", "first").await;
    client.publish("flood:0", "second").await;
    within(LONG_PATIENCE, fill(&mut client, 200, 5, 60_000)).await;
    let reply = client.resume("flood:0", &first["epoch"], &first["offset"]).await;
    assert_eq!(reply["recovered"], false, "{reply}");
}

#[tokio::test]
async fn one_users_topics_leave_room_for_others() {
    let config =
        format!("max_memory_bytes = {MEMORY}\nauth_hmac_secret = '{SECRET}'\n[default]\nkind = 'latest'");
    let server = Server::start(&config);
    let as_user =
        async |user: &str| Connect::to(&server).token(&mint(SECRET, &json!({ "sub": user }))).open().await;
    let mut hog = as_user("hog").await;
    // Newest values are not given up for newer ones of other keys, so they are refused in the end.
    let (_, refused) = within(LONG_PATIENCE, fill(&mut hog, 400, 1, 60_000)).await;
    let reply = refused.last().expect("some are refused");
    assert_eq!((&reply["code"], &reply["retry"]), (&json!("overloaded"), &json!(true)), "{reply}");
    assert!(reply["message"].as_str().unwrap().contains("this publisher"), "{reply}");
    let mut other = as_user("other").await;
    let (taken, refused) = within(PATIENCE, fill_apart(&mut other, 50, 60_000)).await;
    assert_eq!((taken, refused), (50, 0));
}

async fn fill_apart(client: &mut Client, topics: u64, bytes: usize) -> (u64, u64) {
    let (mut taken, mut refused) = (0, 0);
    for topic in 0..topics {
        let reply = client.call(large(&format!("other:{topic}"), 0, bytes)).await;
        *(if reply["type"] == "ok" { &mut taken } else { &mut refused }) += 1;
    }
    (taken, refused)
}

#[test]
fn check_shows_the_shares_and_what_is_wrong_with_them() {
    let (fine, out, _) = Launch::default().config(&format!("max_memory_bytes = {MEMORY}")).run("check");
    assert!(fine && out.contains(&format!("max_memory_bytes = {MEMORY}")), "{out}");
    for name in ["topics", "documents", "merging", "bodies", "outboxes", "idempotency"] {
        assert!(out.contains(&format!("#   {name} ")), "{out}");
    }
    let (fine, out, _) = Launch::default().run("check");
    let default = out.lines().find_map(|line| line.strip_prefix("max_memory_bytes = ")).unwrap();
    assert!(fine && default.parse::<u64>().unwrap() >= 64 << 20, "{out}");
    let least = (64 << 20).to_string();
    assert!(Launch::default().flag("--max-memory-bytes", &least).run("check").0);
    let (fine, _, error) =
        Launch::default().flag("--max-memory-bytes", &((64 << 20) - 1).to_string()).run("check");
    assert!(!fine && error.contains("max_memory_bytes") && error.contains(&least), "{error}");
    let more = format!("max_memory_bytes = {MEMORY}\nmax_documents_bytes = {}", MEMORY + 1);
    let (fine, _, error) = Launch::default().config(&more).run("check");
    assert!(!fine && error.contains("max_documents_bytes"), "{error}");
}

#[tokio::test]
async fn who_does_not_read_is_closed_when_all_of_them_hold_too_much() {
    // Its shard may hold 6.4 MiB for all of its connections; each may have 1 MiB.
    let server = Server::start("max_memory_bytes = 67108864\nshards = 1");
    let mut writer = Client::connect(&server).await;
    for n in 0..100 {
        writer.publish("chat:old", format!("{n}{}", "x".repeat(2_000))).await;
    }
    let history = json!({ "type": "history", "topic": "chat:old", "id": 1 });
    let mut stalled = Vec::new();
    for _ in 0..100 {
        let mut client = Connect::to(&server).receive_buffer(4_096).open().await;
        for _ in 0..4 {
            client.send(&history).await;
        }
        stalled.push(client);
    }
    eventually(async || {
        let closed = get(server.address, "/metrics").await.body;
        let line = closed.lines().find_map(|l| l.strip_prefix("fanwire_connections_closed_outbox_total "))?;
        (line.parse::<u64>().unwrap() > 0).then_some(())
    })
    .await;
    // Those who read notice nothing.
    writer.publish("chat:new", "fine").await;
    let (used, limit) = within(PATIENCE, async {
        loop {
            let (used, limit) = share(&server, "outboxes").await;
            if used <= limit {
                break (used, limit);
            }
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    })
    .await;
    assert!(used <= limit && limit == 67_108_864 / 100 * 10, "{used} of {limit}");
}
