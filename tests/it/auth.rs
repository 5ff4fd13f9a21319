//! Tokens: who may connect, and what each may subscribe and publish to.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::http::header;

use crate::support::{Client, Connect, Launch, Server, get, mint, request, seconds_from_now};

const SECRET: &str = "a secret for these tests, long enough";

/// Revoked tokens and strangers are looked after as often as connections are pinged.
fn config() -> String {
    format!("ping_s = 2\npong_timeout_s = 1\nauth_hmac_secret = \"{SECRET}\"")
}

fn token(extra: &Value) -> String {
    let mut claims = json!({ "sub": "alice", "exp": seconds_from_now(3600) });
    claims.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    mint(SECRET, &claims)
}

async fn with_token(server: &Server, token: &str) -> Client {
    Connect::to(server).token(token).open().await
}

#[tokio::test]
async fn a_token_comes_in_the_url_the_header_or_the_first_command() {
    let server = Server::start(&config());
    let token = token(&json!({}));
    let in_url = with_token(&server, &token).await;
    assert_eq!(in_url.welcome["user"], "alice");
    let bearer = format!("Bearer {token}");
    let in_header = Connect::to(&server).header(header::AUTHORIZATION, &bearer).open().await;
    assert_eq!(in_header.welcome["user"], "alice");
    let mut in_command = Client::connect(&server).await;
    assert_eq!(in_command.welcome.get("user"), None);
    let reply = in_command.ok(json!({ "type": "auth", "token": token })).await;
    assert_eq!(reply["user"], "alice");
    in_command.subscribe("chat:a").await;
}

#[tokio::test]
async fn without_a_token_nothing_is_allowed() {
    let server = Server::start(&config());
    let mut client = Client::connect(&server).await;
    for command in [
        json!({ "type": "subscribe", "topic": "chat:a" }),
        json!({ "type": "publish", "topic": "chat:a", "data": 1 }),
        json!({ "type": "presence", "topic": "chat:a" }),
        json!({ "type": "history", "topic": "chat:a" }),
    ] {
        assert_eq!(client.error(command).await, "unauthorized");
    }
}

#[tokio::test]
async fn strangers_may_be_let_in_beside_token_holders() {
    let server = Server::start(&format!("auth_anonymous = true\n{}", config()));
    let mut stranger = Client::connect(&server).await;
    stranger.subscribe("chat:a").await;
    let mut alice = with_token(&server, &token(&json!({}))).await;
    alice.publish("chat:a", 1).await;
    assert_eq!(stranger.expect("message").await["from"]["user"], "alice");
}

#[tokio::test]
async fn tokens_that_do_not_hold_are_refused() {
    let server = Server::start(&config());
    let good = token(&json!({}));
    let (head, signature) = good.rsplit_once('.').unwrap();
    let none = "eyJhbGciOiJub25lIn0"; // {"alg":"none"}
    let claims = good.split('.').nth(1).unwrap();
    for bad in [
        "nonsense".to_owned(),
        String::from("a.b.c"),
        mint("another secret altogether, as long", &json!({ "sub": "alice", "exp": seconds_from_now(60) })),
        mint(SECRET, &json!({ "sub": "alice", "exp": seconds_from_now(-3600) })),
        mint(SECRET, &json!({ "sub": "alice", "exp": "tomorrow" })),
        mint(SECRET, &json!({ "sub": 7, "exp": seconds_from_now(60) })),
        format!("{head}."),
        format!("{head}.{}", signature.chars().rev().collect::<String>()),
        format!("{none}.{claims}."),
    ] {
        let mut client = Client::connect(&server).await;
        assert_eq!(client.error(json!({ "type": "auth", "token": bad })).await, "invalid_token", "{bad}");
        assert_eq!(client.error(json!({ "type": "subscribe", "topic": "a" })).await, "unauthorized");
        assert!(Connect::to(&server).token(&bad).attempt().await.is_err(), "{bad}");
    }
    assert!(!server.output().contains(&good));
}

#[tokio::test]
async fn patterns_in_a_token_are_the_most_it_allows() {
    let server = Server::start(&config());
    let token = token(&json!({ "subscribe": ["chat:*"], "publish": ["chat:mine", "game:**"] }));
    let mut client = with_token(&server, &token).await;
    client.subscribe("chat:any").await;
    client.subscribe("chat:mine").await;
    client.publish("chat:mine", 1).await;
    client.publish("game:a:b", 1).await;
    let forbidden = async |client: &mut Client, command: Value| {
        assert_eq!(client.error(command.clone()).await, "forbidden", "{command}");
    };
    forbidden(&mut client, json!({ "type": "subscribe", "topic": "chat" })).await;
    forbidden(&mut client, json!({ "type": "subscribe", "topic": "chat:a:b" })).await;
    forbidden(&mut client, json!({ "type": "subscribe", "topic": "game:a" })).await;
    forbidden(&mut client, json!({ "type": "history", "topic": "game:a" })).await;
    forbidden(&mut client, json!({ "type": "presence", "topic": "game:a" })).await;
    forbidden(&mut client, json!({ "type": "publish", "topic": "chat:any", "data": 1 })).await;
    forbidden(&mut client, json!({ "type": "publish", "topic": "game", "data": 1 })).await;
    assert_eq!(client.data().await, 1);
    client.expect_nothing().await;
}

#[tokio::test]
async fn a_connection_ends_with_its_token() {
    let server = Server::start(&config());
    let mut client =
        with_token(&server, &mint(SECRET, &json!({ "sub": "alice", "exp": seconds_from_now(2) }))).await;
    client.subscribe("chat:a").await;
    let ending = loop {
        if let Err(ending) = client.next_or_end().await {
            break ending;
        }
    };
    assert_eq!(ending.code, Some(4001));
}

#[tokio::test]
async fn the_end_of_a_token_does_not_wait_for_a_ping() {
    let server = Server::start(&config().replace("ping_s = 2", "ping_s = 600"));
    let claims = |seconds| mint(SECRET, &json!({ "sub": "alice", "exp": seconds_from_now(seconds) }));
    let mut renewed = with_token(&server, &claims(2)).await;
    renewed.ok(json!({ "type": "auth", "token": claims(600) })).await;
    let mut client = with_token(&server, &claims(2)).await;
    client.subscribe("chat:a").await;
    assert_eq!(client.next_or_end().await.unwrap_err().code, Some(4001));
    renewed.subscribe("chat:a").await;
    renewed.publish("chat:a", 1).await;
}

#[tokio::test]
async fn a_stranger_has_a_ping_interval_to_present_a_token() {
    let server = Server::start(&config());
    let mut stranger = Client::connect(&server).await;
    assert_eq!(stranger.next_or_end().await.unwrap_err().code, Some(4000));
}

#[tokio::test]
async fn a_narrower_token_ends_what_it_does_not_allow() {
    let server = Server::start(&config());
    let mut client = with_token(&server, &token(&json!({}))).await;
    client.subscribe("chat:a").await;
    client.subscribe("chat:b").await;
    client.ok(json!({ "type": "auth", "token": token(&json!({ "subscribe": ["chat:b"] })) })).await;
    assert_eq!(client.expect("end").await, json!({ "type": "end", "topic": "chat:a", "code": "forbidden" }));
    client.publish("chat:a", 1).await;
    client.publish("chat:b", 2).await;
    assert_eq!(client.data().await, 2);
}

#[tokio::test]
async fn a_refused_token_leaves_the_one_before_in_force() {
    let server = Server::start(&config());
    let mut client = with_token(&server, &token(&json!({}))).await;
    assert_eq!(client.error(json!({ "type": "auth", "token": "nonsense" })).await, "invalid_token");
    client.subscribe("chat:a").await;
}

#[tokio::test]
async fn a_new_token_prolongs_the_connection() {
    let server = Server::start(&config());
    let brief = |seconds| mint(SECRET, &json!({ "sub": "alice", "exp": seconds_from_now(seconds) }));
    let mut client = with_token(&server, &brief(2)).await;
    client.ok(json!({ "type": "auth", "token": brief(3600) })).await;
    let mut doomed = with_token(&server, &brief(2)).await;
    while doomed.next_or_end().await.is_ok() {}
    client.expect_nothing().await; // past the end of its first token
}

#[tokio::test]
async fn the_token_command_mints_what_the_broker_accepts() {
    let (success, stdout, stderr) = Launch::default().config(&config()).flag("--user", "bob").run("token");
    assert!(success, "{stderr}");
    let server = Server::start(&config());
    let client = with_token(&server, stdout.trim()).await;
    assert_eq!(client.welcome["user"], "bob");
}

#[tokio::test]
async fn http_publishing_needs_a_token_too() {
    let server = Server::start(&config());
    let publish = async |headers: &str| {
        crate::support::post(server.address, "/v1/topics/chat:a/messages", headers, b"1").await
    };
    let answer = publish("").await;
    assert_eq!((answer.status, &answer.json()["code"]), (401, &json!("unauthorized")));
    let narrow = token(&json!({ "publish": ["chat:b"] }));
    let answer = publish(&format!("Authorization: Bearer {narrow}\r\n")).await;
    assert_eq!((answer.status, &answer.json()["code"]), (403, &json!("forbidden")));
    let answer = publish(&format!("Authorization: Bearer {}\r\n", token(&json!({})))).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(get(server.address, "/healthz").await.status, 200);
}

#[tokio::test]
async fn an_address_may_present_so_many_false_tokens() {
    // Of the API key `fwk_a`.
    let hash = "sha256:3c77721512ac4744cc8d4f4616542d5df31ff9c87d9fffc90657566e066a89de";
    let config = format!(
        "max_false_tokens_per_second = 1\nauth_hmac_secret = '{SECRET}'\n\
         [[key]]\nname = 'back'\nhash = '{hash}'\nsubscribe = ['**']\n"
    );
    let server = Launch::default().config(&config).start();
    let read = async |credential: &str| {
        let head = format!("GET /v1/topics/chat:a HTTP/1.1\r\nAuthorization: Bearer {credential}\r\n");
        request(server.address, &head, b"").await
    };
    let (seen, unseen) = (token(&json!({})), token(&json!({ "sub": "bob" })));
    let expired = token(&json!({ "exp": seconds_from_now(-60) }));
    assert_eq!(read(&seen).await.status, 200);
    let wrong = mint("another secret that is of no use here", &json!({ "sub": "mallory" }));
    for _ in 0..20 {
        assert_eq!(read(&expired).await.status, 401, "it was good once and counts for nothing");
    }
    // Ten seconds' worth, and what comes meanwhile.
    let begun = Instant::now();
    let mut looked_at = 0;
    let refused = loop {
        let answer = read(&wrong).await;
        if answer.status != 401 {
            break answer;
        }
        looked_at += 1;
    };
    let most = 10 + begun.elapsed().as_secs() + 1;
    assert!((10..=most).contains(&looked_at), "{looked_at}");
    assert_eq!((refused.status, &refused.json()["code"]), (429, &json!("rate_limited")));
    assert!(refused.json()["detail"].as_str().unwrap().contains("max_false_tokens_per_second"));
    assert!(refused.header("retry-after").is_some());
    // Whoever was here before, or has a key, goes on; so do others elsewhere.
    assert_eq!(read(&seen).await.status, 200);
    assert_eq!(read("fwk_a").await.status, 200);
    let there = Connect::to(&server).from("127.0.0.2").token(&unseen).open().await;
    assert_eq!(there.welcome["user"], "bob");
    // A connection is told to try again, and may do so as often as it likes.
    let mut stranger = Client::connect(&server).await;
    let auth = json!({ "type": "auth", "token": token(&json!({ "sub": "carol" })) });
    loop {
        let reply = stranger.call(auth.clone()).await;
        if reply["type"] == "ok" {
            break;
        }
        assert_eq!((&reply["code"], &reply["retry"]), (&json!("rate_limited"), &json!(true)), "{reply}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
