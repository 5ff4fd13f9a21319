//! API keys and what their bearers may do to others: disconnect, unsubscribe, revoke. Cross-origin answers.

use serde_json::{Value, json};

use crate::support::{
    ADMIN, Client, Connect, Launch, SECRET, Scratch, Server, WRITER, get, mint, post, request,
    seconds_from_now, with_keys,
};

fn config() -> String {
    with_keys("chat:**")
}

async fn connect(server: &Server, user: &str, id: &str) -> Client {
    let claims = json!({ "sub": user, "jti": id, "exp": seconds_from_now(3600) });
    Connect::to(server).token(&mint(SECRET, &claims)).open().await
}

async fn order(server: &Server, key: &str, path: &str, body: Value) -> (u16, Value) {
    let headers = format!("Authorization: Bearer {key}\r\nContent-Type: application/json\r\n");
    let answer = post(server.address, path, &headers, body.to_string().as_bytes()).await;
    (answer.status, answer.json())
}

async fn publish(server: &Server, key: &str, topic: &str) -> u16 {
    let headers = format!("Authorization: Bearer {key}\r\n");
    post(server.address, &format!("/v1/topics/{topic}/messages"), &headers, b"1").await.status
}

#[tokio::test]
async fn a_key_may_what_its_patterns_say() {
    let server = Server::start(&config());
    assert_eq!(publish(&server, WRITER, "chat:a").await, 200);
    assert_eq!(publish(&server, WRITER, "ticker:a").await, 403);
    assert_eq!(publish(&server, "fwk_unknown", "chat:a").await, 401);
    assert_eq!(order(&server, WRITER, "/v1/disconnect", json!({ "user": "alice" })).await.0, 403);
}

#[tokio::test]
async fn keys_are_rotated_without_a_restart() {
    let server = Server::start(&config());
    server.write_config(
        &config().replace("[[key]]\nname = \"writer\"", "[[key]]\nname = \"writer\"\nadmin = true"),
    );
    server.signal("HUP");
    crate::support::eventually(async || {
        let answer = order(&server, WRITER, "/v1/disconnect", json!({ "user": "nobody" })).await;
        (answer.0 == 200).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_user_is_disconnected_everywhere() {
    let server = Server::start(&config());
    let mut first = connect(&server, "alice", "1").await;
    let mut second = connect(&server, "alice", "2").await;
    let mut other = connect(&server, "bob", "3").await;
    let answer = order(&server, ADMIN, "/v1/disconnect", json!({ "user": "alice" })).await;
    assert_eq!(answer, (200, json!({ "count": 2 })));
    assert_eq!(first.next_or_end().await.unwrap_err().code, Some(4002));
    assert_eq!(second.next_or_end().await.unwrap_err().code, Some(4002));
    other.expect_nothing().await;
    let client = other.id().clone();
    assert_eq!(order(&server, ADMIN, "/v1/disconnect", json!({ "client": client })).await.1["count"], 1);
    assert_eq!(other.next_or_end().await.unwrap_err().code, Some(4002));
}

#[tokio::test]
async fn a_subscription_is_ended_and_the_connection_stays() {
    let server = Server::start(&config());
    let mut alice = connect(&server, "alice", "1").await;
    alice.subscribe("chat:a").await;
    alice.subscribe("chat:b").await;
    let body = json!({ "user": "alice", "topic": "chat:a" });
    assert_eq!(order(&server, ADMIN, "/v1/unsubscribe", body).await.1["count"], 1);
    let end = alice.expect("end").await;
    assert_eq!((&end["topic"], &end["code"]), (&json!("chat:a"), &json!("forbidden")));
    publish(&server, ADMIN, "chat:a").await;
    publish(&server, ADMIN, "chat:b").await;
    assert_eq!(alice.expect("message").await["topic"], "chat:b");
}

#[tokio::test]
async fn a_revoked_token_ends_its_connection_and_opens_no_other() {
    let server = Server::start(&config());
    let mut revoked = connect(&server, "alice", "1").await;
    let mut other = connect(&server, "alice", "2").await;
    let body = json!({ "token": "1", "for_s": 3600 });
    assert_eq!(order(&server, ADMIN, "/v1/revoke", body).await, (200, json!({ "count": 1 })));
    assert_eq!(revoked.next_or_end().await.unwrap_err().code, Some(4002));
    let claims = json!({ "sub": "alice", "jti": "1", "exp": seconds_from_now(3600) });
    assert!(Connect::to(&server).token(&mint(SECRET, &claims)).attempt().await.is_err());
    assert_eq!(other.error(json!({ "type": "auth", "token": mint(SECRET, &claims) })).await, "invalid_token");
    let body = json!({ "user": "alice", "for_s": 3600 });
    assert_eq!(order(&server, ADMIN, "/v1/revoke", body).await.1["count"], 1);
    assert_eq!(other.next_or_end().await.unwrap_err().code, Some(4002));
}

#[tokio::test]
async fn orders_are_checked() {
    let server = Server::start(&config());
    for (path, body) in [
        ("/v1/disconnect", json!({})),
        ("/v1/disconnect", json!({ "client": "not one" })),
        ("/v1/disconnect", json!([])),
        ("/v1/unsubscribe", json!({ "user": "a" })),
        ("/v1/unsubscribe", json!({ "user": "a", "topic": "a*" })),
        ("/v1/revoke", json!({ "user": "a" })),
        ("/v1/revoke", json!({ "client": "0000000000000001", "for_s": 1 })),
    ] {
        assert_eq!(order(&server, ADMIN, path, body.clone()).await.0, 400, "{path} {body}");
    }
}

#[tokio::test]
async fn pages_of_other_origins_get_through_only_where_allowed() {
    let server = Server::start("allowed_origins = ['https://app.example']\n");
    let allow = async |origin: &str| {
        let head = format!(
            "OPTIONS /v1/topics/chat:a/messages HTTP/1.1\r\nOrigin: {origin}\r\n\
             Access-Control-Request-Method: POST\r\nAccess-Control-Request-Headers: authorization\r\n"
        );
        let answer = request(server.address, &head, b"").await;
        answer.header("access-control-allow-origin").map(str::to_owned)
    };
    assert_eq!(allow("https://app.example").await.as_deref(), Some("https://app.example"));
    assert_eq!(allow("https://evil.example").await, None);
    let answer = get(server.address, "/healthz").await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn pages_may_use_every_method_and_header_there_is() {
    let server = Server::development();
    for method in ["GET", "POST", "PUT", "DELETE"] {
        let head = format!(
            "OPTIONS /v1/documents/doc:a HTTP/1.1\r\nOrigin: http://localhost:3000\r\n\
             Access-Control-Request-Method: {method}\r\nAccess-Control-Request-Headers: if-match,if-none-match\r\n"
        );
        let answer = request(server.address, &head, b"").await;
        let listed = |name: &str| answer.header(name).unwrap_or_default().split(',').map(str::trim).collect();
        let methods: Vec<_> = listed("access-control-allow-methods");
        assert!(methods.contains(&method.to_ascii_lowercase().as_str()), "{method}: {}", answer.head);
        let headers: Vec<_> = listed("access-control-allow-headers");
        assert!(headers.contains(&"if-match") && headers.contains(&"if-none-match"), "{}", answer.head);
    }
    let head = "GET /v1/documents/doc:a HTTP/1.1\r\nOrigin: http://localhost:3000\r\n";
    let answer = request(server.address, head, b"").await;
    let exposed = answer.header("access-control-expose-headers").unwrap_or_default();
    assert!(exposed.split(',').any(|name| name.trim() == "etag"), "{}", answer.head);
}

#[tokio::test]
async fn requests_of_one_address_are_limited() {
    let server = Server::start("max_requests_per_second = 3\n");
    let mut refused = None;
    for _ in 0..20 {
        let answer = get(server.address, "/healthz").await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("twenty at once are more than three a second");
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(refused.json()["code"], "rate_limited");
}

#[tokio::test]
async fn strangers_control_nobody_where_there_are_credentials() {
    let server = Server::start(&format!("auth_anonymous = true\n{}", config()));
    let mut alice = connect(&server, "alice", "1").await;
    let headers = "Content-Type: application/json\r\n";
    let body = json!({ "user": "alice", "for_s": 60 }).to_string();
    assert_eq!(post(server.address, "/v1/revoke", headers, body.as_bytes()).await.status, 403);
    alice.expect_nothing().await;
}

#[tokio::test]
async fn a_key_does_not_go_into_an_address() {
    let server = Server::start(&config());
    assert!(Connect::to(&server).token(ADMIN).attempt().await.is_err());
}

#[tokio::test]
async fn an_open_broker_answers_browsers_under_its_own_names_only() {
    let server = Server::development();
    let ask = async |host: &str| {
        let mut tcp = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let request = format!(
            "GET /v1/topics HTTP/1.1\r\nHost: {host}\r\nSec-Fetch-Site: same-origin\r\nConnection: close\r\n\r\n"
        );
        tokio::io::AsyncWriteExt::write_all(&mut tcp, request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::io::AsyncReadExt::read_to_string(&mut tcp, &mut answer).await.unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(ask("localhost:7400").await, "200");
    assert_eq!(ask("evil.example:7400").await, "403");
}

#[tokio::test]
async fn a_narrower_token_ends_what_it_does_not_allow() {
    let server = Server::start(&config());
    let mut alice = connect(&server, "alice", "1").await;
    alice.ok(json!({ "type": "subscribe", "topic": "chat:a", "presence": true })).await;
    alice.subscribe("chat:b").await;
    let narrow = json!({ "sub": "alice", "presence": [], "exp": seconds_from_now(3600) });
    alice.send(&json!({ "type": "auth", "token": mint(SECRET, &narrow) })).await;
    assert_eq!(alice.expect("end").await["topic"], "chat:a");
    publish(&server, ADMIN, "chat:b").await;
    assert_eq!(alice.expect("message").await["topic"], "chat:b");
}

#[tokio::test]
async fn a_key_can_have_a_limit_of_its_own() {
    let limited = config().replace("name = \"writer\"", "name = \"writer\"\nmax_requests_per_second = 2");
    let server = Server::start(&limited);
    let mut statuses = Vec::new();
    for _ in 0..20 {
        statuses.push(publish(&server, WRITER, "chat:a").await);
    }
    assert!(statuses.contains(&200) && statuses.contains(&429), "{statuses:?}");
    for _ in 0..20 {
        assert_eq!(publish(&server, ADMIN, "chat:a").await, 200);
    }
}

#[tokio::test]
async fn a_token_that_is_called_like_a_key_is_not_the_key() {
    let server = Server::start(&config());
    let body = json!({ "token": "admin", "for_s": 3600 });
    assert_eq!(order(&server, ADMIN, "/v1/revoke", body).await.0, 200);
    assert_eq!(publish(&server, WRITER, "chat:a").await, 200);
    let body = json!({ "key": "writer", "for_s": 3600 });
    assert_eq!(order(&server, ADMIN, "/v1/revoke", body).await, (200, json!({ "count": 0 })));
    assert_eq!(publish(&server, WRITER, "chat:a").await, 401);
    let mut bearer = connect(&server, "alice", "writer").await;
    bearer.expect_nothing().await;
}

#[tokio::test]
async fn revocations_outlive_restarts() {
    let data = Scratch::new();
    let launch =
        || Launch::default().config(&config()).flag("--data-dir", data.path().join("d").to_str().unwrap());
    let refused = |jti: &str| json!({ "sub": "alice", "jti": jti, "exp": seconds_from_now(3600) });
    let mut server = launch().start();
    for (signal, jti) in [("KILL", "1"), ("TERM", "2")] {
        let body = json!({ "token": jti, "for_s": 3600 });
        assert_eq!(order(&server, ADMIN, "/v1/revoke", body).await.0, 200);
        server.signal(signal);
        server.exit().await;
        server = launch().start();
        assert!(Connect::to(&server).token(&mint(SECRET, &refused(jti))).attempt().await.is_err());
    }
    assert!(Connect::to(&server).token(&mint(SECRET, &refused("3"))).attempt().await.is_ok());
}
