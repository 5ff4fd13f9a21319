//! Many messages in one request: results in order, mixed outcomes, atomic batches, bounds.

use serde_json::{Value, json};

use crate::support::{Client, Launch, Server, mint, post};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

async fn publish(server: &Server, batch: &Value) -> (u16, Value) {
    let answer = post(server.address, "/v1/publish", "", batch.to_string().as_bytes()).await;
    (answer.status, answer.json())
}

fn codes(results: &Value) -> Vec<&str> {
    let results = results["results"].as_array().unwrap();
    results.iter().map(|result| result["code"].as_str().unwrap_or("ok")).collect()
}

#[tokio::test]
async fn results_are_in_order_and_messages_too() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:a").await;
    let message = |n: u64| json!({ "topic": "chat:a", "data": n, "tags": { "n": n.to_string() } });
    let (status, answer) =
        publish(&server, &json!({ "messages": (0..100).map(message).collect::<Vec<_>>() })).await;
    assert_eq!((status, answer["results"].as_array().unwrap().len()), (200, 100));
    for n in 0..100 {
        let message = client.expect("message").await;
        assert_eq!((&message["data"], &message["tags"]["n"]), (&json!(n), &json!(n.to_string())));
        let result = &answer["results"][n];
        assert_eq!(result["offset"], message["offset"]);
        assert_eq!((&result["topic"], &result["duplicate"]), (&json!("chat:a"), &json!(false)));
    }
    client.expect_nothing().await;
}

#[tokio::test]
async fn a_message_may_go_to_many_topics() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:a").await;
    client.subscribe("chat:b").await;
    let batch = json!({ "messages": [{ "topics": ["chat:a", "chat:*", "chat:b"], "b64": "AAE=" }] });
    let (status, answer) = publish(&server, &batch).await;
    assert_eq!((status, codes(&answer["results"][0])), (207, vec!["ok", "bad_topic", "ok"]));
    let (a, b) = (client.expect("message").await, client.expect("message").await);
    assert_eq!((&a["b64"], &b["b64"]), (&json!("AAE="), &json!("AAE=")));
    assert_ne!(a["topic"], b["topic"]);
}

#[tokio::test]
async fn each_mistake_is_its_own_messages() {
    let server = Server::development();
    let batch = json!({ "messages": [
        { "topic": "chat:a", "data": null },
        { "topic": "chat:*", "data": 1 },
        { "topic": "chat:a" },
        { "topic": "chat:a", "data": 1, "b64": "" },
        { "topic": "chat:a", "b64": "A" },
        { "topic": 7, "data": 1 },
        { "data": 1 },
        { "topic": "chat:a", "topics": ["chat:b"], "data": 1 },
        { "topics": [], "data": 1 },
        { "topic": "chat:a", "key": "k", "data": 1 },
        { "topic": "ticker:a", "key": "", "data": 1 },
        { "topic": "chat:a", "data": 1, "tags": { "a": 1 } },
        "chat:a",
        { "topic": "ticker:a", "key": "k", "data": 1, "unknown": 1 },
    ] });
    let (status, answer) = publish(&server, &batch).await;
    let expected = [
        "ok",
        "bad_topic",
        "bad_request",
        "bad_request",
        "bad_payload",
        "bad_request",
        "bad_request",
        "bad_request",
        "bad_request",
        "wrong_kind",
        "bad_request",
        "bad_request",
        "bad_request",
        "ok",
    ];
    assert_eq!((status, codes(&answer)), (207, expected.to_vec()));
    let problem = &answer["results"][1];
    assert_eq!(problem["type"], "/docs/errors#bad_topic");
    assert_eq!((&problem["status"], &problem["retry"]), (&json!(400), &json!(false)));
}

#[tokio::test]
async fn a_token_is_asked_for_every_message() {
    let server = Server::start(&format!("auth_hmac_secret = '{SECRET}'"));
    let token = mint(SECRET, &json!({ "publish": ["chat:*"] }));
    let headers = format!("Authorization: Bearer {token}\r\n");
    let batch = json!({ "messages": [
        { "topic": "chat:a", "data": 1 }, { "topic": "log:a", "data": 1 }, { "topics": ["chat:a", "log:a"], "data": 1 }
    ] });
    let answer = post(server.address, "/v1/publish", &headers, batch.to_string().as_bytes()).await;
    assert_eq!((answer.status, codes(&answer.json())), (207, vec!["ok", "forbidden", "ok"]));
    assert_eq!(codes(&answer.json()["results"][2]), ["ok", "forbidden"]);
    assert_eq!(publish(&server, &batch).await.0, 401);
}

#[tokio::test]
async fn an_atomic_batch_is_published_whole_or_not_at_all() {
    let server = Server::start("[[rule]]\npattern = 'full:*'\nkind = 'latest'\nmax_keys = 1");
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:a").await;
    let good = json!({ "topic": "chat:a", "data": 1 });
    publish(&server, &json!({ "messages": [{ "topic": "full:a", "key": "a", "data": 1 }] })).await;
    for (bad, status, code) in [
        (json!({ "topic": "chat:*", "data": 1 }), 400, "bad_topic"),
        (json!({ "topic": "chat:a" }), 400, "bad_request"),
        (json!({ "topics": ["chat:a", "**"], "data": 1 }), 400, "bad_topic"),
        (json!({ "topic": "chat:a", "key": "k", "data": 1 }), 409, "wrong_kind"),
        (json!({ "topic": "new:a", "key": "k", "data": 1 }), 409, "wrong_kind"),
        (json!({ "topic": "full:a", "key": "b", "data": 1 }), 409, "too_many_keys"),
        (json!({ "topic": "chat:a", "data": "x".repeat(65_536) }), 413, "too_large"),
    ] {
        let batch = json!({ "atomic": true, "messages": [good, bad, good] });
        let (got, answer) = publish(&server, &batch).await;
        assert_eq!((got, &answer["code"], &answer["index"]), (status, &json!(code), &json!(1)), "{answer}");
    }
    client.expect_nothing().await;
    let (status, answer) = publish(&server, &json!({ "atomic": true, "messages": [good, good] })).await;
    assert_eq!((status, codes(&answer)), (200, vec!["ok", "ok"]));
    client.data().await;
    client.data().await;
    client.expect_nothing().await;
}

#[tokio::test]
async fn batches_are_bounded() {
    let server = Launch::default().flag("--max-message-bytes", "100").start();
    let message = json!({ "topic": "chat:a", "data": 1 });
    let (status, _) = publish(&server, &json!({ "messages": vec![message.clone(); 1_000] })).await;
    assert_eq!(status, 200);
    let (status, answer) = publish(&server, &json!({ "messages": vec![message; 1_001] })).await;
    assert_eq!((status, &answer["code"]), (413, &json!("too_large")));
    let topics: Vec<_> = (0..100).map(|n| format!("chat:{n}")).collect();
    let many = json!({ "topics": topics, "data": 1 });
    assert_eq!(publish(&server, &json!({ "messages": vec![many.clone(); 10] })).await.0, 200);
    assert_eq!(publish(&server, &json!({ "messages": vec![many; 11] })).await.0, 413);
    let padding = |bytes: usize| {
        let frame = r#"{"messages":[]}"#;
        format!("{frame}{}", " ".repeat(bytes - frame.len()))
    };
    let most = 4 * 1024 * 1024;
    assert_eq!(post(server.address, "/v1/publish", "", padding(most).as_bytes()).await.status, 200);
    let answer = post(server.address, "/v1/publish", "", padding(most + 1).as_bytes()).await;
    assert_eq!((answer.status, &answer.json()["code"]), (413, &json!("too_large")));
}

#[tokio::test]
async fn what_is_no_batch_is_told_so() {
    let server = Server::development();
    for body in
        ["", "{", "[]", "{}", r#"{"messages":{}}"#, r#"{"messages":[],"atomic":1}"#, "\u{fffd}", "null"]
    {
        let answer = post(server.address, "/v1/publish", "", body.as_bytes()).await;
        assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("bad_request")), "{body}");
    }
    assert_eq!(publish(&server, &json!({ "messages": [] })).await, (200, json!({ "results": [] })));
}

#[tokio::test]
async fn acknowledgements_and_keys_work_for_batches() {
    let server = Server::development();
    let batch = json!({ "messages": [{ "topic": "chat:a", "data": 1 }] }).to_string();
    let none = post(server.address, "/v1/publish?ack=none", "", batch.as_bytes()).await;
    assert_eq!((none.status, none.body.as_str()), (202, ""));
    let durable = post(server.address, "/v1/publish?ack=durable", "", batch.as_bytes()).await;
    assert_eq!((durable.status, &durable.json()["results"][0]["code"]), (207, &json!("not_durable")));
    let failing = json!({ "messages": [{ "topic": "*", "data": 1 }] }).to_string();
    assert_eq!(post(server.address, "/v1/publish?ack=none", "", failing.as_bytes()).await.status, 207);
    let first = post(server.address, "/v1/publish", "Idempotency-Key: k\r\n", batch.as_bytes()).await;
    let again = post(server.address, "/v1/publish", "Idempotency-Key: k\r\n", batch.as_bytes()).await;
    assert_eq!(first.json(), again.json());
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
}
