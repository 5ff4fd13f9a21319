//! `/metrics`: Prometheus text whose numbers move.

use std::collections::BTreeMap;

use crate::support::{Client, Server, eventually, get};

/// Sample (name with labels) → value.
async fn scrape(server: &Server) -> BTreeMap<String, f64> {
    let answer = get(server.address, "/metrics").await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("content-type").unwrap().starts_with("text/plain"), "{}", answer.head);
    let samples = answer.body.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    samples
        .map(|line| {
            let (name, value) = line.rsplit_once(' ').unwrap();
            (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("no number in {line}")))
        })
        .collect()
}

/// What dashboards rely on.
const NAMES: [&str; 12] = [
    "fanwire_messages_published_total",
    "fanwire_deliveries_total",
    "fanwire_deliveries_dropped_total",
    "fanwire_deliveries_conflated_total",
    "fanwire_gaps_total",
    "fanwire_sent_bytes_total",
    "fanwire_received_bytes_total",
    "fanwire_connections_opened_total",
    "fanwire_connections_closed_total",
    "fanwire_connections_turned_away_total",
    "fanwire_connections",
    "fanwire_topics",
];

#[tokio::test]
async fn every_metric_is_ours_and_described() {
    let server = Server::development();
    Client::connect(&server).await.publish("chat:a", 1).await;
    let body = get(server.address, "/metrics").await.body;
    let mut described = Vec::new();
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').unwrap();
            assert!(help.len() > 10, "{line}");
            described.push(name);
        }
    }
    for name in NAMES {
        assert!(described.contains(&name), "no {name} in {body}");
    }
    for line in body.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        assert!(line.starts_with("fanwire_"), "{line}");
        assert!(described.iter().any(|name| line.starts_with(name)), "not described: {line}");
    }
}

#[tokio::test]
async fn connections_messages_and_deliveries_are_counted() {
    let server = Server::development();
    let mut readers = Vec::new();
    for _ in 0..3 {
        let mut reader = Client::connect(&server).await;
        reader.subscribe("chat:a").await;
        readers.push(reader);
    }
    let mut writer = Client::connect(&server).await;
    for n in 0..10 {
        writer.publish("chat:a", n).await;
    }
    for reader in &mut readers {
        for n in 0..10 {
            assert_eq!(reader.data().await, n);
        }
    }
    let expect = [
        ("fanwire_messages_published_total", 10.0),
        ("fanwire_deliveries_total", 30.0),
        ("fanwire_connections_opened_total", 4.0),
        ("fanwire_connections", 4.0),
        ("fanwire_topics", 1.0),
    ];
    for (name, value) in expect {
        // Shards report once in a while.
        eventually(async || (scrape(&server).await.get(name) == Some(&value)).then_some(())).await;
    }
    drop(writer);
    eventually(async || (scrape(&server).await["fanwire_connections"] == 3.0).then_some(())).await;
}
