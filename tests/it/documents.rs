//! Kind `document` over the native protocol: state then updates, resume, merging, what is refused. What editors make of
//! it is tested with their own software, in `tests/yjs`.

use serde_json::{Value, json};

use crate::support::{
    Client, Connect, Encoding, Launch, PATIENCE, Scratch, Server, bin, eventually, get, post, within,
};

const TOPIC: &str = "doc:note";

/// An update of a client that adds a letter at the end of what it wrote to the root `text`.
fn letter(client: u8, clock: u8, letter: u8) -> Vec<u8> {
    match clock {
        // A client with a struct, from clock 0: text in a named root. Nothing is deleted.
        0 => vec![1, 1, client, 0, 4, 1, 4, b't', b'e', b'x', b't', 1, letter, 0],
        // The same, to the right of what was written before.
        _ => vec![1, 1, client, clock, 0x84, client, clock - 1, 1, letter, 0],
    }
}

fn b64(bytes: &[u8]) -> String {
    data_encoding::BASE64.encode(bytes)
}

async fn publish(client: &mut Client, topic: &str, update: &[u8]) -> Value {
    client.ok(json!({"type": "publish", "topic": topic, "b64": b64(update)})).await
}

fn bytes(message: &Value) -> Vec<u8> {
    data_encoding::BASE64.decode(message["b64"].as_str().unwrap().as_bytes()).unwrap()
}

#[tokio::test]
async fn a_subscriber_gets_the_state_then_updates() {
    let server = Server::development();
    let mut writer = Client::connect(&server).await;
    let first = publish(&mut writer, TOPIC, &letter(1, 0, b'a')).await;
    let second = publish(&mut writer, TOPIC, &letter(1, 1, b'b')).await;
    let mut reader = Client::connect(&server).await;
    let reply = reader.subscribe(TOPIC).await;
    assert_eq!((&reply["kind"], &reply["offset"]), (&json!("document"), &second["offset"]));
    let messages = [reader.expect("message").await, reader.expect("message").await];
    assert_eq!(
        messages.each_ref().map(|m| m["offset"].clone()),
        [first, second].map(|r| r["offset"].clone())
    );
    assert_eq!(bytes(&messages[1]), letter(1, 1, b'b'));
    publish(&mut writer, TOPIC, &letter(1, 2, b'c')).await;
    assert_eq!(bytes(&reader.expect("message").await), letter(1, 2, b'c'));
    reader.expect_nothing().await;
    let mut live = Client::connect(&server).await;
    live.ok(json!({"type": "subscribe", "topic": TOPIC, "last": 0})).await;
    live.expect_nothing().await;
    let mut binary = Connect::to(&server).encoding(Encoding::MsgPack).open().await;
    binary.subscribe(TOPIC).await;
    assert_eq!(binary.expect("message").await["data"], bin(&letter(1, 0, b'a')));
}

#[tokio::test]
async fn what_is_no_update_is_refused() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    for refused in [
        json!({"data": "text"}),
        json!({"b64": b64(b"")}),
        json!({"b64": b64(b"hello")}),
        json!({"b64": b64(&[0, 0, 0])}),
        // It says that 270 million clients follow.
        json!({"b64": b64(&[0xff, 0xff, 0xff, 0x80, 0x01, 1, 0, 4, 0x80, 1, 0x74])}),
    ] {
        let mut publish = refused.clone();
        publish["type"] = "publish".into();
        publish["topic"] = TOPIC.into();
        assert_eq!(client.error(publish).await, "bad_payload", "{refused}");
    }
    let keyed = json!({"type": "publish", "topic": TOPIC, "b64": b64(&letter(1, 0, b'a')), "key": "k"});
    assert_eq!(client.error(keyed).await, "wrong_kind");
    let answer =
        post(server.address, "/v1/topics/doc:note/messages", "Content-Type: text/plain\r\n", b"x").await;
    assert_eq!((answer.status, answer.json()["code"].clone()), (400, json!("bad_payload")));
    client.subscribe(TOPIC).await;
    client.expect_nothing().await;
}

#[tokio::test]
async fn updates_are_merged_and_a_resume_reaches_back_over_it() {
    let server = Server::start("[[rule]]\npattern = 'doc:**'\nkind = 'document'\nmerge_updates = 8\n");
    let mut writer = Client::connect(&server).await;
    let mut epoch = Value::Null;
    for clock in 0..40 {
        epoch = publish(&mut writer, TOPIC, &letter(1, clock, b'a' + clock % 26)).await["epoch"].clone();
    }
    let held = eventually(async || {
        let topic = get(server.address, "/v1/topics/doc:note").await.json();
        topic["messages"].as_u64().filter(|&messages| messages < 16)
    });
    held.await;
    let mut reader = Client::connect(&server).await;
    let reply = reader.resume(TOPIC, &epoch, &json!(3)).await;
    assert_eq!((&reply["recovered"], &reply["offset"]), (&json!(true), &json!(40)));
    let merged = reader.expect("message").await;
    assert!(merged["offset"].as_u64().unwrap() >= 8, "{merged}");
    assert!(bytes(&merged).windows(8).any(|part| part == b"abcdefgh"), "{merged}");
    let mut last = merged;
    while last["offset"] != json!(40) {
        last = within(PATIENCE, reader.expect("message")).await;
    }
    let lost = Client::connect(&server).await.resume(TOPIC, &json!("00000000000000ff"), &json!(3)).await;
    assert_eq!(lost["recovered"], json!(false));
}

/// An update that builds on one nobody has stays as it is, until that one comes; the document goes on meanwhile.
#[tokio::test]
async fn what_lacks_its_beginning_waits_beside_the_rest() {
    let server = Server::start("[[rule]]\npattern = 'doc:**'\nkind = 'document'\nmerge_updates = 4\n");
    let mut writer = Client::connect(&server).await;
    publish(&mut writer, TOPIC, &letter(2, 1, b'y')).await;
    for clock in 0..12 {
        publish(&mut writer, TOPIC, &letter(1, clock, b'a')).await;
    }
    eventually(async || {
        let topic = get(server.address, "/v1/topics/doc:note").await.json();
        topic["messages"].as_u64().filter(|&messages| messages < 8)
    })
    .await;
    let mut reader = Client::connect(&server).await;
    reader.subscribe(TOPIC).await;
    assert_eq!(bytes(&reader.expect("message").await), letter(2, 1, b'y'));
}

#[tokio::test]
async fn a_full_document_takes_no_more() {
    let rule =
        "[[rule]]\npattern = 'doc:**'\nkind = 'document'\nmerge_updates = 2\nmax_document_bytes = 200\n";
    let server = Server::start(rule);
    let mut writer = Client::connect(&server).await;
    let refused = eventually(async || {
        for client in 0..100 {
            let update = json!({"type": "publish", "topic": TOPIC, "b64": b64(&letter(client, 0, b'a'))});
            let reply = writer.call(update).await;
            if reply["type"] == "error" {
                return Some(reply);
            }
        }
        None
    });
    assert_eq!(refused.await["code"], "too_large");
}

/// Acknowledged updates outlive a kill, whether they were merged by then or not, and go on in the same epoch.
#[tokio::test]
async fn documents_outlive_a_kill() {
    let place = Scratch::new();
    let rules = "[[rule]]\npattern = 'doc:**'\nkind = 'document'\nmerge_updates = 8\n";
    let start = || Launch::default().config(rules).flag("--data-dir", place.path().to_str().unwrap()).start();
    let mut server = start();
    let (mut epoch, mut letters) = (Value::Null, String::new());
    for round in 0..3 {
        let mut writer = Client::connect(&server).await;
        for clock in round * 30..(round + 1) * 30 {
            let what = b'a' + clock % 26;
            letters.push(char::from(what));
            let reply = publish(&mut writer, TOPIC, &letter(1, clock, what)).await;
            assert!(epoch.is_null() || epoch == reply["epoch"], "{reply}");
            epoch = reply["epoch"].clone();
        }
        server.signal("KILL");
        server.exit().await;
        server = start();
        let mut reader = Client::connect(&server).await;
        let reply = reader.subscribe(TOPIC).await;
        assert_eq!(reply["epoch"], epoch);
        let mut text = String::new();
        while text.len() < letters.len() {
            let message = reader.expect("message").await;
            // Each update has its letters, or what was merged of them, as one run of text before its last byte.
            let bytes = bytes(&message);
            let run: Vec<u8> =
                bytes[..bytes.len() - 1].iter().rev().copied().take_while(u8::is_ascii_lowercase).collect();
            text.extend(run.iter().rev().map(|byte| char::from(*byte)));
        }
        assert_eq!(text, letters);
        reader.expect_nothing().await;
    }
}
