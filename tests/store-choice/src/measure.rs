//! Throughput of commits, time to open a large store after a kill, and what retention gives back.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::engine::{Engine, open};

const MESSAGE_BYTES: usize = 128;

/// What the broker adds to a message in a block: offset, time, lengths.
const OVERHEAD_BYTES: usize = 22;

/// A topic's name, its epoch and an offset.
pub fn key(topic: usize, offset: u64) -> Vec<u8> {
    let mut key = format!("chat:room-{topic:04}\0").into_bytes();
    key.extend(7_u64.to_be_bytes());
    key.extend(offset.to_be_bytes());
    key
}

/// Bytes that do not repeat.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// How many messages a commit has, over how many topics, and whether each topic's are one value.
struct Shape {
    name: &'static str,
    messages: usize,
    topics: usize,
    blocks: bool,
}

const SHAPES: [Shape; 4] = [
    Shape { name: "500 messages, a value each", messages: 500, topics: 1, blocks: false },
    Shape { name: "500 messages, a block for 1 topic", messages: 500, topics: 1, blocks: true },
    Shape { name: "500 messages, blocks for 64 topics", messages: 500, topics: 64, blocks: true },
    Shape { name: "1 message", messages: 1, topics: 1, blocks: true },
];

fn batch(shape: &Shape, commit: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    if !shape.blocks {
        let first = commit * shape.messages as u64;
        let offsets = first..first + shape.messages as u64;
        return offsets.map(|offset| (key(0, offset), noise(offset, MESSAGE_BYTES))).collect();
    }
    let each = shape.messages.div_ceil(shape.topics) * (MESSAGE_BYTES + OVERHEAD_BYTES);
    (0..shape.topics).map(|topic| (key(topic, commit), noise(commit ^ topic as u64, each))).collect()
}

/// Commits for some seconds per shape.
pub fn commits(name: &str, path: &Path) {
    for (number, shape) in SHAPES.iter().enumerate() {
        let path = path.join(number.to_string());
        fs::create_dir_all(&path).expect("a directory");
        let engine = open(name, &path).expect("a new store");
        let (start, cpu, written) = (Instant::now(), cpu_s(), written_bytes());
        let mut times = Vec::new();
        let mut bytes = 0;
        while start.elapsed() < Duration::from_secs(8) {
            let batch = batch(shape, times.len() as u64);
            bytes += batch.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
            let begin = Instant::now();
            engine.commit(&batch, &[]).expect("a commit");
            times.push(begin.elapsed());
        }
        let seconds = start.elapsed().as_secs_f64();
        let commits = times.len();
        times.sort();
        println!(
            "{name:<11} | {:<34} | {:>6.0} commits/s | {:>7.0} messages/s | p50 {:>6} µs | p99 {:>6} µs | max {:>4} ms | CPU {:>5.0} µs/commit | written {:>4.1} x",
            shape.name,
            commits as f64 / seconds,
            (commits * shape.messages) as f64 / seconds,
            times[commits / 2].as_micros(),
            times[commits * 99 / 100].as_micros(),
            times[commits - 1].as_millis(),
            (cpu_s() - cpu) * 1e6 / commits as f64,
            (written_bytes() - written) as f64 / bytes as f64,
        );
    }
}

const FILL_BYTES: u64 = 1 << 30;
const FILL_BLOCK: usize = 16 * 1024;
const FILL_TOPICS: usize = 64;

fn fill(engine: &dyn Engine) -> u64 {
    let blocks = FILL_BYTES / FILL_BLOCK as u64;
    for commit in 0..blocks / 16 {
        let blocks = commit * 16..commit * 16 + 16;
        let put: Vec<_> = blocks
            .map(|block| (key(block as usize % FILL_TOPICS, block), noise(block, FILL_BLOCK)))
            .collect();
        engine.commit(&put, &[]).expect("a commit");
    }
    blocks
}

/// Writes 1 GiB and dies without closing.
pub fn fill_and_die(name: &str, path: &Path) {
    let engine = open(name, path).expect("a new store");
    fill(engine.as_ref());
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
        .expect("this process can be killed");
}

/// Opens, says how long it took, and dies without closing.
pub fn time_open(name: &str, path: &Path) {
    let start = Instant::now();
    let engine = open(name, path);
    let took = start.elapsed();
    let mut first = None;
    let outcome = engine.and_then(|engine| {
        engine.commit(&[(b"x".to_vec(), b"y".to_vec())], &[])?;
        first = Some(start.elapsed());
        std::mem::forget(engine);
        Ok(())
    });
    println!("open {took:.1?}, first commit after {first:.1?} {outcome:?}");
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
        .expect("this process can be killed");
}

pub fn in_child(what: &str, name: &str, path: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.args(["child", what, name]).arg(path).stderr(Stdio::null());
    command
}

/// Opens 1 GiB after a kill, with a cold and a warm page cache.
pub fn recovery(name: &str, path: &Path) {
    let start = Instant::now();
    in_child("fill", name, path).status().expect("a child");
    println!("{name:<11} | filled in {:.1?}, {} MiB on disk", start.elapsed(), size(path) >> 20);
    for (what, cold) in [("cold", true), ("warm", false), ("cold", true)] {
        if cold && fs::write("/proc/sys/vm/drop_caches", "3").is_err() {
            println!("{name:<11} | the page cache cannot be dropped here");
            continue;
        }
        let output = in_child("open", name, path).output().expect("a child");
        print!("{name:<11} | {what}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

/// Keeps the newest 128 MiB of what is written, for 2 GiB.
pub fn steady(name: &str, path: &Path) {
    const KEPT: u64 = 8_192;
    let engine = open(name, path).expect("a new store");
    let (start, cpu, written) = (Instant::now(), cpu_s(), written_bytes());
    let (mut largest, mut worst) = (0, Duration::ZERO);
    for commit in 0..8_192_u64 {
        let blocks = commit * 16..commit * 16 + 16;
        let block_key = |block: u64| key(block as usize % FILL_TOPICS, block);
        let put: Vec<_> = blocks.clone().map(|block| (block_key(block), noise(block, FILL_BLOCK))).collect();
        let delete: Vec<_> = blocks.filter_map(|block| block.checked_sub(KEPT).map(block_key)).collect();
        let begin = Instant::now();
        engine.commit(&put, &delete).expect("a commit");
        worst = worst.max(begin.elapsed());
        if commit % 64 == 0 {
            largest = largest.max(size(path));
        }
    }
    println!(
        "{name:<11} | 2 GiB through 128 MiB in {:.1?}, CPU {:.1} s, written {} MiB, slowest commit {worst:.1?}, largest {} MiB, at the end {} MiB",
        start.elapsed(),
        cpu_s() - cpu,
        (written_bytes() - written) >> 20,
        largest >> 20,
        size(path) >> 20,
    );
}

/// Deletes the oldest 90 % of 1 GiB while it goes on committing.
pub fn retention(name: &str, path: &Path) {
    let engine = open(name, path).expect("a new store");
    let blocks = fill(engine.as_ref());
    let full = size(path);
    let mut worst = Duration::ZERO;
    let start = Instant::now();
    for batch in 0..blocks * 9 / 10 / 64 {
        let delete: Vec<_> =
            (batch * 64..batch * 64 + 64).map(|block| key(block as usize % FILL_TOPICS, block)).collect();
        let put = [(key(FILL_TOPICS, batch), noise(batch, 1_500))];
        let begin = Instant::now();
        engine.commit(&put, &delete).expect("a commit");
        worst = worst.max(begin.elapsed());
    }
    println!(
        "{name:<11} | {} MiB full | {} MiB right after deleting 90 % ({:.1?}, slowest commit {worst:.1?})",
        full >> 20,
        size(path) >> 20,
        start.elapsed()
    );
    thread::sleep(Duration::from_secs(10));
    println!("{name:<11} | {} MiB after 10 s of rest", size(path) >> 20);
    let tidy = Instant::now();
    engine.tidy().expect("a tidy store");
    println!("{name:<11} | {} MiB after tidying, which took {:.1?}", size(path) >> 20, tidy.elapsed());
    for round in 0..blocks / 16 {
        let put: Vec<_> = (0..16)
            .map(|block| (key(block, 1_000_000 + round), noise(round * 16 + block as u64, FILL_BLOCK)))
            .collect();
        let delete: Vec<_> = match round.checked_sub(blocks / 160) {
            Some(old) => (0..16).map(|block| key(block, 1_000_000 + old)).collect(),
            None => Vec::new(),
        };
        engine.commit(&put, &delete).expect("a commit");
    }
    println!("{name:<11} | {} MiB after 1 GiB more, of which 100 MiB are kept", size(path) >> 20);
    let tidy = Instant::now();
    engine.tidy().expect("a tidy store");
    println!("{name:<11} | {} MiB after tidying, which took {:.1?}", size(path) >> 20, tidy.elapsed());
    drop(engine);
    let (engine, start) = (open(name, path).expect("a store"), Instant::now());
    let mut bytes = 0;
    engine.scan(&mut |key, value| bytes += key.len() + value.len()).expect("a scan");
    println!("{name:<11} | {} MiB live, scanned in {:.1?}", bytes >> 20, start.elapsed());
}

fn cpu_s() -> f64 {
    let usage = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = usage.split_whitespace().collect();
    let ticks: f64 = fields[13..15].iter().filter_map(|field| field.parse::<f64>().ok()).sum();
    ticks / 100.0
}

fn written_bytes() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap_or_default();
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    line.and_then(|bytes| bytes.parse().ok()).unwrap_or(0)
}

/// Blocks that the files of a directory take, in bytes.
fn size(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(path).expect("a directory");
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => size(&entry.path()),
            Ok(meta) => meta.blocks() * 512,
            Err(_) => 0,
        })
        .sum()
}
