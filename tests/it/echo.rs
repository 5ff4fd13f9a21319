//! The echo example, as the Autobahn suite meets it: large messages, fragments, chops, and every window.

#[path = "../../examples/echo.rs"]
#[expect(dead_code, reason = "its `main`")]
mod example;

use std::net::{SocketAddr, TcpListener};

use crate::support::{LONG_PATIENCE, Random, Raw, deflate, mask, opcode, within};

const COMPRESSED: u8 = 0x40;

/// The example, on threads that end with the tests.
struct Echo {
    address: SocketAddr,
}

impl Echo {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || example::serve(&listener).unwrap());
        Self { address }
    }

    async fn connect(&self, offer: &str) -> Raw {
        Raw::offering(self.address, "/", offer).await.0
    }
}

async fn echoed(raw: &mut Raw, bytes: &[u8], expect: &[u8]) {
    raw.send(bytes).await;
    let frame = raw.frame().await.unwrap();
    assert!(frame.message() == expect, "{} bytes came back as {}", expect.len(), frame.payload.len());
}

fn in_fragments(payload: &[u8], size: usize, first: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chunks = payload.chunks(size).enumerate().peekable();
    while let Some((at, chunk)) = chunks.next() {
        let last = if chunks.peek().is_none() { 0x80 } else { 0 };
        bytes.extend(mask(if at == 0 { first } else { 0 } | last, chunk));
    }
    bytes
}

#[tokio::test]
async fn sixteen_megabytes_come_back() {
    let echo = Echo::start();
    let payload: Vec<u8> = (0..16u32 << 20).map(|n| b'a' + n.to_le_bytes()[1] % 26).collect();
    within(LONG_PATIENCE, async {
        let mut raw = echo.connect("none").await;
        for first in [opcode::TEXT, opcode::BINARY] {
            echoed(&mut raw, &mask(first, &payload), &payload).await;
        }
        for size in [64, 1024, 1 << 16, 1 << 22] {
            echoed(&mut raw, &in_fragments(&payload, size, 1), &payload).await;
        }
        let mut raw = echo.connect("permessage-deflate").await;
        echoed(&mut raw, &mask(opcode::TEXT | COMPRESSED, &deflate(&payload, 15)), &payload).await;
        raw.send(&mask(opcode::BINARY, &vec![0; (16 << 20) + 1])).await;
        assert_eq!(raw.close_code().await, Some(1009));
    })
    .await;
}

#[tokio::test]
async fn chops_of_one_byte() {
    let echo = Echo::start();
    let mut raw = echo.connect("none").await;
    let payload = "Hello-µ@ßöäüàá-UTF-8!!".repeat(5);
    for _ in 0..5 {
        for byte in in_fragments(payload.as_bytes(), 3, 1) {
            raw.send(&[byte]).await;
        }
        assert_eq!(raw.frame().await.unwrap().payload, payload.as_bytes());
    }
}

/// Thousands of messages of all sizes, for each window that a client may ask for and use.
#[tokio::test]
async fn compressed_messages_of_all_sizes_come_back() {
    let echo = Echo::start();
    let mut random = Random::new(13);
    within(LONG_PATIENCE, async {
        for (bits, offer) in [
            (9, "permessage-deflate; server_max_window_bits=9"),
            (10, "permessage-deflate; server_max_window_bits=10; client_max_window_bits=10"),
            (11, "permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
            (12, "permessage-deflate; client_max_window_bits=12"),
            (13, "permessage-deflate; server_max_window_bits=13; server_no_context_takeover"),
            (14, "permessage-deflate; server_max_window_bits=14"),
            (15, "permessage-deflate; server_max_window_bits=15"),
        ] {
            let mut raw = echo.connect(offer).await;
            for size in [16, 64, 256, 1024, 4096, 8192, 32_768, 131_072] {
                for _ in 0..50 {
                    let length = size / 2 + random.below(size);
                    let payload: String = (0..length).map(|_| *random.pick(&['a', 'b', 'c', 'é'])).collect();
                    let body = deflate(payload.as_bytes(), bits);
                    echoed(&mut raw, &mask(opcode::TEXT | COMPRESSED, &body), payload.as_bytes()).await;
                }
            }
        }
    })
    .await;
}
