//! Documents made to be deep, entangled and repetitive, at the socket: they cost a bounded time, no stack and little memory, and
//! whoever has another document does not notice.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{
    Answer, Launch, Raw, Scratch, Server, eventually, get, mask, opcode, post, request, yjs,
};

const RULES: &str = "[[rule]]\npattern = 'doc:**'\nkind = 'document'\nmerge_updates = 2\n";

async fn publish(server: &Server, document: &str, update: &[u8]) -> Answer {
    let head = "Content-Type: application/octet-stream\r\n";
    post(server.address, &format!("/v1/topics/{document}/messages"), head, update).await
}

async fn put(server: &Server, document: &str, content: &Value) -> Answer {
    let body = content.to_string();
    let head = format!(
        "PUT /v1/documents/{document} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    request(server.address, &head, body.as_bytes()).await
}

async fn delete(server: &Server, document: &str) -> u16 {
    request(server.address, &format!("DELETE /v1/documents/{document} HTTP/1.1\r\n"), b"").await.status
}

/// Everything that can be done with a document; whatever it answers, the broker goes on.
async fn use_it(server: &Server, document: &str) {
    let path = format!("/v1/documents/{document}");
    let read = get(server.address, &path).await;
    assert!([200, 413].contains(&read.status), "{document}: {}", read.body);
    let bytes =
        request(server.address, &format!("GET {path} HTTP/1.1\r\nAccept: application/octet-stream\r\n"), b"")
            .await;
    assert_eq!(bytes.status, 200, "{document}: as it is it can always be had");
    let written = put(server, document, &json!({"text": "other", "list": [1]})).await;
    assert!([200, 413].contains(&written.status), "{document}: {}", written.body);
    let kept = post(server.address, &format!("{path}/versions"), "", br#"{"name":"v"}"#).await;
    assert_eq!(kept.status, 201, "{document}: {}", kept.body);
    let restore = format!("{{\"version\":{}}}", kept.json()["version"]);
    let restored = post(server.address, &format!("{path}/restore"), "", restore.as_bytes()).await;
    assert!([200, 413].contains(&restored.status), "{document}: {}", restored.body);
}

#[tokio::test]
async fn hostile_documents_are_served_and_the_broker_goes_on() {
    let place = Scratch::new();
    let start = || Launch::default().config(RULES).flag("--data-dir", place.path().to_str().unwrap()).start();
    let mut server = start();
    let all = yjs::hostile(5_000);
    for (name, updates) in &all {
        // One after the other over one connection each would take long; the first few say as much.
        for update in updates.iter().take(8) {
            assert_eq!(
                publish(&server, &format!("doc:{}", name.replace(' ', "-")), update).await.status,
                200
            );
        }
    }
    for restart in [true, false] {
        for (name, _) in &all {
            let document = format!("doc:{}", name.replace(' ', "-"));
            let mut editor = Raw::editor(&server, &document).await;
            editor.send(&mask(opcode::BINARY, &[0, 0, 1, 0])).await;
            while editor.frame().await.unwrap().payload != [0, 1, 2, 0, 0] {}
            use_it(&server, &document).await;
        }
        if restart {
            server.signal("KILL");
            server.exit().await;
            server = start();
        }
    }
    for (name, _) in &all {
        assert_eq!(delete(&server, &format!("doc:{}", name.replace(' ', "-"))).await, 204);
    }
    let resident = server.resident_bytes() / (1 << 20);
    assert!(resident < 400, "{resident} MiB");
}

/// What cannot be converted is refused with the bound that it is over.
#[tokio::test]
async fn what_is_too_deep_is_said() {
    let server = Server::start(RULES);
    assert_eq!(publish(&server, "doc:deep", &yjs::nested(5_000)).await.status, 200);
    let read = get(server.address, "/v1/documents/doc:deep").await;
    assert_eq!((read.status, &read.json()["code"]), (413, &json!("too_large")));
    assert!(read.body.contains("nested more than 256 deep"), "{}", read.body);
    assert_eq!(publish(&server, "doc:deep", &yjs::deletion(1, 5_000)).await.status, 200);
    assert_eq!(get(server.address, "/v1/documents/doc:deep").await.json(), json!({"deep": null}));
}

/// While conflicts of tens of thousands of clients are merged and read again and again, another document's readers wait for little.
#[tokio::test]
async fn one_document_does_not_hold_up_others() {
    let server = Server::start(&format!("max_update_bytes = 2200000\n{RULES}"));
    for number in 0..6 {
        let update =
            if number % 2 == 0 { yjs::conflicts(20_000, number == 0) } else { yjs::entangled(4_000, 8) };
        assert_eq!(publish(&server, &format!("doc:busy{}", number % 3), &update).await.status, 200);
    }
    put(&server, "doc:quiet", &json!({"text": "a"})).await;
    let started = Instant::now();
    let quiet = async {
        for number in 0..10 {
            let asked = Instant::now();
            assert_eq!(put(&server, "doc:quiet", &json!({"text": "b".repeat(number)})).await.status, 200);
            assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
        }
    };
    let read =
        |number: usize| get(server.address, ["/v1/documents/doc:busy0", "/v1/documents/doc:busy1"][number]);
    let (one, two, ()) = tokio::join!(read(0), read(1), quiet);
    assert!([200, 413].contains(&one.status) && [200, 413].contains(&two.status));
    eprintln!("all of it took {:?}", started.elapsed());
}

/// A list of values goes in as one item, so it costs about what it is long.
#[tokio::test]
async fn a_long_list_costs_what_it_is_long() {
    let server = Server::start(RULES);
    let before = server.resident_bytes();
    for length in [10_000, 40_000] {
        let list: Vec<usize> = (0..length).collect();
        let answer = put(&server, "doc:list", &json!({ "list": list })).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert_eq!(
            get(server.address, "/v1/documents/doc:list").await.json()["list"][length - 1],
            length - 1
        );
    }
    let grown = server.peak_bytes().saturating_sub(before) / (1 << 20);
    assert!(grown < 100, "{grown} MiB");
}

#[tokio::test]
async fn a_document_may_be_called_anything() {
    let server = Server::start("[[rule]]\npattern = '**'\nkind = 'document'\n");
    let mut editor = Raw::editor(&server, "mine").await;
    editor.send(&mask(opcode::BINARY, &[0, 0, 1, 0])).await;
    while editor.frame().await.unwrap().payload != [0, 1, 2, 0, 0] {}
    for name in ["awareness", "presence"] {
        put(&server, name, &json!({"text": "a"})).await;
        assert_eq!(delete(&server, name).await, 204);
    }
    // Whoever was disconnected would not be answered.
    editor.send(&mask(opcode::BINARY, &[0, 0, 1, 0])).await;
    while editor.frame().await.unwrap().payload != [0, 1, 2, 0, 0] {}
}

/// Of many who write on condition at once one is taken, in memory and on the disk.
#[tokio::test]
async fn conditions_hold_for_many_at_once() {
    let place = Scratch::new();
    let durable = Launch::default().config(RULES).flag("--data-dir", place.path().to_str().unwrap()).start();
    let late = format!("{RULES}deliver = 'durable'\n");
    let place_late = Scratch::new();
    let late =
        Launch::default().config(&late).flag("--data-dir", place_late.path().to_str().unwrap()).start();
    for server in [Server::start(RULES), durable, late] {
        for round in 0..10 {
            let path = format!("/v1/documents/doc:{round}");
            let mut condition = "If-None-Match: *".to_owned();
            for step in 0..3 {
                let write = |writer: usize| {
                    let body = json!({ "text": format!("{step} {writer}") }).to_string();
                    let head = format!(
                        "PUT {path} HTTP/1.1\r\nContent-Type: application/json\r\n{condition}\r\nContent-Length: {}\r\n",
                        body.len()
                    );
                    let address = server.address;
                    async move { request(address, &head, body.as_bytes()).await.status }
                };
                let (a, b, c, d) = tokio::join!(write(0), write(1), write(2), write(3));
                let mut statuses = [a, b, c, d];
                statuses.sort_unstable();
                assert_eq!(statuses, [200, 412, 412, 412], "{condition}");
                let read = get(server.address, &path).await;
                assert_eq!(read.json()["text"].as_str().unwrap().len(), 3, "one copy: {}", read.body);
                condition = format!("If-Match: {}", read.header("etag").unwrap());
            }
        }
    }
}

#[tokio::test]
async fn versions_kept_at_once_are_all_there() {
    let place = Scratch::new();
    let server = Launch::default().config(RULES).flag("--data-dir", place.path().to_str().unwrap()).start();
    put(&server, "doc:note", &json!({"text": "a"})).await;
    let path = "/v1/documents/doc:note/versions";
    let keep = || async {
        let kept = async || {
            let answer = post(server.address, path, "", br#"{"name":"v"}"#).await;
            // More at once than one document may ask for.
            (answer.status != 503).then(|| answer.json()["version"].as_u64().unwrap())
        };
        eventually(kept).await
    };
    let mut all = Vec::new();
    for _ in 0..10 {
        let (a, b, c, d) = tokio::join!(keep(), keep(), keep(), keep());
        all.extend([a, b, c, d]);
    }
    all.sort_unstable();
    let listed = get(server.address, path).await.json();
    let listed: Vec<u64> =
        listed["versions"].as_array().unwrap().iter().map(|one| one["version"].as_u64().unwrap()).collect();
    assert_eq!(listed, all);
    assert_eq!(listed.len(), 40);
    all.dedup();
    assert_eq!(all.len(), 40);
}
