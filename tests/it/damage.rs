//! Tables of the store that are not what was written: what cannot be read is refused and named, never given as empty, and
//! whatever is acknowledged afterwards is kept.

use std::{
    fs,
    path::{Path, PathBuf},
};

use fanwire::store::{Batch, Disk, DiskOptions, Space, Store};
use serde_json::{Value, json};

use crate::support::{Answer, Client, Launch, Raw, Scratch, Server, get, request};

const RULES: &str = "[[rule]]\npattern = 'doc:**'\nkind = 'document'\ndurable = true\n\
    [[rule]]\npattern = 'safe:**'\ndurable = true\n";

fn start(data: &Path) -> Server {
    Launch::default().config(RULES).flag("--data-dir", data.to_str().unwrap()).start()
}

/// Puts so much behind what is in a space that the store writes all of it to tables.
fn write_out(data: &Path, space: Space) {
    let disk = Disk::open(data, DiskOptions::default()).unwrap();
    for number in 0..40_u8 {
        let mut batch = Batch::default();
        batch.put(space, vec![0xff, number], vec![number; 1 << 20]);
        disk.commit(&batch).unwrap();
    }
    for number in 0..40_u8 {
        let mut batch = Batch::default();
        batch.delete(space, vec![0xff, number]);
        disk.commit(&batch).unwrap();
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// Changes one bit of a value in each table that has this in it; returns how many those were. Keys are in indexes, too,
/// and a table whose index is damaged may keep the broker from starting, which is another matter.
fn flip(data: &Path, value: &str) -> usize {
    let mut count = 0;
    for path in files(&data.join("db/keyspaces")) {
        let mut content = fs::read(&path).unwrap();
        let at = content.windows(value.len()).position(|window| window == value.as_bytes());
        if let Some(at) = at.filter(|_| path.parent().unwrap().ends_with("tables")) {
            content[at + value.len() / 2] ^= 4;
            fs::write(&path, content).unwrap();
            count += 1;
        }
    }
    count
}

async fn call(server: &Server, method: &str, document: &str, body: &str) -> Answer {
    let head = format!(
        "{method} /v1/documents/doc:{document} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    request(server.address, &head, body.as_bytes()).await
}

#[tokio::test]
async fn a_damaged_document_is_refused_and_not_given_as_empty() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    let mut server = start(&data);
    // Each in a block of its own.
    let content = |name: &str| json!({ "title": name, "text": name.repeat(6_000) });
    for name in ["a", "b", "c"] {
        let answer = call(&server, "PUT", name, &content(name).to_string()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    server.signal("TERM");
    server.exit().await;
    write_out(&data, Space::Messages);
    assert!(flip(&data, &"b".repeat(100)) > 0, "the document is in a table");
    let mut server = start(&data);
    for (method, body) in [("GET", ""), ("PUT", "{}")] {
        let answer = call(&server, method, "b", body).await;
        assert_eq!((answer.status, &answer.json()["code"]), (500, &json!("damaged")), "{}", answer.body);
    }
    let mut client = Client::connect(&server).await;
    let subscribe = json!({ "type": "subscribe", "topic": "doc:b" });
    assert_eq!(client.error(subscribe).await, "damaged");
    assert_eq!(Raw::editor(&server, "doc:b").await.close_code().await, Some(4410));
    for name in ["a", "c"] {
        let answer = call(&server, "GET", name, "").await;
        let whole = answer.status == 200 && answer.json() == content(name);
        assert!(whole || answer.json()["code"] == "damaged", "{}", answer.body);
    }
    // Whoever gives it up can go on with the name, also after a restart.
    let answer = call(&server, "DELETE", "b", "").await;
    assert!(answer.status < 300, "{}", answer.body);
    assert_eq!(call(&server, "PUT", "b", r#"{"new":"x"}"#).await.status, 200);
    server.signal("KILL");
    server.exit().await;
    let server = start(&data);
    let answer = call(&server, "GET", "b", "").await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "new": "x" })), "{}", answer.body);
}

#[tokio::test]
async fn a_damaged_log_goes_on_behind_the_damage_and_keeps_what_comes() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    let mut server = start(&data);
    let mut client = Client::connect(&server).await;
    let mut places: Vec<Value> = Vec::new();
    for n in 0..5 {
        for name in ["a", "b", "c"] {
            let place = client.publish(&format!("safe:{name}"), format!("{n} {}", name.repeat(1_000))).await;
            if name == "b" {
                places.push(place);
            }
        }
    }
    server.signal("TERM");
    server.exit().await;
    write_out(&data, Space::Messages);
    assert!(flip(&data, &"b".repeat(100)) > 0, "the topic is in a table");
    let highest = places[4]["offset"].as_u64().unwrap();
    let mut kept: Vec<Value> = Vec::new();
    for round in 0..3 {
        let mut server = start(&data);
        let mut client = Client::connect(&server).await;
        let reply = client.resume("safe:b", &places[0]["epoch"], &places[0]["offset"]).await;
        assert_eq!(reply["recovered"], false, "{reply}");
        let place = client.publish("safe:b", format!("later {round}")).await;
        assert!(place["offset"].as_u64().unwrap() > highest, "{place}");
        kept.push(json!(format!("later {round}")));
        let page = get(server.address, "/v1/topics/safe:b/messages?limit=100").await.json();
        let data: Vec<&Value> = page["messages"].as_array().unwrap().iter().map(|one| &one["data"]).collect();
        let later: Vec<&Value> = data.iter().rev().take(kept.len()).rev().copied().collect();
        assert_eq!(later, kept.iter().collect::<Vec<_>>());
        server.signal(if round == 0 { "KILL" } else { "TERM" });
        server.exit().await;
    }
}
