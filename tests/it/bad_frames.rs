//! Violations of RFC 6455 and of HTTP: a close code or a 4xx, never a hang, never a panic.

use serde_json::json;

use crate::support::{Client, Random, Raw, Server, get, mask, opcode, request};

const PING: &[u8] = br#"{"type":"ping","id":1}"#;

/// Sends bytes on a fresh JSON WebSocket; the code the server closes with.
async fn closed(server: &Server, bytes: &[u8]) -> Option<u16> {
    let mut raw = Raw::websocket(server, "fanwire.v1.json").await;
    raw.send(bytes).await;
    raw.close_code().await
}

#[tokio::test]
async fn violations_are_closed_with_their_code() {
    let server = Server::development();
    let mut bystander = Client::connect(&server).await;
    let unmasked = [&[opcode::TEXT, 22][..], PING].concat();
    let long_ping = mask(opcode::PING, &[b'x'; 126]);
    let in_between = [mask(opcode::TEXT_START, b"{"), mask(opcode::TEXT, PING)].concat();
    let cases: &[(&str, &[u8], u16)] = &[
        ("unmasked", &unmasked, 1002),
        ("reserved bit 1", &mask(opcode::TEXT | 0x40, PING), 1002),
        ("reserved bit 2", &mask(opcode::TEXT | 0x20, PING), 1002),
        ("reserved bit 3", &mask(opcode::TEXT | 0x10, PING), 1002),
        ("reserved data opcode", &mask(0x83, PING), 1002),
        ("reserved control opcode", &mask(0x8b, b""), 1002),
        ("ping over 125 bytes", &long_ping, 1002),
        ("fragmented ping", &mask(0x09, b"x"), 1002),
        ("continuation of nothing", &mask(opcode::CONTINUATION, PING), 1002),
        ("new message inside a fragmented one", &in_between, 1002),
        ("invalid UTF-8", &mask(opcode::TEXT, b"\"\xff\xfe\""), 1007),
        ("UTF-8 cut off", &mask(opcode::TEXT, b"\"\xe2\x98"), 1007),
        ("UTF-8 of a surrogate", &mask(opcode::TEXT, b"\"\xed\xa0\x80\""), 1007),
        ("binary", &mask(opcode::BINARY, PING), 1003),
        ("a length that is not the shortest", &[opcode::TEXT, 0x80 | 126, 0, 1, 0, 0, 0, 0, b'x'], 1002),
        ("a length of 64 bits", &[opcode::TEXT, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 0], 1002),
        ("close with a reason that is not UTF-8", &mask(opcode::CLOSE, b"\x03\xe8\xff"), 1007),
        ("close with a code that waits for a standard", &mask(opcode::CLOSE, &1016u16.to_be_bytes()), 1002),
        ("close with one byte", &mask(opcode::CLOSE, &[3]), 1002),
        ("close with a code nobody may send", &mask(opcode::CLOSE, &1005u16.to_be_bytes()), 1002),
        ("close with code 999", &mask(opcode::CLOSE, &999u16.to_be_bytes()), 1002),
    ];
    for (what, bytes, code) in cases {
        assert_eq!(closed(&server, bytes).await, Some(*code), "{what}");
        bystander.expect_nothing().await;
    }
}

#[tokio::test]
async fn invalid_utf8_split_between_fragments_is_found() {
    let server = Server::development();
    let start = mask(opcode::TEXT_START, b"{\"type\":\"p\xe2\x98");
    assert_eq!(
        closed(&server, &[start, mask(opcode::CONTINUATION, b"\xffing\"}")].concat()).await,
        Some(1007)
    );
}

/// A text is refused at its first wrong byte, and a header at its first wrong bit: nobody waits for the rest.
#[tokio::test]
async fn what_is_wrong_is_refused_at_once() {
    let server = Server::development();
    let long = mask(opcode::TEXT, &[&b"\"abc\xf4\x90"[..], &[b'x'; 5000]].concat());
    assert_eq!(closed(&server, &long[..8 + 6]).await, Some(1007));
    assert_eq!(closed(&server, &[0x83]).await, Some(1002));
    assert_eq!(closed(&server, &[opcode::CONTINUATION, 0x85, 1, 2, 3, 4]).await, Some(1002));
}

#[tokio::test]
async fn a_close_says_what_was_wrong() {
    let server = Server::development();
    for (bytes, reason) in [
        (&[opcode::TEXT, 5][..], "protocol error: a client's frame must be masked"),
        (&[opcode::TEXT | 0x20], "protocol error: a reserved bit is set"),
        (&mask(opcode::TEXT, b"\xff"), "text is not UTF-8"),
        (&[opcode::TEXT, 0x80 | 127, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4], "message too big"),
    ] {
        let mut raw = Raw::websocket(&server, "fanwire.v1.json").await;
        raw.send(bytes).await;
        let close = raw.frame().await.unwrap();
        assert_eq!(String::from_utf8_lossy(&close.payload[2..]), reason);
    }
}

#[tokio::test]
async fn fragments_are_limited() {
    let server = Server::development();
    let empty = mask(opcode::CONTINUATION_MORE, b"");
    let message = |fragments: usize| {
        let middle = empty.repeat(fragments - 2);
        [mask(opcode::TEXT_START, PING), middle, mask(opcode::CONTINUATION, b"")].concat()
    };
    let mut raw = Raw::websocket(&server, "fanwire.v1.json").await;
    raw.send(&message(4096)).await;
    assert!(String::from_utf8(raw.frame().await.unwrap().payload).unwrap().contains("pong"));
    assert_eq!(closed(&server, &message(4097)).await, Some(1009));
}

#[tokio::test]
async fn a_code_point_split_between_fragments_is_fine() {
    let server = Server::development();
    let mut raw = Raw::websocket(&server, "fanwire.v1.json").await;
    raw.send(&mask(opcode::TEXT_START, b"{\"type\":\"ping\",\"id\":1,\"x\":\"\xe2\x98")).await;
    raw.send(&mask(opcode::PING, b"in between")).await;
    raw.send(&mask(opcode::CONTINUATION, b"\x82\"}")).await;
    let pong = raw.frame().await.unwrap();
    assert_eq!((pong.first_byte, &*pong.payload), (opcode::PONG, &b"in between"[..]));
    assert!(String::from_utf8(raw.frame().await.unwrap().payload).unwrap().contains("pong"));
}

#[tokio::test]
async fn a_frame_byte_by_byte_is_a_frame() {
    let server = Server::development();
    let mut raw = Raw::websocket(&server, "fanwire.v1.json").await;
    for byte in mask(opcode::TEXT, PING) {
        raw.send(&[byte]).await;
        tokio::task::yield_now().await;
    }
    assert!(String::from_utf8(raw.frame().await.unwrap().payload).unwrap().contains("pong"));
}

#[tokio::test]
async fn many_frames_in_one_packet_are_many_frames() {
    let server = Server::development();
    let mut raw = Raw::websocket(&server, "fanwire.v1.json").await;
    raw.send(&mask(opcode::TEXT, PING).repeat(500)).await;
    let mut pongs = 0;
    while pongs < 500 {
        let frame = raw.frame().await.unwrap();
        pongs += String::from_utf8(frame.payload).unwrap().matches("pong").count();
    }
}

#[tokio::test]
async fn a_close_is_answered_and_the_socket_closed() {
    let server = Server::development();
    assert_eq!(closed(&server, &mask(opcode::CLOSE, &1000u16.to_be_bytes())).await, Some(1000));
    let goodbye = [&4321u16.to_be_bytes()[..], b"bye"].concat();
    assert!(closed(&server, &mask(opcode::CLOSE, &goodbye)).await.is_some());
    let mut raw = Raw::websocket(&server, "fanwire.v1.json").await;
    raw.send(&mask(opcode::CLOSE, b"")).await;
    assert_eq!(raw.frame().await.unwrap().first_byte, opcode::CLOSE);
    assert!(raw.frame().await.is_none());
}

#[tokio::test]
async fn a_connection_that_closed_leaves_no_trace_in_the_next() {
    let server = Server::start("shards = 1");
    let mut bystander = Client::connect(&server).await;
    for code in [1000u16, 1001, 3000, 4999].repeat(5) {
        assert!(closed(&server, &mask(opcode::CLOSE, &code.to_be_bytes())).await.is_some());
        bystander.expect_nothing().await;
        let mut next = Client::connect(&server).await;
        next.expect_nothing().await;
        next.close().await;
    }
}

#[tokio::test]
async fn what_is_sent_before_a_violation_is_answered_before_the_close() {
    let server = Server::development();
    for _ in 0..50 {
        let mut raw = Raw::websocket(&server, "fanwire.v1.json").await;
        raw.send(&[mask(opcode::TEXT, PING), mask(opcode::BINARY, PING)].concat()).await;
        let mut pong = raw.frame().await.unwrap();
        while pong.first_byte == opcode::PING {
            // The broker's own rounds may come by at any time.
            pong = raw.frame().await.unwrap();
        }
        assert_eq!(pong.first_byte, opcode::TEXT, "{pong:?}");
        assert_eq!(raw.close_code().await, Some(1003));
    }
}

#[tokio::test]
async fn what_follows_a_close_is_not_carried_out() {
    let server = Server::development();
    let mut reader = Client::connect(&server).await;
    reader.subscribe("chat:a").await;
    let publish = json!({ "type": "publish", "topic": "chat:a", "data": "too late" }).to_string();
    let close = mask(opcode::CLOSE, &1000u16.to_be_bytes());
    closed(&server, &[close, mask(opcode::TEXT, publish.as_bytes())].concat()).await;
    reader.expect_nothing().await;
}

#[tokio::test]
async fn handshakes_that_are_none_get_a_4xx() {
    let server = Server::development();
    let upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n";
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    for head in [
        "GET /ws HTTP/1.1\r\n".to_owned(),
        format!("GET /ws HTTP/1.1\r\n{key}{version}"),
        format!("GET /ws HTTP/1.1\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n{key}{version}"),
        format!("GET /ws HTTP/1.1\r\n{upgrade}{version}"),
        format!("GET /ws HTTP/1.1\r\n{upgrade}{key}"),
        format!("GET /ws HTTP/1.1\r\n{upgrade}{key}Sec-WebSocket-Version: 7\r\n"),
        format!("POST /ws HTTP/1.1\r\nContent-Length: 0\r\n{upgrade}{key}{version}"),
        format!("GET /elsewhere HTTP/1.1\r\n{upgrade}{key}{version}"),
    ] {
        let answer = request(server.address, &head, b"").await;
        assert!((400..500).contains(&answer.status), "{head} got {}", answer.head);
    }
    assert_eq!(get(server.address, "/healthz").await.status, 200);
}

#[tokio::test]
async fn garbage_before_any_handshake_harms_nobody() {
    let server = Server::start("handshake_timeout_ms = 500");
    let mut bystander = Client::connect(&server).await;
    let mut random = Random::new(11);
    let mut connections = Vec::new();
    for round in 0..100 {
        let start: &[u8] = match round % 4 {
            0 => b"GET /ws HTTP/1.1\r\n",
            1 => b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", // a TLS hello
            2 => b"POST /v1/topics/a/messages HTTP/1.1\r\nContent-Length: 9999999999999999999\r\n\r\n",
            _ => b"",
        };
        let length = random.below(3_000);
        let bytes = [start, &random.bytes(length)].concat();
        let mut raw = Raw::tcp(server.address).await;
        raw.send(&bytes).await;
        connections.push(raw);
        bystander.expect_nothing().await;
    }
    for mut raw in connections {
        let answer = raw.rest().await;
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    }
    bystander.expect_nothing().await;
}
