//! All documents together take so much memory and no more: what a data directory has is unloaded, the rest is refused.

use serde_json::json;

use crate::support::{
    Answer, Client, Connect, Launch, Raw, Scratch, Server, eventually, get, mask, mint, opcode, post, request,
};

const RULES: &str = "max_documents_bytes = 400000\n[[rule]]\npattern = 'doc:**'\nkind = 'document'\n";

const CONTENT_BYTES: usize = 90_000;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// What this user's token says in a request.
fn as_user(user: &str) -> String {
    let claims = json!({ "sub": user, "publish": ["**"], "subscribe": ["**"], "delete": ["**"] });
    format!("Authorization: Bearer {}\r\n", mint(SECRET, &claims))
}

async fn write(server: &Server, name: &str, bytes: usize, head: &str) -> Answer {
    let content = name.repeat(bytes / name.len() + 1);
    let head = format!(
        "PUT /v1/documents/{name} HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n{head}",
        content.len()
    );
    request(server.address, &head, content.as_bytes()).await
}

async fn read(server: &Server, name: &str, head: &str) -> Answer {
    let head = format!("GET /v1/documents/{name} HTTP/1.1\r\nAccept: text/plain\r\n{head}");
    request(server.address, &head, b"").await
}

/// As `/metrics` has it, which is up to date once a second.
async fn bytes_in_memory(server: &Server) -> usize {
    let metrics = get(server.address, "/metrics").await.body;
    let line = metrics.lines().find_map(|line| line.strip_prefix("fanwire_document_bytes "));
    line.unwrap().parse().unwrap()
}

fn guarded() -> Server {
    Server::start(&format!("auth_hmac_secret = '{SECRET}'\n{RULES}"))
}

#[tokio::test]
async fn what_nothing_else_has_is_kept_and_more_is_refused() {
    let server = guarded();
    let mut written = 0;
    let refused = loop {
        // Each user fills nearly the eighth that one may have.
        let answer = write(&server, &format!("doc:{written}"), 45_000, &as_user(&written.to_string())).await;
        if answer.status != 200 {
            break answer;
        }
        written += 1;
    };
    assert_eq!((refused.status, &refused.json()["code"]), (503, &json!("overloaded")), "{}", refused.body);
    assert!(refused.body.contains("all documents together"), "{}", refused.body);
    assert_eq!(written, 9, "the bound is passed by what is taken below it, and then it holds");
    let newcomer = as_user("newcomer");
    for number in 0..written {
        assert_eq!(read(&server, &format!("doc:{number}"), &newcomer).await.status, 200);
    }
    // Editors are told to come again; those who only read are served.
    let token = mint(SECRET, &json!({ "sub": "editor", "publish": ["**"], "subscribe": ["**"] }));
    let mut editor = Raw::editor(&server, &format!("doc:0?token={token}")).await;
    editor
        .send(&mask(opcode::BINARY, &[0, 2, 14, 1, 1, 9, 0, 4, 1, 4, b't', b'e', b'x', b't', 1, b'h', 0]))
        .await;
    assert_eq!(editor.close_code().await, Some(1013));
    let mut newcomer = Raw::editor(&server, &format!("doc:other?token={token}")).await;
    assert_eq!(newcomer.close_code().await, Some(1013));
    let mut reader = Connect::to(&server).token(&token).open().await;
    assert_eq!(reader.subscribe("doc:1").await["offset"], 1);
    let other = reader.call(json!({ "type": "subscribe", "topic": "doc:other" })).await;
    assert_eq!((&other["code"], &other["retry"]), (&json!("overloaded"), &json!(true)), "{other}");
    // Other topics have nothing to do with it.
    reader.publish("chat:a", 1).await;
    for name in ["doc:0", "doc:2"] {
        let head = format!("DELETE /v1/documents/{name} HTTP/1.1\r\n{}", as_user("editor"));
        let gone = request(server.address, &head, b"").await;
        assert_eq!(gone.status, 204, "{}", gone.body);
    }
    assert_eq!(write(&server, "doc:other", 1_000, &as_user("editor")).await.status, 200);
}

#[tokio::test]
async fn the_last_quarter_is_for_those_who_have_little() {
    // Merged at once, so that what comes again and again takes nothing.
    let server = Server::start(&format!("auth_hmac_secret = '{SECRET}'\n{RULES}merge_updates = 1\n"));
    for number in 0..10 {
        let (name, user) = (format!("doc:{number}"), as_user(&number.to_string()));
        assert_eq!(write(&server, &name, 31_000, &user).await.status, 200);
    }
    // Each of the ten might have much more by itself.
    let refused = async || {
        let answer = publish(&server, "doc:0", &as_user("0"), &letters(0..10)).await;
        (answer.status == 503).then_some(answer)
    };
    let refused = eventually(refused).await;
    assert!(refused.body.contains("three quarters"), "{}", refused.body);
    let another = publish(&server, "doc:new", &as_user("0"), &letters(0..10)).await;
    assert_eq!((another.status, another.body.contains("three quarters")), (503, true), "{}", another.body);
    for number in 0..2 {
        let taken =
            publish(&server, &format!("doc:small-{number}"), &as_user("small"), &letters(0..1_000)).await;
        assert_eq!(taken.status, 200, "{}", taken.body);
    }
}

#[tokio::test]
async fn who_replaces_documents_is_charged_with_them() {
    let server = guarded();
    let hog = as_user("hog");
    assert_eq!(write(&server, "doc:a", 30_000, &hog).await.status, 200);
    let refused = write(&server, "doc:b", 30_000, &hog).await;
    assert_eq!((refused.status, refused.body.contains("this publisher")), (503, true), "{}", refused.body);
    assert_eq!(write(&server, "doc:b", 30_000, &as_user("other")).await.status, 200);
}

#[tokio::test]
async fn what_the_data_directory_has_makes_room() {
    let place = Scratch::new();
    let launch = Launch::default().config(RULES).flag("--data-dir", place.path().to_str().unwrap());
    let server = launch.start();
    for number in 0..20 {
        // Those before are unloaded within a second.
        let written = async || {
            (write(&server, &format!("doc:{number}"), CONTENT_BYTES, "").await.status == 200).then_some(())
        };
        eventually(written).await;
    }
    for number in 0..20 {
        let name = format!("doc:{number}");
        let answer = read(&server, &name, "").await;
        assert_eq!((answer.status, answer.body.starts_with(&name)), (200, true), "{name}");
        assert!(bytes_in_memory(&server).await < 400_000 + 2 * CONTENT_BYTES);
    }
    let mut client = Client::connect(&server).await;
    let open = async || {
        let reply = client.call(json!({ "type": "subscribe", "topic": "doc:3" })).await;
        (reply["type"] == "ok").then_some(())
    };
    eventually(open).await;
}

/// As lib0 writes it.
fn number(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
    bytes
}

/// Client 9 puts letters in front of one another, each one a struct that joins no other.
fn letters(clocks: std::ops::Range<usize>) -> Vec<u8> {
    let mut update = [&[1][..], &number(clocks.len()), &[9], &number(clocks.start)].concat();
    for clock in clocks {
        match clock.checked_sub(1) {
            None => update.extend(*b"\x04\x01\x04text\x01a"),
            Some(before) => update.extend([&[0x44, 9][..], &number(before), b"\x01a"].concat()),
        }
    }
    update.push(0);
    update
}

async fn publish(server: &Server, name: &str, head: &str, update: &[u8]) -> Answer {
    let head = format!("Content-Type: application/octet-stream\r\n{head}");
    post(server.address, &format!("/v1/topics/{name}/messages"), &head, update).await
}

#[tokio::test]
async fn a_document_too_large_to_merge_is_set_aside_and_memory_is_bounded() {
    const MEMORY: u64 = 64 * 1024 * 1024;
    let rules = "[[rule]]\npattern = 'doc:**'\nkind = 'document'\nmerge_updates = 2\n";
    let server = Server::start(&format!("max_memory_bytes = {MEMORY}\n{rules}"));
    let before = server.resident_bytes();
    // Read all at once these 900 KB are a hundred times as large.
    for part in 0..6 {
        let update = letters(part * 25_000..(part + 1) * 25_000);
        assert_eq!(publish(&server, "doc:many", "", &update).await.status, 200);
        assert_eq!(publish(&server, "doc:few", "", &letters(part * 10..(part + 1) * 10)).await.status, 200);
    }
    let set_aside = async || {
        let metrics = get(server.address, "/metrics").await.body;
        metrics.contains("fanwire_documents_set_aside 1\n").then_some(())
    };
    eventually(set_aside).await;
    let refused = get(server.address, "/v1/documents/doc:many").await;
    assert_eq!(refused.status, 413, "{}", refused.body);
    assert!(refused.body.contains("max_memory_bytes"), "{}", refused.body);
    assert_eq!(get(server.address, "/v1/documents/doc:few").await.json()["text"], "a".repeat(60));
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < MEMORY / 2, "{grown} bytes more");
    // Editors get all of it all the same.
    let mut editor = Raw::editor(&server, "doc:many").await;
    editor.send(&mask(opcode::BINARY, &[0, 0, 1, 0])).await;
    let mut bytes = 0;
    loop {
        let payload = editor.frame().await.unwrap().payload;
        if payload == [0, 1, 2, 0, 0] {
            break;
        }
        bytes += payload.len();
    }
    assert!(bytes > 800_000, "{bytes}");
}

#[tokio::test]
async fn one_users_documents_leave_room_for_others() {
    let server = guarded();
    let (hog, other) = (as_user("hog"), as_user("other"));
    let mut taken = 0;
    let refused = loop {
        let update = letters(0..1_000);
        let answer = publish(&server, &format!("doc:hog-{taken}"), &hog, &update).await;
        if answer.status != 200 {
            break answer;
        }
        taken += 1;
    };
    assert_eq!((refused.status, &refused.json()["code"]), (503, &json!("overloaded")), "{}", refused.body);
    assert!(refused.body.contains("this publisher"), "{}", refused.body);
    // An eighth of the bound, in documents of some seven thousand bytes.
    assert!((5..=7).contains(&taken), "{taken}");
    assert_eq!(publish(&server, "doc:other", &other, &letters(0..1_000)).await.status, 200);
    // Others may write to the hog's.
    assert_eq!(publish(&server, "doc:hog-0", &other, &letters(1_000..2_000)).await.status, 200);
}
