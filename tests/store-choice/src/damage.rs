//! What a flipped bit or a cut file does to a small store that was killed: told, harmless, or a silent loss.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use crate::{
    engine::open,
    measure::{in_child, key, noise},
};

const COMMITS: u64 = 40;

/// A store of 40 commits, then the end.
pub fn fill_and_die(name: &str, path: &Path) {
    let engine = open(name, path).expect("a new store");
    for commit in 0..COMMITS {
        let put = [(key(0, commit), noise(commit, 300)), (key(1, commit), noise(!commit, 20))];
        engine.commit(&put, &[]).expect("a commit");
    }
    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
        .expect("this process can be killed");
}

/// Opens a store, reads everything, and prints what it is.
pub fn read(name: &str, path: &Path) {
    let mut known = BTreeMap::new();
    for commit in 0..COMMITS {
        known.insert(key(0, commit), noise(commit, 300));
        known.insert(key(1, commit), noise(!commit, 20));
    }
    let engine = match open(name, path) {
        Ok(engine) => engine,
        Err(_) => return println!("told when opening"),
    };
    let (mut right, mut wrong) = (0, 0);
    let outcome = engine.scan(&mut |key, value| {
        let is_right = known.get(key).is_some_and(|known| known == value);
        *if is_right { &mut right } else { &mut wrong } += 1;
    });
    match outcome {
        _ if wrong > 0 => println!("WRONG VALUE"),
        Err(_) => println!("told when reading"),
        Ok(()) if right == known.len() => println!("harmless"),
        Ok(()) => println!("SILENT LOSS"),
    }
}

/// Flips bits and cuts files, some hundred of each.
pub fn sweep(name: &str, path: &Path) {
    let original = path.join("original");
    fs::create_dir_all(&original).expect("a directory");
    in_child("small", name, &original).status().expect("a child");
    for cut in [false, true] {
        let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
        for file in files(&original) {
            let bytes = fs::read(original.join(&file)).expect("a file");
            // The rest of a file that was made larger in advance is empty.
            let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
            let step = (used / 150).max(1);
            for at in (0..used).step_by(step) {
                let copy = path.join("copy");
                copy_all(&original, &copy);
                let mut changed = bytes.clone();
                match cut {
                    true => changed.truncate(at),
                    false => changed[at] ^= 1 << (at % 8),
                }
                fs::write(copy.join(&file), changed).expect("a file");
                *outcomes.entry(outcome(name, &copy)).or_default() += 1;
            }
        }
        println!("{name:<11} | {} | {outcomes:?}", if cut { "cut " } else { "flip" });
    }
}

fn outcome(name: &str, path: &Path) -> String {
    let mut child = in_child("read", name, path).stdout(Stdio::piped()).spawn().expect("a child");
    let start = Instant::now();
    let status = loop {
        match child.try_wait().expect("a child") {
            Some(status) => break status,
            None if start.elapsed() > Duration::from_secs(10) => {
                let _ = child.kill();
                let _ = child.wait();
                return "HANGS".into();
            }
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    let mut text = String::new();
    let _ = child.stdout.take().map(|mut out| out.read_to_string(&mut text));
    match text.trim() {
        "" if status.code() == Some(101) => "panics".into(),
        "" => format!("dies of {status}"),
        text => text.into(),
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    fn walk(folder: &Path, base: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a directory").flatten() {
            match entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                true => walk(&entry.path(), base, found),
                false => found.push(entry.path().strip_prefix(base).expect("inside").to_owned()),
            }
        }
    }
    let mut found = Vec::new();
    walk(folder, folder, &mut found);
    found.sort();
    found
}

fn copy_all(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir_all(to).expect("a directory");
    for file in files(from) {
        fs::create_dir_all(to.join(&file).parent().expect("a parent")).expect("a directory");
        fs::copy(from.join(&file), to.join(&file)).expect("a copy");
    }
}
