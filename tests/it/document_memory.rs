//! All documents together take so much memory and no more: what a data directory has is unloaded, the rest is refused.

use serde_json::json;

use crate::support::{Answer, Client, Launch, Raw, Scratch, Server, eventually, get, mask, opcode, request};

const RULES: &str = "max_documents_bytes = 400000\n[[rule]]\npattern = 'doc:**'\nkind = 'document'\n";

const CONTENT_BYTES: usize = 90_000;

async fn write(server: &Server, name: &str) -> Answer {
    let content = name.repeat(CONTENT_BYTES / name.len() + 1);
    let head = format!(
        "PUT /v1/documents/{name} HTTP/1.1\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n",
        content.len()
    );
    request(server.address, &head, content.as_bytes()).await
}

async fn read(server: &Server, name: &str) -> Answer {
    let head = format!("GET /v1/documents/{name} HTTP/1.1\r\nAccept: text/plain\r\n");
    request(server.address, &head, b"").await
}

/// As `/metrics` has it, which is up to date once a second.
async fn bytes_in_memory(server: &Server) -> usize {
    let metrics = get(server.address, "/metrics").await.body;
    let line = metrics.lines().find_map(|line| line.strip_prefix("fanwire_document_bytes "));
    line.unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_nothing_else_has_is_kept_and_more_is_refused() {
    let server = Server::start(RULES);
    let mut written = 0;
    let refused = loop {
        let answer = write(&server, &format!("doc:{written}")).await;
        if answer.status != 200 {
            break answer;
        }
        written += 1;
    };
    assert_eq!((refused.status, &refused.json()["code"]), (503, &json!("overloaded")), "{}", refused.body);
    assert!(refused.body.contains("all documents together"), "{}", refused.body);
    assert_eq!(written, 5, "the bound is passed by what is taken below it, and then it holds");
    for number in 0..written {
        assert_eq!(read(&server, &format!("doc:{number}")).await.status, 200);
    }
    // Editors are told to come again; those who only read are served.
    let mut editor = Raw::editor(&server, "doc:0").await;
    editor
        .send(&mask(opcode::BINARY, &[0, 2, 14, 1, 1, 9, 0, 4, 1, 4, b't', b'e', b'x', b't', 1, b'h', 0]))
        .await;
    assert_eq!(editor.close_code().await, Some(1013));
    let mut newcomer = Raw::editor(&server, "doc:other").await;
    assert_eq!(newcomer.close_code().await, Some(1013));
    let mut reader = Client::connect(&server).await;
    assert_eq!(reader.subscribe("doc:1").await["offset"], 1);
    let other = reader.call(json!({ "type": "subscribe", "topic": "doc:other" })).await;
    assert_eq!((&other["code"], &other["retry"]), (&json!("overloaded"), &json!(true)), "{other}");
    // Other topics have nothing to do with it.
    reader.publish("chat:a", 1).await;
    for name in ["doc:0", "doc:2"] {
        let gone = request(server.address, &format!("DELETE /v1/documents/{name} HTTP/1.1\r\n"), b"").await;
        assert_eq!(gone.status, 204, "{}", gone.body);
    }
    assert_eq!(write(&server, "doc:other").await.status, 200);
}

#[tokio::test]
async fn what_the_data_directory_has_makes_room() {
    let place = Scratch::new();
    let launch = Launch::default().config(RULES).flag("--data-dir", place.path().to_str().unwrap());
    let server = launch.start();
    for number in 0..20 {
        // Those before are unloaded within a second.
        let written = async || (write(&server, &format!("doc:{number}")).await.status == 200).then_some(());
        eventually(written).await;
    }
    for number in 0..20 {
        let name = format!("doc:{number}");
        let answer = read(&server, &name).await;
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
