//! Measures fjall and redb as the store behind durable topics. Run on an idle machine, as root for a cold page cache:
//! `cargo run --release --manifest-path tests/store-choice/Cargo.toml -- DIRECTORY [commits|recovery|steady|retention|damage [ENGINE]]`
//!
//! DIRECTORY is on the disk that is to be measured; it needs 4 GiB and is emptied. The figures are in docs/storage.md.

mod damage;
mod engine;
mod measure;

use std::{env, fs, path::Path, process::ExitCode};

use engine::ENGINES;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["child", what, engine, path] => child(what, engine, Path::new(path)),
        [folder] => ["commits", "recovery", "steady", "retention", "damage"]
            .iter()
            .for_each(|part| run(part, folder, &ENGINES)),
        [folder, part] => run(part, folder, &ENGINES),
        [folder, part, engine] => run(part, folder, &[engine]),
        _ => {
            eprintln!("usage: store-choice DIRECTORY [commits|recovery|steady|retention|damage [ENGINE]]");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn run(part: &str, folder: &str, engines: &[&str]) {
    for &engine in engines {
        let path = Path::new(folder).join(engine);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory for the store");
        match part {
            "commits" => measure::commits(engine, &path),
            "recovery" => measure::recovery(engine, &path),
            "steady" => measure::steady(engine, &path),
            "retention" => measure::retention(engine, &path),
            "damage" => damage::sweep(engine, &path),
            _ => panic!("no part {part}"),
        }
        fs::remove_dir_all(&path).expect("the store can be removed");
    }
}

/// What is done in a process of its own, because it is to die or may hang.
fn child(what: &str, engine: &str, path: &Path) {
    match what {
        "fill" => measure::fill_and_die(engine, path),
        "open" => measure::time_open(engine, path),
        "small" => damage::fill_and_die(engine, path),
        "read" => damage::read(engine, path),
        _ => panic!("no such child"),
    }
}
