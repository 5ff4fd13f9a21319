//! Writes `proto/vectors/` anew: `cargo run -p fanwire-proto --example vectors`. With a folder as argument it also
//! writes the bare frames there, as seeds for the fuzzers.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a tool for developers")]
#![allow(dead_code, unreachable_pub, reason = "the catalog belongs to the tests")]

#[path = "../tests/it/catalog/mod.rs"]
mod catalog;

use std::{env, fs, path::Path};

use catalog::Direction;

fn main() {
    let folder = catalog::folder();
    fs::create_dir_all(&folder).unwrap();
    for old in fs::read_dir(&folder).unwrap() {
        fs::remove_file(old.unwrap().path()).unwrap();
    }
    let files = catalog::files();
    for (name, text) in &files {
        fs::write(folder.join(name), text).unwrap();
    }
    println!("{} vectors in {}", files.len(), folder.display());
    if let Some(corpus) = env::args_os().nth(1) {
        write_seeds(Path::new(&corpus));
    }
}

fn write_seeds(corpus: &Path) {
    for vector in catalog::all() {
        let (json, msgpack) = match vector.direction {
            Direction::Request => ("decode_requests_json", "decode_requests_msgpack"),
            Direction::Event => ("decode_events", "decode_events"),
        };
        let frames = [(json, vector.json.map(String::into_bytes)), (msgpack, vector.msgpack)];
        for (extension, (target, frame)) in ["json", "msgpack"].into_iter().zip(frames) {
            let Some(frame) = frame else { continue };
            fs::create_dir_all(corpus.join(target)).unwrap();
            fs::write(corpus.join(target).join(format!("{}.{extension}", vector.name)), frame).unwrap();
        }
    }
}
