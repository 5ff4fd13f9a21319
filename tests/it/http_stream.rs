//! A publishing stream: lines in, reports out, both at the same time.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::support::{Client, LONG_PATIENCE, Launch, PATIENCE, Server, mint, post, seconds_from_now, within};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// A request whose body is still being written.
struct Stream {
    tcp: BufReader<TcpStream>,
}

impl Stream {
    async fn open(server: &Server, headers: &str) -> Self {
        let mut tcp = TcpStream::connect(server.address).await.unwrap();
        let head = format!(
            "POST /v1/publish/stream HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n{headers}\r\n"
        );
        tcp.write_all(head.as_bytes()).await.unwrap();
        Self { tcp: BufReader::new(tcp) }
    }

    async fn send(&mut self, text: &str) {
        let chunk = format!("{:x}\r\n{text}\r\n", text.len());
        within(PATIENCE, self.tcp.get_mut().write_all(chunk.as_bytes())).await.unwrap();
    }

    async fn finish(&mut self) {
        self.tcp.get_mut().write_all(b"0\r\n\r\n").await.unwrap();
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let length = within(PATIENCE, self.tcp.read_line(&mut line)).await.unwrap();
        (length > 0).then_some(line)
    }

    /// The next report; none when the answer is over. Every report is a line, and no chunk ends within one.
    async fn report(&mut self) -> Option<Value> {
        loop {
            let line = self.line().await?;
            if line.starts_with('{') {
                return Some(serde_json::from_str(&line).unwrap());
            }
        }
    }
}

fn message(data: &Value) -> String {
    format!("{}\n", json!({ "topic": "chat:a", "data": data }))
}

#[tokio::test]
async fn every_line_is_reported_before_the_next_is_sent() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:a").await;
    let mut stream = Stream::open(&server, "").await;
    for n in 1..=3 {
        stream.send(&message(&json!(n))).await;
        let report = stream.report().await.unwrap();
        assert_eq!((&report["line"], &report["topic"]), (&json!(n), &json!("chat:a")), "{report}");
        let message = client.expect("message").await;
        assert_eq!((&message["data"], &message["offset"]), (&json!(n), &report["offset"]));
    }
    stream.finish().await;
    assert_eq!(stream.report().await, None);
}

#[tokio::test]
async fn a_bad_line_does_not_end_the_stream() {
    let server = Launch::default().flag("--max-message-bytes", "100").start();
    let mut stream = Stream::open(&server, "").await;
    let long = format!("{{\"topic\":\"chat:a\",\"data\":1,\"x\":\"{}\"}}\n", "x".repeat(40_000));
    for (line, code) in [
        (message(&json!(1)), "ok"),
        ("{broken\n".into(), "bad_request"),
        ("\r\n".into(), ""),
        (long, "too_large"),
        (message(&json!("x".repeat(100))), "too_large"),
        ("{\"topic\":\"*\",\"data\":1}\n".into(), "bad_topic"),
        ("{\"topic\":\"chat:a\",\"data\":\"\\ud800\"}\n".into(), "bad_payload"),
        (message(&json!(2)), "ok"),
    ] {
        // However a line is cut, it is the same line.
        let (a, b) = line.split_at(line.len() / 2);
        stream.send(a).await;
        stream.send(b).await;
        if !code.is_empty() {
            let report = stream.report().await.unwrap();
            assert_eq!(report["code"].as_str().unwrap_or("ok"), code, "{report}");
        }
    }
    stream.send("{\"topics\":[\"chat:a\",\"chat:b\"],\"data\":1}").await;
    stream.finish().await;
    let last = stream.report().await.unwrap();
    assert_eq!((&last["line"], last["results"].as_array().unwrap().len()), (&json!(9), 2), "{last}");
    assert_eq!(stream.report().await, None);
}

#[tokio::test]
async fn a_body_of_known_length_is_a_stream_too() {
    let server = Server::development();
    let lines: String = (0..500).map(|n| message(&json!(n))).collect();
    let answer =
        post(server.address, "/v1/publish/stream", "Expect: 100-continue\r\n", lines.as_bytes()).await;
    // What came before the answer proper is "100 Continue".
    assert_eq!(answer.status, 100);
    let answer = post(server.address, "/v1/publish/stream", "", lines.as_bytes()).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/x-ndjson")));
    let reports: Vec<Value> = answer.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let numbers: Vec<_> = reports.iter().map(|report| report["line"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=500).collect::<Vec<_>>());
    assert!(reports.iter().all(|report| report["duplicate"] == false));
}

#[tokio::test]
async fn a_stream_that_reads_no_reports_is_not_read() {
    let server = Server::development();
    let mut stream = Stream::open(&server, "").await;
    let lines: String = (0..100).map(|_| message(&json!(1))).collect();
    let chunk = format!("{:x}\r\n{lines}\r\n", lines.len());
    let mut sent = 0_usize;
    let stuck = std::time::Duration::from_secs(1);
    // The kernel's buffers hold a few megabytes; then writing blocks.
    while tokio::time::timeout(stuck, stream.tcp.get_mut().write_all(chunk.as_bytes())).await.is_ok() {
        sent += chunk.len();
        assert!(sent < 100 << 20, "the broker takes everything");
    }
    assert!(server.resident_bytes() < 100 << 20);
}

#[tokio::test]
async fn a_credential_that_ends_ends_the_stream() {
    let server = Server::start(&format!("auth_hmac_secret = '{SECRET}'"));
    let token = mint(SECRET, &json!({ "exp": seconds_from_now(2), "publish": ["chat:*"] }));
    let mut stream = Stream::open(&server, &format!("Authorization: Bearer {token}\r\n")).await;
    let last = within(LONG_PATIENCE, async {
        loop {
            stream.send(&message(&json!(1))).await;
            let report = stream.report().await.unwrap();
            if report["line"].is_null() {
                return report;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(last["code"], "invalid_token");
    assert_eq!(stream.report().await, None);
}

#[tokio::test]
async fn a_stream_is_refused_before_it_begins() {
    let server = Server::start(&format!("auth_hmac_secret = '{SECRET}'"));
    let answer = post(server.address, "/v1/publish/stream", "", b"").await;
    assert_eq!((answer.status, &answer.json()["code"]), (401, &json!("unauthorized")));
    let open = Server::development();
    let answer = post(open.address, "/v1/publish/stream", "Idempotency-Key: k\r\n", b"").await;
    assert_eq!(answer.status, 400);
}

#[tokio::test]
async fn draining_ends_a_stream_with_a_word() {
    let mut server = Server::development();
    let mut stream = Stream::open(&server, "").await;
    stream.send(&message(&json!(1))).await;
    assert_eq!(stream.report().await.unwrap()["line"], 1);
    server.signal("TERM");
    let last = stream.report().await.unwrap();
    assert_eq!((&last["line"], &last["code"]), (&Value::Null, &json!("draining")), "{last}");
    assert_eq!(stream.report().await, None);
    assert!(server.exit().await.success());
}
