//! The manifest of a space: which tables belong to it.
//!
//! `keyspaces/N/current` names the file `vM` beside it, and has its checksum; the library does not compare it. That file
//! ends in a list of its sections, one of which lists the tables with their checksums. Integers are in little endian.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::xxh3_128;

use super::wrong::Damage;

/// Bytes of a `current` file: number of the manifest, its checksum, the kind of checksum.
const CURRENT_BYTES: usize = 25;

/// Bytes at the end of a manifest: magic, version, kind of checksum, checksum of the list of sections, its place and
/// length.
const TRAILER_BYTES: usize = 38;

/// A table of a space.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Table {
    /// The file.
    pub path: PathBuf,
    /// XXH3-128 of it.
    pub sum: u128,
}

/// What belongs to a space.
#[derive(PartialEq, Eq, Debug)]
pub(super) struct Manifest {
    /// Its tables, newest first.
    pub tables: Vec<Table>,
}

/// The directory of a space; the library's own is 0, ours were created in order after it.
pub(super) fn folder_of(database: &Path, space: u64) -> PathBuf {
    database.join("keyspaces").join(space.to_string())
}

impl Manifest {
    /// Reads the manifest of a space, if it is what was written.
    pub(super) fn read(database: &Path, space: u64) -> Result<Self, Damage> {
        let folder = folder_of(database, space);
        let current = folder.join("current");
        let damaged = |path: &Path, what: &str| Damage::File { path: path.to_owned(), what: what.into() };
        let unreadable = |path: &Path, error: &io::Error| damaged(path, &error.to_string());
        let bytes = fs::read(&current).map_err(|error| unreadable(&current, &error))?;
        let bytes: [u8; CURRENT_BYTES] =
            bytes.try_into().map_err(|_| damaged(&current, "not as long as it should be"))?;
        let [a, b, c, d, e, f, g, h, sum @ .., kind] = bytes;
        let path = folder.join(format!("v{}", u64::from_le_bytes([a, b, c, d, e, f, g, h])));
        let bytes = fs::read(&path).map_err(|error| unreadable(&path, &error))?;
        // The library would take tables that a changed manifest does not name for leftovers, and delete them.
        if kind != 0 || xxh3_128(&bytes) != u128::from_le_bytes(sum) {
            return Err(damaged(&path, "does not have the checksum that is kept in `current` beside it"));
        }
        let tables = tables(&folder, &bytes).ok_or_else(|| damaged(&path, "not a manifest that is known"))?;
        Ok(Self { tables })
    }
}

fn tables(folder: &Path, manifest: &[u8]) -> Option<Vec<Table>> {
    let mut section = Bytes(section(manifest, b"tables")?);
    let mut tables = Vec::new();
    for _level in 0..section.u8()? {
        for _run in 0..section.u8()? {
            for _table in 0..section.u32()? {
                let id = section.u64()?;
                let _kind = section.u8()?;
                let sum = u128::from_le_bytes(section.array()?);
                let _sequence = section.u64()?;
                tables.push(Table { path: folder.join("tables").join(id.to_string()), sum });
            }
        }
    }
    Some(tables)
}

fn section<'a>(manifest: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let mut trailer = Bytes(manifest.get(manifest.len().checked_sub(TRAILER_BYTES)?..)?);
    let [magic @ .., _, _] = trailer.array::<6>()?;
    // The whole file has been compared with the checksum in `current`.
    let _sum: [u8; 16] = trailer.array()?;
    let mut list = Bytes(manifest.get(usize::try_from(trailer.u64()?).ok()?..)?);
    if magic != *b"SFA!" || list.array()? != *b"TOC!" {
        return None;
    }
    for _ in 0..list.u32()? {
        let (start, length) = (usize::try_from(list.u64()?).ok()?, usize::try_from(list.u64()?).ok()?);
        let name_length = u16::from_le_bytes(list.array()?);
        if list.take(usize::from(name_length))? == name {
            return manifest.get(start..start.checked_add(length)?);
        }
    }
    None
}

/// Bytes that are read from the front.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u8(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }
}
