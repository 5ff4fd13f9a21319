//! Limits of who may connect and stay: counts, slow handshakes, silent peers.

use serde_json::json;
use tokio_tungstenite::tungstenite::Error;

use crate::support::{Client, Connect, PATIENCE, Raw, Server, eventually, get, mask, opcode, within};

/// Refused in an orderly way: an HTTP status that says come back, or a closed socket.
#[track_caller]
fn assert_refused(attempt: Result<Client, Error>) {
    match attempt {
        Ok(_) => panic!("connected above the limit"),
        Err(Error::Http(response)) => {
            let status = response.status().as_u16();
            assert!(matches!(status, 429 | 503), "{response:?}");
            assert!(response.headers().contains_key("retry-after"), "{response:?}");
        }
        Err(_) => {}
    }
}

#[tokio::test]
async fn connections_are_limited_in_all() {
    let server = Server::start("max_connections = 3");
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(Client::connect(&server).await);
    }
    for _ in 0..3 {
        assert_refused(Connect::to(&server).attempt().await);
    }
    for client in &mut clients {
        client.expect_nothing().await;
    }
    clients.pop().unwrap().reset();
    let mut fresh = eventually(async || Connect::to(&server).attempt().await.ok()).await;
    fresh.expect_nothing().await;
    assert_refused(Connect::to(&server).attempt().await);
}

#[tokio::test]
async fn connections_are_limited_per_address() {
    let server = Server::start("max_connections_per_address = 2");
    let mut first = Client::connect(&server).await;
    let _second = Client::connect(&server).await;
    assert_refused(Connect::to(&server).attempt().await);
    let _elsewhere = Connect::to(&server).from("127.0.0.2").open().await;
    let _elsewhere_too = Connect::to(&server).from("127.0.0.2").open().await;
    assert_refused(Connect::to(&server).from("127.0.0.2").attempt().await);
    first.expect_nothing().await;
    first.close().await;
    eventually(async || Connect::to(&server).attempt().await.ok()).await;
}

#[tokio::test]
async fn a_handshake_has_a_deadline() {
    let server = Server::start("handshake_timeout_ms = 300");
    let heads: [&[u8]; 4] = [
        b"",
        b"G",
        b"GET /ws HTTP/1.1\r\nHost: x\r\n",
        b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n",
    ];
    let mut slow = Vec::new();
    for head in heads {
        let mut raw = Raw::tcp(server.address).await;
        raw.send(head).await;
        slow.push(raw);
    }
    let mut honest = Client::connect(&server).await;
    for raw in &mut slow {
        // Patience is in the reading: it ends when the broker hangs up.
        let answer = raw.rest().await;
        assert!(!answer.starts_with(b"HTTP/1.1 101"), "{answer:?}");
    }
    honest.expect_nothing().await;
}

#[tokio::test]
async fn a_handshake_by_the_drop_is_cut_too() {
    let server = Server::start("handshake_timeout_ms = 300");
    let mut raw = Raw::tcp(server.address).await;
    raw.send(b"GET /ws HTTP/1.1\r\nHost: x\r\n").await;
    let dripping = async {
        let mut pause = tokio::time::interval(std::time::Duration::from_millis(50));
        loop {
            tokio::select! {
                answer = raw.rest() => return answer,
                _ = pause.tick() => {}
            }
            raw.send(b"X").await;
        }
    };
    within(PATIENCE, dripping).await;
    Client::connect(&server).await.expect_nothing().await;
}

#[tokio::test]
async fn an_endless_head_is_cut() {
    let server = Server::development();
    let mut raw = Raw::tcp(server.address).await;
    raw.send(b"GET /ws HTTP/1.1\r\n").await;
    let line = format!("X-Filler: {}\r\n", "x".repeat(1000));
    for _ in 0..2_000 {
        raw.send(line.as_bytes()).await;
    }
    let answer = raw.rest().await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"), "{}", String::from_utf8_lossy(&answer));
    Client::connect(&server).await.expect_nothing().await;
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_closed() {
    let server = Server::start("ping_s = 2\npong_timeout_s = 1");
    let mut silent = Raw::websocket(&server, "fanwire.v1.json").await;
    let ping = silent.frame().await.unwrap();
    assert_eq!(ping.first_byte, opcode::PING);
    assert_eq!(silent.close_code().await, Some(4100));
}

#[tokio::test]
async fn a_peer_that_answers_pings_stays() {
    let server = Server::start("ping_s = 2\npong_timeout_s = 1");
    let mut raw = Raw::websocket(&server, "fanwire.v1.json").await;
    for _ in 0..3 {
        let ping = raw.frame().await.unwrap();
        assert_eq!(ping.first_byte, opcode::PING, "{ping:?}");
        raw.send(&mask(opcode::PONG, &ping.payload)).await;
    }
    raw.send(&mask(opcode::TEXT, json!({ "type": "ping", "id": 1 }).to_string().as_bytes())).await;
    let pong = raw.frame().await.unwrap();
    assert_eq!(pong.first_byte, opcode::TEXT, "{pong:?}");
}

#[tokio::test]
async fn a_peer_that_neither_reads_nor_answers_is_let_go() {
    let server = Server::start("ping_s = 2\npong_timeout_s = 1\nmax_connections = 2");
    let mut stuck = Raw::websocket(&server, "fanwire.v1.json").await;
    stuck.send(&mask(opcode::TEXT, br#"{"type":"subscribe","topic":"chat:a"}"#)).await;
    let mut writer = Client::connect(&server).await;
    let flooding = async {
        loop {
            writer.flood("chat:a", 0..10, 20_000).await;
        }
    };
    let waiting = eventually(async || Connect::to(&server).attempt().await.ok());
    tokio::select! {
        () = flooding => {}
        _ = waiting => {} // its place was free again
    }
    eventually(async || (get(server.address, "/healthz").await.status == 200).then_some(())).await;
}
