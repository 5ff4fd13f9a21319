//! Trouble on the way: a disk that is really full, several journals of which one is damaged, files that are missing, and
//! the room that comes back.

use std::{
    fs,
    ops::Bound,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::{Disk, Options};
use crate::store::{Batch, Scan, Space, Store, StoreError, conformance::scratch};

const PATIENCE: Duration = Duration::from_secs(30);

/// Values do not repeat, so that nothing gets small.
fn value(number: u64, length: usize) -> Bytes {
    let mut state = number.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(length / 8).flatten().collect()
}

fn key(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_be_bytes())
}

fn commit(disk: &Disk, number: u64, length: usize) -> Result<(), StoreError> {
    let mut batch = Batch::default();
    batch.put(Space::Messages, key(number), value(number, length));
    batch.put(Space::Topics, "last", key(number));
    disk.commit(&batch)
}

fn numbers(disk: &Disk) -> Vec<u64> {
    let mut numbers = Vec::new();
    let mut scan = Scan { bytes: 1 << 20, ..Scan::prefix(Space::Messages, "") };
    loop {
        let entries = disk.scan(&scan).unwrap();
        let Some((last, _)) = entries.last() else { return numbers };
        scan.from = Bound::Excluded(last.clone());
        numbers.extend(entries.iter().map(|(key, _)| u64::from_be_bytes(key[..].try_into().unwrap())));
    }
}

/// A file system of its own, in memory.
struct Small {
    folder: tempfile::TempDir,
}

impl Small {
    /// `None` where mounts are not allowed.
    fn mount(mib: u64) -> Option<Self> {
        let small = Self { folder: scratch() };
        let size = format!("size={mib}m");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "none"]).arg(small.path()).output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(small);
        }
        eprintln!("skipped: mounts are not allowed here");
        None
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.path()).output();
    }
}

#[test]
fn a_disk_that_is_really_full_is_told_and_comes_back() {
    let Some(small) = Small::mount(64) else { return };
    let data = small.path().join("data");
    let disk = Disk::open(&data, Options { reserve_bytes: 0, ..Options::default() }).unwrap();
    let hog = small.path().join("hog");
    let mut next = 0;
    for round in 0..3_u64 {
        let disk_space = rustix::fs::statvfs(small.path()).unwrap();
        let free = usize::try_from(disk_space.f_bavail * disk_space.f_frsize).unwrap();
        fs::write(&hog, vec![1; free - (2 << 20)]).unwrap();
        // Batches of another size each time, so that it is full in the middle of one.
        let error = loop {
            match commit(&disk, next, 8_000 * (1 + usize::try_from(round).unwrap())) {
                Ok(()) => next += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, StoreError::Full(_)), "{error:?}");
        assert_eq!(numbers(&disk), (0..next).collect::<Vec<_>>(), "reads go on");
        fs::remove_file(&hog).unwrap();
        let start = Instant::now();
        while let Err(error) = commit(&disk, next, 8_000) {
            assert!(start.elapsed() < PATIENCE, "{error:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        next += 1;
        let mut old = Batch::default();
        (0..next.saturating_sub(20)).for_each(|number| old.delete(Space::Messages, key(number)));
        (0..next.saturating_sub(20)).for_each(|number| old.put(Space::Messages, key(number), "short"));
        disk.commit(&old).unwrap();
        assert_eq!(numbers(&disk), (0..next).collect::<Vec<_>>());
    }
    drop(disk);
    let disk = Disk::open(&data, Options { reserve_bytes: 0, ..Options::default() }).unwrap();
    assert_eq!(numbers(&disk), (0..next).collect::<Vec<_>>());
    assert_eq!(disk.get(Space::Topics, b"last").unwrap(), Some(key(next - 1)));
}

#[test]
fn nothing_is_written_once_only_the_reserve_is_left() {
    let folder = scratch();
    let options = Options { reserve_bytes: u64::MAX, ..Options::default() };
    let disk = Disk::open(folder.path(), options).unwrap();
    let error = commit(&disk, 1, 100).unwrap_err();
    assert!(matches!(&error, StoreError::Full(what) if what.contains("reserve")), "{error:?}");
    assert_eq!(numbers(&disk), Vec::<u64>::new());
}

fn journals(data: &Path) -> Vec<PathBuf> {
    super::journal::paths(&data.join("db")).unwrap().into_iter().map(|(_, path)| path).collect()
}

const SEALED_COMMITS: u64 = 1_800;

/// A store with more than one journal, as a kill leaves it.
fn with_several_journals(data: &Path) {
    let work = data.with_extension("work");
    let disk = Disk::open(&work, Options::default()).unwrap();
    for number in 0..SEALED_COMMITS {
        commit(&disk, number, 48 * 1024).unwrap();
    }
    while !copy(&work, data) || !super::damage::is_sound(data) {
        fs::remove_dir_all(data).unwrap();
    }
    drop(disk);
    fs::remove_dir_all(&work).unwrap();
    assert!(journals(data).len() > 1, "{:?}", journals(data));
}

fn copy(from: &Path, to: &Path) -> bool {
    Command::new("cp").args(["-r", "--sparse=always"]).arg(from).arg(to).status().unwrap().success()
}

/// Opens what was damaged: it is refused, the place is named, nothing changes; accepted, it goes on without what is lost.
fn refused_then_accepted(data: &Path, place: &Path) -> Vec<u64> {
    let before: Vec<_> = journals(data).iter().map(|path| fs::read(path).unwrap()).collect();
    let Err(StoreError::Corrupt(what)) = Disk::open(data, Options::default()) else { panic!("not noticed") };
    assert!(what.contains(place.to_str().unwrap()), "{what}");
    let after: Vec<_> = journals(data).iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(before == after, "something was changed");
    drop(Disk::open(data, Options { accept_loss: true, ..Options::default() }).unwrap());
    let disk = Disk::open(data, Options::default()).unwrap();
    let numbers = numbers(&disk);
    commit(&disk, SEALED_COMMITS, 100).unwrap();
    drop(disk);
    let disk = Disk::open(data, Options::default()).unwrap();
    assert_eq!(disk.get(Space::Topics, b"last").unwrap(), Some(key(SEALED_COMMITS)));
    numbers
}

#[test]
fn damage_in_a_full_journal_is_noticed() {
    let folder = scratch();
    let (sound, data) = (folder.path().join("sound"), folder.path().join("data"));
    with_several_journals(&sound);
    let (first, second) = (data.join("db/0.jnl"), data.join("db/1.jnl"));
    let bytes = fs::read(sound.join("db/0.jnl")).unwrap();
    let with = |content: &[u8]| {
        let _ = fs::remove_dir_all(&data);
        assert!(copy(&sound, &data));
        fs::write(&first, content).unwrap();
    };

    let mut flipped = bytes.clone();
    flipped[bytes.len() / 3] ^= 1;
    with(&flipped);
    // At most the commit that was hit: it may be in a table.
    assert!(refused_then_accepted(&data, &first).len() as u64 >= SEALED_COMMITS - 1);

    // In the middle of a commit; then between two, where only the numbers tell.
    with(&bytes[..bytes.len() / 2 + 1_000]);
    refused_then_accepted(&data, &first);
    with(&bytes);
    let id = super::folder::Folder::open_existing(&data).unwrap().id;
    let end = super::journal::end_of(&first, id, 100).unwrap();
    with(&bytes[..usize::try_from(end).unwrap()]);
    refused_then_accepted(&data, &second);

    with(&[]);
    refused_then_accepted(&data, &first);

    // The journal of another store, whole as it is.
    let other = folder.path().join("other");
    with_several_journals(&other);
    with(&fs::read(other.join("db/0.jnl")).unwrap());
    refused_then_accepted(&data, &first);
}

#[test]
fn files_that_are_missing_are_named() {
    let folder = scratch();
    let data = folder.path().join("data");
    let disk = Disk::open(&data, Options::default()).unwrap();
    (0..10).for_each(|number| commit(&disk, number, 100).unwrap());
    drop(disk);
    let named = ["FORMAT", "ACKNOWLEDGED", "db/version", "db/keyspaces/0/current", "db/keyspaces/2/current"];
    for name in named {
        let (path, aside) = (data.join(name), folder.path().join("aside"));
        fs::rename(&path, &aside).unwrap();
        let Err(StoreError::Corrupt(what)) = Disk::open(&data, Options::default()) else { panic!("{name}") };
        assert!(what.contains(name), "{what}");
        fs::rename(&aside, &path).unwrap();
    }
    let journal = journals(&data).remove(0);
    fs::remove_file(&journal).unwrap();
    assert!(matches!(Disk::open(&data, Options::default()), Err(StoreError::Corrupt(_))));
}

#[test]
fn another_format_is_refused() {
    let folder = scratch();
    drop(Disk::open(folder.path(), Options::default()).unwrap());
    fs::write(folder.path().join("FORMAT"), "fanwire store 2\nid 00 00\n").unwrap();
    let Err(StoreError::Unusable(what)) = Disk::open(folder.path(), Options::default()) else { panic!() };
    assert!(what.contains("fanwire store 2") && what.contains("this version of fanwire knows"), "{what}");
}

#[test]
fn a_creation_that_was_broken_off_is_done_again() {
    let folder = scratch();
    let data = folder.path();
    drop(Disk::open(data, Options::default()).unwrap());
    // As it was before the last step.
    fs::rename(data.join("FORMAT"), data.join("FORMAT.new")).unwrap();
    fs::remove_dir_all(data.join("db/keyspaces/3")).unwrap();
    let disk = Disk::open(data, Options::default()).unwrap();
    commit(&disk, 1, 100).unwrap();
}

#[test]
fn what_was_deleted_gives_its_room_back() {
    let folder = scratch();
    let disk = Disk::open(folder.path(), Options::default()).unwrap();
    let engine = disk.state.engine().unwrap();
    for number in 0..400 {
        commit(&disk, number, 64 * 1024).unwrap();
    }
    engine.write_out(Space::Messages).unwrap();
    let on_disk = || {
        let tables = fs::read_dir(folder.path().join("db/keyspaces/2/tables")).unwrap();
        tables.map(|table| table.unwrap().metadata().unwrap().len()).sum::<u64>()
    };
    let full = on_disk();
    let mut batch = Batch::default();
    (0..380).for_each(|number| batch.delete(Space::Messages, key(number)));
    disk.commit(&batch).unwrap();
    assert_eq!(disk.state.deleted[Space::Messages as usize].load(std::sync::atomic::Ordering::Relaxed), 380);
    assert!(disk.state.merge(&engine, Space::Messages).unwrap());
    assert!(on_disk() < full / 8, "{} of {full}", on_disk());
    assert_eq!(numbers(&disk), (380..400).collect::<Vec<_>>());
}

/// Topics with retention of their own are written, trimmed, merged and opened again; the store has what a map has.
#[test]
#[ignore = "writes gigabytes"]
fn a_long_life_changes_nothing_else() {
    const ROUNDS: u64 = 60;
    const TOPICS: u64 = 100;
    let folder = scratch();
    let mut disk = Disk::open(folder.path(), Options::default()).unwrap();
    let mut model = std::collections::BTreeMap::new();
    let name = |topic: u64, number: u64| [&topic.to_be_bytes()[..], &number.to_be_bytes()].concat();
    for round in 0..ROUNDS {
        std::thread::scope(|threads| {
            let state = disk.state.clone();
            threads.spawn(move || {
                let engine = state.engine().unwrap();
                if round % 3 == 0 {
                    state.merge(&engine, Space::Messages).unwrap();
                }
            });
            for step in round * 500..(round + 1) * 500 {
                let mut batch = Batch::default();
                for topic in (0..TOPICS).filter(|topic| (step ^ (topic * 7)) % (topic % 9 + 1) == 0) {
                    let length = usize::try_from(64 + (step * 31 + topic * 17) % 3_000).unwrap();
                    batch.put(Space::Messages, name(topic, step), value(step ^ (topic << 32), length));
                    model.insert(name(topic, step), (step ^ (topic << 32), length));
                    let kept = 20 + topic * 40;
                    if let Some(old) = step.checked_sub(kept) {
                        batch.delete(Space::Messages, name(topic, old));
                        model.remove(&name(topic, old));
                    }
                }
                disk.commit(&batch).unwrap();
            }
        });
        if round % 10 == 9 {
            drop(disk);
            disk = Disk::open(folder.path(), Options::default()).unwrap();
        }
        let entries = disk.scan(&Scan::prefix(Space::Messages, "")).unwrap();
        assert_eq!(entries.len(), model.len());
        for ((key, found), (name, (seed, length))) in entries.iter().zip(&model) {
            assert!(key == name && *found == value(*seed, *length), "{}", key.escape_ascii());
        }
        let live: usize = entries.iter().map(|(key, found)| key.len() + found.len()).sum();
        println!(
            "round {round}: {} MiB live, {} MiB on disk",
            live >> 20,
            disk.state.engine().unwrap().space_bytes(Space::Messages) >> 20
        );
    }
}

/// A store whose tables know of every commit, although other spaces than that of the commits' numbers have what is in the
/// journal nowhere else.
fn numbered_in_tables(path: &Path) {
    let disk = Disk::open(path, Options { reserve_bytes: 0, ..Options::default() }).unwrap();
    for number in 0..50 {
        commit(&disk, number, 64).unwrap();
    }
    disk.state.engine().unwrap().remove_old_tables().unwrap();
    let deadline = Instant::now() + PATIENCE;
    while super::entries::newest_in_tables(&path.join("db"), disk.state.store_id()) != Some(50) {
        assert!(Instant::now() < deadline, "the numbers are in no table");
        std::thread::yield_now();
    }
}

#[test]
fn a_journal_that_was_emptied_is_told() {
    let folder = scratch();
    let path = folder.path().join("data");
    numbered_in_tables(&path);
    let journal = path.join("db/0.jnl");
    let content = fs::read(&journal).unwrap();
    for emptied in [Vec::new(), vec![0; content.len()]] {
        fs::write(&journal, emptied).unwrap();
        match Disk::open(&path, Options { reserve_bytes: 0, ..Options::default() }).map(drop) {
            Err(StoreError::Corrupt(what)) => {
                assert!(what.contains("0.jnl: it had acknowledged commits up to 50, and is empty"), "{what}");
            }
            other => panic!("opened: {other:?}"),
        }
        let told = super::Inspection::open(&path).unwrap().damage();
        assert!(told.iter().any(|damaged| damaged.place.ends_with("0.jnl")), "{told:?}");
    }
    fs::write(&journal, &content).unwrap();
    assert_eq!(
        numbers(&Disk::open(&path, Options { reserve_bytes: 0, ..Options::default() }).unwrap()).len(),
        50,
        "a backup of it is as good"
    );
    fs::write(&journal, []).unwrap();
    let repaired = Disk::open(&path, Options { accept_loss: true, ..Options::default() }).unwrap();
    assert_eq!(repaired.lost_commits(), 50);
    commit(&repaired, 51, 64).unwrap();
    drop(repaired);
    assert_eq!(
        numbers(&Disk::open(&path, Options { reserve_bytes: 0, ..Options::default() }).unwrap()),
        [51]
    );
}
