//! The files of a data directory, changed while nobody looked.

use std::{
    fs,
    path::{Path, PathBuf},
};

use fanwire::store::{Batch, Disk, DiskOptions, Scan, Space, Store};

use super::Decode;
use crate::random::Random;

/// Four bytes each: which file, where in it, and what becomes of that place.
pub(super) fn damages(random: &mut Random) -> Vec<u8> {
    (0..random.size(64)).map(|_| random.byte()).collect()
}

/// A data directory that a broker left, in which the input says what is flipped: positions and bytes.
pub(super) fn decoder() -> Decode {
    let place = tempfile::tempdir_in(fast_folder()).unwrap();
    let whole = place.path().join("whole");
    write_store(&whole);
    Box::new(move |bytes| {
        let copy = place.path().join("copy");
        let files = copy_of(&whole, &copy);
        for change in bytes.chunks_exact(4) {
            damage(&files[usize::from(change[0]) % files.len()], change);
        }
        if let Ok(disk) = Disk::open(&copy, DiskOptions { reserve_bytes: 0, ..DiskOptions::default() }) {
            for space in Space::ALL {
                let _ = disk.scan(&Scan::prefix(space, ""));
            }
        }
        fs::remove_dir_all(&copy).unwrap();
    })
}

/// In memory, where there is such a folder: it is about reading, not about the disk.
fn fast_folder() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.exists() { memory.to_owned() } else { std::env::temp_dir() }
}

fn write_store(path: &Path) {
    let disk = Disk::open(path, DiskOptions { reserve_bytes: 0, ..DiskOptions::default() }).unwrap();
    for number in 0..200_u32 {
        let mut batch = Batch::default();
        for space in Space::ALL {
            batch.put(space, format!("key-{number:04}"), vec![number.to_le_bytes()[0]; 100]);
        }
        disk.commit(&batch).unwrap();
    }
}

fn copy_of(from: &Path, to: &Path) -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![(from.to_owned(), to.to_owned())]);
    while let Some((from, to)) = folders.pop() {
        fs::create_dir_all(&to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let (path, target) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
            if path.is_dir() {
                folders.push((path, target));
            } else {
                fs::copy(&path, &target).unwrap();
                files.push(target);
            }
        }
    }
    files.sort();
    files
}

fn damage(file: &Path, change: &[u8]) {
    let mut bytes = fs::read(file).unwrap();
    if bytes.is_empty() {
        return;
    }
    let at = (usize::from(change[1]) << 8 | usize::from(change[2])) * bytes.len() / 65_536;
    match change[3] {
        0 => bytes.truncate(at),
        byte => bytes[at] ^= byte,
    }
    fs::write(file, bytes).unwrap();
}
