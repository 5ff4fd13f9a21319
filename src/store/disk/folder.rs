//! The data directory: one process at a time, one format, complete before it counts.
//!
//! | name | what |
//! |---|---|
//! | `FORMAT` | the format's version and the store's own number, as text; written last |
//! | `LOCK` | locked by the process that has the store open |
//! | `ACKNOWLEDGED` | the newest acknowledged commit, see [`mark`](super::mark) |
//! | `ACCEPTED` | losses that the operator accepted, as text, if any |
//! | `db/` | the database of the library: journals `*.jnl`, tables in `keyspaces/` |
//! | `set-aside-…/` | files as they were before a loss was accepted |

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{
    mark::{Known, MARK, Mark},
    place::{failed, foreign, make, unusable},
    stamp::StoreId,
};
use crate::store::StoreError;

/// Begins the file that says the format.
const FORMAT_NAME: &str = "fanwire store ";

/// The only format there is; a change of anything on disk changes it.
const FORMAT_LINE: &str = "fanwire store 1";

const FORMAT: &str = "FORMAT";

/// The format of a directory that is being created. It becomes [`FORMAT`] when everything is there.
const FORMAT_NEW: &str = "FORMAT.new";

const LOCK: &str = "LOCK";

const DATABASE: &str = "db";

/// A directory that belongs to this process until it is dropped.
pub(super) struct Folder {
    path: PathBuf,
    /// The store's own number.
    pub id: StoreId,
    /// Whether it was made just now.
    pub is_new: bool,
    lock: File,
}

impl Drop for Folder {
    /// Closing the file would unlock it too, but only once no child process that is just being started has it.
    fn drop(&mut self) {
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(%error, path = %self.path.display(), "unlocking the data directory");
        }
    }
}

impl Folder {
    /// Locks a directory, and creates a store in it if there is none; `fill` makes an empty database at a path.
    pub(super) fn open(
        path: &Path,
        fill: impl FnOnce(&Path) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        make(path)?;
        // Only said, not refused: a mount point or a home directory has something in it from the start.
        let is_store = path.join(FORMAT).exists() || path.join(DATABASE).exists();
        if !is_store && let Some(name) = foreign(path, &[LOCK, FORMAT, FORMAT_NEW, MARK])? {
            tracing::warn!(path = %path.display(), name = %name.display(), "a store is made beside something else");
        }
        let lock = lock(path, File::options().create(true).write(true).truncate(false))?;
        // Read again, now that nobody else can have made it meanwhile.
        let (id, is_new) = match read_format(&path.join(FORMAT))? {
            Some(id) => (id, false),
            None => (create(path, fill)?, true),
        };
        Ok(Self { path: path.to_owned(), id, is_new, lock })
    }

    /// Locks a directory that must be a store already. Writes nothing.
    pub(super) fn open_existing(path: &Path) -> Result<Self, StoreError> {
        let format = path.join(FORMAT);
        if !path.join(LOCK).exists() && !format.exists() {
            return Err(match fs::metadata(path) {
                Ok(_) => unusable(format!("{} is no fanwire store", path.display())),
                Err(error) => unusable(format!("{} is no fanwire store: {error}", path.display())),
            });
        }
        // Opened to be read, so that a directory can be checked by whoever may only read it.
        let lock = lock(path, File::options().read(true))?;
        match read_format(&format)? {
            Some(id) => Ok(Self { path: path.to_owned(), id, is_new: false, lock }),
            None => Err(super::mark::missing(&format)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }
}

fn lock(path: &Path, options: &OpenOptions) -> Result<File, StoreError> {
    let path = path.join(LOCK);
    let file = options.open(&path).map_err(|error| failed(&path, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked),
        Err(TryLockError::Error(error)) => Err(failed(&path, &error)),
    }
}

/// What the format file says; `None` if there is none.
fn read_format(path: &Path) -> Result<Option<StoreId>, StoreError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(path, &error)),
    };
    let text = String::from_utf8_lossy(&text).into_owned();
    let id = text.strip_prefix(FORMAT_LINE).and_then(|rest| {
        let sealed = rest.strip_prefix("\nid ")?.strip_suffix('\n')?;
        let (id, sum) = sealed.split_once(' ')?;
        // With another id every record would look like one of another store, and all commits as if they were missing.
        (sum_of(id) == sum).then(|| StoreId::from_text(id)).flatten()
    });
    id.map(Some).ok_or_else(|| unknown(path, &text))
}

/// What is wrong with a format file.
fn unknown(path: &Path, text: &str) -> StoreError {
    let (place, line) = (path.display(), text.lines().next().unwrap_or_default());
    let number = line.strip_prefix(FORMAT_NAME).and_then(|number| number.parse::<u32>().ok());
    match number {
        Some(_) if line != FORMAT_LINE => unusable(format!(
            "{place} says that it is a {line:?}, and this version of fanwire knows {FORMAT_LINE:?}: use the version that \
             made it, or another directory"
        )),
        _ => {
            let text: String = text.chars().take(64).collect();
            let what =
                format!("{place} says {text:?} and not {FORMAT_LINE:?} with an id; restore it from a backup");
            StoreError::Corrupt(what.into())
        }
    }
}

/// Guards the id against a changed digit.
fn sum_of(id: &str) -> String {
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(id.as_bytes()))
}

/// Makes an empty store. Until [`FORMAT`] is there nothing was ever acknowledged, so what an interrupted creation left
/// is made anew.
fn create(path: &Path, fill: impl FnOnce(&Path) -> Result<(), StoreError>) -> Result<StoreId, StoreError> {
    let database = path.join(DATABASE);
    let new = path.join(FORMAT_NEW);
    if database.exists() && !new.exists() {
        let problem =
            format!("{} is missing, but there is a database beside it", path.join(FORMAT).display());
        return Err(StoreError::Corrupt(problem.into()));
    }
    let mut id = StoreId([0; 16]);
    getrandom::fill(&mut id.0).map_err(|error| StoreError::Io(error.to_string().into()))?;
    // Durable before there is a database: one without it beside it is taken for a store that has lost its `FORMAT`.
    write_format(&new, id).map_err(|error| failed(&new, &error))?;
    sync_folder(path)?;
    match fs::remove_dir_all(&database) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&database, &error)),
        _ => {}
    }
    fill(&database)?;
    Mark::create(path, Known::default())?;
    sync_folder(path)?;
    // The last step, once everything else is durable: from here on what is missing is damage.
    fs::rename(&new, path.join(FORMAT)).map_err(|error| failed(&new, &error))?;
    sync_folder(path)?;
    Ok(id)
}

fn write_format(path: &Path, id: StoreId) -> io::Result<()> {
    let mut file = File::create(path)?;
    let id = id.to_text();
    write!(file, "{FORMAT_LINE}\nid {id} {}\n", sum_of(&id))?;
    file.sync_all()
}

/// Makes the names in a folder durable.
pub(super) fn sync_folder(path: &Path) -> Result<(), StoreError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|error| failed(path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance::scratch;

    #[test]
    fn a_directory_is_free_although_a_child_process_still_has_its_lock_file() {
        let place = scratch();
        let open = || {
            Folder::open(place.path(), |database| {
                fs::create_dir(database).unwrap();
                Ok(())
            })
        };
        let first = open().unwrap();
        let inherited = first.lock.try_clone().unwrap();
        assert!(matches!(open(), Err(StoreError::Locked)));
        drop(first);
        open().unwrap();
        drop(inherited);
    }
}
