//! The data directory: one process at a time, one format.

use std::{
    fs::{self, File, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::store::StoreError;

/// What is written to [`FORMAT`]; a change of anything on disk changes it.
const FORMAT_TEXT: &str = "fanwire store 1\n";

/// Says which format the directory has.
const FORMAT: &str = "FORMAT";

/// Locked by the process that has the store open. Stays when the process ends, the lock does not.
const LOCK: &str = "LOCK";

/// The database of the library.
const DATABASE: &str = "db";

/// A directory that belongs to this process until it is dropped.
pub(super) struct Folder {
    path: PathBuf,
    /// Unlocked when closed.
    _lock: File,
}

impl Folder {
    /// Creates what is missing, and locks.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let named = |error| failed(path, &error);
        fs::create_dir_all(path).map_err(named)?;
        let lock = path.join(LOCK);
        let lock_file = File::options().create(true).write(true).truncate(false).open(&lock);
        let lock_file = lock_file.map_err(|error| failed(&lock, &error))?;
        match lock_file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked),
            Err(TryLockError::Error(error)) => return Err(failed(&lock, &error)),
        }
        let folder = Self { path: path.to_owned(), _lock: lock_file };
        folder.check_format()?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    fn check_format(&self) -> Result<(), StoreError> {
        let path = self.path.join(FORMAT);
        match fs::read(&path) {
            Ok(text) if text == FORMAT_TEXT.as_bytes() => Ok(()),
            Ok(text) => {
                let text = String::from_utf8_lossy(&text[..text.len().min(64)]).into_owned();
                let problem = format!("{} says {text:?}, this version knows {FORMAT_TEXT:?}", path.display());
                Err(StoreError::Corrupt(problem.into()))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.write_format(&path),
            Err(error) => Err(failed(&path, &error)),
        }
    }

    /// Marks a new directory as ours. One that has a database but no format is not new.
    fn write_format(&self, path: &Path) -> Result<(), StoreError> {
        if self.database().exists() {
            let problem = format!("{} is missing, but there is a database beside it", path.display());
            return Err(StoreError::Corrupt(problem.into()));
        }
        let named = |error| failed(path, &error);
        let new = path.with_extension("new");
        let mut file = File::create(&new).map_err(named)?;
        file.write_all(FORMAT_TEXT.as_bytes()).map_err(named)?;
        file.sync_all().map_err(named)?;
        fs::rename(&new, path).map_err(named)?;
        sync_folder(&self.path)
    }
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|error| failed(path, &error))
}

/// What went wrong with a file.
pub(super) fn failed(path: &Path, error: &io::Error) -> StoreError {
    let what = format!("{}: {error}", path.display()).into();
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full(what),
        _ => StoreError::Io(what),
    }
}
