//! `fanwire store`: checking, looking into, exporting and repairing a data directory.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use crate::support::{Client, Launch, Scratch, Server};

const RULES: &str = "[[rule]]\npattern = 'safe:**'\ndurable = true\n\
    [[rule]]\npattern = 'price:**'\nkind = 'latest'\ndurable = true\n";

/// What a command said.
struct Said {
    code: i32,
    out: String,
    err: String,
}

impl Said {
    fn lines(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn store(arguments: &[&str], data: &Path) -> Said {
    let (verb, rest) = arguments.split_first().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanwire"));
    let output = command.args(["store", verb]).arg(data).args(rest).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Said { code: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

fn launch(data: &Path) -> Launch {
    Launch::default().config(RULES).flag("--data-dir", data.to_str().unwrap())
}

fn data_of(scratch: &Scratch) -> PathBuf {
    scratch.path().join("data")
}

async fn stop(mut server: Server) {
    server.signal("TERM");
    server.exit().await;
}

/// A data directory with 30 messages, one commit each, and two prices.
async fn filled(data: &Path) {
    let server = launch(data).start();
    let mut client = Client::connect(&server).await;
    for n in 0..30 {
        client.publish("safe:chat", json!({ "n": n })).await;
    }
    for key in ["EUR", "USD"] {
        let publish = json!({ "type": "publish", "topic": "price:fx", "key": key, "data": 1 });
        client.ok(publish).await;
    }
    stop(server).await;
}

fn journal(data: &Path) -> PathBuf {
    let files = fs::read_dir(data.join("db")).unwrap().map(|file| file.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|extension| extension == "jnl")).max().unwrap()
}

/// Changes a bit in the middle of what a file holds.
fn damage(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    bytes[used / 2] ^= 4;
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_sound_directory_is_whole() {
    let scratch = Scratch::new();
    let data = data_of(&scratch);
    filled(&data).await;
    let said = store(&["check", "--json"], &data);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &report["whole"], &report["damage"]), (0, &json!(true), &json!([])));
    assert_eq!(report["spaces"]["values"]["entries"], 2);
    assert_eq!(report["commits"], report["acknowledged"]);
    let said = store(&["check"], &data);
    assert!(said.out.contains("everything is as it was written"), "{}", said.out);
}

#[tokio::test]
async fn everything_can_be_exported_and_looked_at() {
    let scratch = Scratch::new();
    let data = data_of(&scratch);
    filled(&data).await;
    let said = store(&["export"], &data);
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    let lines = said.lines();
    let of = |space: &str| lines.iter().filter(|line| line["space"] == space).collect::<Vec<_>>();
    let numbers: Vec<_> = of("messages").iter().map(|line| line["data"]["n"].clone()).collect();
    assert_eq!(numbers, (0..30).map(|n| json!(n)).collect::<Vec<_>>());
    assert!(of("messages").iter().all(|line| line["topic"] == "safe:chat" && line["epoch"].is_string()));
    assert_eq!(
        of("values").iter().map(|line| line["key"].as_str().unwrap()).collect::<Vec<_>>(),
        ["EUR", "USD"]
    );
    assert_eq!(of("topics")[0]["kind"], "latest");
    assert!(of("store").iter().all(|line| line["value_b64"].is_string()));
    let one = store(&["export", "--space", "values"], &data).lines();
    assert!(one.len() == 2 && one.iter().all(|line| line["space"] == "values"), "{one:?}");
    let dump = store(&["dump", "--space", "messages", "--prefix", "safe:", "--values", "text"], &data);
    assert!(dump.out.lines().count() > 0 && dump.out.contains("safe:chat"), "{}", dump.out);
    assert!(dump.out.contains(r#"{\"n\":17}"#), "{}", dump.out);
    assert_eq!(store(&["dump", "--prefix", "nobody"], &data).out, "");
    let wrong = store(&["dump", "--space", "moon"], &data);
    assert!(wrong.code == 2 && wrong.err.contains("spaces are"), "{}", wrong.err);
}

#[tokio::test]
async fn a_directory_in_use_or_none_at_all_is_refused() {
    let scratch = Scratch::new();
    let data = data_of(&scratch);
    let said = store(&["check"], &data);
    assert!(said.code == 1 && said.err.contains("no fanwire store"), "{}", said.err);
    let server = launch(&data).start();
    for arguments in [&["check"][..], &["dump"], &["export"], &["repair", "--accept-loss"]] {
        let said = store(arguments, &data);
        assert!(said.code == 1 && said.err.contains("in use by another process"), "{}", said.err);
    }
    stop(server).await;
    assert_eq!(store(&["check"], &data).code, 0);
}

#[tokio::test]
async fn damage_is_told_and_the_rest_can_be_had() {
    let scratch = Scratch::new();
    let data = data_of(&scratch);
    filled(&data).await;
    let journal = journal(&data);
    damage(&journal);
    let before = fs::read(&journal).unwrap();
    let said = store(&["check", "--json"], &data);
    let report: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((said.code, &report["whole"]), (3, &json!(false)));
    let places: Vec<_> = report["damage"].as_array().unwrap().iter().map(|place| &place["place"]).collect();
    assert!(places.contains(&&json!(journal.to_str().unwrap())), "{report}");
    // The broker does not start without what is lost, and says where it was.
    let (ok, _, error) = launch(&data).run("serve");
    assert!(!ok && error.contains(journal.to_str().unwrap()) && error.contains("store check"), "{error}");
    let said = store(&["export"], &data);
    assert!(said.code == 3 && said.err.contains("damaged: "), "{}", said.err);
    let messages = said.lines().into_iter().filter(|line| line["space"] == "messages").collect::<Vec<_>>();
    assert!((20..30).contains(&messages.len()), "{}", messages.len());
    assert!(messages.iter().all(|line| line["certain"] == false));
    assert!(fs::read(&journal).unwrap() == before, "it was written to");
    // Not by accident.
    assert_eq!(store(&["repair"], &data).code, 2);
    let said = store(&["repair", "--accept-loss"], &data);
    assert!(said.code == 0 && said.out.contains("accepted: "), "{} {}", said.out, said.err);
    let aside = fs::read_dir(&data).unwrap().map(|file| file.unwrap().path());
    let aside = aside.filter(|path| path.to_str().unwrap().contains("set-aside")).max().unwrap();
    assert!(fs::read(aside.join(journal.file_name().unwrap())).unwrap() == before);
    let server = launch(&data).start();
    let mut client = Client::connect(&server).await;
    client.publish("safe:chat", json!({ "n": 30 })).await;
    client.ok(json!({ "type": "subscribe", "topic": "safe:chat", "last": 1 })).await;
    assert_eq!(client.data().await, json!({ "n": 30 }));
    stop(server).await;
}
