//! Documents over HTTP: reading, writing, versions, deleting, and what the editors see of it.

use std::sync::Mutex;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::support::{
    Client, LONG_PATIENCE, Launch, PATIENCE, Scratch, Server, get, mint, post, request, within,
};

const DOC: &str = "/v1/documents/doc:note";

async fn put(server: &Server, path: &str, headers: &str, body: &str) -> (u16, Value) {
    let head = format!("PUT {path} HTTP/1.1\r\nContent-Length: {}\r\n{headers}", body.len());
    let answer = request(server.address, &head, body.as_bytes()).await;
    (answer.status, answer.json())
}

async fn put_json(server: &Server, content: &Value) -> (u16, Value) {
    put(server, DOC, "Content-Type: application/json\r\n", &content.to_string()).await
}

async fn content(server: &Server) -> Value {
    let answer = get(server.address, DOC).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

#[tokio::test]
async fn a_document_is_written_and_read() {
    let server = Server::development();
    assert_eq!(content(&server).await, json!({}), "one that does not exist is empty");
    let note = json!({"title": "héllo", "items": [1, {"a": null}], "meta": {"by": "ada"}});
    let (status, place) = put_json(&server, &note).await;
    assert_eq!((status, &place["offset"]), (200, &json!(1)), "{place}");
    assert_eq!(content(&server).await, note);
    let read = get(server.address, DOC).await;
    let tag = format!("\"{}:1\"", place["epoch"].as_str().unwrap());
    assert_eq!(read.header("etag"), Some(tag.as_str()));
    let text =
        request(server.address, &format!("GET {DOC}?root=title HTTP/1.1\r\nAccept: text/plain\r\n"), b"")
            .await;
    assert_eq!(text.body, "héllo");
    let (status, unchanged) = put_json(&server, &note).await;
    assert_eq!((status, &unchanged["offset"]), (200, &json!(1)), "nothing to change");
    let (status, _) =
        put(&server, &format!("{DOC}?root=title"), "Content-Type: text/plain\r\n", "hello").await;
    assert_eq!((status, content(&server).await["title"].clone()), (200, json!("hello")));
}

#[tokio::test]
async fn conditions_hold() {
    let server = Server::development();
    let write = async |headers: &str| {
        put(&server, DOC, &format!("Content-Type: application/json\r\n{headers}"), r#"{"t":"x"}"#).await
    };
    let (status, place) = write("If-None-Match: *\r\n").await;
    assert_eq!(status, 200);
    let (status, problem) = write("If-None-Match: *\r\n").await;
    assert_eq!((status, &problem["code"]), (412, &json!("precondition_failed")));
    let tag = format!("{}:{}", place["epoch"].as_str().unwrap(), place["offset"]);
    assert_eq!(write(&format!("If-Match: \"{tag}\"\r\n")).await.0, 200);
    assert_eq!(write("If-Match: \"00:7\"\r\n").await.0, 412);
    assert_eq!(write("If-Match: nonsense\r\n").await.0, 400);
}

#[tokio::test]
async fn what_is_no_document_is_refused() {
    let server = Server::development();
    let refused = [
        (DOC, "application/json", "[]", 400, "bad_payload"),
        (DOC, "application/json", "{\"n\":1}", 400, "bad_payload"),
        (DOC, "application/json", "{", 400, "bad_payload"),
        (DOC, "application/octet-stream", "hello", 400, "bad_payload"),
        (DOC, "image/png", "x", 415, "unsupported_media_type"),
        ("/v1/documents/chat:lobby", "application/json", "{}", 409, "wrong_kind"),
    ];
    for (path, kind, body, status, code) in refused {
        let answer = put(&server, path, &format!("Content-Type: {kind}\r\n"), body).await;
        assert_eq!((answer.0, &answer.1["code"]), (status, &json!(code)), "{kind} {body}");
    }
    assert_eq!(get(server.address, "/v1/documents/chat:lobby").await.status, 409);
    assert_eq!(content(&server).await, json!({}));
}

#[tokio::test]
async fn what_is_asked_for_is_what_is_answered() {
    let server = Server::development();
    let read = async |path: &str, accept: &str| {
        let head = format!("GET {path} HTTP/1.1\r\nAccept: {accept}\r\n");
        let answer = request(server.address, &head, b"").await;
        let code = if answer.status == 200 { Value::Null } else { answer.json()["code"].clone() };
        (answer.status, code, answer.body)
    };
    assert_eq!(read(DOC, "text/plain").await, (200, Value::Null, String::new()), "nothing is in it yet");
    assert_eq!(read(&format!("{DOC}?root=nope"), "text/plain").await.0, 404);
    put_json(&server, &json!({"title": "héllo", "items": [1], "gone": "x"})).await;
    put_json(&server, &json!({"title": "héllo", "items": [1], "gone": ""})).await;
    for (query, accept, status, code) in [
        ("?root=title", "text/plain", 200, Value::Null),
        ("?root=gone", "text/*;q=0.1", 200, Value::Null),
        ("?root=nope", "text/plain", 404, json!("not_found")),
        ("", "text/plain", 404, json!("not_found")),
        ("?root=items", "text/plain", 409, json!("wrong_kind")),
        ("?root=title", "application/json", 400, json!("bad_request")),
        ("?root=title", "application/octet-stream", 400, json!("bad_request")),
        ("", "image/png", 406, json!("not_acceptable")),
        ("", "application/json;q=0", 406, json!("not_acceptable")),
        ("?version=nope", "*/*", 400, json!("bad_request")),
        ("?version=1", "*/*", 404, json!("not_found")),
    ] {
        let answer = read(&format!("{DOC}{query}"), accept).await;
        assert_eq!((answer.0, answer.1), (status, code), "{query} {accept}: {}", answer.2);
    }
    let (status, problem) =
        put(&server, &format!("{DOC}?root=title"), "Content-Type: application/json\r\n", "{}").await;
    assert_eq!((status, &problem["code"]), (400, &json!("bad_request")));
    assert_eq!(content(&server).await["title"], "héllo", "nothing was changed");
}

#[tokio::test]
async fn versions_are_kept_and_gone_back_to_across_a_restart() {
    let place = Scratch::new();
    let rules = "[[rule]]\npattern = 'doc:**'\nkind = 'document'\n";
    let start = || Launch::default().config(rules).flag("--data-dir", place.path().to_str().unwrap()).start();
    let mut server = start();
    put_json(&server, &json!({"text": "first"})).await;
    let kept = post(server.address, &format!("{DOC}/versions"), "", br#"{"name":"one"}"#).await;
    assert_eq!(kept.status, 201, "{}", kept.body);
    let id = kept.json()["version"].clone();
    put_json(&server, &json!({"text": "second, longer", "more": [1]})).await;
    server.signal("KILL");
    server.exit().await;
    server = start();
    assert_eq!(content(&server).await, json!({"text": "second, longer", "more": [1]}));
    let listed = get(server.address, &format!("{DOC}/versions")).await.json();
    assert_eq!(listed["versions"].as_array().unwrap().len(), 1);
    assert_eq!((&listed["versions"][0]["name"], &listed["versions"][0]["version"]), (&json!("one"), &id));
    let old = get(server.address, &format!("{DOC}?version={id}")).await;
    assert_eq!(old.json(), json!({"text": "first"}));
    let mut reader = Client::connect(&server).await;
    reader.ok(json!({"type": "subscribe", "topic": "doc:note", "last": 0})).await;
    let restored =
        post(server.address, &format!("{DOC}/restore"), "", format!("{{\"version\":{id}}}").as_bytes()).await;
    assert_eq!(restored.status, 200, "{}", restored.body);
    assert!(within(PATIENCE, reader.expect("message")).await["b64"].is_string(), "others see the edit");
    assert_eq!(content(&server).await["text"], "first");
    let gone = request(server.address, &format!("DELETE {DOC}/versions/{id} HTTP/1.1\r\n"), b"").await;
    assert_eq!(gone.status, 204);
    let missing =
        post(server.address, &format!("{DOC}/restore"), "", format!("{{\"version\":{id}}}").as_bytes()).await;
    assert_eq!((missing.status, missing.json()["code"].clone()), (404, json!("not_found")));
}

#[tokio::test]
async fn a_deleted_document_is_gone_for_everyone() {
    let place = Scratch::new();
    let rules = "[[rule]]\npattern = 'doc:**'\nkind = 'document'\nmerge_updates = 2\n";
    let start = || Launch::default().config(rules).flag("--data-dir", place.path().to_str().unwrap()).start();
    let mut server = start();
    for text in ["a", "ab", "abc", "abcd"] {
        put_json(&server, &json!({"text": text})).await;
    }
    let mut reader = Client::connect(&server).await;
    let before = reader.subscribe("doc:note").await;
    let deleted = request(server.address, &format!("DELETE {DOC} HTTP/1.1\r\n"), b"").await;
    assert_eq!(deleted.status, 204, "{}", deleted.body);
    let end = async {
        loop {
            let event = reader.next().await;
            if event["type"] == "end" {
                return event;
            }
        }
    };
    assert_eq!(within(PATIENCE, end).await["code"], "deleted");
    assert_eq!(content(&server).await, json!({}));
    server.signal("KILL");
    server.exit().await;
    server = start();
    assert_eq!(content(&server).await, json!({}), "not even after a crash");
    let mut reader = Client::connect(&server).await;
    let again = reader.resume("doc:note", &before["epoch"], &before["offset"]).await;
    assert_eq!(again["recovered"], json!(false), "{again}");
    put_json(&server, &json!({"text": "new"})).await;
    assert_eq!(content(&server).await, json!({"text": "new"}));
}

/// Whoever reads many documents at once waits for themself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_caller_leaves_others_their_turn() {
    let secret = "0123456789abcdef0123456789abcdef";
    let config = format!("auth_hmac_secret = '{secret}'\n[[rule]]\npattern = 'doc:**'\nkind = 'document'\n");
    let server = Launch::default().config(&config).start();
    let bearer = |user: &str| format!("Authorization: Bearer {}\r\n", mint(secret, &json!({ "sub": user })));
    let (alice, bob) = (bearer("alice"), bearer("bob"));
    let text = json!({ "text": "many words ".repeat(20_000) }).to_string();
    for number in 0..8 {
        let headers = format!("Content-Type: application/json\r\n{alice}");
        assert_eq!(put(&server, &format!("/v1/documents/doc:{number}"), &headers, &text).await.0, 200);
    }
    let read = async |who: &str, number: usize| {
        let head = format!("GET /v1/documents/doc:{number} HTTP/1.1\r\n{who}");
        request(server.address, &head, b"").await
    };
    let refused = Mutex::new(Vec::new());
    let flood = async {
        loop {
            // Of each document as many as may be.
            for answer in join_all((0..32).map(|number| read(&alice, number % 8))).await {
                if answer.status != 200 {
                    refused.lock().unwrap().push(answer);
                }
            }
        }
    };
    let others = async {
        for round in 0.. {
            let answer = read(&bob, 8 + round % 8).await;
            assert_eq!(answer.status, 200, "{}", answer.body);
            if round >= 40 && !refused.lock().unwrap().is_empty() {
                break;
            }
        }
    };
    within(LONG_PATIENCE, async {
        tokio::select! { () = flood => {}, () = others => {} }
    })
    .await;
    for answer in refused.into_inner().unwrap() {
        let problem = answer.json();
        assert_eq!((answer.status, &problem["code"]), (503, &json!("overloaded")));
        let told = problem["detail"].as_str().unwrap();
        assert!(told.contains("one caller's share") || told.contains("about this document"), "{told}");
    }
}
