//! `loadtest run` as a whole: a correct broker has nothing to answer for, a faulty one is found out, and the exit code
//! says which.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

const PASS: i32 = 0;
const FAIL: i32 = 1;
const USAGE: i32 = 2;
const INVALID: i32 = 3;
const BROKEN: i32 = 4;

/// Runs a small scenario against the null broker.
fn run(null: &str, extra: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_loadtest");
    let mut command = Command::new(program);
    command.args(["run", "broadcast", "--serve", &format!("'{program}' null {null}"), "--no-pin"]);
    command.args(["--subscribers", "10", "--topics", "2", "--rate", "200", "--warmup", "0"]);
    if !null.contains("stall") {
        // A machine that stands still for a second is not what these tests are about.
        command.args(["--threshold", "silence < 1m"]);
    }
    for (flag, usual) in [("--duration", "500ms"), ("--drain", "1s")] {
        if !extra.contains(&flag) {
            command.args([flag, usual]);
        }
    }
    command.args(extra).output().unwrap()
}

fn report(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Expects an exit code and words in the report. A machine that is too busy to measure latency makes a run INVALID,
/// which a test must not fail for; broken messages are told apart from that.
#[track_caller]
fn expect(output: &Output, code: i32, words: &[&str]) {
    let found = output.status.code().unwrap();
    let excused = found == INVALID && matches!(code, PASS | FAIL);
    assert!(found == code || excused, "expected {code}, got {found}\n{}", report(output));
    for word in words {
        assert!(report(output).contains(word), "no `{word}` in\n{}", report(output));
    }
}

#[test]
fn a_correct_broker_has_nothing_to_answer_for() {
    for extra in [
        &["--adapter", "fanwire-json"][..],
        &["--adapter", "fanwire-msgpack"],
        &["--arrival", "poisson", "--size", "64..4KiB", "--topics-per-subscriber", "2", "--publishers", "3"],
        &["--kind", "volatile"],
        &["--kind", "latest", "--keys", "3"],
        &["--stalled", "20%"],
    ] {
        let words = [
            "0 lost (0 of them acknowledged), 0 duplicate, 0 reordered, 0 corrupt, 0 phantom, 0 wrong topic",
        ];
        expect(&run("", extra), PASS, &words);
    }
}

#[test]
fn every_fault_is_found_and_named() {
    // 100 messages × 5 subscribers of each topic, a fault every 100 deliveries: five.
    for (fault, words) in [
        ("drop", "BROKEN  acked_missing == 0: 5"),
        ("duplicate", "BROKEN  duplicate == 0: 5"),
        ("corrupt", "BROKEN  corrupt == 0: 5"),
        ("leak", "BROKEN  wrong_topic == 0: 5"),
        ("invent", "BROKEN  phantom == 0: 5"),
        ("swap", "BROKEN  reordered == 0:"),
    ] {
        expect(&run(&format!("--fault {fault} --fault-every 100"), &[]), BROKEN, &[words]);
    }
}

#[test]
fn one_message_in_ten_thousand_is_missed() {
    let program = env!("CARGO_BIN_EXE_loadtest");
    let serve = format!("'{program}' null --fault drop --fault-every 10000");
    let output = Command::new(program)
        .args(["run", "broadcast", "--serve", &serve, "--no-pin", "--quiet", "--subscribers", "100"])
        .args(["--rate", "300", "--warmup", "0", "--duration", "500ms", "--drain", "1s"])
        .output()
        .unwrap();
    expect(&output, BROKEN, &["delivered 14999 of 15000", "1 lost (1 of them acknowledged)"]);
}

#[test]
fn an_acknowledged_message_that_nobody_gets_is_the_worst() {
    // Every fiftieth of 100 messages: two, for five subscribers each.
    let output = run("--fault lie --fault-every 50", &[]);
    expect(&output, BROKEN, &["10 lost (10 of them acknowledged)"]);
}

#[test]
fn a_gap_that_is_signalled_is_no_loss() {
    let output = run("--fault gap --fault-every 100", &[]);
    expect(&output, PASS, &["0 lost (0 of them acknowledged)", "signalled gaps 5"]);
}

#[test]
fn a_value_that_vanishes_without_a_skipped_count_is_noticed() {
    let output = run("--fault drop --fault-every 100", &["--kind", "latest", "--keys", "2"]);
    expect(&output, BROKEN, &["delivered + 0 skipped"]);
}

#[test]
fn one_subscriber_held_back_is_noticed() {
    let output = run("--fault delay", &[]);
    expect(&output, FAIL, &["subscriber 0 is always late", "MISSED  late_subscribers == 0: 1"]);
}

#[test]
fn a_broker_that_stands_still_is_noticed() {
    let output = run("--fault stall --fault-every 50", &["--drain", "3s"]);
    expect(&output, FAIL, &["MISSED  silence < 1s", "nothing arrived for"]);
}

#[test]
fn a_broker_that_forgets_who_comes_back_is_noticed() {
    let output = run("", &["--churn", "20", "--duration", "1s"]);
    expect(&output, BROKEN, &["0 subscriptions recovered", "BROKEN  missing == 0"]);
}

/// The null broker keeps nothing, and says nothing about it: whoever asks for what was missed gets no answer.
#[test]
fn a_broker_that_dies_with_what_it_acknowledged_is_found_out() {
    let file = std::env::temp_dir().join(format!("loadtest-kill-{}.toml", std::process::id()));
    std::fs::write(&file, "[server]\nkill_at = [\"400ms\"]\nspread = \"400ms\"\n").unwrap();
    let program = env!("CARGO_BIN_EXE_loadtest");
    let output = Command::new(program)
        .args(["run", file.to_str().unwrap(), "--serve", &format!("'{program}' null"), "--no-pin"])
        .args(["--subscribers", "10", "--warmup", "0", "--duration", "1s", "--drain", "500ms"])
        .output()
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    expect(&output, BROKEN, &["server killed 1 times: 11 connections", "BROKEN  acked_missing == 0"]);
    let output = run("", &["--duration", "1s", "--kill-at", "500ms", "--audit", "--ack", "durable"]);
    expect(&output, BROKEN, &["BROKEN  unaudited_topics == 0: 2", "cannot be read from its beginning"]);
}

#[test]
fn a_server_that_does_not_come_back_is_reported() {
    let folder = std::env::temp_dir().join(format!("loadtest-once-{}", std::process::id()));
    // Starts once only.
    let serve = format!("mkdir '{}' && exec '{}' null", folder.display(), env!("CARGO_BIN_EXE_loadtest"));
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args([
            "run",
            "broadcast",
            "--serve",
            &format!("sh -c \"{serve}\""),
            "--no-pin",
            "--subscribers",
            "5",
        ])
        .args(["--warmup", "0", "--duration", "10m", "--drain", "500ms", "--kill-at", "300ms"])
        .output()
        .unwrap();
    std::fs::remove_dir(&folder).unwrap();
    expect(&output, BROKEN, &["BROKEN  failed_restarts == 0: 1", "the server did not come back"]);
}

#[test]
fn several_processes_find_what_one_would() {
    let clean = [
        "0 lost (0 of them acknowledged), 0 duplicate, 0 reordered, 0 corrupt",
        "in 3 processes",
        "delivered 500 of 500",
    ];
    expect(&run("", &["--processes", "3"]), PASS, &clean);
    expect(&run("", &["--processes", "3", "--stalled", "20%", "--kind", "volatile"]), PASS, &["0 duplicate"]);
    // 100 messages × 5 subscribers of each topic, a fault every 100 deliveries: five.
    for (fault, words) in [
        ("drop", "BROKEN  acked_missing == 0: 5"),
        ("duplicate", "BROKEN  duplicate == 0: 5"),
        ("leak", "BROKEN  wrong_topic == 0: 5"),
        ("gap", "signalled gaps 5"),
    ] {
        let code = if fault == "gap" { PASS } else { BROKEN };
        let output = run(&format!("--fault {fault} --fault-every 100"), &["--processes", "3"]);
        expect(&output, code, &[words, "in 3 processes"]);
    }
    expect(&run("", &["--processes", "11"]), USAGE, &["more than there are subscribers"]);
}

/// The lead kills the server, starts it again and audits it; the others lose their connections with it and come back.
#[test]
fn several_processes_outlive_their_server() {
    // What the null broker forgets, those find who come back and ask for it. One that only stood still forgets nothing.
    for (signal, severed, code, lost) in
        [("kill", "severed == 22", BROKEN, "BROKEN  missing"), ("stop", "severed == 0", PASS, "0 lost")]
    {
        let how = ["--kill-at", "200ms,500ms", "--restart-after", "20ms", "--signal", signal];
        let thresholds = ["--threshold", "kills == 2", severed];
        let output = run("", &[&["--processes", "3", "--duration", "800ms"], &how[..], &thresholds].concat());
        let met = ["ok      kills == 2", "ok      disconnects == 0", "ok      stranded == 0"];
        expect(&output, code, &[&met[..], &[&format!("ok      {severed}"), lost, "in 3 processes"]].concat());
    }
    let faulty = ["--processes", "2", "--kill-at", "200ms", "--signal", "stop", "--duration", "1s"];
    expect(&run("--fault duplicate --fault-every 100", &faulty), BROKEN, &["BROKEN  duplicate == 0: 10"]);
    let audited = ["--processes", "3", "--kill-at", "300ms", "--audit", "--ack", "durable"];
    expect(&run("", &audited), BROKEN, &["BROKEN  unaudited_topics == 0: 2", "in 3 processes"]);
}

#[test]
fn connections_come_no_faster_than_asked_for() {
    let output = run("", &["--connect-rate", "40", "--threshold", "connects_per_second < 60"]);
    expect(&output, PASS, &["ok      connects_per_second"]);
}

#[test]
fn a_storm_cuts_everyone_at_once() {
    let file = std::env::temp_dir().join(format!("loadtest-storm-{}.toml", std::process::id()));
    std::fs::write(
        &file,
        "kind = \"volatile\"\nstorm = [{ at = \"200ms\", share = \"50%\" }, { at = \"400ms\" }]\n",
    )
    .unwrap();
    let program = env!("CARGO_BIN_EXE_loadtest");
    let output = Command::new(program)
        .args(["run", file.to_str().unwrap(), "--serve", &format!("'{program}' null"), "--no-pin"])
        .args(["--subscribers", "10", "--warmup", "0", "--duration", "1s", "--threshold", "silence < 1m"])
        .args(["cuts >= 10", "stranded == 0"])
        .output()
        .unwrap();
    std::fs::remove_file(&file).unwrap();
    expect(&output, PASS, &["connections cut", "0 duplicate, 0 reordered"]);
}

#[test]
fn thresholds_decide_and_can_replace_the_usual_ones() {
    expect(&run("", &["--threshold", "deliveries > 1000000"]), FAIL, &["MISSED  deliveries > 1000000: 500"]);
    expect(&run("", &["--threshold", "latency.p99 < 1h"]), USAGE, &["`h` does not measure latency.p99"]);
    expect(&run("", &["--threshold", "latency.p98 < 1s"]), USAGE, &["no figure `latency.p98`"]);
    let tolerant = ["--threshold", "missing < 10", "acked_missing < 10", "deliveries == 495"];
    expect(&run("--fault drop --fault-every 100", &tolerant), PASS, &["ok      missing < 10: 5"]);
}

#[test]
fn mistakes_are_usage_errors_with_a_reason() {
    expect(&run("", &["--size", "10"]), USAGE, &["size must be"]);
    expect(&run("", &["--kind", "log", "--keys", "3"]), USAGE, &["for kind latest"]);
    expect(&run("", &["--kill-every", "1ms"]), USAGE, &["at least 10ms"]);
    expect(&run("", &["--kill-at", "500ms"]), USAGE, &["kill_at must lie before the end"]);
    expect(&run("", &["--audit", "--adapter", "nats"]), USAGE, &["can be read from their beginning"]);
    expect(&run("", &["--connect-rate", "0"]), USAGE, &["it is no number above 0"]);
    expect(&run("", &["--processes", "0"]), USAGE, &["it must not be 0"]);
    expect(&run("", &["--threshold", "latency.p99 <"]), USAGE, &["`latency.p99 <` is no threshold"]);
    expect(&run("", &["--kill-at", "1s", "--stalled", "10%"]), USAGE, &["leave out `slow`"]);
    let url = ["run", "--url", "ws://127.0.0.1:1/ws", "--no-pin", "--kill-at", "1s"];
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest")).args(url).output().unwrap();
    expect(&output, USAGE, &["only a server that the tester starts"]);
    let file = std::env::temp_dir().join(format!("loadtest-{}.toml", std::process::id()));
    std::fs::write(&file, "topics = 1\nsubscriber = 2\n").unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_loadtest")).args(["run", file.to_str().unwrap()]).output().unwrap();
    std::fs::remove_file(&file).unwrap();
    expect(&output, USAGE, &["line 2", "subscriber"]);
}

#[test]
fn everything_measured_is_in_the_json_report() {
    let file = std::env::temp_dir().join(format!("loadtest-{}.json", std::process::id()));
    let output = run("", &["--json", file.to_str().unwrap()]);
    expect(&output, PASS, &[]);
    let json: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(json["counts"]["deliveries"], 500);
    assert_eq!(json["ledger"]["missing"], 0);
    assert_eq!(json["scenario"]["subscribers"], 10);
    assert!(json["latency"]["samples"] == 500 && json["timeline"].as_array().is_some_and(|t| !t.is_empty()));
}

#[test]
fn the_report_with_charts_needs_nothing_but_itself() {
    let path = |end: &str| std::env::temp_dir().join(format!("loadtest-{}.{end}", std::process::id()));
    let (html, again, json) = (path("html"), path("again.html"), path("page.json"));
    let files = ["--html", html.to_str().unwrap(), "--json", json.to_str().unwrap()];
    expect(&run("--fault drop --fault-every 100", &files), BROKEN, &[]);
    let page = std::fs::read_to_string(&html).unwrap();
    assert!(page.matches("<svg").count() >= 6 && page.contains("BROKEN") && page.contains("broken promise"));
    for outside in ["src=", "href=", "url(", "@import", "<script", "http"] {
        assert!(!page.contains(outside), "`{outside}` in the report");
    }
    // The same page comes out of the JSON.
    let program = env!("CARGO_BIN_EXE_loadtest");
    let output = Command::new(program).arg("report").arg(&json).arg("--html").arg(&again).output().unwrap();
    expect(&output, PASS, &["BROKEN  missing == 0: 5"]);
    assert_eq!(std::fs::read_to_string(&again).unwrap(), page);
    for file in [html, again, json] {
        std::fs::remove_file(file).unwrap();
    }
}

/// The commands that start servers by themselves, on a scenario as small as can be.
fn command(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.args(args).args(["--no-pin", "--subscribers", "5", "--duration", "300ms", "--warmup", "0"]);
    command.output().unwrap()
}

#[test]
fn servers_are_compared_in_pairs_with_intervals() {
    let other = format!("eager='{}' null --eager", env!("CARGO_BIN_EXE_loadtest"));
    let html = std::env::temp_dir().join(format!("loadtest-compare-{}.html", std::process::id()));
    let output =
        command(&["compare", "broadcast", "null", &other, "--repeat", "2", "--html", html.to_str().unwrap()]);
    expect(&output, PASS, &["2 repeats", "95 % confidence", "bytes per delivery", "null: ", "eager: "]);
    let page = std::fs::read_to_string(&html).unwrap();
    std::fs::remove_file(&html).unwrap();
    assert!(page.contains("<svg") && !page.contains("http"));
}

#[test]
fn the_most_a_server_carries_is_searched_and_confirmed() {
    let search =
        ["find-max", "broadcast", "--against", "null", "--from", "50", "--to", "100", "--confirm", "1"];
    let output = command(&[&search[..], &["--slo", "latency.p99 < 10s"]].concat());
    expect(&output, PASS, &["most messages a second with latency.p99 < 10s"]);
    let output = command(&[&search[..], &["--slo", "latency.p50 < 1us"]].concat());
    expect(&output, FAIL, &["nothing lost: 0"]);
}

#[test]
fn an_interrupt_ends_the_publishing_and_still_gives_a_report() {
    let program = env!("CARGO_BIN_EXE_loadtest");
    let serve = format!("'{program}' null");
    let mut child = Command::new(program)
        .args(["run", "broadcast", "--serve", &serve, "--no-pin", "--subscribers", "5", "--duration", "10m"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The first line of progress shows that it runs.
    let mut progress = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("sent/s") {
        line.clear();
        assert!(progress.read_line(&mut line).unwrap() > 0, "it ended too early");
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", report(&output));
    assert!(report(&output).contains("0 lost") && report(&output).contains("interrupted"));
}

/// Whether anyone runs whose command line has these words.
fn somebody_runs(words: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let command = |entry: std::fs::DirEntry| std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
    processes.map(command).any(|line| String::from_utf8_lossy(&line).replace('\0', " ").contains(words))
}

#[test]
fn an_interrupt_before_the_first_message_ends_the_run_and_all_it_started() {
    let program = env!("CARGO_BIN_EXE_loadtest");
    // A fault that never happens tells this server from others.
    let mark = format!("--fault drop --fault-every {}", 3_000_000_000_u64 + u64::from(std::process::id()));
    for processes in ["1", "3"] {
        let mut child = Command::new(program)
            .args(["run", "broadcast", "--serve", &format!("'{program}' null {mark}"), "--no-pin"])
            .args(["--subscribers", "100", "--connect-rate", "0.1", "--processes", processes])
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while !somebody_runs(&format!("loadtest null {mark}")) {
            assert!(std::time::Instant::now() < deadline, "the server was never started");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        // It connects already or still waits for the server, and has a thousand seconds of connecting ahead.
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        while child.try_wait().unwrap().is_none() {
            assert!(std::time::Instant::now() < deadline, "it goes on");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(130), "{}", report(&output));
        assert!(!somebody_runs(&format!("loadtest null {mark}")), "the server was left behind");
    }
}

#[test]
fn an_interrupt_stops_every_process_and_still_gives_a_report() {
    let program = env!("CARGO_BIN_EXE_loadtest");
    let mut child = Command::new(program)
        .args(["run", "broadcast", "--serve", &format!("'{program}' null"), "--no-pin", "--processes", "3"])
        .args(["--subscribers", "9", "--duration", "10m", "--kill-at", "9m"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut progress = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("sent/s") {
        line.clear();
        assert!(progress.read_line(&mut line).unwrap() > 0, "it ended too early");
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", report(&output));
    for words in ["0 lost", "interrupted", "in 3 processes"] {
        assert!(report(&output).contains(words), "{}", report(&output));
    }
}

#[test]
fn a_report_that_cannot_be_written_is_said_before_anything_is_measured() {
    for flag in ["--json", "--html"] {
        let output = run("", &[flag, "/nonexistent/report", "--duration", "10m"]);
        expect(&output, USAGE, &["writing the report to /nonexistent/report: No such file"]);
    }
    // A disk that fills up meanwhile costs the file, not what is on the screen, nor the other file.
    let html = std::env::temp_dir().join(format!("loadtest-full-{}.html", std::process::id()));
    let output = run("", &["--json", "/dev/full", "--html", html.to_str().unwrap()]);
    expect(&output, USAGE, &["0 lost", "writing the report to /dev/full: No space left"]);
    assert!(std::fs::read_to_string(&html).unwrap().contains("</html>"));
    std::fs::remove_file(&html).unwrap();
}

#[test]
fn two_runs_are_compared_by_their_json() {
    let path = |name: &str| std::env::temp_dir().join(format!("loadtest-{}-{name}.json", std::process::id()));
    let (good, bad) = (path("good"), path("bad"));
    expect(&run("", &["--json", good.to_str().unwrap()]), PASS, &[]);
    expect(&run("--fault drop --fault-every 100", &["--json", bad.to_str().unwrap()]), BROKEN, &[]);
    let diff = |after: &std::path::Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
        command.arg("diff").arg(&good).arg(after).args(["--max-regression", "5%"]).output().unwrap()
    };
    let (same, worse) = (diff(&good), diff(&bad));
    assert_eq!(same.status.code(), Some(PASS), "{}", report(&same));
    assert_eq!(worse.status.code(), Some(FAIL), "{}", report(&worse));
    assert!(report(&worse).lines().any(|line| line.starts_with("missing") && line.ends_with("STEP BACK")));
    for file in [good, bad] {
        std::fs::remove_file(file).unwrap();
    }
}

#[test]
fn a_server_that_dies_is_reported_and_not_an_error_of_the_tester() {
    let program = env!("CARGO_BIN_EXE_loadtest");
    let serve = format!("timeout 1 '{program}' null");
    for processes in ["1", "3"] {
        let mut command = Command::new(program);
        command.args(["run", "broadcast", "--serve", &serve, "--no-pin", "--processes", processes]);
        let output = command.args(["--subscribers", "5", "--duration", "10m"]).output().unwrap();
        // Ten minutes of schedule are not waited for when nobody is left.
        let words = ["MISSED  disconnects == 0: 6", "the server closed the connection"];
        expect(&output, FAIL, &words);
    }
}
