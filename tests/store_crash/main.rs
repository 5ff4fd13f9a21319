//! Kills a process that commits to a store, again and again, and looks whether everything it had been told was kept is
//! there, in order and whole.
//!
//! `cargo test --release --test store_crash -- --kills 1000`; without a number a few, as part of the tests. The same
//! program is the writer of the power-cut tests: `store_crash write DIRECTORY` prints the number of each commit that
//! has returned, `store_crash check DIRECTORY NUMBER` fails unless that commit and all before it are there. And
//! `store_crash fill DIRECTORY MIB` makes a large store and dies; `store_crash open DIRECTORY` says how long opening takes.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use bytes::Bytes;
use fanwire::store::{Batch, Disk, DiskOptions, Scan, Space, Store, StoreError};

/// Messages that are kept; older ones are deleted, as retention does.
const KEPT: u64 = 500;

/// Keys that are written over and over.
const TOPICS: u64 = 20;

/// What this test is called.
const NAME: &str = "store_crash";

/// Kills when no number is given.
const SLICE: u64 = 12;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["write", path] => write(Path::new(path)),
        ["check", path, number] => match check(Path::new(path), number.parse().unwrap()) {
            Ok(last) => println!("{last}"),
            Err(problem) => {
                eprintln!("{problem}");
                return ExitCode::FAILURE;
            }
        },
        ["fill", path, mib] => fill(Path::new(path), mib.parse().unwrap()),
        ["open", path] => {
            let start = Instant::now();
            let disk = open(Path::new(path)).unwrap();
            let opened = start.elapsed();
            disk.commit(&commit_of(u64::MAX / 2)).unwrap();
            println!("opened after {opened:.0?}, first commit after {:.0?}", start.elapsed());
        }
        ["--kills", number] => kill_again_and_again(number.parse().unwrap()),
        // What else there is comes from the test runner: a word chooses tests by their name.
        _ if arguments.iter().all(|word| word.starts_with('-') || NAME.contains(word)) => {
            kill_again_and_again(SLICE);
        }
        _ => {}
    }
    ExitCode::SUCCESS
}

/// A number that looks like any other.
fn scrambled(seed: u64) -> u64 {
    let mixed = (seed ^ (seed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB)
}

/// The message of a commit: mostly small, now and then large.
fn value(number: u64) -> Vec<u8> {
    let length = match number % 64 {
        0 => 300_000,
        1..4 => 20_000,
        _ => 100 + scrambled(number) % 400,
    };
    (0..length).map(|at| scrambled(number + (at << 32)).to_le_bytes()[0]).collect()
}

fn key(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

fn topic(number: u64) -> Bytes {
    format!("topic {}", number % TOPICS).into()
}

fn number_of(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().unwrap())
}

fn commit_of(number: u64) -> Batch {
    let mut batch = Batch::default();
    batch.put(Space::Messages, key(number), value(number));
    batch.put(Space::Topics, topic(number), key(number));
    batch.put(Space::Values, "last", key(number));
    if let Some(old) = number.checked_sub(KEPT) {
        batch.delete(Space::Messages, key(old));
    }
    batch
}

fn open(path: &Path) -> Result<Disk, StoreError> {
    Disk::open(path, DiskOptions { reserve_bytes: 0, ..DiskOptions::default() })
}

fn last_of(disk: &Disk) -> u64 {
    disk.get(Space::Values, b"last").unwrap().map_or(0, |last| number_of(&last))
}

/// Commits until it is killed.
fn write(path: &Path) {
    let disk = open(path).unwrap();
    let mut out = std::io::stdout().lock();
    for number in last_of(&disk) + 1.. {
        disk.commit(&commit_of(number)).unwrap();
        writeln!(out, "{number}").unwrap();
        out.flush().unwrap();
    }
}

/// Commits of 16 blocks of 16 KiB each, for 64 topics in turn; then it dies.
fn fill(path: &Path, mib: u64) {
    let disk = open(path).unwrap();
    for number in 0..mib * 4 {
        let mut batch = Batch::default();
        for block in number * 16..(number + 1) * 16 {
            let key = [format!("topic {}\0", block % 64).as_bytes(), &block.to_be_bytes()].concat();
            let words = (0..2_048).flat_map(|word| scrambled(block * 2_048 + word).to_le_bytes());
            batch.put(Space::Messages, key, words.collect::<Vec<u8>>());
        }
        disk.commit(&batch).unwrap();
    }
    std::process::abort();
}

/// Whether the store is what it was after some commit, and that is not before the acknowledged one. Returns its number.
fn check(path: &Path, acknowledged: u64) -> Result<u64, String> {
    let disk = open(path).map_err(|error| error.to_string())?;
    let last = last_of(&disk);
    if last < acknowledged {
        return Err(format!("commit {acknowledged} was acknowledged, {last} is the last one that is there"));
    }
    let messages = disk.scan(&Scan::prefix(Space::Messages, "")).map_err(|error| error.to_string())?;
    let numbers = last.saturating_sub(KEPT) + 1..=last;
    let found: Vec<u64> = messages.iter().map(|(key, _)| number_of(key)).collect();
    if !found.iter().copied().eq(numbers.clone()) {
        return Err(format!("messages {numbers:?} should be there, and are {found:?}"));
    }
    if let Some((key, _)) = messages.iter().find(|(key, found)| **found != value(number_of(key))) {
        return Err(format!("message {} is not what was written", number_of(key)));
    }
    for newest in last.saturating_sub(TOPICS - 1).max(1)..=last {
        let found = disk.get(Space::Topics, &topic(newest)).map_err(|error| error.to_string())?;
        if found != Some(key(newest)) {
            return Err(format!("the topic of commit {newest} has {found:?}"));
        }
    }
    Ok(last)
}

fn writer(path: &Path) -> Child {
    let mut command = Command::new(env::current_exe().unwrap());
    command.arg("write").arg(path).stdout(Stdio::piped()).spawn().unwrap()
}

fn kill_again_and_again(kills: u64) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    let (start, mut acknowledged) = (Instant::now(), 0);
    for kill in 0..kills {
        let mut child = writer(&path);
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let patience = Duration::from_micros(scrambled(kill) % 150_000);
        // Now and then while it opens, mostly in the middle of commits.
        let first = (kill % 4 > 0).then(|| lines.next());
        let killer = std::thread::spawn(move || {
            std::thread::sleep(patience);
            child.kill().unwrap();
            child.wait().unwrap();
        });
        // The last line may be cut off, but then it has a digit less and is smaller.
        let told = first.flatten().into_iter().chain(lines).flatten().filter_map(|line| line.parse().ok());
        acknowledged = told.fold(acknowledged, u64::max);
        killer.join().unwrap();
        match check(&path, acknowledged) {
            Ok(last) => acknowledged = last,
            Err(problem) => panic!("after kill {kill}: {problem}"),
        }
    }
    println!("{kills} kills, {acknowledged} commits, nothing is missing ({:.0?})", start.elapsed());
}
