//! What watching costs the broker, with 10 000 topics. A measurement, not a check:
//!
//! ```sh
//! cargo test --release --test it watch_cost -- --ignored --nocapture
//! ```

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Client, EventStream, Server, get, post};

const TOPICS: usize = 10_000;
const CONNECTIONS: usize = 1_000;
const SPAN: Duration = Duration::from_secs(15);

/// Messages to many topics in one request.
async fn publish(server: &Server, topics: impl Iterator<Item = usize>) {
    let messages: Vec<Value> = topics
        .map(|n| json!({ "topic": format!("chat:{n}"), "data": { "text": "hello", "n": n } }))
        .collect();
    let body = json!({ "messages": messages }).to_string();
    let headers = "Content-Type: application/json\r\n";
    assert_eq!(post(server.address, "/v1/publish", headers, body.as_bytes()).await.status, 200);
}

/// Processor time a second over a while in which 500 messages a second are published.
async fn cost(server: &Server, what: &str) {
    let (before, mut ticks) = (server.cpu_seconds(), tokio::time::interval(Duration::from_millis(100)));
    let started = tokio::time::Instant::now();
    let mut next = 0;
    while started.elapsed() < SPAN {
        ticks.tick().await;
        publish(server, (next..next + 50).map(|n| n % TOPICS)).await;
        next += 50;
    }
    let share = (server.cpu_seconds() - before) / started.elapsed().as_secs_f64();
    println!("{what:<60} {:>6.2} % of a core", share * 100.0);
}

/// Reads a stream for as long as the task lives.
async fn watch(server: &Server, path: &str) -> tokio::task::JoinHandle<()> {
    let mut stream = EventStream::open(server, path, "").await;
    tokio::spawn(async move { while stream.next().await.is_some() {} })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures for minutes"]
async fn watching_ten_thousand_topics() {
    Server::expect_many_clients();
    let server = Server::development();
    for start in (0..TOPICS).step_by(1_000) {
        publish(&server, start..start + 1_000).await;
    }
    let mut clients = Vec::new();
    for n in 0..CONNECTIONS {
        let mut client = Client::connect(&server).await;
        client.subscribe(&format!("chat:{n}")).await;
        clients.push(client);
    }
    assert_eq!(get(server.address, "/v1/stats").await.json()["topic_count"], TOPICS);
    cost(&server, "closed, never opened").await;
    let overview = watch(&server, "/v1/stats/stream?sort=rate&limit=8").await;
    cost(&server, "open: overview").await;
    let topics = watch(&server, "/v1/stats/stream?sort=name&search=chat&limit=500").await;
    cost(&server, "open: overview, and a list of 500 topics").await;
    topics.abort();
    let tap = watch(&server, "/v1/tap").await;
    cost(&server, "open: overview, and every message").await;
    tap.abort();
    overview.abort();
    cost(&server, "closed again").await;
}
