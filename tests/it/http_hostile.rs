//! HTTP that means no good: heads and bodies without end, requests within requests, names in disguise.

use std::{net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use crate::support::{Client, LONG_PATIENCE, Launch, PATIENCE, Server, get, post, request, within};

const PATH: &str = "/v1/topics/chat:a/messages";

/// Sends bytes and reads until the broker hangs up. Writing ends where the broker stops reading.
async fn exchange(address: SocketAddr, bytes: &[u8]) -> String {
    let (mut reader, mut writer) = TcpStream::connect(address).await.unwrap().into_split();
    let mut answer = Vec::new();
    let write = async {
        let _ = writer.write_all(bytes).await;
    };
    let read = async {
        let _ = reader.read_to_end(&mut answer).await;
    };
    within(LONG_PATIENCE, async { tokio::join!(write, read) }).await;
    String::from_utf8_lossy(&answer).into_owned()
}

/// Status lines of all answers in a conversation.
fn statuses(text: &str) -> Vec<u16> {
    let status = |rest: &str| rest.get(..3).and_then(|status| status.parse().ok());
    text.split("HTTP/1.1 ").skip(1).filter_map(status).collect()
}

async fn healthy(server: &mut Server) {
    assert!(server.is_running());
    assert_eq!(get(server.address, "/healthz").await.status, 200);
}

#[tokio::test]
async fn heads_of_megabytes_are_cut_off() {
    let mut server = Server::development();
    let one_header = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(10 << 20));
    let many_headers: String = (0..500_000).map(|n| format!("X-{n}: abcdefghij\r\n")).collect();
    let many_headers = format!("GET / HTTP/1.1\r\nHost: a\r\n{many_headers}\r\n");
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(10 << 20));
    let endless_line = "x".repeat(10 << 20);
    for (head, allowed) in [(one_header, 431), (many_headers, 431), (long_target, 414), (endless_line, 400)] {
        let before = server.resident_bytes();
        let answer = exchange(server.address, head.as_bytes()).await;
        // A broker that hangs up on a flood may lose its answer to the reset.
        let statuses = statuses(&answer);
        assert!(statuses.is_empty() || statuses == [allowed] || statuses == [431], "{answer}");
        assert!(server.resident_bytes() < before + (8 << 20));
    }
    let fits = format!("GET /healthz HTTP/1.1\r\nX: {}\r\n", "x".repeat(8 << 10));
    assert_eq!(request(server.address, &fits, b"").await.status, 200);
    let just_too_much = format!("GET /healthz HTTP/1.1\r\nX: {}\r\n", "x".repeat(17 << 10));
    assert_eq!(request(server.address, &just_too_much, b"").await.status, 431);
    healthy(&mut server).await;
}

#[tokio::test]
async fn a_chunked_body_without_end_is_cut_off_at_its_size() {
    let mut server = Server::development();
    for path in [PATH, "/v1/publish"] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        let (mut reader, mut writer) = TcpStream::connect(server.address).await.unwrap().into_split();
        writer.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let chunk = format!("1000\r\n{}\r\n", "1".repeat(0x1000));
        let flood = async { while writer.write_all(chunk.as_bytes()).await.is_ok() {} };
        let read = async { reader.read_to_end(&mut answer).await };
        let _ = within(LONG_PATIENCE, async { tokio::join!(flood, read) }).await;
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(statuses(&answer), [413], "{path}: {answer}");
    }
    healthy(&mut server).await;
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_off_at_its_time() {
    let server = Launch::default().flag("--handshake-timeout-ms", "500").start();
    let head = format!("POST {PATH} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let (mut reader, mut writer) = TcpStream::connect(server.address).await.unwrap().into_split();
    writer.write_all(head.as_bytes()).await.unwrap();
    let trickle = async {
        while writer.write_all(b"1\r\n1\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let mut answer = Vec::new();
    let started = Instant::now();
    let _ = within(PATIENCE, async { tokio::join!(trickle, reader.read_to_end(&mut answer)) }).await;
    let answer = String::from_utf8_lossy(&answer);
    assert_eq!(statuses(&answer), [408], "{answer}");
    assert!(answer.contains("\"code\":\"timeout\""), "{answer}");
    assert!(started.elapsed() >= Duration::from_millis(500));
}

#[tokio::test]
async fn no_request_hides_in_another() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:hidden").await;
    let hidden = "POST /v1/topics/chat:hidden/messages HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n1";
    let post = format!("POST {PATH} HTTP/1.1\r\nHost: a\r\n");
    let length = hidden.len();
    for (what, bytes, expected) in [
        (
            "length, then chunks: the chunks count, and nothing after them",
            format!(
                "{post}Content-Length: {}\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n{hidden}",
                length + 11
            ),
            vec![200],
        ),
        (
            "chunks, then length",
            format!(
                "{post}Transfer-Encoding: chunked\r\nContent-Length: {}\r\n\r\n1\r\n1\r\n0\r\n\r\n{hidden}",
                length + 11
            ),
            vec![200],
        ),
        (
            "two lengths",
            format!("{post}Content-Length: 1\r\nContent-Length: {}\r\n\r\n1{hidden}", length + 1),
            vec![400],
        ),
        ("a list of lengths", format!("{post}Content-Length: 1, {}\r\n\r\n1{hidden}", length + 1), vec![400]),
        ("a length with a sign", format!("{post}Content-Length: +1\r\n\r\n1{hidden}"), vec![400]),
        (
            "an encoding that is not chunks",
            format!("{post}Transfer-Encoding: xchunked\r\nContent-Length: 1\r\n\r\n1{hidden}"),
            vec![400],
        ),
        (
            "chunks not last",
            format!("{post}Transfer-Encoding: chunked, identity\r\n\r\n1\r\n1\r\n0\r\n\r\n{hidden}"),
            vec![400],
        ),
        (
            "a space before the colon",
            format!("{post}Transfer-Encoding : chunked\r\nContent-Length: 1\r\n\r\n1{hidden}"),
            vec![400],
        ),
        (
            "a folded line",
            format!("{post}X: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1{hidden}"),
            vec![400],
        ),
        (
            "a bare carriage return",
            format!("{post}X: a\rTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n1{hidden}"),
            vec![400],
        ),
        (
            "chunks in the protocol before chunks",
            format!(
                "POST {PATH} HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n\r\n{hidden}"
            ),
            vec![400],
        ),
        (
            "a chunk of no size",
            format!("{post}Transfer-Encoding: chunked\r\n\r\nxyz\r\n1\r\n0\r\n\r\n{hidden}"),
            vec![400],
        ),
        (
            "a chunk of more than all memory",
            format!("{post}Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n1\r\n0\r\n\r\n{hidden}"),
            vec![400],
        ),
    ] {
        let answer = exchange(server.address, bytes.as_bytes()).await;
        assert_eq!(statuses(&answer), expected, "{what}: {answer}");
    }
    client.expect_nothing().await;
}

#[tokio::test]
async fn names_in_disguise_are_what_they_are() {
    let server = Server::development();
    for (name, expected) in [
        ("%2F", Ok("/")),
        ("chat%3Aa%2Fb", Ok("chat:a/b")),
        ("%E6%9D%B1", Ok("東")),
        ("a+b", Ok("a+b")),
        ("..", Ok("..")),
        ("a%2Bb%20c", Ok("a+b c")),
        ("%25%32%41", Ok("%2A")),
        ("a/b", Ok("a/b")),
        ("/", Ok("/")),
        ("", Err("bad_topic")),
        ("%2A", Err("bad_topic")),
        ("%2a%2A", Err("bad_topic")),
        ("chat:%2A", Err("bad_topic")),
        ("%00", Err("bad_topic")),
        ("a%0Ab", Err("bad_topic")),
        ("a%C2%85b", Err("bad_topic")),
        ("%FF", Err("bad_topic")),
        ("%C0%AA", Err("bad_topic")),
        ("%C0%80", Err("bad_topic")),
        ("%E0%80%AA", Err("bad_topic")),
        ("%ED%A0%80", Err("bad_topic")),
    ] {
        let answer = post(server.address, &format!("/v1/topics/{name}/messages"), "", b"1").await;
        let got = answer.json();
        match expected {
            Ok(topic) => assert_eq!((answer.status, &got["topic"]), (200, &json!(topic)), "{name}"),
            Err(code) => assert_eq!((answer.status, &got["code"]), (400, &json!(code)), "{name}"),
        }
    }
    for path in ["/v1/topics/a/b", "/V1/topics"] {
        let answer = post(server.address, path, "", b"1").await;
        assert!(matches!(answer.status, 404 | 405), "{path}: {}", answer.body);
    }
}

#[tokio::test]
async fn other_methods_are_told_which_there_are() {
    let server = Server::development();
    let ask = async |method: &str, path: &str| {
        request(server.address, &format!("{method} {path} HTTP/1.1\r\n"), b"").await
    };
    for (path, allowed) in [
        (PATH, &["GET", "HEAD", "POST"][..]),
        ("/v1/publish", &["POST"]),
        ("/v1/publish/stream", &["POST"]),
        ("/v1/topics", &["GET", "HEAD"]),
        ("/healthz", &["GET", "HEAD"]),
        ("/ws", &["GET", "HEAD"]),
        ("/yjs/doc:a", &["GET", "HEAD"]),
        ("/v1/events", &["GET", "HEAD"]),
        ("/v1/config", &["GET", "HEAD"]),
        ("/v1/disconnect", &["POST"]),
    ] {
        for method in ["PUT", "PATCH", "DELETE", "TRACE", "BREW"] {
            let answer = ask(method, path).await;
            assert_eq!((answer.status, &answer.json()["code"]), (405, &json!("method_not_allowed")));
            let mut listed: Vec<_> = answer.header("allow").unwrap().split(',').map(str::trim).collect();
            listed.sort_unstable();
            let expected: Vec<_> = allowed.iter().map(|method| method.to_lowercase()).collect();
            assert_eq!(listed, expected, "{method} {path}");
        }
    }
    let head = ask("HEAD", PATH).await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
    assert!(head.header("content-length").is_some_and(|length| length != "0"), "{}", head.head);
    assert_eq!(ask("HEAD", "/v1/nothing").await.status, 404);
    let connect = ask("CONNECT", "a:80").await;
    assert!((400..500).contains(&connect.status), "{}", connect.head);
    let options = ask("OPTIONS", PATH).await;
    assert!(matches!(options.status, 200 | 204 | 405), "{}", options.head);
}

#[tokio::test]
async fn a_refusal_comes_through_even_if_more_was_being_sent() {
    let server = Server::development();
    let body = vec![b'1'; 10 << 20];
    for path in [PATH, "/v1/publish"] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len());
        let answer = exchange(server.address, &[head.as_bytes(), &body].concat()).await;
        assert_eq!(statuses(&answer), [413], "{path}");
        let (_, document) = answer.split_once("\r\n\r\n").unwrap();
        let document: Value = serde_json::from_str(document).unwrap();
        assert_eq!(document["code"], "too_large");
    }
}

#[tokio::test]
async fn a_request_names_one_host() {
    let server = Server::development();
    for (head, expect) in [
        ("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n", 400),
        ("GET /healthz HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        ("GET /healthz HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n", 200),
        ("GET /healthz HTTP/1.0\r\n\r\n", 200),
    ] {
        let answer = exchange(server.address, head.as_bytes()).await;
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        assert_eq!(status, Some(expect), "{head} got {answer}");
        assert_eq!(answer.contains("bad_request"), expect == 400, "{answer}");
    }
}
