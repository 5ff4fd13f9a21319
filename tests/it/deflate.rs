//! Compression (RFC 7692): agreed on, shared, bounded, and invisible to everybody else.

use serde_json::{Value, json};

use crate::support::{
    Client, Connect, Encoding, EventStream, Frame, Random, Raw, Server, deflate, mask, opcode,
};

const OFFER: &str = "permessage-deflate; client_max_window_bits";
const COMPRESSED: u8 = 0x40;

/// A connection that has agreed on compression, past its welcome.
async fn compressed(server: &Server, offer: &str) -> Raw {
    let (mut raw, answer) = Raw::offering(server.address, "/ws", offer).await;
    assert!(answer.is_some(), "{offer}");
    next(&mut raw, "welcome").await;
    raw
}

/// The next message, which must be of this type, and whether it was compressed.
async fn next(raw: &mut Raw, kind: &str) -> (Value, bool) {
    let frame = message_frame(raw).await;
    let message: Value = serde_json::from_slice(&frame.message()).unwrap();
    assert_eq!(message["type"], kind, "{message}");
    (message, frame.is_compressed())
}

/// The next frame that is no ping: the broker sends them at its own times.
async fn message_frame(raw: &mut Raw) -> Frame {
    loop {
        let frame = raw.frame().await.unwrap();
        if frame.first_byte != opcode::PING {
            return frame;
        }
    }
}

async fn subscribe(raw: &mut Raw, topic: &str) {
    let command = json!({ "type": "subscribe", "id": 1, "topic": topic }).to_string();
    raw.send(&mask(opcode::TEXT | COMPRESSED, &deflate(command.as_bytes(), 15))).await;
    next(raw, "ok").await;
}

/// JSON as applications send it: the same names again and again.
fn kilobyte(n: u64) -> Value {
    let quote = |at: u64| json!({ "symbol": format!("S{at}"), "price": 100 + n * at, "currency": "EUR", "open": true });
    Value::Array((0..16).map(quote).collect())
}

#[tokio::test]
async fn offers_are_answered() {
    let server = Server::development();
    let plain = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    for path in ["/ws", "/yjs/doc:offers"] {
        for (offer, expect) in [
            (OFFER, Some(plain.to_owned())),
            (
                "permessage-deflate; server_max_window_bits=9",
                Some(format!("{plain}; server_max_window_bits=9")),
            ),
            ("permessage-deflate; server_max_window_bits=8, permessage-deflate", Some(plain.to_owned())),
            (
                "permessage-deflate; server_max_window_bits=\"12\"",
                Some(format!("{plain}; server_max_window_bits=12")),
            ),
            ("permessage-deflate; unheard_of", None),
            ("x-webkit-deflate-frame", None),
            ("permessage-deflate; client_max_window_bits=\"", None),
        ] {
            assert_eq!(Raw::offering(server.address, path, offer).await.1, expect, "{path}: {offer}");
        }
    }
}

#[tokio::test]
async fn it_can_be_turned_off() {
    let server = Server::start("deflate = false");
    let (mut raw, answer) = Raw::offering(server.address, "/ws", OFFER).await;
    assert_eq!(answer, None);
    next(&mut raw, "welcome").await;
    let ping = deflate(br#"{"type":"ping","id":1}"#, 15);
    raw.send(&mask(opcode::TEXT | COMPRESSED, &ping)).await;
    assert_eq!(raw.close_code().await, Some(1002));
}

#[tokio::test]
async fn a_mixed_crowd_gets_the_same_messages() {
    let server = Server::development();
    let mut compressing = Vec::new();
    for offer in [OFFER, "permessage-deflate", "permessage-deflate; server_max_window_bits=10"] {
        let mut raw = compressed(&server, offer).await;
        subscribe(&mut raw, "chat:mixed").await;
        compressing.push(raw);
    }
    let mut plain = Vec::new();
    for encoding in Encoding::BOTH {
        let mut client = Connect::to(&server).encoding(encoding).open().await;
        client.subscribe("chat:mixed").await;
        plain.push(client);
    }
    let mut events = EventStream::open(&server, "/v1/events?topic=chat:mixed", "").await;
    events.named("subscribed").await;
    let mut writer = Client::connect(&server).await;
    for n in 0..20 {
        let data = if n % 2 == 0 { kilobyte(n) } else { json!(n) };
        writer.publish("chat:mixed", data.clone()).await;
        for raw in &mut compressing {
            let (message, was_compressed) = next(raw, "message").await;
            assert_eq!((&message["data"], was_compressed), (&data, n % 2 == 0), "large ones are compressed");
        }
        for client in &mut plain {
            assert_eq!(client.data().await, data);
        }
        assert_eq!(events.named("message").await["data"], data);
    }
}

#[tokio::test]
async fn less_than_half_of_the_bytes() {
    let server = Server::development();
    let mut raw = compressed(&server, OFFER).await;
    subscribe(&mut raw, "ticker:all").await;
    let mut writer = Client::connect(&server).await;
    writer.publish("ticker:all", kilobyte(7)).await;
    let frame = message_frame(&mut raw).await;
    assert!(frame.payload.len() * 20 < frame.message().len() * 9, "{} bytes", frame.payload.len());
}

#[tokio::test]
async fn the_least_size_can_be_set() {
    let server = Server::start("deflate_min_bytes = 5000\ndeflate_level = 1");
    let mut raw = compressed(&server, OFFER).await;
    subscribe(&mut raw, "chat:a").await;
    let mut writer = Client::connect(&server).await;
    writer.publish("chat:a", "x".repeat(4000)).await;
    assert!(!next(&mut raw, "message").await.1);
    writer.publish("chat:a", "x".repeat(5000)).await;
    assert!(next(&mut raw, "message").await.1);
}

/// What a client's compressor may do with its windows, fragments and blocks.
#[tokio::test]
async fn clients_compress_as_they_like() {
    let server = Server::development();
    let mut raw = compressed(&server, OFFER).await;
    let mut random = Random::new(7692);
    for n in 0..300u64 {
        let pad: String = (0..random.below(4000)).map(|_| *random.pick(&['a', 'b', 'é'])).collect();
        let command = json!({ "type": "ping", "id": n, "pad": pad }).to_string();
        let bits = *random.pick(&[9, 10, 11, 12, 13, 14, 15]);
        let body = deflate(command.as_bytes(), bits);
        let cut = usize::try_from(random.below(body.len() as u64)).unwrap();
        raw.send(&match n % 3 {
            0 => mask(opcode::TEXT | COMPRESSED, &body),
            1 => mask(opcode::TEXT, command.as_bytes()),
            _ => {
                let start = mask(opcode::TEXT_START | COMPRESSED, &body[..cut]);
                [start, mask(opcode::PONG, b"between"), mask(opcode::CONTINUATION, &body[cut..])].concat()
            }
        })
        .await;
        assert_eq!(next(&mut raw, "pong").await.0["id"], n);
    }
}

#[tokio::test]
async fn what_cannot_be_inflated_is_refused() {
    let server = Server::development();
    let mut bystander = Client::connect(&server).await;
    let ping = deflate(br#"{"type":"ping","id":1}"#, 15);
    let not_utf8 = deflate(&[0xff; 50], 15);
    let cases: &[(&str, Vec<u8>, u16)] = &[
        ("no DEFLATE", mask(opcode::TEXT | COMPRESSED, b"\xff\xff\xff"), 1002),
        // RFC 7692 §7.2.3.2: it refers to the message before.
        ("a context", mask(opcode::TEXT | COMPRESSED, &[0xf2, 0x00, 0x11, 0x00, 0x00]), 1002),
        ("the bit on a continuation", mask(opcode::CONTINUATION | COMPRESSED, &ping), 1002),
        ("a compressed ping", mask(opcode::PING | COMPRESSED, &ping), 1002),
        ("not UTF-8 inside", mask(opcode::TEXT | COMPRESSED, &not_utf8), 1007),
        ("binary", mask(opcode::BINARY | COMPRESSED, &ping), 1003),
    ];
    for (what, bytes, code) in cases {
        let mut raw = compressed(&server, OFFER).await;
        raw.send(bytes).await;
        assert_eq!(raw.close_code().await, Some(*code), "{what}");
        bystander.expect_nothing().await;
    }
}

/// 200 clients with 64 KiB each that inflate to 64 MiB: what is too large costs no memory.
#[tokio::test]
async fn bombs_cost_no_memory() {
    let server = Server::start("shards = 1");
    let bomb = mask(opcode::TEXT | COMPRESSED, &deflate(&vec![b' '; 64 << 20], 15));
    let ping = r#"{"type":"ping","id":1}"#;
    let padded = |bytes: usize| deflate(format!("{ping}{}", " ".repeat(bytes - ping.len())).as_bytes(), 15);
    let (exact, over) = (padded(65_536), padded(65_537));
    let mut raw = compressed(&server, OFFER).await;
    raw.send(&mask(opcode::TEXT | COMPRESSED, &exact)).await;
    next(&mut raw, "pong").await;
    raw.send(&mask(opcode::TEXT | COMPRESSED, &over)).await;
    assert_eq!(raw.close_code().await, Some(1009));
    let before = server.resident_bytes();
    for _ in 0..200 {
        let mut raw = compressed(&server, OFFER).await;
        raw.send(&bomb).await;
        assert_eq!(raw.close_code().await, Some(1009));
    }
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 8 << 20, "{grown} bytes");
}

/// Messages that inflate a thousandfold are worked off in turns: another client of the same shard is answered between.
#[tokio::test]
async fn inflating_is_shared_out() {
    let server = Server::start("shards = 1");
    let mut greedy = compressed(&server, OFFER).await;
    let mut other = Client::connect(&server).await;
    let body = deflate(format!("{:60000}", r#"{"type":"ping","id":1}"#).as_bytes(), 15);
    let frame = mask(opcode::TEXT | COMPRESSED, &body);
    let count = 500;
    greedy.send(&frame.repeat(count)).await;
    other.call(json!({ "type": "ping" })).await;
    for _ in 0..count {
        next(&mut greedy, "pong").await;
    }
}
