//! Webhooks of others: signed requests come in, messages come out, and nothing else does.

use serde_json::{Value, json};

use crate::support::{Client, Launch, Server, eventually, get, now_s, post, request, signing};

const SECRET: &str = "It's a Secret to Everybody";

/// A broker with these sources; their secret is in `HOOK_SECRET`.
pub(crate) fn broker(sources: &str) -> Server {
    Launch::default().config(sources).env("HOOK_SECRET", SECRET).start()
}

const GITHUB: &str = "[[source]]\nname = 'repo'\nprovider = 'github'\nsecret_env = 'HOOK_SECRET'\n";

async fn listener(server: &Server, topic: &str) -> Client {
    let mut client = Client::connect(server).await;
    client.subscribe(topic).await;
    client
}

#[tokio::test]
async fn a_push_arrives_as_a_message() {
    let server = broker(GITHUB);
    let mut client = listener(&server, "webhook:repo").await;
    let body = br#"{"ref":"refs/heads/main", "number":12345678901234567890.10}"#;
    let headers = signing::github(SECRET, "push", "d-1", body);
    let answer = post(server.address, "/in/repo", &headers, body).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    let message = client.expect("message").await;
    let envelope = &message["data"];
    assert_eq!((&envelope["provider"], &envelope["event"]), (&json!("github"), &json!("push")));
    assert_eq!((&envelope["source"], &envelope["verified"]), (&json!("repo"), &json!(true)));
    assert_eq!(envelope["data"]["ref"], "refs/heads/main");
    assert_eq!(envelope["headers"]["x-github-delivery"], "d-1");
    let age_ms = now_s() * 1_000 + 1_000 - envelope["received_at"].as_u64().unwrap();
    assert!(age_ms < 60_000, "{envelope}");
}

#[tokio::test]
async fn what_the_provider_did_not_send_is_refused() {
    let server = broker(GITHUB);
    let mut client = listener(&server, "webhook:repo").await;
    let body = br#"{"ref":"refs/heads/main"}"#;
    let headers = signing::github(SECRET, "push", "d-1", body);
    let changed = br#"{"ref":"refs/heads/evil"}"#;
    for (headers, body) in [
        (headers.as_str(), &changed[..]),
        ("X-GitHub-Event: push\r\n", &body[..]),
        (&headers.replace("sha256=", "sha1="), &body[..]),
        (&signing::github("another", "push", "d-1", body), &body[..]),
        ("X-Hub-Signature-256: sha256=\r\n", &body[..]),
        ("X-Hub-Signature-256: \r\n", &body[..]),
    ] {
        let answer = post(server.address, "/in/repo", headers, body).await;
        assert_eq!((answer.status, &answer.json()["code"]), (401, &json!("bad_signature")), "{headers}");
    }
    client.expect_nothing().await;
    assert_eq!(post(server.address, "/in/other", &headers, body).await.status, 404);
    let answer = get(server.address, "/in/repo").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("post")));
    let log = get(server.address, "/metrics").await.body;
    assert!(log.contains(r#"fanwire_webhooks_total{source="repo",outcome="rejected"} 6"#), "{log}");
}

#[tokio::test]
async fn what_comes_again_is_answered_but_not_published() {
    let server = broker(GITHUB);
    let mut client = listener(&server, "webhook:repo").await;
    let body = br#"{"a":1}"#;
    let headers = signing::github(SECRET, "push", "d-1", body);
    for _ in 0..3 {
        assert_eq!(post(server.address, "/in/repo", &headers, body).await.status, 200);
    }
    // The name of the delivery is not signed: giving a captured one another name does not make it new.
    let renamed = signing::github(SECRET, "release", "d-2", body);
    assert_eq!(post(server.address, "/in/repo", &renamed, body).await.status, 200);
    assert_eq!(client.expect("message").await["data"]["event"], "push");
    client.expect_nothing().await;
    let deliveries = get(server.address, "/v1/deliveries?outcome=duplicate").await.json();
    assert_eq!(deliveries["deliveries"].as_array().unwrap().len(), 3, "{deliveries}");
}

#[tokio::test]
async fn the_same_at_the_same_time_is_published_once() {
    let server = broker(GITHUB);
    let mut client = listener(&server, "webhook:repo").await;
    let body = br#"{"a":1}"#;
    let headers = signing::github(SECRET, "push", "d-1", body);
    let all = (0..20).map(|_| post(server.address, "/in/repo", &headers, body));
    for answer in futures_util::future::join_all(all).await {
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    client.expect("message").await;
    client.expect_nothing().await;
}

#[tokio::test]
async fn old_and_early_signatures_are_refused() {
    let server = broker("[[source]]\nname = 'pay'\nprovider = 'stripe'\nsecret_env = 'HOOK_SECRET'\n");
    let mut client = listener(&server, "webhook:pay").await;
    let body = br#"{"id":"evt_1","type":"charge.succeeded"}"#;
    for (at_s, expected) in [(now_s() - 310, 401), (now_s() + 310, 401), (now_s() - 200, 200)] {
        let headers = signing::stripe(SECRET, at_s, body);
        let answer = post(server.address, "/in/pay", &headers, body).await;
        assert_eq!(answer.status, expected, "{}", answer.body);
    }
    assert_eq!(client.expect("message").await["data"]["event"], "charge.succeeded");
    // A new signature over the same event is still the same event.
    let again = signing::stripe(SECRET, now_s(), body);
    assert_eq!(post(server.address, "/in/pay", &again, body).await.status, 200);
    client.expect_nothing().await;
}

#[tokio::test]
async fn filter_topic_and_payload_are_of_the_operator() {
    let server = broker(
        r#"
[[source]]
name = "shop"
provider = "stripe"
secret_env = "HOOK_SECRET"
topic = "orders:{{ body.data.object.customer | topic_segment }}"
payload = '{"paid": {{ body.data.object.amount }}, "by": {{ body.data.object.customer }}}'
filter = { body = { type = { "$in" = ["charge.succeeded"] }, livemode = true } }
"#,
    );
    let mut client = listener(&server, "orders:cus_1").await;
    let send = async |id: &str, kind: &str, customer: &str| {
        let body = json!({ "id": id, "type": kind, "livemode": true,
            "data": { "object": { "customer": customer, "amount": 250 } } })
        .to_string();
        let headers = signing::stripe(SECRET, now_s(), body.as_bytes());
        post(server.address, "/in/shop", &headers, body.as_bytes()).await.status
    };
    assert_eq!(send("evt_1", "charge.failed", "cus_1").await, 200);
    assert_eq!(send("evt_2", "charge.succeeded", "cus:*").await, 200);
    assert_eq!(send("evt_3", "charge.succeeded", "cus_1").await, 200);
    assert_eq!(client.data().await, json!({ "paid": 250, "by": "cus_1" }));
    client.expect_nothing().await;
    let outcomes: Vec<Value> = get(server.address, "/v1/deliveries").await.json()["deliveries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|delivery| delivery["outcome"].clone())
        .collect();
    assert_eq!(outcomes, ["accepted", "failed", "filtered"]);
    let counts = get(server.address, "/v1/stats").await.json()["counts"].clone();
    for outcome in ["accepted", "failed", "filtered"] {
        assert_eq!(counts[format!("webhooks_{outcome}")], 1, "{counts}");
    }
    assert_eq!(counts["webhooks_rejected"], 0, "{counts}");
}

#[tokio::test]
async fn a_secret_in_the_address_is_needed_and_hidden() {
    let server = Launch::default()
        .config(
            "[[source]]\nname = 'in'\nprovider = 'unsigned'\npath_token_env = ['TOKEN', 'OLD_TOKEN']\n\
             topic = 't:{{ source }}'\n",
        )
        .env("TOKEN", "0123456789abcdefghijkl")
        .env("OLD_TOKEN", "lkjihgfedcba9876543210")
        .start();
    let mut client = listener(&server, "t:in").await;
    for wrong in ["/in/in", "/in/in/0123456789abcdefghijk", "/in/in/0123456789abcdefghijkl/", "/in/in/"] {
        assert_eq!(post(server.address, wrong, "", b"1").await.status, 404, "{wrong}");
    }
    assert_eq!(post(server.address, "/in/in/0123456789abcdefghijkl", "", b"1").await.status, 200);
    assert_eq!(post(server.address, "/in/in/lkjihgfedcba9876543210", "", b"2").await.status, 200);
    assert_eq!(client.data().await["data"], 1);
    assert_eq!(client.data().await["data"], 2);
    let shown = get(server.address, "/v1/deliveries").await.body;
    assert!(!shown.contains("0123456789abcdefghijkl"), "{shown}");
}

#[tokio::test]
async fn bodies_over_the_limit_are_not_cut() {
    let server = broker(&format!("{GITHUB}max_body_bytes = 1000\n"));
    let body = vec![b'x'; 1_001];
    let headers = signing::github(SECRET, "push", "d-1", &body);
    assert_eq!(post(server.address, "/in/repo", &headers, &body).await.status, 413);
    let chunked = format!("POST /in/repo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{headers}");
    let chunks = [b"3e9\r\n".as_slice(), &body, b"\r\n0\r\n\r\n"].concat();
    assert_eq!(request(server.address, &chunked, &chunks).await.status, 413);
    let fits = &body[..1_000];
    let headers = signing::github(SECRET, "push", "d-2", fits);
    assert_eq!(post(server.address, "/in/repo", &headers, fits).await.status, 200);
}

#[tokio::test]
async fn what_is_too_large_for_a_message_is_referred_to() {
    let server = Launch::default()
        .config(GITHUB)
        .env("HOOK_SECRET", SECRET)
        .flag("--max-message-bytes", "2000")
        .start();
    let mut client = listener(&server, "webhook:repo").await;
    let body = json!({ "pad": "x".repeat(5_000) }).to_string();
    let headers = signing::github(SECRET, "push", "d-1", body.as_bytes());
    assert_eq!(post(server.address, "/in/repo", &headers, body.as_bytes()).await.status, 200);
    let envelope = client.data().await;
    assert_eq!((&envelope["bytes"], &envelope["event"]), (&json!(body.len()), &json!("push")));
    let raw = get(server.address, envelope["ref"].as_str().unwrap()).await;
    assert_eq!((raw.status, raw.body), (200, body));
}

#[tokio::test]
async fn a_disabled_source_is_gone() {
    let server = broker(&format!("{GITHUB}enabled = false\n"));
    let answer = post(server.address, "/in/repo", "", b"{}").await;
    assert_eq!((answer.status, &answer.json()["code"]), (410, &json!("source_disabled")));
}

#[tokio::test]
async fn json_that_is_said_to_be_a_form_is_json() {
    let server =
        broker(&format!("{GITHUB}topic = 'github:{{{{ body.repository.full_name | topic_segment }}}}'\n"));
    let mut client = listener(&server, "github:octo/hello").await;
    let body = br#"{"repository":{"full_name":"octo/hello"}}"#;
    let headers = signing::github(SECRET, "push", "d-1", body)
        .replace("application/json", "application/x-www-form-urlencoded");
    assert_eq!(post(server.address, "/in/repo", &headers, body).await.status, 200);
    assert_eq!(client.data().await["data"]["repository"]["full_name"], "octo/hello");
}

#[tokio::test]
async fn what_was_rejected_can_be_replayed_once_the_secret_is_right() {
    let server = Launch::default()
        .config(GITHUB)
        .env("HOOK_SECRET", "not yet the right one")
        .env("RIGHT_SECRET", SECRET)
        .start();
    let mut client = listener(&server, "webhook:repo").await;
    let body = br#"{"a":1}"#;
    let headers = signing::github(SECRET, "push", "d-1", body);
    assert_eq!(post(server.address, "/in/repo", &headers, body).await.status, 401);
    let rejected = get(server.address, "/v1/deliveries?outcome=rejected").await.json();
    let rejected = &rejected["deliveries"][0];
    assert_eq!(rejected["cause"], "signature_mismatch");
    let path = format!("/v1/deliveries/{}", rejected["id"].as_str().unwrap());
    let again = post(server.address, &format!("{path}/replay"), "", b"").await;
    assert_eq!((again.status, &again.json()["code"]), (409, &json!("not_replayable")));
    client.expect_nothing().await;

    server.write_config(&GITHUB.replace("HOOK_SECRET", "RIGHT_SECRET"));
    server.signal("HUP");
    let replayed = eventually(async || {
        let answer = post(server.address, &format!("{path}/replay"), "", b"").await;
        (answer.status == 200).then(|| answer.json())
    })
    .await;
    assert_eq!((&replayed["outcome"], &replayed["replay_of"]), (&json!("accepted"), &rejected["id"]));
    let envelope = client.data().await;
    assert_eq!((&envelope["data"], &envelope["id"]), (&json!({ "a": 1 }), &replayed["id"]));
    // A replay of what was accepted is a message of its own.
    let path = format!("/v1/deliveries/{}/replay", replayed["id"].as_str().unwrap());
    assert_eq!(post(server.address, &path, "", b"").await.status, 200);
    assert_eq!(client.data().await["data"], json!({ "a": 1 }));
    assert_eq!(post(server.address, "/v1/deliveries/repo-00/replay", "", b"").await.status, 404);
}

#[tokio::test]
async fn the_address_is_signed_and_proxies_are_believed_if_trusted() {
    let source = "[[source]]\nname = 'sq'\nprovider = 'square'\nsecret_env = 'HOOK_SECRET'\n";
    let send = async |server: &Server, id: &str| {
        let body = json!({ "event_id": id }).to_string();
        let signature = signing::base64(SECRET, &[b"https://hooks.example/in/sq", body.as_bytes()]);
        let headers = format!(
            "X-Square-Hmacsha256-Signature: {signature}\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: hooks.example\r\n"
        );
        post(server.address, "/in/sq", &headers, body.as_bytes()).await.status
    };
    assert_eq!(send(&broker(source), "1").await, 401, "a stranger says what it likes");
    let trusted = broker(&format!("trusted_proxies = ['127.0.0.0/8']\n{source}"));
    assert_eq!(send(&trusted, "1").await, 200);
    let known = broker(&format!("{source}public_url = 'https://hooks.example/in/sq'\n"));
    assert_eq!(send(&known, "1").await, 200);
}

#[tokio::test]
async fn the_secret_of_a_signed_address_is_not_recorded_but_known_when_it_is_replayed() {
    let source = "[[source]]\nname = 'sq'\nprovider = 'square'\nsecret_env = 'KEY'\npath_token_env = ['OTHER', 'TOKEN']\n\
                  public_url = 'https://hooks.example/in/sq'\n";
    let server = Launch::default()
        .config(source)
        .env("KEY", "not yet the right one")
        .env("HOOK_SECRET", SECRET)
        .env("OTHER", "lkjihgfedcba9876543210")
        .env("TOKEN", "0123456789abcdefghijkl")
        .start();
    let body = r#"{"event_id":"1"}"#;
    let url = b"https://hooks.example/in/sq/0123456789abcdefghijkl?a=b";
    let headers =
        format!("X-Square-HmacSha256-Signature: {}\r\n", signing::base64(SECRET, &[url, body.as_bytes()]));
    let path = "/in/sq/0123456789abcdefghijkl?a=b";
    assert_eq!(post(server.address, path, &headers, body.as_bytes()).await.status, 401);
    let rejected = get(server.address, "/v1/deliveries").await.json()["deliveries"][0].clone();
    assert_eq!(rejected["url"], "https://hooks.example/in/sq?a=b");
    server.write_config(&source.replace("'KEY'", "'HOOK_SECRET'"));
    server.signal("HUP");
    let replay = format!("/v1/deliveries/{}/replay", rejected["id"].as_str().unwrap());
    eventually(async || (post(server.address, &replay, "", b"").await.status == 200).then_some(())).await;
}

#[tokio::test]
async fn a_slash_at_the_end_of_an_address_is_no_other_address() {
    let token = "0123456789abcdefghijklmnop";
    let secret = "[[source]]\nname = 'own'\nprovider = 'unsigned'\npath_token_env = 'HOOK_TOKEN'\n";
    let server = Launch::default()
        .config(&format!("{GITHUB}{secret}"))
        .env("HOOK_SECRET", SECRET)
        .env("HOOK_TOKEN", token)
        .start();
    let body = br#"{"a":1}"#;
    let headers = signing::github(SECRET, "push", "d-1", body);
    assert_eq!(post(server.address, "/in/repo/", &headers, body).await.status, 200);
    assert_eq!(post(server.address, &format!("/in/own/{token}"), "", body).await.status, 200);
    // A secret is compared to the letter.
    let longer = format!("/in/own/{token}/");
    for wrong in [longer.as_str(), "/in/own/", "/in/own", "/in//", "/in/own/other/", "/in/repo/x/"] {
        assert_eq!(post(server.address, wrong, "", body).await.status, 404, "{wrong}");
    }
    let kept = get(server.address, "/v1/deliveries?source=own").await.json();
    for delivery in kept["deliveries"].as_array().unwrap() {
        assert!(!delivery["url"].as_str().unwrap().contains(token), "{delivery}");
    }
}
