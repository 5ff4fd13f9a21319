//! Web pages of elsewhere: what a browser does for them, and whose pages may have it done.

use std::net::SocketAddr;

use serde_json::json;
use tokio_tungstenite::tungstenite::http::header;

use crate::support::{Answer, Connect, Launch, Server, eventually, get, mint, request, seconds_from_now};

const SECRET: &str = "a secret for these tests, long enough";
const PUBLISH: &str = "POST /v1/topics/chat:a/messages HTTP/1.1\r\nContent-Length: 1\r\n";

/// Sends a request with these header lines and a `Host` of its own.
async fn ask(address: SocketAddr, line: &str, headers: &[&str]) -> Answer {
    let head: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let body: &[u8] = if line.starts_with("POST") { b"1" } else { b"" };
    let line = line.trim_end();
    crate::support::raw_request(address, &format!("{line}\r\n{head}"), body).await
}

#[tokio::test]
async fn a_page_without_an_origin_is_nobody() {
    let server = Server::development();
    let publish = request(server.address, &format!("{PUBLISH}Origin: null\r\n"), b"1").await;
    assert_eq!((publish.status, &publish.json()["code"]), (403, &json!("forbidden")));
    let told = publish.json()["detail"].as_str().unwrap().to_owned();
    assert!(told.contains("null") && told.contains("allowed_origins"), "{told}");
    for line in [
        "GET /v1/topics HTTP/1.1\r\n",
        "GET /v1/events?topic=chat:a HTTP/1.1\r\n",
        "GET /v1/stats HTTP/1.1\r\n",
    ] {
        let answer = request(server.address, &format!("{line}Origin: null\r\n"), b"").await;
        assert_eq!(answer.status, 403, "{line}");
        assert_eq!(answer.header("access-control-allow-origin"), None, "{line}");
    }
    assert!(Connect::to(&server).header(header::ORIGIN, "null").attempt().await.is_err());
    Connect::to(&server).header(header::ORIGIN, "http://localhost:3000").open().await;
}

#[tokio::test]
async fn an_image_on_a_page_of_elsewhere_does_not_subscribe() {
    let server = Server::development();
    let image = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n";
    let line = "GET /v1/events?topic=chat:a HTTP/1.1\r\n";
    let answer = request(server.address, &format!("{line}{image}"), b"").await;
    assert_eq!(answer.status, 403, "{}", answer.body);
    assert!(answer.body.contains("allowed_origins"), "{}", answer.body);
    let link = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
    assert_eq!(request(server.address, &format!("GET / HTTP/1.1\r\n{link}"), b"").await.status, 200);
    assert_eq!(request(server.address, &format!("{line}{link}"), b"").await.status, 403);
    // With credentials, too, where strangers may listen.
    let server = Server::start(&format!("auth_hmac_secret = '{SECRET}'\nauth_anonymous = true\n"));
    assert_eq!(request(server.address, &format!("{line}{image}"), b"").await.status, 403);
}

#[tokio::test]
async fn the_own_origin_may_come_by_a_proxy_that_ends_tls() {
    let server = Server::start(&format!("auth_hmac_secret = '{SECRET}'"));
    let token = mint(SECRET, &json!({ "sub": "alice", "exp": seconds_from_now(3600) }));
    let bearer = format!("Authorization: Bearer {token}");
    let page = "Origin: https://chat.example";
    let publish = async |host: &str, more: &str| {
        let answer = ask(server.address, PUBLISH, &[host, page, &bearer, more]).await;
        (answer.status, answer.body)
    };
    assert_eq!(publish("Host: chat.example", "X: y").await.0, 200);
    // A proxy that calls the broker by its own name, and says what it was called by.
    let own = "Host: 127.0.0.1:7400";
    assert_eq!(publish(own, "X-Forwarded-Host: chat.example").await.0, 200);
    let (status, told) = publish(own, "X: y").await;
    assert_eq!(status, 403);
    for part in ["https://chat.example", "127.0.0.1:7400", "allowed_origins"] {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(publish("Host: other.example", "X: y").await.0, 403);
    let upgrade = [
        "Host: chat.example",
        page,
        &bearer,
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    assert_eq!(ask(server.address, "GET /ws HTTP/1.1", &upgrade).await.status, 101);
    let mut foreign = upgrade;
    foreign[1] = "Origin: https://evil.example";
    assert_eq!(ask(server.address, "GET /ws HTTP/1.1", &foreign).await.status, 403);
}

#[tokio::test]
async fn an_open_broker_behind_a_proxy_is_looked_after_by_nobody() {
    let server = Server::development();
    let direct = get(server.address, "/v1/stats").await;
    assert_eq!(direct.status, 200);
    let own = format!("Host: {}", server.address);
    for headers in [[own.as_str(), "X-Forwarded-For: 9.9.9.9"], ["Host: demo.example", "X: y"]] {
        for line in [
            "GET /v1/stats HTTP/1.1",
            "GET /v1/config HTTP/1.1",
            "POST /v1/disconnect HTTP/1.1\r\nContent-Length: 1",
        ] {
            let answer = ask(server.address, line, &headers).await;
            assert_eq!(answer.status, 403, "{line} {headers:?}");
            let told = answer.json()["detail"].as_str().unwrap().to_owned();
            assert!(told.contains("proxy") && told.contains("[[key]]"), "{told}");
        }
        assert_eq!(ask(server.address, PUBLISH, &headers).await.status, 200, "{headers:?}");
    }
}

#[tokio::test]
async fn a_name_that_somebody_pointed_here_reads_nothing() {
    // What a browser sends over plain HTTP to a name of the page's own: neither `Origin` nor `Sec-Fetch-Site`.
    let server = Server::development();
    let rebound = ["Host: evil.example:7400", "User-Agent: Mozilla/5.0", "Accept-Language: en"];
    let answer = ask(server.address, "GET /v1/topics HTTP/1.1", &rebound).await;
    assert_eq!(answer.status, 403, "{}", answer.body);
    assert!(
        answer.body.contains("evil.example:7400") && answer.body.contains("allowed_origins"),
        "{}",
        answer.body
    );
}

#[tokio::test]
async fn refused_pages_are_named_in_the_log_but_not_each() {
    let server = Server::development();
    for number in 0..200 {
        let line = format!("{PUBLISH}Origin: https://evil-{number}.example\r\n");
        assert_eq!(request(server.address, &line, b"1").await.status, 403);
    }
    let lines = || server.output().lines().filter(|line| line.contains("evil-")).count();
    eventually(async || (lines() > 0).then_some(())).await;
    assert!((1..4).contains(&lines()), "{}", server.output());
    assert!(server.output().contains("allowed_origins"));
}

#[test]
fn check_finds_origins_that_no_page_has() {
    for (origin, meant) in [
        ("app.example", "https://app.example"),
        ("https://app.example/", "`https://app.example`"),
        ("https://app.example/chat", "`https://app.example`"),
        ("https://App.example", "`https://app.example`"),
        ("https://app.example:443", "`https://app.example`"),
        ("null", "without an origin"),
    ] {
        let config = format!("\nallowed_origins = ['https://fine.example', '{origin}']\n");
        let (passed, _, told) = Launch::default().config(&config).run("check");
        assert!(!passed, "{origin}");
        for part in [":2:", "allowed_origins", origin, meant] {
            assert!(told.contains(part), "{origin}: {told}");
        }
    }
    let fine = "allowed_origins = ['https://app.example', 'http://localhost:3000', '*']\n";
    assert!(Launch::default().config(fine).run("check").0);
}

#[tokio::test]
async fn clients_behind_a_trusted_proxy_are_told_apart() {
    let config = "trusted_proxies = ['127.0.0.2/32']\nmax_connections_per_address = 2\n";
    let server = Server::start(config);
    let forwarded = || header::HeaderName::from_static("x-forwarded-for");
    let by_proxy = |client: &str| Connect::to(&server).from("127.0.0.2").header(forwarded(), client);
    let mut held = Vec::new();
    for client in ["9.9.9.1", "9.9.9.1", "9.9.9.2", "6.6.6.6, 9.9.9.2"] {
        held.push(by_proxy(client).open().await);
    }
    assert!(by_proxy("9.9.9.1").attempt().await.is_err(), "its third");
    assert!(by_proxy("6.6.6.6, 9.9.9.2").attempt().await.is_err(), "what a client claims is not believed");
    // Nobody else is believed.
    for client in ["9.9.9.3", "9.9.9.4"] {
        held.push(Connect::to(&server).from("127.0.0.3").header(forwarded(), client).open().await);
    }
    assert!(Connect::to(&server).from("127.0.0.3").header(forwarded(), "9.9.9.5").attempt().await.is_err());
    let listed = get(server.address, "/v1/connections").await.json();
    let mut addresses: Vec<&str> = listed["connections"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["address"].as_str().unwrap())
        .collect();
    addresses.sort_unstable();
    assert_eq!(addresses, ["127.0.0.3", "127.0.0.3", "9.9.9.1", "9.9.9.1", "9.9.9.2", "9.9.9.2"]);
}
