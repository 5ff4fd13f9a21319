//! Configuration: one set of names for file, environment and flags, and errors that say where.

use serde_json::json;

use crate::support::{Client, Launch, Scratch, Server, eventually};

/// `fanwire check` refuses the file and its message holds all of these.
fn refused(toml: &str, mentions: &[&str]) {
    let (success, _, stderr) = Launch::default().config(toml).run("check");
    assert!(!success, "accepted {toml}");
    for word in mentions {
        assert!(stderr.contains(word), "no `{word}` in {stderr} about {toml}");
    }
}

/// What `check` prints of a key.
fn effective(launch: Launch, key: &str) -> String {
    let (success, stdout, stderr) = launch.run("check");
    assert!(success, "{stderr}");
    let line =
        stdout.lines().find(|line| line.split(['=', ':']).next().is_some_and(|name| name.trim() == key));
    let line = line.unwrap_or_else(|| panic!("no {key} in {stdout}"));
    line.split_once(['=', ':']).unwrap().1.trim().to_owned()
}

#[test]
fn mistakes_are_named_with_key_and_line() {
    refused("\n\nmax_mesage_bytes = 5\n", &["max_mesage_bytes", "3"]);
    refused("max_message_bytes = \"many\"\n", &["max_message_bytes", "1"]);
    refused("[default]\nkind = \"log\"\nhistory_cuont = 5\n", &["history_cuont", "3"]);
    refused(
        "[[rule]]\npattern = \"a:*\"\n\n[[rule]]\npattern = \"b:*\"\nkind = \"queue\"\n",
        &["`kind`: must be one of `log`, `latest`", "line 6"],
    );
    refused("[[rule]]\nkind = \"log\"\n", &["pattern"]);
    refused("[[rule]]\npattern = \"a*b\"\n", &["pattern"]);
    refused("[default]\npattern = \"a\"\n", &["pattern"]);
    refused("listen = \"nowhere\"\n", &["listen"]);
    refused("max_subscriptions = -1\n", &["max_subscriptions", "1"]);
    refused("max_subscriptions = 0\n", &["max_subscriptions", "1"]);
    refused("ping_s = 5\n\npong_timeout_s = 6\n", &["pong_timeout_s", "3"]);
    refused("max_outbox_bytes = 1000\n", &["max_outbox_bytes", "1"]);
    refused("[default]\nkind = \"latest\"\nhistory_count = 5\n", &["history_count", "3"]);
    refused("log_format = \"xml\"\n", &["log_format"]);
    refused("this is not toml\n", &["1"]);
    refused("tls_cert = \"cert.pem\"\n", &["tls_key"]);
    refused("auth_hmac_secrte = \"x\"\n", &["auth_hmac_secrte", "1"]);
    refused("auth_hmac_secret = \"too short\"\n", &["auth_hmac_secret", "32"]);
}

#[test]
fn serve_refuses_what_check_refuses() {
    let (success, _, stderr) = Launch::default().config("\nbogus = 1\n").run("serve");
    assert!(!success);
    assert!(stderr.contains("bogus"), "{stderr}");
}

#[test]
fn a_missing_file_is_an_error() {
    let (success, _, stderr) = Launch::default().flag("--config", "/nonexistent/fanwire.toml").run("check");
    assert!(!success);
    assert!(stderr.contains("/nonexistent/fanwire.toml"), "{stderr}");
}

#[test]
fn check_prints_defaults_and_what_the_file_changes() {
    assert_eq!(effective(Launch::default(), "max_message_bytes"), "65536");
    assert_eq!(effective(Launch::default(), "ping_s"), "25");
    assert_eq!(effective(Launch::default().config("ping_s = 7"), "ping_s"), "7");
}

#[test]
fn check_prints_what_it_can_read_again() {
    let toml = "max_subscriptions = 7\n[[rule]]\npattern = \"a:*\"\nkind = \"latest\"\nmax_keys = 5\n";
    let (_, first, _) = Launch::default().config(toml).run("check");
    let (success, second, stderr) = Launch::default().config(&first).run("check");
    assert!(success, "{stderr}");
    assert_eq!(first, second);
}

#[test]
fn secrets_are_not_printed() {
    let (success, stdout, stderr) =
        Launch::default().config("auth_hmac_secret = \"correct horse battery staple, twice\"").run("check");
    assert!(success, "{stderr}");
    assert!(!stdout.contains("correct horse") && !stderr.contains("correct horse"), "{stdout}{stderr}");
}

#[test]
fn flag_beats_environment_beats_file_beats_default() {
    let key = "max_message_bytes";
    let file = || Launch::default().config("max_message_bytes = 2000");
    assert_eq!(effective(file(), key), "2000");
    let with_env = || file().env("FANWIRE_MAX_MESSAGE_BYTES", "3000");
    assert_eq!(effective(with_env(), key), "3000");
    assert_eq!(effective(with_env().flag("--max-message-bytes", "4000"), key), "4000");
    assert_eq!(effective(file().flag("--max-message-bytes", "4000"), key), "4000");
}

#[tokio::test]
async fn the_effective_value_is_the_one_in_force() {
    let server = Launch::default()
        .config("max_message_bytes = 2000\nping_s = 5")
        .env("FANWIRE_MAX_MESSAGE_BYTES", "3000")
        .start();
    let client = Client::connect(&server).await;
    assert_eq!((&client.welcome["max_message_bytes"], &client.welcome["ping_s"]), (&json!(3000), &json!(5)));
}

#[test]
fn unknown_environment_variables_and_flags_are_errors() {
    let (success, _, stderr) = Launch::default().env("FANWIRE_MAX_MESAGE_BYTES", "1").run("check");
    assert!(!success);
    assert!(stderr.contains("FANWIRE_MAX_MESAGE_BYTES"), "{stderr}");
    let (success, _, stderr) = Launch::default().flag("--max-mesage-bytes", "1").run("check");
    assert!(!success);
    assert!(stderr.contains("max-mesage-bytes"), "{stderr}");
    let (success, _, stderr) = Launch::default().env("FANWIRE_MAX_MESSAGE_BYTES", "many").run("check");
    assert!(!success);
    let named = stderr.to_lowercase().replace('-', "_");
    assert!(named.contains("max_message_bytes"), "{stderr}");
}

#[test]
fn beyond_loopback_it_wants_authentication_or_to_be_told() {
    let (success, _, stderr) = Launch::default().listen("0.0.0.0:0").run("serve");
    assert!(!success);
    assert!(stderr.contains("--insecure"), "{stderr}");
}

#[tokio::test]
async fn beyond_loopback_it_starts_when_told_or_with_authentication() {
    let told = Launch::default().listen("0.0.0.0:0").switch("--insecure").start();
    Client::connect(&told).await.publish("chat:a", 1).await;
    Launch::default()
        .listen("0.0.0.0:0")
        .config("auth_hmac_secret = \"0123456789abcdef0123456789abcdef\"")
        .start();
}

#[test]
fn help_names_every_command_and_flag() {
    let (success, stdout, _) = Launch::default().run("--help");
    assert!(success);
    for word in ["serve", "check", "token"] {
        assert!(stdout.contains(word), "no {word} in {stdout}");
    }
    let scratch = Scratch::new();
    assert!(scratch.path().is_dir());
    let (success, stdout, _) = Launch::default().switch("serve").run("help");
    assert!(success);
    for word in ["--listen", "--config", "--max-message-bytes", "--insecure", "--ping-s", "--drain-ms"] {
        assert!(stdout.contains(word), "no {word} in {stdout}");
    }
}

/// How many of three messages a topic that is new keeps.
async fn kept(client: &mut Client, topic: &str) -> usize {
    for n in 0..3 {
        client.publish(topic, n).await;
    }
    let history = client.ok(json!({ "type": "history", "topic": topic })).await;
    history["messages"].as_array().unwrap().len()
}

#[tokio::test]
async fn sighup_reloads_all_or_nothing() {
    let mut server = Server::start("[default]\nhistory_count = 2");
    let mut client = Client::connect(&server).await;
    assert_eq!(kept(&mut client, "chat:before").await, 2);

    server.write_config("[default]\nhistory_count = 1\n[[rule]]\npattern = \"a\"\nbogus = 1");
    server.signal("HUP");
    eventually(async || server.output().contains("bogus").then_some(())).await;
    assert!(server.is_running());
    assert_eq!(kept(&mut client, "chat:unchanged").await, 2);

    server.write_config("[default]\nhistory_count = 1");
    server.signal("HUP");
    let mut round = 0;
    eventually(async || {
        round += 1;
        (kept(&mut client, &format!("chat:{round}")).await == 1).then_some(())
    })
    .await;
    client.expect_nothing().await; // and it never lost its connection
}

/// Runs `fanwire` with these arguments alone, beside a file `f.toml`.
fn run(arguments: &[&str]) -> (bool, String, String) {
    let launch = Launch::default().file("f.toml", "ping_s = 7\ndrain_ms = 1\n").env("FANWIRE_DRAIN_MS", "2");
    let (first, rest) = arguments.split_first().unwrap();
    rest.iter().fold(launch, |launch, argument| launch.switch(argument)).run(first)
}

#[test]
fn flags_may_stand_before_the_command() {
    for (arguments, expected) in [
        (&["--config", "f.toml", "check"][..], "ping_s = 7"),
        (&["--config", "f.toml", "check", "--ping-s", "8"], "ping_s = 8"),
        (&["--ping-s=9", "check", "--config", "f.toml"], "ping_s = 9"),
        (&["--ping-s=9", "check", "--ping-s=8"], "ping_s = 8"),
        // Any flag wins over the environment, wherever it stands.
        (&["--drain-ms", "3", "check"], "drain_ms = 3"),
        (&["check"], "drain_ms = 2"),
        (&["--insecure", "check"], "insecure = true"),
        (&["--insecure=false", "check"], "insecure = false"),
    ] {
        let (ok, shown, told) = run(arguments);
        assert!(ok && shown.lines().any(|line| line == expected), "{arguments:?}: {shown}{told}");
    }
    let (ok, listed, told) = run(&["--config", "f.toml", "source", "list"]);
    assert!(ok && listed.is_empty(), "{listed}{told}");
    for arguments in [&["--ping-s", "9", "key", "k"][..], &["--ping-s", "9", "source", "presets"]] {
        let (ok, _, told) = run(arguments);
        assert!(!ok && told.contains("has no use for --ping-s"), "{told}");
    }
    let (ok, made, _) = run(&["key", "k"]);
    assert!(ok && made.contains("hash"), "the environment is no flag: {made}");
}
