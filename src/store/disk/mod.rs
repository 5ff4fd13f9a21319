//! A store on disk: a data directory that one process has open.
//!
//! The library below ([`engine`]) writes journals and tables; what it does not promise is added here:
//! - every value carries a checksum that covers its place ([`seal`]);
//! - every commit carries a number ([`stamp`]), and the newest acknowledged one is known ([`mark`]), so that a store from
//!   which acknowledged commits have vanished is refused rather than opened without them ([`survey`]);
//! - after a failed commit the store opens itself anew, and what was not acknowledged is taken back ([`Disk::commit`]);
//! - a disk that is nearly full is noticed before it is full ([`room`]).

mod accepted;
mod engine;
mod folder;
mod journal;
mod mark;
mod repair;
mod room;
mod seal;
mod stamp;
mod survey;

use std::{
    fs::OpenOptions,
    path::Path,
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use self::{
    accepted::Accepted, engine::Engine, folder::Folder, mark::Mark, room::Room, stamp::Stamp, survey::Survey,
};
use super::{Batch, Entry, Scan, Space, Store, StoreError};
use crate::defaults;

/// How to open a [`Disk`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Options {
    /// Bytes of memory for blocks read from disk.
    pub cache_bytes: u64,
    /// Commits are refused as [`StoreError::Full`] while less than this is free on the disk.
    pub reserve_bytes: u64,
    /// Go on without commits that were lost to damage. What is damaged is set aside, not deleted.
    pub accept_loss: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache_bytes: defaults::STORE_CACHE_BYTES,
            reserve_bytes: defaults::STORE_RESERVE_BYTES,
            accept_loss: false,
        }
    }
}

/// How long after it could not be opened anew the store is tried again.
const REOPEN: Duration = Duration::from_secs(1);

/// A data directory.
pub struct Disk {
    folder: Folder,
    options: Options,
    /// `None` after it could not be opened anew.
    engine: RwLock<Option<Engine>>,
    writer: Mutex<Writer>,
}

/// What a commit needs and changes. Taken before the engine's lock.
struct Writer {
    room: Room,
    mark: Mark,
    /// The newest commit that succeeded.
    last: u64,
    /// Why the engine cannot be written to, and when to open it anew.
    broken: Option<(StoreError, Instant)>,
}

impl Disk {
    /// Opens a data directory, or creates it.
    ///
    /// # Errors
    /// [`StoreError::Locked`] while another process has it open; [`StoreError::Corrupt`] with the places if it is damaged
    /// so that acknowledged commits would be missing, or is of a format that this version does not know.
    pub fn open(path: &Path, options: Options) -> Result<Self, StoreError> {
        let folder = Folder::open(path, Engine::create)?;
        Self::of(folder, options)
    }

    /// Opens a data directory that must be one already.
    ///
    /// # Errors
    /// As [`open`](Self::open), and [`StoreError::Io`] if there is no store.
    pub fn open_existing(path: &Path, options: Options) -> Result<Self, StoreError> {
        Self::of(Folder::open_existing(path)?, options)
    }

    fn of(folder: Folder, options: Options) -> Result<Self, StoreError> {
        let mut accepted = Accepted::read(folder.path())?;
        let mut mark = match Mark::open(folder.path()) {
            Err(StoreError::Corrupt(_)) if options.accept_loss => repair::new_mark(&folder, 0)?,
            mark => mark?,
        };
        let acknowledged = mark.number();
        let mut survey = Survey::of(&folder.database(), folder.id, acknowledged, &accepted)?;
        if options.accept_loss && !survey.damage.is_empty() {
            survey = repair::accept_loss(&folder, survey, acknowledged, &mut accepted)?;
        }
        if let Some(error) = survey.error() {
            return Err(error);
        }
        let engine = Engine::open(&folder.database(), options.cache_bytes)?;
        let found = engine.last_commit()?;
        if let Some((first, last)) = missing(&survey, found, acknowledged, &accepted) {
            let what = format!("commits {first} to {last} are not there");
            let error = StoreError::Corrupt(format!("{}: {what}", folder.database().display()).into());
            if !options.accept_loss {
                return Err(error);
            }
            accepted.add(folder.path(), first, last)?;
        }
        // The numbers of lost commits are not used again, so that a loss that was accepted hides no other.
        let last = found.max(acknowledged).max(accepted.highest());
        mark.advance(last);
        let room = Room::new(folder.path(), options.reserve_bytes);
        let writer = Writer { room, mark, last, broken: None };
        Ok(Self { folder, options, engine: RwLock::new(Some(engine)), writer: Mutex::new(writer) })
    }

    fn read<T>(&self, work: impl FnOnce(&Engine) -> Result<T, StoreError>) -> Result<T, StoreError> {
        match &*self.engine.read() {
            Some(engine) => work(engine),
            None => Err(StoreError::Io("the database could not be opened anew yet".into())),
        }
    }

    /// Takes back what was not acknowledged, and opens the database anew: after a failure the library takes no more
    /// commits, and what it had not written yet it writes while it closes.
    fn mend(&self, writer: &mut Writer) -> Result<(), StoreError> {
        let mut slot = self.engine.write();
        if let Some(engine) = slot.take() {
            engine.close();
        }
        let mended = self.cut_after(writer.last).and_then(|()| {
            let engine = Engine::open(&self.folder.database(), self.options.cache_bytes)?;
            match engine.last_commit()? {
                found if found == writer.last => Ok(engine),
                found => {
                    let last = writer.last;
                    Err(StoreError::Corrupt(format!("commit {found} is the newest, not {last}").into()))
                }
            }
        });
        let outcome = mended.map(|engine| *slot = Some(engine));
        match &outcome {
            Ok(()) => writer.broken = None,
            Err(error) => writer.broken = Some((error.clone(), Instant::now() + REOPEN)),
        }
        outcome
    }

    /// Ends the newest journal after a commit.
    fn cut_after(&self, number: u64) -> Result<(), StoreError> {
        let database = self.folder.database();
        let journals = journal::paths(&database).map_err(|error| folder::failed(&database, &error))?;
        let Some((_, path)) = journals.last() else { return Ok(()) };
        let cut = || {
            let end = journal::end_of(path, self.folder.id, number)?;
            let file = OpenOptions::new().write(true).open(path)?;
            file.set_len(end)?;
            file.sync_all()
        };
        cut().map_err(|error| folder::failed(path, &error))
    }
}

/// The commits that are not there although journals, tables or the mark know of them, with what the library found as
/// the newest one. Tables are written after the journal, so they never know more than it, unless it is new and empty.
fn missing(survey: &Survey, found: u64, acknowledged: u64, accepted: &Accepted) -> Option<(u64, u64)> {
    let in_journals = survey.last.unwrap_or(found);
    let (least, most) = (found.min(in_journals), found.max(in_journals).max(acknowledged));
    (least < most && !accepted.has(least + 1, most)).then_some((least + 1, most))
}

impl Store for Disk {
    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        batch.check()?;
        let mut writer = self.writer.lock();
        writer.room.check(batch.bytes() as u64)?;
        match &writer.broken {
            Some((error, retry)) if Instant::now() < *retry => return Err(error.clone()),
            Some(_) => self.mend(&mut writer)?,
            None if !self.read(|engine| Ok(engine.works()))? => self.mend(&mut writer)?,
            None => {}
        }
        let number = writer.last + 1;
        let committed = self.read(|engine| engine.commit(batch, Stamp { number, store: self.folder.id }));
        match &committed {
            Ok(()) => {
                writer.last = number;
                writer.mark.advance(number);
            }
            Err(error) => writer.broken = Some((error.clone(), Instant::now())),
        }
        committed
    }

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.read(|engine| engine.get(space, key))
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<Entry>, StoreError> {
        if scan.is_empty() { Ok(Vec::new()) } else { self.read(|engine| engine.scan(scan)) }
    }

    fn size(&self) -> Result<u64, StoreError> {
        self.read(Engine::size)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.get_mut().take() {
            engine.close();
        }
        if let Err(error) = self.writer.get_mut().mark.sync() {
            tracing::warn!(%error, "the mark could not be synced");
        }
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
