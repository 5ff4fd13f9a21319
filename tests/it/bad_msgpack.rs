//! Hostile frames on the MessagePack subprotocol.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::support::{Client, Connect, Encoding, Server, bin};

async fn connect(server: &Server) -> Client {
    Connect::to(server).encoding(Encoding::MsgPack).open().await
}

/// The bytes are answered by an error with one of these codes; the same connection and others work on.
async fn refused(server: &Server, bystander: &mut Client, bytes: &[u8], codes: &[&str]) {
    let shown = format!("{:x?}", &bytes[..bytes.len().min(40)]);
    let mut client = connect(server).await;
    client.send_frame(Message::binary(bytes.to_vec())).await;
    let event = client.next().await;
    assert_eq!(event["type"], "error", "{shown} got {event}");
    assert!(codes.contains(&event["code"].as_str().unwrap()), "{shown} got {event}");
    client.expect_nothing().await;
    bystander.expect_nothing().await;
}

/// A map of one command, its fields in MessagePack already.
fn command(fields: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = vec![0x80 | u8::try_from(fields.len()).unwrap()];
    for (name, value) in fields {
        bytes.extend(text(name));
        bytes.extend(*value);
    }
    bytes
}

fn text(text: &str) -> Vec<u8> {
    rmp_serde::to_vec(text).unwrap()
}

#[tokio::test]
async fn bytes_that_are_no_map_are_a_bad_frame() {
    let server = Server::development();
    let mut bystander = connect(&server).await;
    let deep_arrays = vec![0x91; 20_000];
    let deep_maps = [0x81, 0xa1, b'a'].repeat(10_000);
    let frames: &[&[u8]] = &[
        b"",
        &[0xc1],
        &[0xc0],
        &[0x2a],
        &[0xa1, b'x'],
        b"{\"type\":\"ping\"}",
        &[0x91, 0x2a],
        &[0x91],
        &[0x92, 0x2a],
        &[0x81],
        &[0x81, 0xa4],
        &[0x81, 0xa4, b't', b'y', b'p', b'e'],
        &[0x82, 0xa4, b't', b'y', b'p', b'e', 0xa4, b'p', b'i', b'n', b'g'],
        &[0xdd, 0xff, 0xff, 0xff, 0xff],
        &[0xdf, 0xff, 0xff, 0xff, 0xff],
        &[0xdc, 0xff],
        &[0x81, 0xdb, 0xff, 0xff, 0xff, 0xff, b'x'],
        &[0x81, 0xa4, b't', b'y', b'p', b'e', 0xc6, 0xff, 0xff, 0xff, 0xff],
        &[0xd4, 0x01, 0x02],
        &deep_arrays,
        &deep_maps,
    ];
    for frame in frames {
        refused(&server, &mut bystander, frame, &["bad_frame"]).await;
    }
    let mut trailing = command(&[("type", &text("ping"))]);
    trailing.push(0x00);
    refused(&server, &mut bystander, &trailing, &["bad_frame"]).await;
}

#[tokio::test]
async fn fields_of_the_wrong_type_are_a_bad_request() {
    let server = Server::development();
    let mut bystander = connect(&server).await;
    let (ping, publish, subscribe) = (text("ping"), text("publish"), text("subscribe"));
    let (topic, one) = (text("chat:a"), [0x01]);
    let mut broken_text = text("xx");
    broken_text[1..].copy_from_slice(&[0xff, 0xfe]);
    let nan = [0xcb, 0x7f, 0xf8, 0, 0, 0, 0, 0, 0];
    let infinity = [0xcb, 0x7f, 0xf0, 0, 0, 0, 0, 0, 0];
    let extension = [0xd4, 0x05, 0x00];
    let nested_bytes = [0x91, 0xc4, 0x01, 0xff];
    let int_keys = [0x81, 0x01, 0x02];
    let deep = [vec![0x91; 500], vec![0xc0]].concat();
    let request: &[&str] = &["bad_request", "bad_frame"];
    let payload: &[&str] = &["bad_payload", "bad_frame"];
    let cases: &[(Vec<u8>, &[&str])] = &[
        (vec![0x81, 0x01, 0x02], request),
        (command(&[("type", &one)]), request),
        (command(&[("type", &broken_text)]), request),
        (command(&[("type", &text("fly"))]), &["unknown_type"]),
        (command(&[("type", &ping), ("id", &[0xff])]), request),
        (command(&[("type", &ping), ("id", &nan)]), request),
        (command(&[("type", &ping), ("id", &extension)]), request),
        (command(&[("type", &ping), ("id", &[0xc4, 0x01, 0x01])]), request),
        (command(&[("type", &subscribe), ("topic", &[0xc4, 0x01, b'a'])]), request),
        (command(&[("type", &subscribe), ("topic", &topic), ("since", &one)]), request),
        (command(&[("type", &subscribe), ("topic", &topic), ("max_rate", &nan)]), request),
        (command(&[("type", &subscribe), ("topic", &topic), ("max_rate", &infinity)]), request),
        (command(&[("type", &publish), ("topic", &text("chat:*")), ("data", &one)]), &["bad_topic"]),
        (command(&[("type", &publish), ("topic", &topic)]), request),
        (command(&[("type", &publish), ("topic", &topic), ("data", &nan)]), payload),
        (command(&[("type", &publish), ("topic", &topic), ("data", &infinity)]), payload),
        (command(&[("type", &publish), ("topic", &topic), ("data", &extension)]), payload),
        (command(&[("type", &publish), ("topic", &topic), ("data", &nested_bytes)]), payload),
        (command(&[("type", &publish), ("topic", &topic), ("data", &int_keys)]), payload),
        (command(&[("type", &publish), ("topic", &topic), ("data", &broken_text)]), payload),
        (command(&[("type", &publish), ("topic", &topic), ("data", &deep)]), payload),
    ];
    for (frame, codes) in cases {
        refused(&server, &mut bystander, frame, codes).await;
    }
}

#[tokio::test]
async fn mistakes_inside_an_array_are_answered_in_its_order() {
    let server = Server::development();
    let mut client = connect(&server).await;
    client
        .send(&json!([{ "type": "ping", "id": 1 }, { "type": "fly", "id": 2 }, { "type": "ping", "id": 3 }]))
        .await;
    assert_eq!(client.expect("pong").await["id"], 1);
    let error = client.expect("error").await;
    assert_eq!((&error["id"], &error["code"]), (&json!(2), &json!("unknown_type")));
    assert_eq!(client.expect("pong").await["id"], 3);
}

#[tokio::test]
async fn every_length_and_number_format_is_read() {
    let server = Server::development();
    let mut client = connect(&server).await;
    client.subscribe("chat:a").await;
    // The same publish with its parts in wider formats than they need.
    let mut wide = vec![0xdf, 0, 0, 0, 4];
    for (name, value) in [("type", "publish"), ("topic", "chat:a")] {
        for part in [name, value] {
            wide.extend([0xdb, 0, 0, 0, u8::try_from(part.len()).unwrap()]);
            wide.extend(part.as_bytes());
        }
    }
    wide.extend(text("id"));
    wide.extend([0xcf, 0, 0, 0, 0, 0, 0, 0, 9]);
    wide.extend(text("data"));
    wide.extend([
        0xdd, 0, 0, 0, 3, 0xca, 0x3f, 0, 0, 0, 0xd3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    ]);
    wide.extend([0xcd, 0, 1]);
    client.send_frame(Message::binary(wide)).await;
    assert_eq!(client.reply(9).await["type"], "ok");
    assert_eq!(client.data().await, json!([0.5, -1, 1]));
    client.publish("chat:a", bin(&[1, 2])).await;
    assert_eq!(client.data().await, bin(&[1, 2]));
    client.publish("chat:a", Value::Null).await;
    assert_eq!(client.data().await, Value::Null);
}
