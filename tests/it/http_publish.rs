//! Publishing one message over HTTP: answers, acknowledgements, content types, idempotency.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{Client, Launch, PATIENCE, Server, eventually, mint, post, within};

const PATH: &str = "/v1/topics/chat:a/messages";
const SECRET: &str = "0123456789abcdef0123456789abcdef";

#[tokio::test]
async fn a_publish_is_answered_with_its_place() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    let subscribed = client.subscribe("chat:a").await;
    let answer = post(server.address, PATH, "", b"\"hi\"").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let message = client.expect("message").await;
    let epoch = subscribed["epoch"].as_str().unwrap();
    let offset = message["offset"].as_u64().unwrap();
    let expected = json!({
        "id": format!("{epoch}-{offset}"), "topic": "chat:a", "offset": offset, "epoch": epoch,
        "duplicate": false, "subscribers": 1
    });
    assert_eq!(answer.json(), expected);
}

#[tokio::test]
async fn the_publisher_chooses_its_acknowledgement() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:a").await;
    let ack = async |how: &str| post(server.address, &format!("{PATH}?ack={how}"), "", b"1").await;
    assert_eq!(ack("accepted").await.status, 200);
    let none = ack("none").await;
    assert_eq!((none.status, none.body.as_str()), (202, ""));
    let durable = ack("durable").await;
    assert_eq!((durable.status, &durable.json()["code"]), (409, &json!("not_durable")));
    let unknown = ack("perhaps").await;
    assert_eq!((unknown.status, &unknown.json()["code"]), (400, &json!("bad_request")));
    assert_eq!(post(server.address, &format!("{PATH}?akc=none"), "", b"1").await.status, 400);
    assert_eq!(post(server.address, &format!("{PATH}?ack=none&ack=none"), "", b"1").await.status, 400);
    client.data().await;
    client.data().await;
    client.expect_nothing().await;
}

#[tokio::test]
async fn a_message_id_makes_a_publish_idempotent() {
    let server = Server::development();
    let first = post(server.address, PATH, "Message-Id: m1\r\n", b"1").await.json();
    let second = post(server.address, PATH, "Message-Id: m1\r\n", b"2").await.json();
    assert_eq!((&first["duplicate"], &second["duplicate"]), (&json!(false), &json!(true)));
    assert_eq!(first["id"], second["id"]);
}

#[tokio::test]
async fn a_content_type_that_does_not_show_is_kept_as_a_tag() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:a").await;
    let mut check = async |content_type: &str, body: &[u8], tag: Value, field: &str, value: Value| {
        let headers = format!("Content-Type: {content_type}\r\n");
        assert_eq!(post(server.address, PATH, &headers, body).await.status, 200, "{content_type}");
        let message = client.expect("message").await;
        assert_eq!((&message["tags"]["content-type"], &message[field]), (&tag, &value), "{message}");
    };
    check("image/png", b"\x89P", json!("image/png"), "b64", json!("iVA=")).await;
    check("text/html; charset=utf-8", b"<p>", json!("text/html; charset=utf-8"), "data", json!("<p>")).await;
    check("application/ld+json", b"[1]", json!("application/ld+json"), "data", json!([1])).await;
    check("application/json", b"[1]", Value::Null, "data", json!([1])).await;
    check("application/octet-stream", b"\0", Value::Null, "b64", json!("AA==")).await;
    let compressed = post(server.address, PATH, "Content-Encoding: gzip\r\n", b"\x1f\x8b").await;
    assert_eq!((compressed.status, &compressed.json()["code"]), (415, &json!("unsupported_media_type")));
}

#[tokio::test]
async fn an_idempotency_key_replays_the_answer() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:a").await;
    let first = post(server.address, PATH, "Idempotency-Key: k1\r\n", b"1").await;
    let again = post(server.address, PATH, "Idempotency-Key: \"k1\"\r\n", b"1").await;
    assert_eq!((first.status, first.json()), (again.status, again.json()));
    assert_eq!(first.header("idempotency-replayed"), None);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    client.data().await;
    client.expect_nothing().await;
    for (path, body) in [(PATH, b"2"), ("/v1/topics/chat:b/messages", b"1")] {
        let other = post(server.address, path, "Idempotency-Key: k1\r\n", body).await;
        assert_eq!((other.status, &other.json()["code"]), (422, &json!("idempotency_mismatch")), "{path}");
    }
    let other = post(server.address, PATH, "Idempotency-Key: k1\r\nMessage-Id: m\r\n", b"1").await;
    assert_eq!(other.status, 422);
    for wrong in ["", "\"\"", &"k".repeat(256), "k1\r\nIdempotency-Key: k2"] {
        let headers = format!("Idempotency-Key: {wrong}\r\n");
        assert_eq!(post(server.address, PATH, &headers, b"1").await.status, 400, "{wrong}");
    }
    client.expect_nothing().await;
}

#[tokio::test]
async fn a_failure_leaves_the_key_free() {
    let server = Launch::default().flag("--max-message-bytes", "10").start();
    let long = post(server.address, PATH, "Idempotency-Key: k\r\n", b"\"far too long\"").await;
    assert_eq!(long.status, 413);
    assert_eq!(post(server.address, PATH, "Idempotency-Key: k\r\n", b"1").await.status, 200);
}

/// A request under the key `k` whose body `11` has not come. That the broker asks for it shows that the key is taken.
async fn unfinished(server: &Server) -> TcpStream {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let head = format!(
        "POST {PATH} HTTP/1.1\r\nHost: a\r\nIdempotency-Key: k\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut go_on = [0; 25];
    within(PATIENCE, stream.read_exact(&mut go_on)).await.unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

#[tokio::test]
async fn a_key_in_use_is_told_so() {
    let server = Server::development();
    let mut slow = unfinished(&server).await;
    let early = post(server.address, PATH, "Idempotency-Key: k\r\n", b"11").await;
    assert_eq!((early.status, &early.json()["code"]), (409, &json!("idempotency_in_progress")));
    assert_eq!(early.header("retry-after"), Some("1"));
    slow.write_all(b"11").await.unwrap();
    let answer = eventually(async || {
        let answer = post(server.address, PATH, "Idempotency-Key: k\r\n", b"11").await;
        (answer.status != 409).then_some(answer)
    })
    .await;
    assert_eq!((answer.status, answer.header("idempotency-replayed")), (200, Some("true")));
}

#[tokio::test]
async fn a_key_whose_request_broke_off_is_free() {
    let server = Server::development();
    drop(unfinished(&server).await);
    eventually(async || {
        let answer = post(server.address, PATH, "Idempotency-Key: k\r\n", b"2").await;
        (answer.status == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn keys_of_different_callers_are_different() {
    let server = Server::start(&format!("auth_hmac_secret = '{SECRET}'"));
    let publish = async |user: &str| {
        let token = mint(SECRET, &json!({ "sub": user, "publish": ["chat:*"] }));
        let headers = format!("Authorization: Bearer {token}\r\nIdempotency-Key: k\r\n");
        post(server.address, PATH, &headers, b"1").await.header("idempotency-replayed").map(String::from)
    };
    assert_eq!(publish("alice").await, None);
    assert_eq!(publish("bob").await, None);
    assert_eq!(publish("alice").await, Some("true".into()));
}
