//! How long HTTP connections and bodies are waited for, and what unfinished ones hold.

use std::time::Duration;

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

use crate::support::{PATIENCE, Server, mint, post, request, seconds_from_now, within};

const SECRET: &str = "a secret for these tests, long enough";
const KEY: &str = "fwk_admin_of_these_tests";
const MIB: usize = 1024 * 1024;

/// Opens a connection, sends this, and leaves it open.
async fn begin(server: &Server, text: &str) -> TcpStream {
    let mut tcp = TcpStream::connect(server.address).await.unwrap();
    tcp.write_all(text.as_bytes()).await.unwrap();
    tcp
}

/// The status of the next answer, whose body is passed over.
async fn answered(tcp: &mut TcpStream) -> u16 {
    let mut bytes = Vec::new();
    within(PATIENCE, async {
        loop {
            assert!(tcp.read_buf(&mut bytes).await.unwrap() > 0, "{:?}", String::from_utf8_lossy(&bytes));
            let text = String::from_utf8_lossy(&bytes);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
            if body.len() >= length.unwrap().trim().parse::<usize>().unwrap() {
                return head.split(' ').nth(1).unwrap().parse().unwrap();
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_connection_is_kept_for_its_own_time_and_no_longer() {
    let server = Server::start("handshake_timeout_ms = 300\nkeep_alive_s = 2\n");
    let get = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut tcp = begin(&server, get).await;
    assert_eq!(answered(&mut tcp).await, 200);
    // Longer than a handshake may take.
    assert!(timeout(Duration::from_millis(1000), tcp.read_u8()).await.is_err(), "closed early");
    tcp.write_all(get.as_bytes()).await.unwrap();
    assert_eq!(answered(&mut tcp).await, 200);
    let start = Instant::now();
    assert_eq!(within(PATIENCE, tcp.read(&mut [0; 1])).await.unwrap(), 0, "closed in order");
    assert!(start.elapsed() > Duration::from_millis(1500), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_second_request_may_not_come_slowly() {
    let server = Server::start("handshake_timeout_ms = 300\nkeep_alive_s = 600\n");
    let mut tcp = begin(&server, "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(answered(&mut tcp).await, 200);
    tcp.write_all(b"GET /hea").await.unwrap();
    let mut rest = Vec::new();
    let _ = within(PATIENCE, tcp.read_to_end(&mut rest)).await;
}

fn with_key() -> String {
    let hash = HEXLOWER.encode(digest(&SHA256, KEY.as_bytes()).as_ref());
    format!(
        "auth_hmac_secret = \"{SECRET}\"\n\
         [[key]]\nname = \"admin\"\nhash = \"sha256:{hash}\"\npublish = [\"**\"]\nadmin = true\n"
    )
}

#[tokio::test]
async fn an_order_is_read_from_whom_it_may_come_only() {
    let server = Server::start(&with_key());
    for path in ["/v1/disconnect", "/v1/unsubscribe", "/v1/revoke"] {
        // Nothing of the body has come, and nothing is waited for.
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 2000000\r\n"
        );
        let mut stranger = begin(&server, &format!("{head}\r\n")).await;
        assert_eq!(answered(&mut stranger).await, 401, "{path}");
        let mut admin = begin(&server, &format!("{head}Authorization: Bearer {KEY}\r\n\r\n")).await;
        assert_eq!(answered(&mut admin).await, 413, "{path}");
    }
}

#[tokio::test]
async fn an_order_that_does_not_come_is_not_waited_for() {
    let server = Server::start(&format!("handshake_timeout_ms = 300\n{}", with_key()));
    let head = format!(
        "POST /v1/disconnect HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 20\r\n\r\n{{"
    );
    let mut slow = begin(&server, &head).await;
    assert_eq!(answered(&mut slow).await, 408);
}

#[tokio::test]
async fn unfinished_bodies_of_strangers_keep_nobody_from_publishing() {
    let sources =
        "[[source]]\nname = 'in'\nprovider = 'github'\nsecret_env = 'HOOK'\nmax_body_bytes = 16777216\n";
    let server = crate::support::Launch::default()
        .config(&format!("handshake_timeout_ms = 60000\n{}{sources}", with_key()))
        .env("HOOK", "a secret of the provider's")
        .start();
    // 20 × 15 MiB that never end, from one address: more than all bodies together may have.
    let piece = "x".repeat(MIB);
    let mut open = Vec::new();
    for _ in 0..20 {
        let head = format!("POST /in/in HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 16 * MIB);
        let mut tcp = begin(&server, &head).await;
        for _ in 0..15 {
            if timeout(PATIENCE, tcp.write_all(piece.as_bytes())).await.is_err() {
                break;
            }
        }
        open.push(tcp);
    }
    let authorization = format!("Authorization: Bearer {KEY}\r\n");
    let published = post(server.address, "/v1/topics/chat:a/messages", &authorization, b"1").await;
    assert_eq!(published.status, 200, "{}", published.body);
    assert!(server.resident_bytes() < 160 * MIB as u64, "{}", server.resident_bytes());
}

#[tokio::test]
async fn unfinished_bodies_of_one_user_keep_no_other_from_publishing() {
    let server = Server::start(&format!("handshake_timeout_ms = 60000\n{}", with_key()));
    let bearer = |user: &str| {
        let token = mint(SECRET, &json!({ "sub": user, "exp": seconds_from_now(3600) }));
        format!("Authorization: Bearer {token}\r\n")
    };
    let alice = bearer("alice");
    let head = format!("POST /v1/publish HTTP/1.1\r\nHost: a\r\n{alice}Content-Length: {}\r\n\r\n", 4 * MIB);
    let piece = "x".repeat(MIB);
    let whole = "x".repeat(3 * MIB);
    let line = format!("POST /v1/publish HTTP/1.1\r\n{alice}Content-Length: {}\r\n", whole.len());
    let start = Instant::now();
    let mut open = Vec::new();
    // Bodies that are refused give back what they had, so there may be room once more: others come until there is none.
    let refused = loop {
        let mut tcp = begin(&server, &head).await;
        for _ in 0..3 {
            // Whoever is refused is not read on.
            if tcp.write_all(piece.as_bytes()).await.is_err() {
                break;
            }
        }
        open.push(tcp);
        // What is left of the share is too little for them only after some dozens.
        if open.len() < 90 {
            continue;
        }
        let answer = request(server.address, &line, whole.as_bytes()).await;
        if answer.status == 503 {
            break answer;
        }
        assert!(start.elapsed() < PATIENCE, "{} {}", answer.status, answer.body);
    };
    assert!(refused.body.contains("one caller"), "{}", refused.body);
    let publish =
        async |headers: &str| post(server.address, "/v1/topics/chat:a/messages", headers, b"1").await;
    assert_eq!(publish(&bearer("bob")).await.status, 200);
    let small = publish(&alice).await;
    assert!([200, 503].contains(&small.status), "{}", small.body);
}
