//! Runs decoders in processes with limits, one after the other, says how it went, and keeps what ended one.

use std::{
    env, fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, ExitCode, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use crate::{
    decoders::{self, Decoder},
    mutate::Inputs,
};

/// Bytes of address space: the program with its libraries and threads has some 200 MiB of them before it decodes anything.
const ADDRESS_SPACE: u64 = 1 << 30;

/// Bytes of stack: as much as threads have that are not given a size.
const STACK: u64 = 2 << 20;

/// Seconds of the processor for a whole run, beside those that so many inputs may take.
const PROCESSOR_S: u64 = 300;
const PROCESSOR_PER_INPUT_US: u64 = if cfg!(debug_assertions) { 50_000 } else { 5_000 };

/// A decoder is given up when it has ended that often.
const ENDS_MAX: usize = 5;

/// Decodes `count` inputs with each decoder, or with those that are named.
pub(crate) fn run(count: u64, seed: u64, names: &[&str]) -> ExitCode {
    println!(
        "{:<12} {:>9} {:>9} {:>10} {:>9}  ends",
        "decoder", "inputs", "a second", "slowest ms", "peak MiB"
    );
    let chosen = decoders::ALL.iter().filter(|decoder| names.is_empty() || names.contains(&decoder.name));
    let outcomes: Vec<Outcome> = chosen.map(|decoder| one(decoder, count, seed)).collect();
    assert!(!outcomes.is_empty(), "no decoder is called {names:?}");
    let ends: usize = outcomes.iter().map(|outcome| outcome.ends.len()).sum();
    if ends > 0 {
        println!("a process ended {ends} times; what it was given is in the files above");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// What became of one decoder.
#[derive(Default)]
struct Outcome {
    ends: Vec<String>,
    /// `HOSTILE_SECONDS` were over before all inputs were decoded.
    out_of_time: bool,
    slowest_us: u64,
    peak_kib: u64,
}

fn one(decoder: &Decoder, count: u64, seed: u64) -> Outcome {
    let start = Instant::now();
    let mut outcome = Outcome::default();
    let mut from = 0;
    while from < count && outcome.ends.len() < ENDS_MAX && !outcome.out_of_time {
        from = from_to(decoder, seed, from, count, &mut outcome) + 1;
    }
    report(decoder, from, start.elapsed(), &outcome);
    outcome
}

/// Decodes a range, or the part of it up to an end of the process; returns the last number.
fn from_to(decoder: &Decoder, seed: u64, from: u64, to: u64, outcome: &mut Outcome) -> u64 {
    let folder = folder();
    let place = folder.join(format!("{}.at", decoder.name));
    let processor = PROCESSOR_S + (to - from) * PROCESSOR_PER_INPUT_US / 1_000_000;
    let mut child = Command::new("prlimit")
        .arg(format!("--as={ADDRESS_SPACE}"))
        .arg(format!("--stack={STACK}"))
        .arg(format!("--cpu={processor}"))
        .arg("--core=0")
        .arg(env::current_exe().unwrap())
        .args(["child", decoder.name, &seed.to_string(), &from.to_string(), &to.to_string()])
        .arg(&place)
        .env("RUST_BACKTRACE", "0")
        // Else each thread may reserve 64 MiB of addresses, used or not, and a whole broker has twenty.
        .env("MALLOC_ARENA_MAX", "2")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("prlimit (util-linux) cannot be run: {error}"));
    // Little is written there, and all of it at the end.
    let (mut said, mut complaint) = (String::new(), String::new());
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut complaint).unwrap();
    let status = child.wait().unwrap();
    if status.success() {
        let figures: Vec<u64> = said.split_whitespace().map(|word| word.parse().unwrap()).collect();
        let [slowest_us, peak_kib, reached] = figures[..] else { panic!("not what a child says: {said}") };
        outcome.slowest_us = outcome.slowest_us.max(slowest_us);
        outcome.peak_kib = outcome.peak_kib.max(peak_kib);
        let _ = fs::remove_file(place);
        outcome.out_of_time = reached < to;
        return reached - 1;
    }
    let at = fs::read(&place).ok().and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
    let Some(number) = at else { panic!("{} ended before it began: {status} {complaint}", decoder.name) };
    let kept = folder.join(format!("{}-{seed}-{number}", decoder.name));
    let input = Inputs::of(decoder, seed).make(number);
    fs::write(&kept, &input).unwrap();
    outcome.ends.push(format!("{}: {}, {} bytes", kept.display(), why(status, &complaint), input.len()));
    number
}

fn why(status: ExitStatus, complaint: &str) -> String {
    let last = complaint.lines().filter(|line| !line.is_empty()).take(3).collect::<Vec<_>>().join(" ");
    format!("{status}: {last}")
}

fn report(decoder: &Decoder, count: u64, took: Duration, outcome: &Outcome) {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate"
    )]
    let rate = (count as f64 / took.as_secs_f64()) as u64;
    let (slowest, peak) = (outcome.slowest_us / 1000, outcome.peak_kib / 1024);
    println!("{:<12} {count:>9} {rate:>9} {slowest:>10} {peak:>9}  {}", decoder.name, outcome.ends.len());
    outcome.ends.iter().for_each(|end| println!("    {end}"));
}

/// Beside the program: under `target/`.
fn folder() -> PathBuf {
    let program = env::current_exe().unwrap();
    let folder = program.ancestors().nth(3).unwrap_or(Path::new(".")).join("hostile");
    fs::create_dir_all(&folder).unwrap();
    folder
}
