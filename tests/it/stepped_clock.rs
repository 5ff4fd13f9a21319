//! The clock of the machine is set while the broker runs, and while it is stopped: no history is emptied, no message id
//! forgotten. The step comes from libfaketime, which the broker is loaded with; that the broker sees it is shown by a token
//! that ends, since ends are compared with the clock of the machine.

use std::path::Path;

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::support::{Launch, Scratch, Server, eventually, get, mint, post, request, seconds_from_now};

const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
const SECRET: &str = "a secret for these tests, long enough";
const KEY: &str = "fwk_admin_of_these_tests";
const TOPICS: [&str; 2] = ["safe:a", "chat:a"];

/// How far the clock is set, from what it was at the beginning.
fn set(clock: &Path, offset: &str) {
    // Renamed into place, so that nobody reads half of it.
    std::fs::write(clock.with_extension("new"), offset).unwrap();
    std::fs::rename(clock.with_extension("new"), clock).unwrap();
}

fn start(clock: &Path, data: &Path) -> Server {
    let hash = HEXLOWER.encode(digest(&SHA256, KEY.as_bytes()).as_ref());
    let config = format!(
        "auth_hmac_secret = \"{SECRET}\"\n\
         [[key]]\nname = \"k\"\nhash = \"sha256:{hash}\"\npublish = [\"**\"]\nsubscribe = [\"**\"]\nadmin = true\n\
         [[rule]]\npattern = 'safe:**'\ndurable = true\nhistory_age_s = 3600\n\
         [[rule]]\npattern = 'chat:**'\nhistory_age_s = 3600\n"
    );
    Launch::default()
        .config(&config)
        .flag("--data-dir", data.to_str().unwrap())
        .env("LD_PRELOAD", LIBRARY)
        .env("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap())
        .env("FAKETIME_NO_CACHE", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .start()
}

fn key() -> String {
    format!("Authorization: Bearer {KEY}\r\n")
}

async fn publish(server: &Server, topic: &str, number: u64) -> Value {
    let headers = format!("{}Content-Type: application/json\r\nMessage-Id: m-{number}\r\n", key());
    let path = format!("/v1/topics/{topic}/messages");
    let answer = post(server.address, &path, &headers, number.to_string().as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

async fn history(server: &Server, topic: &str) -> Vec<Value> {
    let line = format!("GET /v1/topics/{topic}/messages?limit=100 HTTP/1.1\r\n{}", key());
    let page = request(server.address, &line, b"").await.json();
    page["messages"].as_array().unwrap_or_else(|| panic!("{page}")).clone()
}

/// Waits until the broker's machine has a clock by which a token of this end is over, or is not.
async fn sees(server: &Server, ends: i64, over: bool) {
    let token = mint(SECRET, &json!({ "sub": "ann", "exp": ends, "subscribe": ["**"] }));
    let line = format!("GET /v1/topics/chat:a/messages HTTP/1.1\r\nAuthorization: Bearer {token}\r\n");
    eventually(async || {
        let status = request(server.address, &line, b"").await.status;
        (status == if over { 401 } else { 200 }).then_some(())
    })
    .await;
}

fn numbers(messages: &[Value]) -> Vec<u64> {
    messages.iter().map(|message| message["data"].as_u64().unwrap()).collect()
}

#[tokio::test]
#[ignore = "needs libfaketime, which tests/run installs"]
async fn a_step_of_the_machines_clock_empties_nothing() {
    let scratch = Scratch::new();
    let (clock, data) = (scratch.path().join("clock"), scratch.path().join("data"));
    set(&clock, "+0");
    let ends = seconds_from_now(3_000);
    let mut server = start(&clock, &data);
    for topic in TOPICS {
        for number in 1..=5 {
            assert_eq!(publish(&server, topic, number).await["duplicate"], false);
        }
    }
    sees(&server, ends, false).await;
    set(&clock, "+7200");
    sees(&server, ends, true).await;
    // Publishing looks for what is too old, too.
    for topic in TOPICS {
        assert_eq!(publish(&server, topic, 3).await["duplicate"], true, "{topic}: its id is known");
        assert_eq!(publish(&server, topic, 6).await["offset"], 6, "{topic}");
        assert_eq!(numbers(&history(&server, topic).await), [1, 2, 3, 4, 5, 6], "{topic}");
    }
    // Set on while it is stopped, then started, then set back.
    server.signal("TERM");
    server.exit().await;
    set(&clock, "+14400");
    let server = start(&clock, &data);
    sees(&server, ends, true).await;
    assert_eq!(publish(&server, "safe:a", 4).await["duplicate"], true);
    assert_eq!(publish(&server, "safe:a", 7).await["offset"], 7);
    set(&clock, "-7200");
    sees(&server, ends, false).await;
    assert_eq!(publish(&server, "safe:a", 7).await["duplicate"], true);
    publish(&server, "safe:a", 8).await;
    let messages = history(&server, "safe:a").await;
    assert_eq!(numbers(&messages), [1, 2, 3, 4, 5, 6, 7, 8]);
    let times: Vec<_> = messages.iter().map(|message| message["time"].as_u64().unwrap()).collect();
    assert!(times.is_sorted(), "{times:?}");
    assert_eq!(get(server.address, "/readyz").await.status, 200);
}
