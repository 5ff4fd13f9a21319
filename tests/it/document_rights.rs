//! Who may do what with a document: editing it is not owning it, and nobody speaks for others in it.

use serde_json::{Value, json};

use crate::support::{
    Answer, Raw, Server, get, mask, mint, opcode, request, seconds_from_now,
    yjs::{number, text},
};

const SECRET: &str = "a secret for these tests, long enough";
const DOC: &str = "/v1/documents/doc:note";

fn start() -> Server {
    Server::start(&format!(
        "auth_hmac_secret = \"{SECRET}\"\n[[rule]]\npattern = 'doc:**'\nkind = 'document'\n"
    ))
}

fn token(user: &str, extra: &Value) -> String {
    let mut claims = json!({ "sub": user, "exp": seconds_from_now(3600) });
    claims.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    mint(SECRET, &claims)
}

async fn ask(server: &Server, token: &str, method: &str, path: &str, body: &str) -> Answer {
    let head = format!(
        "{method} {path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n",
        body.len()
    );
    request(server.address, &head, body.as_bytes()).await
}

#[tokio::test]
async fn publishing_is_not_deleting() {
    let server = start();
    let editor = token("ed", &json!({}));
    let owner = token("owner", &json!({ "delete": ["doc:*"] }));
    assert_eq!(ask(&server, &editor, "PUT", DOC, r#"{"text":"a"}"#).await.status, 200);
    let kept = ask(&server, &editor, "POST", &format!("{DOC}/versions"), r#"{"name":"v"}"#).await;
    assert_eq!(kept.status, 201, "{}", kept.body);
    let version = format!("{DOC}/versions/{}", kept.json()["version"]);
    for path in [DOC, &version] {
        let refused = ask(&server, &editor, "DELETE", path, "").await;
        assert_eq!((refused.status, &refused.json()["code"]), (403, &json!("forbidden")), "{path}");
    }
    let there = ask(&server, &editor, "GET", DOC, "").await;
    assert_eq!(there.json(), json!({"text": "a"}));
    for path in [version.as_str(), DOC] {
        assert_eq!(ask(&server, &owner, "DELETE", path, "").await.status, 204, "{path}");
    }
}

/// What a document was is its history, whoever may read what it is.
#[tokio::test]
async fn reading_a_version_takes_the_right_to_read_the_history() {
    let server = start();
    let editor = token("ed", &json!({}));
    ask(&server, &editor, "PUT", DOC, r#"{"text":"a"}"#).await;
    let kept = ask(&server, &editor, "POST", &format!("{DOC}/versions"), r#"{"name":"v"}"#).await;
    let id = kept.json()["version"].clone();
    let reader = token("bob", &json!({ "history": [] }));
    assert_eq!(ask(&server, &reader, "GET", DOC, "").await.status, 200);
    for (method, path, body) in [
        ("GET", format!("{DOC}?version={id}"), String::new()),
        ("GET", format!("{DOC}/versions"), String::new()),
        ("POST", format!("{DOC}/restore"), format!("{{\"version\":{id}}}")),
    ] {
        assert_eq!(ask(&server, &reader, method, &path, &body).await.status, 403, "{method} {path}");
        assert_eq!(ask(&server, &editor, method, &path, &body).await.status, 200, "{method} {path}");
    }
}

/// States of clients: client, clock, JSON.
fn states(all: &[(usize, usize, &str)]) -> Vec<u8> {
    let one =
        |(client, clock, json): &(usize, usize, &str)| [number(*client), number(*clock), text(json)].concat();
    let entries = [number(all.len()), all.iter().flat_map(one).collect()].concat();
    mask(opcode::BINARY, &[&[1][..], &number(entries.len()), &entries].concat())
}

async fn editor(server: &Server, token: &str) -> Raw {
    Raw::editor(server, &format!("doc:note?token={token}")).await
}

/// Waits until everything that was sent is done with.
async fn done(raw: &mut Raw) {
    raw.send(&mask(opcode::BINARY, &[0, 0, 1, 0])).await;
    while raw.frame().await.unwrap().payload != [0, 1, 2, 0, 0] {}
}

async fn everybody(server: &Server, token: &str) -> Vec<(u64, Value)> {
    let answer = ask(server, token, "GET", &format!("{DOC}/awareness"), "").await.json();
    let state = |state: &Value| (state["client_id"].as_u64().unwrap(), state["state"].clone());
    answer["states"].as_array().unwrap().iter().map(state).collect()
}

#[tokio::test]
async fn who_only_reads_says_nothing_of_others() {
    let server = start();
    let (alice, bob) = (token("alice", &json!({})), token("bob", &json!({ "publish": [] })));
    let mut writer = editor(&server, &alice).await;
    writer.send(&states(&[(11, 5, r#"{"name":"alice"}"#)])).await;
    done(&mut writer).await;
    let mut reader = editor(&server, &bob).await;
    reader.send(&states(&[(22, 1, r#"{"name":"bob"}"#)])).await;
    for said in
        [(11, 5, "null"), (11, 99, r#"{"name":"bob"}"#), (11, 99, "null"), (33, 1, r#"{"name":"ghost"}"#)]
    {
        reader.send(&states(&[said])).await;
    }
    done(&mut reader).await;
    let expected = vec![(11, json!({"name": "alice"})), (22, json!({"name": "bob"}))];
    assert_eq!(everybody(&server, &alice).await, expected);
    // Alice is heard as before.
    writer.send(&states(&[(11, 6, r#"{"name":"Alice"}"#)])).await;
    done(&mut writer).await;
    assert_eq!(everybody(&server, &alice).await[0].1, json!({"name": "Alice"}));
}

#[tokio::test]
async fn saying_clients_gone_makes_no_room_for_more() {
    let server = start();
    let alice = token("alice", &json!({}));
    let mut writer = editor(&server, &alice).await;
    for round in 0..20 {
        for (clock, json) in [(1, r#"{"a":1}"#), (2, "null"), (3, r#"{"a":2}"#)] {
            let said: Vec<_> = (0..32).map(|client| (100 * round + client, clock, json)).collect();
            writer.send(&states(&said)).await;
        }
    }
    done(&mut writer).await;
    assert_eq!(everybody(&server, &alice).await.len(), 32);
}

/// States that are asked for again and again and not read do not pile up.
#[tokio::test]
async fn questions_are_answered_a_few_times_a_second() {
    let server = start();
    let alice = token("alice", &json!({}));
    let mut writers = Vec::new();
    for owner in 0..8 {
        let mut writer = editor(&server, &token(&format!("u{owner}"), &json!({}))).await;
        let json = format!("\"{}\"", "x".repeat(16_000));
        let said: Vec<_> = (0..16).map(|client| (100 * owner + client + 1, 1, json.as_str())).collect();
        writer.send(&states(&said)).await;
        done(&mut writer).await;
        writers.push(writer);
    }
    drop(writers.split_off(1));
    let before = server.resident_bytes();
    let mut askers = Vec::new();
    for _ in 0..8 {
        let mut asker = editor(&server, &alice).await;
        asker.send(&mask(opcode::BINARY, &[3]).repeat(1_000)).await;
        askers.push(asker);
    }
    for asker in &mut askers {
        assert_eq!(asker.close_code().await, Some(1013));
    }
    let grown = server.resident_bytes().saturating_sub(before) / (1 << 20);
    // Five answers of about 2 MB each.
    assert!(grown < 8 * 16, "{grown} MiB");
    assert_eq!(get(server.address, "/readyz").await.status, 200);
}
