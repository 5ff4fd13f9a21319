//! Every adapter against the real server it is for. Where that is another project's, the test is ignored until it is asked
//! for: `tests/run clients` installs those servers and asks. A server that is missing then is a failure.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use loadtest::run::servers::Known;

/// The tester and the fanwire beside it, which the workspace's build makes and this crate's alone does not.
fn programs() -> (&'static Path, PathBuf) {
    let program = Path::new(env!("CARGO_BIN_EXE_loadtest"));
    let fanwire = program.with_file_name("fanwire");
    assert!(fanwire.exists(), "no {}: `cargo build --package fanwire` first", fanwire.display());
    (program, fanwire)
}

/// Runs a small scenario against a server.
#[track_caller]
fn run(server: Known, extra: &[&str]) -> Output {
    let name = server.name();
    if name.starts_with("fanwire") {
        programs();
    }
    assert!(server.is_installed(), "{name} is not installed; loadtest/README.md says which package has it");
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.args(["run", "broadcast", "--against", &server.name(), "--no-pin", "--quiet"]);
    command.args(["--subscribers", "20", "--rate", "100", "--warmup", "0", "--duration", "500ms"]);
    // A machine that stands still for a second is not what these tests are about.
    command.args(["--threshold", "silence < 1m"]);
    command.args(extra).output().unwrap()
}

/// Everything arrives once, in order and whole. A busy machine may make the latencies INVALID, but no message wrong.
#[track_caller]
fn faultless(output: Output, deliveries: u32) {
    let report =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{report}");
    assert!(report.contains(&format!("delivered {deliveries} of {deliveries}")), "{report}");
    assert!(
        report.contains("0 lost (0 of them acknowledged), 0 duplicate, 0 reordered, 0 corrupt"),
        "{report}"
    );
}

#[test]
fn fanwire_with_every_kind_and_way() {
    for server in [Known::Fanwire, Known::FanwireMsgpack] {
        faultless(run(server, &[]), 1000);
        faultless(run(server, &["--topics", "4", "--topics-per-subscriber", "2", "--publishers", "3"]), 500);
        faultless(run(server, &["--publish", "http", "--topics", "2", "--size", "64..20KiB"]), 500);
        faultless(run(server, &["--churn", "20", "--publishers", "2"]), 1000);
        faultless(run(server, &["--stalled", "20%"]), 1000);
    }
}

/// Every update of every document, to everyone who has it open.
#[test]
fn fanwire_with_documents() {
    let extra = ["--kind", "document", "--topics", "4", "--topics-per-subscriber", "2", "--publishers", "3"];
    faultless(run(Known::FanwireMsgpack, &extra), 500);
    let shared = ["--processes", "2", "--threshold", "silence < 1m", "audited == 50"];
    faultless(run(Known::FanwireMsgpack, &[&extra[..], &shared].concat()), 500);
}

/// Everyone has every update, and yet the document reads otherwise.
#[test]
fn a_document_that_is_not_what_its_updates_make_is_found_out() {
    let (program, _) = programs();
    for (fault, code, words) in [
        ("none", 0, "50 updates read back over HTTP; 0 documents differ"),
        ("document", 4, "BROKEN  documents_differ == 0: 4"),
    ] {
        let serve = format!("'{}' relay --fault {fault}", program.display());
        let output = Command::new(program)
            .args(["run", "collab", "--serve", &serve, "--no-pin", "--quiet", "--topics", "4"])
            .args(["--subscribers", "10", "--publishers", "3", "--rate", "100", "--arrival", "constant"])
            .args(["--warmup", "0", "--duration", "500ms", "--threshold", "silence < 1m"])
            .output()
            .unwrap();
        let report =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let excused = code == 0 && output.status.code() == Some(3);
        assert!(output.status.code() == Some(code) || excused, "{fault}: {report}");
        assert!(report.contains(words) && report.contains("0 lost"), "{fault}: {report}");
    }
}

/// Deliveries signed as GitHub signs come out on the topics that they name.
#[test]
fn fanwire_with_webhooks() {
    let (program, _) = programs();
    let mut command = Command::new(program);
    command.args(["run", "webhooks", "--no-pin", "--quiet", "--subscribers", "20", "--arrival", "constant"]);
    command.args(["--rate", "100", "--warmup", "0", "--duration", "500ms", "--threshold", "silence < 1m"]);
    command.args(["refused == 0", "acknowledged == 50"]);
    faultless(command.output().unwrap(), 100);
}

/// What was in memory is gone, and every subscriber is told so; what was not answered is sent again.
#[test]
fn fanwire_killed_asked_to_end_and_stopped() {
    for (signal, publish) in [("kill", "socket"), ("kill", "http"), ("term", "socket"), ("stop", "socket")] {
        let processes = if signal == "kill" { "2" } else { "1" };
        let extra = ["--kill-at", "100ms,300ms", "--restart-after", "20ms", "--processes", processes];
        let how = ["--signal", signal, "--publish", publish, "--topics", "2", "--publishers", "3"];
        let thresholds =
            ["--threshold", "silence < 1m", "kills == 2", "unacknowledged == 0", "stranded == 0"];
        let output = run(Known::Fanwire, &[&extra[..], &how, &thresholds].concat());
        let report = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(matches!(output.status.code(), Some(0 | 3)), "{signal} {publish}: {report}");
        assert!(report.contains("sent 50, acknowledged 50, refused 0"), "{signal} {publish}: {report}");
    }
}

/// Durable topics outlive `kill -9`: everyone resumes, nothing that was acknowledged is missing, not even for a reader
/// who comes last.
#[test]
fn fanwire_keeps_what_is_durable() {
    let (program, _) = programs();
    for (publish, processes) in [("socket", "1"), ("http", "1"), ("socket", "3")] {
        let output = Command::new(program)
            .args(["run", "crash", "--no-pin", "--quiet", "--rate", "200", "--duration", "2500ms"])
            .args(["--kill-every", "600ms", "--publish", publish, "--processes", processes])
            .args(["--threshold", "silence < 1m", "kills >= 2", "unrecovered == 0", "audited >= 1"])
            .output()
            .unwrap();
        let report =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(matches!(output.status.code(), Some(0 | 3)), "{publish}, {processes} processes: {report}");
        // Both are of every delivery, whichever process it came to.
        let samples = |figure: &str| {
            let line = report.lines().find(|line| line.starts_with(figure));
            line.and_then(|line| line.split_whitespace().last()).map(str::to_owned)
        };
        assert_eq!(samples("response"), samples("service"), "{report}");
    }
}

/// Conflation leaves out most of it, by the rules.
#[test]
fn fanwire_with_values_that_replace_each_other() {
    let output = run(Known::Fanwire, &["--kind", "latest", "--keys", "5", "--max-rate", "4"]);
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(matches!(output.status.code(), Some(0 | 3)), "{report}");
    assert!(report.contains("last values missing 0, skipped counts wrong 0"), "{report}");
    assert!(!report.contains("conflated 0,"), "{report}");
}

#[test]
#[ignore = "needs another project's server; tests/run clients has it"]
fn nats_over_websocket() {
    faultless(run(Known::Nats, &[]), 1000);
    let several =
        ["--topics", "4", "--topics-per-subscriber", "2", "--publishers", "3", "--size", "64..20KiB"];
    faultless(run(Known::Nats, &several), 500);
}

#[test]
#[ignore = "needs another project's server; tests/run clients has it"]
fn nchan_with_publishing_by_http() {
    faultless(run(Known::Nchan, &[]), 1000);
    faultless(run(Known::Nchan, &["--topics", "2", "--size", "64..20KiB"]), 500);
}

#[test]
#[ignore = "needs another project's server; tests/run clients has it"]
fn mqtt_over_websocket() {
    faultless(run(Known::Mosquitto, &[]), 1000);
    faultless(
        run(Known::Mosquitto, &["--topics", "4", "--topics-per-subscriber", "2", "--publishers", "3"]),
        500,
    );
}

#[test]
#[ignore = "needs another project's server; tests/run clients has it"]
fn socketio_with_rooms() {
    faultless(run(Known::SocketIo, &[]), 1000);
    faultless(
        run(Known::SocketIo, &["--topics", "4", "--topics-per-subscriber", "2", "--publishers", "3"]),
        500,
    );
}

/// A real server, and the peer that the official clients are content with.
#[test]
#[ignore = "needs another project's server; tests/run clients has it"]
fn the_pusher_protocol() {
    for server in [Known::Sockudo, Known::PusherPeer] {
        faultless(run(server, &[]), 1000);
        let several =
            ["--topics", "4", "--topics-per-subscriber", "2", "--publishers", "3", "--size", "64..4KiB"];
        faultless(run(server, &several), 500);
    }
}

fn speaks_centrifugo(server: Known) {
    faultless(run(server, &[]), 1000);
    let several =
        ["--topics", "4", "--topics-per-subscriber", "2", "--publishers", "3", "--size", "64..20KiB"];
    faultless(run(server, &several), 500);
}

/// The peer that the official client is content with.
#[test]
#[ignore = "needs another project's server; tests/run clients has it"]
fn the_centrifugo_protocol() {
    speaks_centrifugo(Known::CentrifugoPeer);
}

#[test]
#[ignore = "needs centrifugo, which no package of Debian has"]
fn the_centrifugo_protocol_with_centrifugo() {
    assert!(Known::Centrifugo.is_installed(), "there is no centrifugo in the path");
    speaks_centrifugo(Known::Centrifugo);
}

#[test]
#[ignore = "needs another project's server; tests/run clients has it"]
fn a_plain_broadcast_server() {
    faultless(run(Known::Ws, &[]), 1000);
    faultless(run(Known::Ws, &["--publishers", "3", "--size", "64..20KiB"]), 1000);
}

#[test]
fn server_sent_events() {
    faultless(run(Known::FanwireSse, &["--topics", "4", "--topics-per-subscriber", "2"]), 500);
}

#[test]
#[ignore = "needs another project's server; tests/run clients has it"]
fn server_sent_events_of_nchan() {
    faultless(run(Known::NchanSse, &[]), 1000);
    faultless(run(Known::NchanSse, &["--topics", "2", "--size", "64..20KiB", "--publishers", "3"]), 500);
}

/// What the tester is for, with a real broker behind the faults.
#[test]
fn a_faulty_relay_before_fanwire_is_found_out() {
    let (program, _) = programs();
    for (fault, code, words) in [
        ("none", 0, "0 lost (0 of them acknowledged), 0 duplicate, 0 reordered, 0 corrupt"),
        ("drop", 4, "BROKEN  acked_missing == 0"),
        ("duplicate", 4, "BROKEN  duplicate == 0"),
        ("swap", 4, "BROKEN  reordered == 0"),
        ("corrupt", 4, "BROKEN  corrupt == 0"),
        ("delay", 1, "is always late"),
        ("stall", 1, "nothing arrived for"),
    ] {
        let relay = format!("'{}' relay --fault {fault} --fault-every 100", program.display());
        let mut command = Command::new(program);
        command.args(["run", "broadcast", "--serve", &relay, "--no-pin", "--quiet"]);
        command.args(["--subscribers", "10", "--rate", "200", "--warmup", "0", "--duration", "500ms"]);
        let output = command.output().unwrap();
        let report =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let excused = code < 4 && output.status.code() == Some(3);
        assert!(output.status.code() == Some(code) || excused, "{fault}: {:?}\n{report}", output.status);
        assert!(report.contains(words), "{fault}: no `{words}` in\n{report}");
    }
}

/// A certificate for 127.0.0.1 with its key, in files of their own.
fn certificate(folder: &Path) -> (String, String) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    (certificate.to_str().unwrap().to_owned(), key.to_str().unwrap().to_owned())
}

#[test]
fn fanwire_with_tls() {
    let (program, fanwire) = programs();
    let folder = std::env::temp_dir().join(format!("loadtest-tls-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let (certificate, key) = certificate(&folder);
    let serve = format!(
        "'{}' serve --listen 127.0.0.1:0 --shards 1 --tls-cert '{certificate}' --tls-key '{key}'",
        fanwire.display()
    );
    let run = |extra: &[&str]| {
        let mut command = Command::new(program);
        command.args(["run", "broadcast", "--serve", &serve, "--no-pin", "--quiet", "--subscribers", "20"]);
        command.args(["--rate", "100", "--warmup", "0", "--duration", "500ms", "--size", "64..20KiB"]);
        command.args(["--threshold", "silence < 1m"]).args(extra).output().unwrap()
    };
    faultless(run(&["--ca", &certificate]), 1000);
    faultless(run(&["--insecure-tls", "--publish", "http", "--adapter", "fanwire-msgpack"]), 1000);
    faultless(run(&["--insecure-tls", "--publish", "http", "--adapter", "fanwire-sse"]), 1000);
    let document = ["--kind", "document", "--adapter", "fanwire-msgpack", "--threshold", "audited == 50"];
    faultless(run(&[&["--insecure-tls"], &document[..]].concat()), 1000);
    faultless(run(&["--insecure-tls", "--churn", "20", "--topics", "2"]), 500);
    // The system does not know this certificate.
    let refused = run(&[]);
    std::fs::remove_dir_all(&folder).unwrap();
    let error = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(2) && error.contains("certificate"), "{error}");
}
