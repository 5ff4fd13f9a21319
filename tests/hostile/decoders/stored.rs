//! The files of a data directory, changed while nobody looked, and the records in them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use fanwire::{
    durable::{decode_block, decode_head},
    store::{Batch, Disk, DiskOptions, Inspection, Scan, Space, Store},
};
use fanwire_proto::TopicName;

use super::{Decode, native};
use crate::random::Random;

/// Whoever opens it asks for nothing that depends on the machine.
const OPTIONS: DiskOptions = DiskOptions { cache_bytes: 1 << 20, reserve_bytes: 0, accept_loss: false };

/// How the store is read, then four bytes for each change: which file, where in it, and what becomes of that place.
pub(super) fn damages(random: &mut Random) -> Vec<u8> {
    (0..1 + random.size(64)).map(|_| random.byte()).collect()
}

/// A data directory that a broker left, in tables and in a journal, in which the input says what is changed.
pub(super) fn store() -> Decode {
    let place = tempfile::tempdir_in(fast_folder()).unwrap();
    let whole = place.path().join("whole");
    write_store(&whole);
    let files = files_of(&whole);
    let copy = place.path().join("copy");
    let _ = fs::remove_dir_all(&whole);
    Box::new(move |bytes| {
        let Some((how, changes)) = bytes.split_first() else { return };
        write_all(&copy, &files, changes);
        match how % 4 {
            0 => inspect(&copy),
            1 => open(&copy, DiskOptions { accept_loss: true, ..OPTIONS }),
            _ => open(&copy, OPTIONS),
        }
        fs::remove_dir_all(&copy).unwrap();
        // So that it lives as long as this does.
        assert!(place.path().exists());
    })
}

/// As a broker does that starts.
fn open(path: &Path, options: DiskOptions) {
    if let Ok(disk) = Disk::open(path, options) {
        for space in Space::ALL {
            let _ = disk.scan(&Scan::prefix(space, ""));
        }
    }
}

/// As an operator does who wants to know what is left.
fn inspect(path: &Path) {
    if let Ok(inspection) = Inspection::open(path) {
        let _ = (inspection.damage(), inspection.wrong_tables());
        Space::ALL.iter().for_each(|space| inspection.entries(*space).for_each(drop));
    }
}

/// In memory, where there is such a folder: it is about reading, not about the disk.
fn fast_folder() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.exists() { memory.to_owned() } else { std::env::temp_dir() }
}

/// Small, since each input reads all of it: a table in each space, and a journal that was cut to what is in it.
fn write_store(path: &Path) {
    let commit = |numbers: std::ops::Range<u8>| {
        let disk = Disk::open(path, OPTIONS).unwrap();
        for number in numbers {
            let mut batch = Batch::default();
            for space in Space::ALL {
                batch.put(space, format!("key-{number:04}"), vec![number; 100]);
                batch.delete(space, format!("key-{:04}", number / 2));
            }
            disk.commit(&batch).unwrap();
        }
    };
    commit(0..8);
    write_tables(&path.join("db"));
    commit(8..10);
    drop(Disk::open(path, OPTIONS).unwrap());
}

/// What a store does by itself once it has much more.
fn write_tables(database: &Path) {
    let database = fjall::Database::builder(database).open().unwrap();
    for space in Space::ALL {
        let keyspace = database.keyspace(space.name(), fjall::KeyspaceCreateOptions::default).unwrap();
        keyspace.rotate_memtable_and_wait().unwrap();
    }
}

/// Every file, by its path within `folder`.
fn files_of(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let (mut files, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(inner) = folders.pop() {
        for entry in fs::read_dir(inner).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => {
                    files.push((path.strip_prefix(folder).unwrap().to_owned(), fs::read(&path).unwrap()))
                }
            }
        }
    }
    files.sort();
    files
}

fn write_all(folder: &Path, files: &[(PathBuf, Vec<u8>)], changes: &[u8]) {
    for (number, (name, content)) in files.iter().enumerate() {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut content = content.clone();
        let changes = changes.chunks_exact(4).filter(|change| usize::from(change[0]) % files.len() == number);
        changes.for_each(|change| damage(&mut content, change));
        fs::write(path, content).unwrap();
    }
}

fn damage(bytes: &mut Vec<u8>, change: &[u8]) {
    let at = (usize::from(change[1]) << 8 | usize::from(change[2])) * bytes.len() / 65_536;
    match change[3] {
        _ if bytes.is_empty() => {}
        0 => bytes.truncate(at),
        byte => bytes[at] ^= byte,
    }
}

/// Heads and blocks as they are on the disk.
pub(super) fn records() -> Vec<Vec<u8>> {
    let tags = BTreeMap::from([("room", "blue")]);
    let message = |offset: u64, payload: &'static [u8]| {
        let payload = serde_bytes::Bytes::new(payload);
        (
            offset,
            1_700_000_000_000_u64,
            true,
            payload,
            Some("key"),
            Some(&tags),
            Some((7_u64, Some("ann"))),
            Some("id"),
        )
    };
    let block = (1_u8, 5_u64, 0_u64, 0_u64, [message(1, b"{\"a\":[1,2]}"), message(2, b"null")]);
    let head = (2_u8, 0_u8, 5_u64, 9_u64, 9_u64, 0_u64, 1_u64, 1_700_000_000_000_u64, 0_u64);
    vec![rmp_serde::to_vec(&block).unwrap(), rmp_serde::to_vec(&head).unwrap()]
}

/// With lengths and nesting that nothing bears out, in the place of the messages.
pub(super) fn record(random: &mut Random) -> Vec<u8> {
    [&b"\x95\x01\x05\x00\x00"[..], &native::marks(random)].concat()
}

/// What a checksum vouches for is still read with care.
pub(super) fn record_decoder() -> Decode {
    let topic: TopicName = "chat:a".parse().unwrap();
    Box::new(move |bytes| {
        let _ = decode_head(bytes);
        if let Ok(block) = decode_block(&topic, bytes) {
            assert!(block.messages.windows(2).all(|pair| pair[0].0.offset < pair[1].0.offset));
        }
    })
}
