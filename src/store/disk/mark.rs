//! The number of the newest acknowledged commit, and the journal that has a commit for sure, in a file of its own.
//!
//! A journal that lost its end looks like one that was never longer. The mark tells: it is written once a commit is
//! durable and before it is acknowledged, so a store that has fewer commits than its mark says has lost some. It is not
//! synced each time: when the process is killed it is exact, after a power cut it may be some seconds old, never ahead.
//!
//! A journal that somebody emptied looks like a new one, and tables alone do not tell whether everything in it had been
//! written to them: some spaces are written before others. So the mark names the newest journal into which a commit went.
//!
//! Two slots, written in turn, so that a slot that is torn by a power cut leaves the other.

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::xxh3_64;

use super::place::failed;
use crate::store::StoreError;

/// Its name in the data directory.
pub(super) const MARK: &str = "ACKNOWLEDGED";

/// Apart from each other, so that one torn sector cannot take both.
const SLOT_BYTES: u64 = 4096;

/// The open file.
pub(super) struct Mark {
    file: File,
    path: PathBuf,
    known: Known,
}

/// What a mark says.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub(super) struct Known {
    /// The newest acknowledged commit.
    pub number: u64,
    /// The newest journal that has one.
    pub journal: Option<u64>,
}

const SLOT: usize = 24;

/// The number; the journal's, plus one, or 0; XXH3-64 of both.
fn encode(known: Known) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    slot[..8].copy_from_slice(&known.number.to_be_bytes());
    slot[8..16].copy_from_slice(&known.journal.map_or(0, |journal| journal + 1).to_be_bytes());
    let sum = xxh3_64(&slot[..16]);
    slot[16..].copy_from_slice(&sum.to_be_bytes());
    slot
}

fn decode(slot: [u8; SLOT]) -> Option<Known> {
    let [number, journal, sum]: [u64; 3] =
        [0, 8, 16].map(|at| slot[at..].first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes)));
    if xxh3_64(&slot[..16]) == sum {
        return Some(Known { number, journal: journal.checked_sub(1) });
    }
    // As it was before it named a journal: the number, and XXH3-64 of it.
    (xxh3_64(&slot[..8]) == journal).then_some(Known { number, journal: None })
}

impl Mark {
    /// Creates the file, durably but for its name.
    pub(super) fn create(folder: &Path, known: Known) -> Result<Self, StoreError> {
        let path = folder.join(MARK);
        let create = || {
            let file = File::create(&path)?;
            file.set_len(SLOT_BYTES * 2)?;
            for slot in 0..2 {
                file.write_all_at(&encode(known), slot * SLOT_BYTES)?;
            }
            file.sync_all()?;
            Ok(file)
        };
        let file = create().map_err(|error| failed(&path, &error))?;
        Ok(Self { file, path, known })
    }

    /// Opens what is there.
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::open_with(folder, OpenOptions::new().read(true).write(true))
    }

    /// What it says; writes nothing.
    pub(super) fn peek(folder: &Path) -> Result<Known, StoreError> {
        Self::open_with(folder, OpenOptions::new().read(true)).map(|mark| mark.known)
    }

    fn open_with(folder: &Path, options: &OpenOptions) -> Result<Self, StoreError> {
        let path = folder.join(MARK);
        let file = options.open(&path);
        let file = file.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => missing(&path),
            _ => failed(&path, &error),
        })?;
        let known = Self::read(&file).ok_or_else(|| {
            StoreError::Corrupt(format!("{}: neither of its two numbers can be read", path.display()).into())
        })?;
        Ok(Self { file, path, known })
    }

    fn read(file: &File) -> Option<Known> {
        let slots = (0..2).filter_map(|slot| {
            let mut bytes = [0; SLOT];
            file.read_exact_at(&mut bytes, slot * SLOT_BYTES).ok()?;
            decode(bytes)
        });
        // Of two that are whole the later one; of a torn write only the other is.
        slots.max()
    }

    /// What it says.
    pub(super) fn known(&self) -> Known {
        self.known
    }

    /// Notes that a commit is durable.
    pub(super) fn advance(&mut self, known: Known) {
        // Numbers follow each other, so this is the slot that was not written last.
        let written = self.file.write_all_at(&encode(known), (known.number % 2) * SLOT_BYTES);
        match written {
            Ok(()) => self.known = known,
            // An old mark is right, too; it only tells less.
            Err(error) => tracing::warn!(%error, path = %self.path.display(), "the mark stays behind"),
        }
    }

    /// The file, to sync it while commits go on.
    pub(super) fn file(&self) -> Result<File, StoreError> {
        self.file.try_clone().map_err(|error| failed(&self.path, &error))
    }

    /// Makes what it says durable.
    pub(super) fn sync(&self) -> Result<(), StoreError> {
        self.file.sync_data().map_err(|error| failed(&self.path, &error))
    }
}

/// A file that must be there is not.
pub(super) fn missing(path: &Path) -> StoreError {
    StoreError::Corrupt(format!("{} is missing", path.display()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_comes_back_and_an_old_one_is_understood() {
        for known in [Known { number: 7, journal: None }, Known { number: u64::MAX, journal: Some(3) }] {
            assert_eq!(decode(encode(known)), Some(known));
        }
        let mut old = [0; SLOT];
        old[..8].copy_from_slice(&9_u64.to_be_bytes());
        let sum = xxh3_64(&old[..8]);
        old[8..16].copy_from_slice(&sum.to_be_bytes());
        assert_eq!(decode(old), Some(Known { number: 9, journal: None }));
        assert_eq!(decode([1; SLOT]), None);
    }
}
