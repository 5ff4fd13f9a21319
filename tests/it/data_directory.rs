//! What a broker says about its data directory: at the start, and while it takes nothing.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use crate::support::{Launch, Scratch, Server, eventually, get, missing, post};

const RULES: &str = "[[rule]]\npattern = 'safe:**'\ndurable = true\n\
    [[rule]]\npattern = 'price:**'\nkind = 'latest'\n";

fn launch(data: &Path) -> Launch {
    Launch::default().config(RULES).flag("--data-dir", data.to_str().unwrap())
}

/// The broker refuses the directory, and says all of these.
fn refused(data: &Path, mentions: &[&str]) {
    let (success, _, stderr) = launch(data).run("serve");
    assert!(!success, "{}", data.display());
    let place = data.to_str().unwrap();
    for word in [&["data directory", place], mentions].concat() {
        assert!(stderr.contains(word), "no `{word}` in {stderr}");
    }
    assert!(!stderr.contains("os error 17") && !stderr.contains("FjallError"), "{stderr}");
}

#[tokio::test]
async fn the_start_says_where_data_is_and_what_is_durable() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    let server = launch(&data).start();
    eventually(async || server.output().contains("every other topic").then_some(())).await;
    let output = server.output();
    assert!(output.contains(&format!("data     {} (new)\n", data.display())), "{output}");
    assert!(output.contains("safe:**, durable\n") && output.contains("price:**\n"), "{output}");
    drop(server);
    let server = launch(&data).start();
    eventually(async || server.output().contains(&format!("data     {}\n", data.display())).then_some(()))
        .await;
    let server = Server::development();
    eventually(async || server.output().contains("data     in memory").then_some(())).await;
}

#[test]
fn directories_that_cannot_be_used_are_named_with_what_to_do() {
    let scratch = Scratch::new();
    refused(&scratch.write("file", "x"), &["this is a file"]);
    refused(&scratch.path().join("file/data"), &["is a file"]);
    refused(Path::new("/proc/fanwire"), &["/proc/fanwire"]);
}

#[tokio::test]
async fn a_store_is_made_beside_something_else_and_that_is_told() {
    let scratch = Scratch::new();
    let data = scratch.path().join("not/yet/there");
    fs::create_dir_all(&data).unwrap();
    fs::write(data.join("thesis.odt"), "x").unwrap();
    let server = launch(&data).start();
    eventually(async || server.output().contains("thesis.odt").then_some(())).await;
    assert_eq!(fs::read_to_string(data.join("thesis.odt")).unwrap(), "x");
}

#[test]
fn a_store_of_another_version_is_left_alone() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    drop(launch(&data).start());
    let format = data.join("FORMAT");
    let text = fs::read_to_string(&format).unwrap();
    fs::write(&format, text.replace("store 1", "store 2")).unwrap();
    refused(&data, &["FORMAT", "\"fanwire store 2\"", "\"fanwire store 1\"", "version"]);
    fs::write(&format, "fanwire store 1\nid 12\n").unwrap();
    refused(&data, &["FORMAT", "damaged"]);
    fs::write(&format, text).unwrap();
    drop(launch(&data).start());
}

#[test]
fn the_second_broker_on_a_directory_is_told_so() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    let _first = launch(&data).start();
    refused(&data, &["in use by another process"]);
}

/// As user `nobody`, where this test may become that.
#[test]
fn files_of_somebody_else_are_named_with_their_owner() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    drop(launch(&data).start());
    let run = |program: &Path| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
        command.args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]).arg(&data);
        command.env_clear().current_dir("/").output()
    };
    // The test's own build may lie where nobody else can read.
    let program = scratch.path().join("fanwire");
    fs::copy(env!("CARGO_BIN_EXE_fanwire"), &program).unwrap();
    let opened = fs::Permissions::from_mode(0o777);
    let table = fs::read_dir(data.join("db")).unwrap().next().unwrap().unwrap().path();
    match Command::new("setpriv").args(["--reuid=65534", "true"]).status() {
        Ok(status) if status.success() => {}
        _ => return missing("setpriv, or the right to become another user"),
    }
    let output = run(&program).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && stderr.contains("belongs to user 0"), "{stderr}");
    assert!(stderr.contains("chown -R 65534"), "{stderr}");
    for place in fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().path()).chain([data.clone()]) {
        fs::set_permissions(place, opened.clone()).unwrap();
    }
    let stderr = String::from_utf8(run(&program).unwrap().stderr).unwrap();
    let place = table.parent().unwrap().to_str().unwrap();
    assert!(stderr.contains(place) && stderr.contains("chown -R 65534"), "{stderr}");
}

#[tokio::test]
async fn readiness_and_metrics_say_that_nothing_durable_is_taken() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    // Nobody has so much room.
    let server = launch(&data).flag("--disk-reserve-bytes", "1000000000000000").start();
    let ready = get(server.address, "/readyz").await;
    assert_eq!((ready.status, ready.body.lines().next()), (200, Some("ready")));
    assert!(
        ready.body.contains("degraded: durable publishes are refused, the disk is full"),
        "{}",
        ready.body
    );
    let answer = post(server.address, "/v1/topics/safe:a/messages", "", b"1").await;
    assert_eq!((answer.status, &answer.json()["code"]), (507, &"storage_full".into()));
    assert_eq!(post(server.address, "/v1/topics/other/messages", "", b"1").await.status, 200);
    eventually(async || {
        let metrics = get(server.address, "/metrics").await.body;
        let says = |line: &str| metrics.lines().any(|found| found == line);
        (says("fanwire_store_failing 1") && says("fanwire_store_room_bytes 0")).then_some(())
    })
    .await;
    drop(server);
    let server = launch(&data).start();
    assert_eq!(get(server.address, "/readyz").await.body, "ready\n");
}
