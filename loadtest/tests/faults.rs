//! What the tester is for: every fault of a stream is found and named, and makes the right exit code.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::process::{Command, Output};

use loadtest::client::Sink;
use loadtest::ledger::Faults;
use loadtest::stamp::{self, Stamp};
use loadtest::tally::{Closed, Tally};

const PUBLISHER: u32 = 9;

/// Feeds one subscriber the payloads of `sequences` as they would come off a socket.
fn receive(sequences: &[u64], sent: u64, damage: impl Fn(usize, &mut Vec<u8>)) -> Closed {
    let mut tally = Tally::new(PUBLISHER, 1).unwrap();
    for (at, &sequence) in sequences.iter().enumerate() {
        let mut payload = Stamp { run: PUBLISHER, stream: 0, sequence, intended_ns: 1, lag_ns: 0 }
            .payload(128)
            .into_bytes();
        damage(at, &mut payload);
        for found in stamp::scan(&payload) {
            match found {
                Ok(stamp) => drop(tally.stamped(0, &stamp, 2)),
                Err(damage) => tally.damaged(0, damage),
            }
        }
    }
    tally.close(sent)
}

fn in_order(sequences: &[u64], sent: u64) -> Closed {
    receive(sequences, sent, |_, _| ())
}

#[test]
fn a_faultless_stream_has_nothing_to_report() {
    let closed = in_order(&[0, 1, 2, 3, 4], 5);
    assert!(closed.faults.is_clean() && closed.notes.is_empty());
}

#[test]
fn each_fault_is_named_for_what_it_is() {
    let dropped = in_order(&[0, 1, 3, 4], 5);
    assert_eq!(dropped.faults, Faults { missing: 1, ..Faults::default() });
    assert!(dropped.notes[0].contains("lost 2..3"), "{:?}", dropped.notes);

    let duplicated = in_order(&[0, 1, 1, 2, 3, 4], 5);
    assert_eq!(duplicated.faults, Faults { duplicate: 1, ..Faults::default() });

    let swapped = in_order(&[0, 2, 1, 3, 4], 5);
    assert_eq!(swapped.faults, Faults { reordered: 1, ..Faults::default() });

    let damaged = receive(&[0, 1, 2, 3, 4], 5, |at, payload| payload[20] ^= u8::from(at == 3));
    assert_eq!((damaged.counts.corrupt, damaged.faults.missing), (1, 1));
}

/// Runs the whole program against the null broker, misbehaving or not.
fn fanout(null: &str, extra: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_loadtest");
    let mut command = Command::new(program);
    command.args(["fanout", "--serve", &format!("'{program}' null {null}"), "--no-pin"]);
    command.args([
        "--subscribers",
        "20",
        "--rates",
        "100",
        "--seconds",
        "0.5",
        "--repeat",
        "1",
        "--warmup",
        "0",
    ]);
    command.args(extra).output().unwrap()
}

fn report(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// Whether it exited so, or found the machine too busy to say (which a test must not fail for).
fn is(output: &Output, code: i32) -> bool {
    matches!(output.status.code(), Some(found) if found == code || found == 3)
}

#[test]
fn a_faultless_broker_passes_in_both_encodings() {
    for encoding in ["json", "msgpack"] {
        let output = fanout("", &["--encoding", encoding]);
        assert!(is(&output, 0), "{}", report(&output));
        assert!(report(&output).contains("0/0/0/0"), "{}", report(&output));
    }
}

#[test]
fn a_faulty_broker_fails_and_the_fault_is_named() {
    // 20 subscribers × 50 messages, one fault in 300 deliveries: three.
    for (fault, columns) in
        [("drop", "3/0/0/0"), ("duplicate", "0/3/0/0"), ("swap", "0/0/3/0"), ("corrupt", "2/0/0/3")]
    {
        let output = fanout(&format!("--fault {fault} --fault-every 300"), &[]);
        assert!(is(&output, 1), "{fault}: {}", report(&output));
        assert!(report(&output).contains(columns), "{fault}: {}", report(&output));
    }
}

#[test]
fn a_server_that_does_not_start_is_a_set_up_failure() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_loadtest")).args(["idle", "--serve", "true"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", report(&output));
}

#[test]
fn stalled_subscribers_are_measured_beside_the_others() {
    let output = fanout("", &["--stalled", "3"]);
    assert!(is(&output, 0) || is(&output, 1), "{}", report(&output));
    assert!(report(&output).contains("stalled subscribers, ratio to without"), "{}", report(&output));
}

#[test]
fn idle_connections_are_counted_in_memory_and_descriptors() {
    let program = env!("CARGO_BIN_EXE_loadtest");
    let serve = format!("'{program}' null");
    let output = Command::new(program)
        .args([
            "idle",
            "--serve",
            &serve,
            "--no-pin",
            "--connections",
            "200",
            "--seconds",
            "0.2",
            "--max-memory",
            "1e6",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", report(&output));
    assert!(report(&output).contains("connects per second"));
}
