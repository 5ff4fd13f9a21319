//! The number of the newest acknowledged commit, in a file of its own.
//!
//! A journal that lost its end looks like one that was never longer. The mark tells: it is written once a commit is
//! durable and before it is acknowledged, so a store that has fewer commits than its mark says has lost some. It is not
//! synced each time: when the process is killed it is exact, after a power cut it may be some seconds old, never ahead.
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
    /// What it says.
    number: u64,
}

fn encode(number: u64) -> [u8; 16] {
    let mut slot = [0; 16];
    slot[..8].copy_from_slice(&number.to_be_bytes());
    let sum = xxh3_64(&slot[..8]);
    slot[8..].copy_from_slice(&sum.to_be_bytes());
    slot
}

fn decode(slot: [u8; 16]) -> Option<u64> {
    let (number, sum) = slot.split_first_chunk::<8>()?;
    (xxh3_64(number).to_be_bytes() == sum).then(|| u64::from_be_bytes(*number))
}

impl Mark {
    /// Creates the file, durably but for its name.
    pub(super) fn create(folder: &Path, number: u64) -> Result<Self, StoreError> {
        let path = folder.join(MARK);
        let create = || {
            let file = File::create(&path)?;
            file.set_len(SLOT_BYTES * 2)?;
            for slot in 0..2 {
                file.write_all_at(&encode(number), slot * SLOT_BYTES)?;
            }
            file.sync_all()?;
            Ok(file)
        };
        let file = create().map_err(|error| failed(&path, &error))?;
        Ok(Self { file, path, number })
    }

    /// Opens what is there.
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        Self::open_with(folder, OpenOptions::new().read(true).write(true))
    }

    /// What it says; writes nothing.
    pub(super) fn peek(folder: &Path) -> Result<u64, StoreError> {
        Self::open_with(folder, OpenOptions::new().read(true)).map(|mark| mark.number)
    }

    fn open_with(folder: &Path, options: &OpenOptions) -> Result<Self, StoreError> {
        let path = folder.join(MARK);
        let file = options.open(&path);
        let file = file.map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => missing(&path),
            _ => failed(&path, &error),
        })?;
        let number = Self::read(&file).ok_or_else(|| {
            StoreError::Corrupt(format!("{}: neither of its two numbers can be read", path.display()).into())
        })?;
        Ok(Self { file, path, number })
    }

    fn read(file: &File) -> Option<u64> {
        let slots = (0..2).filter_map(|slot| {
            let mut bytes = [0; 16];
            file.read_exact_at(&mut bytes, slot * SLOT_BYTES).ok()?;
            decode(bytes)
        });
        slots.max()
    }

    /// What it says.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// Notes that a commit is durable.
    pub(super) fn advance(&mut self, number: u64) {
        let written = self.file.write_all_at(&encode(number), (number % 2) * SLOT_BYTES);
        match written {
            Ok(()) => self.number = number,
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
