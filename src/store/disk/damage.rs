//! Every bit and every length: a small store is damaged at every place, opened and read. The damage is told, or it does
//! no harm; nothing that was not written is ever returned, nothing is missing silently, and nothing is deleted.
//!
//! `cargo test --release --lib damage -- --ignored --nocapture` tries every byte of every file; the tests that always
//! run try a part.

use std::{
    collections::BTreeMap,
    fs,
    ops::Bound,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    time::Duration,
};

use bytes::Bytes;

use super::{Disk, Found, Inspection, Options, State, manifest::Manifest};
use crate::store::{Batch, Scan, Space, Store, StoreError, conformance::scratch};

/// Longest time for one place.
const PATIENCE: Duration = Duration::from_secs(60);

type Content = BTreeMap<(Space, Bytes), Bytes>;

/// Something of everything: tables, deleted entries, values of several sizes, a journal with commits in it.
fn fill(disk: &Disk, content: &mut Content, round: u8) {
    for commit in 0..4_u8 {
        let mut batch = Batch::default();
        for (space, size) in [(Space::Topics, 10), (Space::Messages, 150), (Space::Documents, 700)] {
            let key = Bytes::from(format!("{}:{round}:{commit}", space.name()));
            let value = Bytes::from(vec![round * 16 + commit; size]);
            batch.put(space, key.clone(), value.clone());
            content.insert((space, key), value);
        }
        let key = Bytes::from(format!("messages:{}:{commit}", round.wrapping_sub(1)));
        batch.delete(Space::Messages, key.clone());
        content.remove(&(Space::Messages, key));
        disk.commit(&batch).unwrap();
    }
}

fn write_out(state: &State) {
    let engine = state.engine().unwrap();
    for space in Space::ALL {
        engine.write_out(space).unwrap();
    }
}

/// A store as a kill leaves it, at `path`. The second time it was opened its journal was cut to what is in it, so that
/// it is small.
fn killed_store(path: &Path) -> Content {
    let mut content = Content::new();
    let work = path.with_extension("work");
    let disk = Disk::open(&work, Options::default()).unwrap();
    fill(&disk, &mut content, 1);
    write_out(&disk.state);
    fill(&disk, &mut content, 2);
    drop(disk);
    let disk = Disk::open(&work, Options::default()).unwrap();
    fill(&disk, &mut content, 3);
    copy(&work, path);
    while !is_sound(path) {
        copy(&work, path);
    }
    drop(disk);
    prune(path);
    content
}

/// Removes files that nothing refers to any more, as the library may do at any time.
fn prune(path: &Path) {
    for space in 0..super::engine::SPACES as u64 {
        let folder = super::manifest::folder_of(&path.join("db"), space);
        let tables = Manifest::read(&path.join("db"), space).unwrap().tables;
        let current = fs::read(folder.join("current")).unwrap();
        let manifest = folder.join(format!("v{}", u64::from_le_bytes(current[..8].try_into().unwrap())));
        for file in files(&folder) {
            let is_current = file == manifest || file.ends_with("current");
            if !is_current && !tables.iter().any(|table| table.path == file) {
                fs::remove_file(file).unwrap();
            }
        }
    }
}

/// Whether a copy of a store that is in use is of one moment: copying takes a while, in which tables may be merged.
pub(super) fn is_sound(path: &Path) -> bool {
    let inspection = Inspection::open(path).unwrap();
    let mut found = Space::ALL.into_iter().flat_map(|space| inspection.entries(space));
    inspection.damage().is_empty()
        && inspection.wrong_tables().is_empty()
        && found.all(|found| matches!(found, Found::Entry { .. }))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        if let Err(error) = fs::copy(&file, &target) {
            assert!(!file.exists(), "{error}");
        }
    }
}

/// What came of opening and reading.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Told {
    WhenOpening,
    WhenReading,
    Harmless,
}

fn assess(path: &Path, content: &Content) -> Told {
    let disk = match Disk::open(path, Options::default()) {
        Ok(disk) => disk,
        Err(StoreError::Corrupt(_)) => return Told::WhenOpening,
        Err(error) => panic!("opening says {error:?}"),
    };
    let mut told = Told::Harmless;
    for ((space, key), value) in content {
        match disk.get(*space, key) {
            Ok(found) => assert_eq!(found.as_ref(), Some(value), "{space:?} {key:?}"),
            Err(StoreError::Corrupt(_)) => told = Told::WhenReading,
            Err(error) => panic!("reading says {error:?}"),
        }
    }
    for space in Space::ALL {
        let expected: Vec<_> = content.iter().filter(|((at, _), _)| *at == space).collect();
        match disk.scan(&Scan { from: Bound::Unbounded, ..Scan::prefix(space, "") }) {
            Ok(entries) => {
                assert_eq!(entries.len(), expected.len(), "{space:?}");
                for ((key, value), ((_, right_key), right_value)) in entries.iter().zip(expected) {
                    assert_eq!((key, value), (right_key, right_value));
                }
            }
            Err(StoreError::Corrupt(_)) => told = Told::WhenReading,
            Err(error) => panic!("scanning says {error:?}"),
        }
    }
    told
}

/// Reads around the damage. What is certain is right, and if nothing is told, nothing is missing.
fn inspect(path: &Path, content: &Content) -> Told {
    let inspection = match Inspection::open(path) {
        Ok(inspection) => inspection,
        Err(StoreError::Corrupt(_)) => return Told::WhenOpening,
        Err(error) => panic!("opening says {error:?}"),
    };
    let mut damage = inspection.damage();
    let mut read = Content::new();
    for space in Space::ALL {
        for found in inspection.entries(space) {
            match found {
                Found::Damage(place) => damage.push(place),
                Found::Entry { key, value, certain } => {
                    let right = content.get(&(space, key.clone())) == Some(&value);
                    assert!(right || !certain, "{space:?} {key:?} is said to be certain");
                    read.insert((space, key), value);
                }
            }
        }
    }
    assert!(!damage.is_empty() || read == *content, "something is missing, and that is not told");
    if damage.is_empty() { Told::Harmless } else { Told::WhenReading }
}

/// What is changed in a file.
#[derive(Clone, Copy, Debug)]
enum Change {
    Flip(u64),
    Cut(u64),
}

/// Makes one change in a copy of the store, looks what comes of it, and puts the copy back in order.
fn try_one(original: &Path, copied: &Path, file: &Path, change: Change, content: &Content) -> Told {
    let bytes = fs::read(original.join(file)).unwrap();
    let mut changed = bytes.clone();
    match change {
        Change::Flip(at) => changed[usize::try_from(at).unwrap()] ^= 1 << (at % 8),
        Change::Cut(to) => changed.truncate(usize::try_from(to).unwrap()),
    }
    fs::write(copied.join(file), &changed).unwrap();
    inspect(copied, content);
    let told = assess(copied, content);
    if told == Told::WhenOpening {
        // Whoever repairs it finds everything as it was.
        for path in files(original) {
            let name = path.strip_prefix(original).unwrap();
            let expected = if name == file { changed.clone() } else { fs::read(&path).unwrap() };
            let found = fs::read(copied.join(name)).unwrap_or_else(|error| panic!("{name:?}: {error}"));
            assert!(found == expected, "{name:?} was changed");
        }
    }
    copy(original, copied);
    told
}

/// Ends the process if nothing happens for long: a test that hangs says nothing.
fn watch(place: &Arc<Mutex<String>>) -> mpsc::Sender<()> {
    let (alive, beats) = mpsc::channel();
    let place = place.clone();
    std::thread::spawn(move || {
        loop {
            match beats.recv_timeout(PATIENCE) {
                Ok(()) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    eprintln!("hangs at {}", place.lock().unwrap());
                    std::process::abort();
                }
            }
        }
    });
    alive
}

/// Tries one of `step` places, with as many threads as there are cores.
fn sweep(step: usize) -> BTreeMap<(&'static str, Told), usize> {
    let folder = scratch();
    let original = folder.path().join("original");
    let content = killed_store(&original);
    let mut places = Vec::new();
    for file in files(&original) {
        let length = fs::metadata(&file).unwrap().len();
        let name = file.strip_prefix(&original).unwrap().to_owned();
        places.extend((0..length).map(|at| (name.clone(), Change::Flip(at))));
        places.extend((0..length).map(|to| (name.clone(), Change::Cut(to))));
    }
    let chosen: Vec<_> = places.into_iter().step_by(step).collect();
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let failures = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (original, content, chosen) = (&original, &content, &chosen);
            let (next, outcomes, failures) = (&next, &outcomes, &failures);
            let copied = folder.path().join(format!("copy-{thread}"));
            scope.spawn(move || {
                let place = Arc::new(Mutex::new(String::new()));
                let alive = watch(&place);
                copy(original, &copied);
                while let Some((file, change)) = chosen.get(next.fetch_add(1, Ordering::Relaxed)) {
                    *place.lock().unwrap() = format!("{} {change:?}", file.display());
                    alive.send(()).unwrap();
                    let tried =
                        std::panic::catch_unwind(|| try_one(original, &copied, file, *change, content));
                    let Ok(told) = tried else {
                        failures.lock().unwrap().push(format!("{} {change:?}", file.display()));
                        copy(original, &copied);
                        continue;
                    };
                    let kind = match change {
                        Change::Flip(_) => "flip",
                        Change::Cut(_) => "cut",
                    };
                    *outcomes.lock().unwrap().entry((kind, told)).or_insert(0) += 1;
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "of {}, these failed: {failures:#?}", chosen.len());
    outcomes.into_inner().unwrap()
}

#[test]
fn an_inspection_reads_what_is_there() {
    let folder = scratch();
    let path = folder.path().join("data");
    let content = killed_store(&path);
    assert_eq!(inspect(&path, &content), Told::Harmless);
    let inspection = Inspection::open(&path).unwrap();
    assert_eq!(inspection.wrong_tables(), []);
    assert_eq!(inspection.acknowledged(), Some(12));
    assert!(matches!(Disk::open(&path, Options::default()), Err(StoreError::Locked)));
    drop(inspection);
    let table = files(&path.join("db/keyspaces/2/tables")).pop().unwrap();
    let mut bytes = fs::read(&table).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&table, bytes).unwrap();
    let wrong = Inspection::open(&path).unwrap().wrong_tables();
    assert_eq!(wrong.len(), 1, "{wrong:?}");
    assert_eq!(wrong[0].place, table.display().to_string());
}

#[test]
fn damage_is_told_or_does_no_harm() {
    let outcomes = sweep(401);
    assert!(outcomes.contains_key(&("flip", Told::WhenOpening)), "{outcomes:?}");
}

#[test]
#[ignore = "tries every byte, which takes long"]
fn damage_anywhere_is_told_or_does_no_harm() {
    println!("{:?}", sweep(1));
}
