//! Floods within the rules: whoever sends as much as it may holds nobody else up, on the same shard or not.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Client, Connect, LONG_PATIENCE, Raw, Server, mask, mint, opcode, within};

/// Messages that are timed beside a flood.
const TIMED: usize = 100;

/// Connections that flood.
const FLOODS: usize = 8;

/// What a message may take, from its publisher to a subscriber, beside a flood: its 95th percentile of a hundred. The machine
/// that runs the tests may be busy with others; without bounds per turn floods of this kind take hundreds of milliseconds in an
/// optimised build, seconds in this one.
const SOON: Duration = Duration::from_millis(if cfg!(debug_assertions) { 400 } else { 50 });

/// Times messages of a quiet topic while others send the same bytes again and again.
async fn beside(server: &Server, flood: Vec<u8>) -> Duration {
    let mut publisher = Client::connect(server).await;
    let mut subscriber = Client::connect(server).await;
    subscriber.subscribe("chat:quiet").await;
    let bytes: Arc<[u8]> = flood.into();
    let mut floods = JoinSet::new();
    for _ in 0..FLOODS {
        floods.spawn(Raw::websocket(server, "fanwire.v1.json").await.flood(bytes.clone()));
    }
    let mut times = Vec::with_capacity(TIMED);
    for n in 0..TIMED {
        let begun = Instant::now();
        publisher.send(&json!({ "type": "publish", "topic": "chat:quiet", "data": n })).await;
        assert_eq!(subscriber.data().await, n, "nothing is lost");
        times.push(begun.elapsed());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(floods.len(), FLOODS);
    assert!(floods.try_join_next().is_none(), "a flood was ended");
    times.sort_unstable();
    times[TIMED * 95 / 100]
}

fn many(frame: &[u8], bytes: usize) -> Vec<u8> {
    frame.repeat(bytes / frame.len())
}

async fn check(name: &str, bytes: Vec<u8>) {
    let server = Server::start("shards = 1");
    let time = within(LONG_PATIENCE, beside(&server, bytes)).await;
    assert!(time < SOON, "{name}: {time:?}");
}

fn text(value: &Value) -> Vec<u8> {
    mask(opcode::TEXT, value.to_string().as_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_pings() {
    check("commands", many(&text(&json!({ "type": "ping" })), 256 * 1024)).await;
    check("frames", many(&mask(opcode::PING, b""), 256 * 1024)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_fragments() {
    let ping = json!({ "type": "ping" }).to_string();
    let (first, rest) = ping.as_bytes().split_at(1);
    let mut message = mask(opcode::TEXT_START, first);
    rest[..rest.len() - 1].iter().for_each(|byte| message.extend(mask(opcode::CONTINUATION_MORE, &[*byte])));
    message.extend(mask(opcode::CONTINUATION, &rest[rest.len() - 1..]));
    check("fragments", many(&message, 256 * 1024)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_publishes_to_a_thousand_topics() {
    let all: Vec<u8> = (0..1_000)
        .flat_map(|n| text(&json!({ "type": "publish", "topic": format!("flood:{n}"), "data": n })))
        .collect();
    check("publishes", all).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_coming_and_going() {
    let topics = (0..40).flat_map(|n| {
        ["subscribe", "unsubscribe"].map(|kind| json!({ "type": kind, "topic": format!("flood:{n}") }))
    });
    let batch = text(&topics.collect::<Vec<_>>().into());
    check("memberships", many(&batch, 256 * 1024)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_reading_histories_and_members() {
    let server = Server::start("shards = 1");
    let mut client = Client::connect(&server).await;
    for _ in 0..4 {
        let batch: Vec<Value> =
            (0..250).map(|n| json!({ "type": "publish", "topic": "chat:old", "data": n })).collect();
        client.send(&json!(batch)).await;
    }
    let batch: Vec<Value> = (0..200)
        .flat_map(|_| ["history", "presence"].map(|kind| json!({ "type": kind, "topic": "chat:old" })))
        .collect();
    let time = within(LONG_PATIENCE, beside(&server, text(&batch.into()))).await;
    assert!(time < SOON, "{time:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_credentials_that_are_none() {
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    let server = Server::start(&format!("auth_hmac_secret = '{SECRET}'"));
    let token = mint("another secret that is of no use here", &json!({ "sub": "mallory" }));
    let auth = json!({ "type": "auth", "id": 1, "token": token });
    let mut client = Connect::to(&server).token(&mint(SECRET, &json!({ "sub": "alice" }))).open().await;
    // One that is good forgives those before it.
    for _ in 0..2 {
        for _ in 0..4 {
            client.send_frame(Message::text(auth.to_string())).await;
        }
        client
            .send(&json!({ "type": "auth", "id": 2, "token": mint(SECRET, &json!({ "sub": "alice" })) }))
            .await;
        for _ in 0..4 {
            assert_eq!(client.next().await["code"], "invalid_token");
        }
        assert_eq!(client.next().await["type"], "ok");
    }
    client.send(&json!(vec![auth; 300])).await;
    let mut refused = 0;
    let end = loop {
        match client.next_or_end().await {
            Ok(event) => {
                assert_eq!(event["type"], "error", "{event}");
                refused += 1;
            }
            Err(end) => break end,
        }
    };
    assert_eq!((refused, end.code), (5, Some(4000)));
}

/// Presents false tokens on one connection after the other, for ever. Counts what was not even looked at.
async fn present_false_tokens(url: std::net::SocketAddr, unseen: Arc<AtomicUsize>) {
    let token = mint("another secret that is of no use here", &json!({ "sub": "mallory" }));
    let auths = vec![json!({ "type": "auth", "id": 1, "token": token }); 8];
    loop {
        let mut client = Connect::at(url).from("127.0.0.9").open().await;
        client.send(&json!(auths)).await;
        for _ in 0..auths.len() {
            let Ok(event) = client.next_or_end().await else { break };
            if event["code"] == "rate_limited" {
                assert!(
                    event["message"].as_str().unwrap().contains("max_false_tokens_per_second"),
                    "{event}"
                );
                unseen.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_false_tokens_from_one_address() {
    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    let server = Server::start(&format!("shards = 1\nauth_hmac_secret = '{SECRET}'"));
    let alice = mint(SECRET, &json!({ "sub": "alice" }));
    let mut publisher = Connect::to(&server).token(&alice).open().await;
    let mut subscriber = Connect::to(&server).token(&alice).open().await;
    subscriber.subscribe("chat:quiet").await;
    let unseen = Arc::new(AtomicUsize::new(0));
    let mut floods = JoinSet::new();
    for _ in 0..FLOODS {
        floods.spawn(present_false_tokens(server.address, unseen.clone()));
    }
    let timed = async {
        let mut times = Vec::new();
        while times.len() < TIMED || unseen.load(Ordering::Relaxed) < TIMED {
            let begun = Instant::now();
            publisher.send(&json!({ "type": "publish", "topic": "chat:quiet", "data": times.len() })).await;
            assert_eq!(subscriber.data().await, times.len(), "nothing is lost");
            times.push(begun.elapsed());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        times.sort_unstable();
        times[times.len() * 95 / 100]
    };
    let time = within(LONG_PATIENCE, timed).await;
    assert!(time < SOON, "{time:?}");
    assert!(floods.try_join_next().is_none(), "a flood was ended");
}
