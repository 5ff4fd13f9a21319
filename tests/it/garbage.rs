//! Random frames, mutated from good ones, with fixed seeds: the broker answers or closes, and goes on.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Client, Connect, Encoding, LONG_PATIENCE, Random, Raw, Server, mask, within};

fn good_commands() -> Vec<Value> {
    vec![
        json!({ "type": "subscribe", "id": 1, "topic": "chat:a", "since": { "epoch": "00", "offset": 41 } }),
        json!({ "type": "subscribe", "id": 2, "topic": "ticker:a", "max_rate": 5, "last": 3, "presence": true }),
        json!({ "type": "unsubscribe", "id": 3, "topic": "chat:a" }),
        json!({ "type": "publish", "id": 4, "topic": "chat:a", "data": { "text": "hi", "n": [1, 2.5, null] } }),
        json!({ "type": "publish", "id": 5, "topic": "ticker:a", "key": "BTC", "data": 1, "tags": { "a": "b" } }),
        json!({ "type": "publish", "id": 6, "topic": "game:a", "b64": "AAEC", "message_id": "m" }),
        json!({ "type": "presence", "id": 7, "topic": "chat:a" }),
        json!({ "type": "history", "id": 8, "topic": "chat:a", "limit": 3, "reverse": true }),
        json!([{ "type": "ping", "id": 9 }, { "type": "ping" }]),
        json!({ "type": "auth", "id": 10, "token": "a.b.c" }),
    ]
}

/// Flips, cuts, doubles or inserts a few bytes.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..=random.below(4) {
        let at = usize::try_from(random.below(bytes.len() as u64 + 1)).unwrap();
        match random.below(4) {
            0 if at < bytes.len() => bytes[at] = random.bytes(1)[0],
            1 => bytes.truncate(at),
            2 => {
                let tail = bytes[at..].to_vec();
                bytes.extend(tail);
            }
            _ => {
                let length = random.below(8);
                bytes.splice(at..at, random.bytes(length));
            }
        }
    }
    bytes.truncate(60_000);
}

/// Sends mutated commands, reconnecting when closed, with a bystander that must not notice.
async fn bombard(encoding: Encoding, seed: u64) {
    let server = Server::development();
    let mut bystander = Connect::to(&server).encoding(encoding).open().await;
    bystander.subscribe("chat:bystander").await;
    let mut random = Random::new(seed);
    let commands = good_commands();
    let mut client = Connect::to(&server).encoding(encoding).open().await;
    for round in 0..1_500 {
        let mut bytes = encoding.encode(random.pick(&commands)).into_data().to_vec();
        mutate(&mut bytes, &mut random);
        let frame = match encoding {
            Encoding::Json => Message::text(String::from_utf8_lossy(&bytes).into_owned()),
            Encoding::MsgPack => Message::binary(bytes),
        };
        client.send_frame(frame).await;
        if round % 50 == 0 {
            // Whatever it made of all that, it answers and delivers.
            client.send(&json!({ "type": "ping", "id": 777_777 })).await;
            let pong = client.reply(777_777).await;
            assert_eq!(pong["type"], "pong", "round {round}");
            bystander.publish("chat:bystander", round).await;
            assert_eq!(bystander.data().await, round);
            client = Connect::to(&server).encoding(encoding).open().await;
        }
    }
    bystander.expect_nothing().await;
}

#[tokio::test]
async fn mutated_json() {
    within(LONG_PATIENCE, bombard(Encoding::Json, 21)).await;
}

#[tokio::test]
async fn mutated_msgpack() {
    within(LONG_PATIENCE, bombard(Encoding::MsgPack, 22)).await;
}

#[tokio::test]
async fn random_bytes_where_frames_should_be() {
    let server = Server::development();
    let mut bystander = Client::connect(&server).await;
    let mut random = Random::new(23);
    for round in 0..200 {
        let subprotocol = random.pick(&Encoding::BOTH).subprotocol();
        let mut raw = Raw::websocket(&server, subprotocol).await;
        let length = 1 + random.below(600);
        let mut bytes = random.bytes(length);
        if round % 2 == 0 {
            // A proper masked frame around it, of a random type.
            bytes = mask(random.bytes(1)[0], &bytes);
        }
        raw.send(&bytes).await;
        // An end of the stream, in case the broker waits for the rest of a frame.
        raw.finish().await;
        while let Some(frame) = raw.frame().await {
            if let Some(code) = frame.close_code() {
                assert!(matches!(code, 1000..=1003 | 1005..=1009 | 3000..=4999), "round {round}: {code}");
            }
        }
        if round % 20 == 0 {
            bystander.expect_nothing().await;
        }
    }
    bystander.expect_nothing().await;
}
