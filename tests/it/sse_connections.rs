//! Event streams as connections: counted as those are, and let go as soon when nobody is there any more.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Client, Connect, EventStream, Launch, PATIENCE, Server, eventually, get, within};

/// A client that sees who comes to a topic and who leaves.
async fn watcher(server: &Server) -> Client {
    let mut watcher = Client::connect(server).await;
    watcher.ok(json!({ "type": "subscribe", "topic": "chat:a", "presence": true })).await;
    watcher
}

async fn stream(server: &Server) -> EventStream {
    let mut stream = EventStream::open(server, "/v1/events?topic=chat:a", "").await;
    assert_eq!(stream.named("subscribed").await["topic"], "chat:a");
    stream
}

/// Whether a stream is refused because of too many connections.
async fn is_refused(server: &Server) -> bool {
    let stream = EventStream::open(server, "/v1/events?topic=chat:a", "").await;
    let refused = stream.head.contains(" 503 ") || stream.head.contains(" 429 ") || stream.head.is_empty();
    assert!(refused || stream.head.contains(" 200 "), "{}", stream.head);
    refused
}

#[tokio::test]
async fn a_client_without_a_network_is_gone_as_soon_as_a_websocket_would_be() {
    let server = Server::start("ping_s = 2\npong_timeout_s = 1");
    let mut watcher = watcher(&server).await;
    let stream = stream(&server).await;
    let join = watcher.expect("join").await;
    stream.lose_the_network();
    let lost = Instant::now();
    let leave = watcher.expect("leave").await;
    assert_eq!(join["client"], leave["client"]);
    // A heartbeat, the time it may take to be acknowledged, and room for a loaded machine.
    assert!(lost.elapsed() < PATIENCE, "{:?}", lost.elapsed());
    assert!(lost.elapsed() > Duration::from_millis(500), "not at once either: {:?}", lost.elapsed());
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_let_go_as_a_websocket_would_be() {
    let server = Server::start("ping_s = 2\npong_timeout_s = 1");
    let mut watcher = watcher(&server).await;
    let stream = stream(&server).await;
    let join = watcher.expect("join").await;
    let mut writer = Client::connect(&server).await;
    let flooding = async {
        loop {
            writer.flood("chat:a", 0..10, 20_000).await;
        }
    };
    let leaving = async {
        loop {
            let event = watcher.next().await;
            if event["type"] == "leave" {
                return event;
            }
        }
    };
    tokio::select! {
        () = flooding => {}
        leave = within(PATIENCE, leaving) => assert_eq!(join["client"], leave["client"]),
    }
    drop(stream);
}

#[tokio::test]
async fn a_client_that_only_reads_stays() {
    let server = Server::start("ping_s = 1\npong_timeout_s = 1");
    let mut stream = stream(&server).await;
    for _ in 0..4 {
        stream.heartbeat().await;
    }
    Client::connect(&server).await.publish("chat:a", 1).await;
    assert_eq!(stream.named("message").await["data"], 1);
}

#[tokio::test]
async fn streams_count_as_connections() {
    let server = Server::start("max_connections = 3");
    let mut streams = vec![stream(&server).await, stream(&server).await];
    let _client = Client::connect(&server).await;
    assert!(is_refused(&server).await);
    assert!(Connect::to(&server).attempt().await.is_err());
    streams.pop();
    let fresh = eventually(async || Connect::to(&server).attempt().await.ok()).await;
    assert!(is_refused(&server).await);
    drop((fresh, streams));
    eventually(async || (!is_refused(&server).await).then_some(())).await;
}

/// One descriptor each, and none of those that are kept for other things: the disk, health checks, log lines.
#[tokio::test]
async fn many_streams_leave_the_last_descriptors_alone() {
    Server::expect_many_clients();
    let server = Launch::default().descriptors(400).start();
    let mut streams = Vec::new();
    for _ in 0..500 {
        let stream = EventStream::open(&server, "/v1/events?topic=chat:a", "").await;
        if !stream.head.contains(" 200 ") {
            break;
        }
        streams.push(stream);
    }
    assert!((300..400).contains(&streams.len()), "{}", streams.len());
    let open = std::fs::read_dir(format!("/proc/{}/fd", server.id())).unwrap().count();
    assert!(open < 380, "{open} descriptors for {} streams", streams.len());
    assert!(!server.output().contains("descriptor"), "{}", server.output());
    let place = streams.pop();
    drop(place);
    let health = eventually(async || {
        let answer = get(server.address, "/healthz").await;
        (answer.status == 200).then_some(())
    });
    health.await;
    let mut publisher = eventually(async || Connect::to(&server).attempt().await.ok()).await;
    publisher.publish("chat:a", 1).await;
    for stream in &mut streams {
        stream.named("subscribed").await;
        assert_eq!(stream.named("message").await["data"], 1);
    }
}
