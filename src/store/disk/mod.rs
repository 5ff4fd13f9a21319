//! A store on disk: a data directory that one process has open.
//!
//! The library below ([`engine`]) writes journals and tables; what it does not promise is added here:
//! - every value carries a checksum that covers its place ([`seal`]);
//! - every commit carries a number ([`stamp`]), and the newest acknowledged one is known ([`mark`]), so that a store from
//!   which acknowledged commits have vanished is refused rather than opened without them ([`survey`]);
//! - after a failed commit the store opens itself anew, and what was not acknowledged is taken back ([`state`]);
//! - what is damaged is read around, in an open store ([`salvage`]) and without the library ([`inspect`], [`entries`]);
//! - a place that cannot be a store is refused with what to do about it ([`place`]);
//! - a disk that is nearly full is noticed before it is full ([`room`]);
//! - what was deleted gives its room back ([`keeper`]).

mod accepted;
#[cfg(test)]
mod damage;
mod engine;
mod entries;
mod folder;
mod inspect;
mod journal;
mod keeper;
mod manifest;
mod mark;
mod options;
mod place;
mod record;
mod repair;
mod room;
mod salvage;
mod seal;
mod stamp;
mod state;
mod survey;
#[cfg(test)]
mod trouble;
mod wrong;

use std::{path::Path, sync::Arc};

use bytes::Bytes;
pub use entries::{Entries, Found};
pub use inspect::Inspection;
pub use options::Options;
pub use wrong::Damaged;

use self::{engine::Engine, folder::Folder, keeper::Keeper, state::State};
use super::{Batch, Entry, Salvage, Scan, Space, Store, StoreError};

/// A data directory.
pub struct Disk {
    state: Arc<State>,
    keeper: Keeper,
    is_new: bool,
}

impl Disk {
    /// Opens a data directory, or creates it.
    ///
    /// # Errors
    /// [`StoreError::Locked`] while another process has it open; [`StoreError::Corrupt`] with the places if it is damaged
    /// so that acknowledged commits would be missing; [`StoreError::Unusable`] if it is no place for one, or of a format
    /// that this version does not know.
    pub fn open(path: &Path, options: Options) -> Result<Self, StoreError> {
        Self::of(Folder::open(path, Engine::create)?, options)
    }

    /// Opens a data directory that must be one already.
    ///
    /// # Errors
    /// As [`open`](Self::open); [`StoreError::Unusable`] also if there is no store.
    pub fn open_existing(path: &Path, options: Options) -> Result<Self, StoreError> {
        Self::of(Folder::open_existing(path)?, options)
    }

    fn of(folder: Folder, options: Options) -> Result<Self, StoreError> {
        let (path, is_new) = (folder.path().to_owned(), folder.is_new);
        // The cause may be a file that belongs to somebody else, which an error of the library does not say.
        let state = Arc::new(State::open(folder, options).map_err(|error| place::explained(&path, error))?);
        let keeper = Keeper::start(state.clone())?;
        Ok(Self { state, keeper, is_new })
    }

    /// Writes everything to tables.
    #[cfg(test)]
    pub(crate) fn write_out(&self) {
        let engine = self.state.engine().unwrap();
        Space::ALL.iter().for_each(|space| engine.write_out(*space).unwrap());
    }

    /// Whether it was made just now, with nothing in it.
    pub fn is_new(&self) -> bool {
        self.is_new
    }
}

impl Store for Disk {
    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        self.state.commit(batch)
    }

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.state.read(|engine| engine.get(space, key))
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<Entry>, StoreError> {
        if scan.is_empty() { Ok(Vec::new()) } else { self.state.read(|engine| engine.scan(scan)) }
    }

    fn salvage(&self, scan: &Scan) -> Result<Salvage, StoreError> {
        self.state.read(|engine| engine.salvage(scan))
    }

    fn commits(&self) -> u64 {
        self.state.commits()
    }

    fn lost_commits(&self) -> u64 {
        self.state.lost_commits()
    }

    fn size(&self) -> Result<u64, StoreError> {
        self.state.read(Engine::size)
    }

    fn room(&self) -> Option<u64> {
        self.state.left()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // First, since it may have the engine in hand, which is closed by whoever has it alone.
        self.keeper.stop();
        self.state.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance::scratch;

    #[test]
    fn what_was_kept_is_there_after_opening_again() {
        let folder = scratch();
        let path = folder.path().join("data");
        let disk = Disk::open(&path, Options::default()).unwrap();
        let mut batch = Batch::default();
        batch.put(Space::Messages, "a", "1");
        batch.put(Space::Topics, "t", "2");
        disk.commit(&batch).unwrap();
        assert!(matches!(Disk::open(&path, Options::default()), Err(StoreError::Locked)));
        drop(disk);
        let disk = Disk::open(&path, Options::default()).unwrap();
        assert_eq!(disk.get(Space::Messages, b"a").unwrap().as_deref(), Some(&b"1"[..]));
        let entries = disk.scan(&Scan::prefix(Space::Topics, "")).unwrap();
        assert_eq!(entries, [(Bytes::from("t"), Bytes::from("2"))]);
    }
}
