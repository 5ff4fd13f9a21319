//! Many who ask for one large document at once and do not read it: they cost what one of them costs.

use std::collections::BTreeSet;

use serde_json::json;

use crate::support::{Client, LONG_PATIENCE, Raw, Server, eventually, get, mask, opcode, post, within};

const RULES: &str = "max_update_bytes = 2200000\n[[rule]]\npattern = 'doc:**'\nkind = 'document'\n";

/// Letters of one update; three of them make the document.
const PART: usize = 2_000_000;

/// Editors that have nothing, most of the first update, and two of three; the last ones get answers of their own.
const EDITORS: [(usize, usize); 3] = [(60, 0), (4, PART - 1), (4, 2 * PART)];

/// Subscribers of the native protocol.
const SUBSCRIBERS: usize = 40;

/// As lib0 writes it.
fn number(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
    bytes
}

/// Client 9 puts letters in front of the root `text`.
fn update(clock: usize, letter: u8) -> Vec<u8> {
    let head = [&[1, 1, 9][..], &number(clock), &[4, 1, 4], b"text", &number(PART)].concat();
    [head, vec![letter; PART], vec![0]].concat()
}

/// Asks for what a client lacks that has so much of client 9.
fn step1(clock: usize) -> Vec<u8> {
    let vector = if clock == 0 { vec![0] } else { [&[1, 9][..], &number(clock)].concat() };
    mask(opcode::BINARY, &[&[0, 0][..], &number(vector.len()), &vector].concat())
}

async fn make_document(server: &Server) {
    for (index, letter) in (0..).zip(*b"abc") {
        let head = "Content-Type: application/octet-stream\r\n";
        let path = "/v1/topics/doc:big/messages";
        let answer = post(server.address, path, head, &update(index * PART, letter)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let merged = async || get(server.address, "/v1/topics/doc:big").await.json()["messages"] == 1;
    eventually(async || merged().await.then_some(())).await;
}

/// Reads until the document is there and the broker says that this was all; returns the letters in it.
async fn read_all(reader: &mut Raw) -> (usize, BTreeSet<u8>) {
    let (mut bytes, mut letters) = (0, BTreeSet::new());
    loop {
        let frame = reader.frame().await.unwrap();
        match frame.payload[..] {
            [0, 1, ..] => return (bytes, letters),
            [0, 2, ..] => {
                bytes += frame.payload.len();
                letters.extend(frame.payload[1_000..].iter().step_by(1_000));
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_crowd_that_asks_and_does_not_read_costs_one_copy() {
    let server = Server::start_patient(RULES);
    make_document(&server).await;
    let before = server.resident_bytes();
    let mut crowd = Vec::new();
    for (count, clock) in EDITORS {
        for _ in 0..count {
            let mut editor = Raw::editor(&server, "doc:big").await;
            editor.send(&step1(clock)).await;
            crowd.push(editor);
        }
    }
    for _ in 0..SUBSCRIBERS {
        let mut raw = Raw::websocket(&server, "fanwire.v1.json").await;
        raw.send(&mask(opcode::TEXT, br#"{"type":"subscribe","id":1,"topic":"doc:big"}"#)).await;
        crowd.push(raw);
    }
    let waiting = async || {
        let page = get(server.address, "/v1/connections?topic=doc:big&sort=outbox&limit=500").await.json();
        let connections = page["connections"].as_array().unwrap();
        let full = connections.iter().filter(|row| row["outbox_bytes"].as_u64().unwrap() > 0);
        (full.count() == crowd.len()).then_some(())
    };
    eventually(waiting).await;
    let grown = server.resident_bytes().saturating_sub(before);
    // The document as each protocol has it, and the bound for answers of their own; a copy for each would be 690 MB.
    assert!(grown < 6 * 3 * PART as u64 + (64 << 20), "grown by {grown} bytes");

    // Whoever reads after all has everything.
    let (bytes, letters) = within(LONG_PATIENCE, read_all(&mut crowd[0])).await;
    assert!(bytes >= 3 * PART, "{bytes}");
    assert!(letters.is_superset(&BTreeSet::from(*b"abc")), "{letters:?}");
    let (bytes, letters) = within(LONG_PATIENCE, read_all(&mut crowd[EDITORS[0].0 + EDITORS[1].0])).await;
    assert!(bytes >= PART && letters.contains(&b'c'), "{bytes}");
    // And others are served meanwhile.
    let mut client = Client::connect(&server).await;
    let reply = client.ok(json!({ "type": "subscribe", "topic": "doc:big", "last": 0 })).await;
    assert_eq!(reply["offset"], 3);
}
