//! What is open: the database, what a commit changes, and the way back after a failure.

use std::{
    fs::{File, OpenOptions},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};

use super::{
    Options, accepted::Accepted, engine::Engine, folder::Folder, journal, mark::Known, mark::Mark,
    place::failed, repair, room::Room, stamp::Stamp, survey::Survey,
};
use crate::store::{Batch, Space, StoreError, Write};

/// How long after it could not be opened anew the store is tried again.
const REOPEN: Duration = Duration::from_secs(1);

/// An open data directory.
pub(super) struct State {
    folder: Folder,
    options: Options,
    /// `None` after it could not be opened anew, and once it is closed.
    engine: RwLock<Option<Arc<Engine>>>,
    writer: Mutex<Writer>,
    room: Room,
    /// The newest commit that was begun.
    commits: AtomicU64,
    lost_commits: u64,
    /// Held while tables are merged, and while the engine is replaced.
    pub tidying: Mutex<()>,
    /// Deleted entries per space since its tables were merged.
    pub deleted: [AtomicU64; Space::ALL.len()],
}

/// What a commit needs and changes. Taken before the engine's lock.
struct Writer {
    mark: Mark,
    /// The newest commit that succeeded.
    last: u64,
    /// Why the engine cannot be written to, and when to open it anew.
    broken: Option<(StoreError, Instant)>,
}

impl State {
    /// Opens what is in a directory, unless acknowledged commits are missing there.
    pub(super) fn open(folder: Folder, options: Options) -> Result<Self, StoreError> {
        let mut accepted = Accepted::read(folder.path())?;
        let mut mark = match Mark::open(folder.path()) {
            Err(StoreError::Corrupt(_)) if options.accept_loss => {
                repair::new_mark(&folder, Known::default())?
            }
            mark => mark?,
        };
        let acknowledged = mark.known();
        // Before the library opens anything, which would cut off or delete what it cannot make sense of.
        let mut survey = Survey::of(&folder.database(), folder.id, acknowledged, &accepted)?;
        if options.accept_loss && !survey.damage.is_empty() {
            survey = repair::accept_loss(&folder, survey, acknowledged, &mut accepted)?;
        }
        if let Some(error) = survey.error() {
            return Err(error);
        }
        let engine = Engine::open(&folder.database(), options.cache_bytes)?;
        let found = engine.last_commit()?;
        // Two readers of the same files have to agree, or one of them has missed something.
        if found != survey.newest() {
            let what = format!("commit {found} is the newest that is read, {} is there", survey.newest());
            return Err(StoreError::Corrupt(format!("{}: {what}", folder.database().display()).into()));
        }
        // The numbers of lost commits are not used again, so that a loss that was accepted hides no other.
        let last = found.max(acknowledged.number).max(accepted.highest());
        // What is there is as it should be: whatever journals have is known from here on.
        let journal = survey.journals.iter().rev().find(|journal| journal.numbers.is_some());
        mark.advance(Known { number: last, journal: journal.map(|journal| journal.id) });
        let deleted = Space::ALL.map(|space| AtomicU64::new(engine.tombstones(space)));
        Ok(Self {
            commits: AtomicU64::new(last),
            lost_commits: accepted.count(),
            room: Room::new(folder.path(), options.reserve_bytes),
            folder,
            options,
            engine: RwLock::new(Some(Arc::new(engine))),
            writer: Mutex::new(Writer { mark, last, broken: None }),
            tidying: Mutex::default(),
            deleted,
        })
    }

    /// Merges the tables of a space, for someone who holds [`tidying`](Self::tidying); whether that was possible now.
    pub(super) fn merge(&self, engine: &Engine, space: Space) -> Result<bool, StoreError> {
        if !engine.merge(space)? {
            return Ok(false);
        }
        // What was merged is removed once something newer has been committed.
        self.commit(&Batch::default())?;
        engine.remove_old_tables().map(|()| true)
    }

    /// Reads, or says why that is not possible now.
    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&Engine) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &*self.engine.read() {
            Some(engine) => work(engine),
            None => Err(StoreError::Io("the database could not be opened anew yet".into())),
        }
    }

    /// The engine, for someone who holds [`tidying`](Self::tidying).
    pub(super) fn engine(&self) -> Option<Arc<Engine>> {
        self.engine.read().clone()
    }

    #[cfg(test)]
    pub(super) fn store_id(&self) -> super::stamp::StoreId {
        self.folder.id
    }

    pub(super) fn commits(&self) -> u64 {
        self.commits.load(Ordering::Relaxed)
    }

    pub(super) fn lost_commits(&self) -> u64 {
        self.lost_commits
    }

    /// Bytes that can be written beside the reserve, if the system says.
    pub(super) fn left(&self) -> Option<u64> {
        self.room.left().ok()
    }

    /// Whether so many bytes can be written.
    pub(super) fn has_room(&self, bytes: u64) -> bool {
        self.room.check(bytes).is_ok()
    }

    /// The number of the newest commit, and the file that it is marked in.
    pub(super) fn mark(&self) -> Result<(u64, File), StoreError> {
        let writer = self.writer.lock();
        Ok((writer.last, writer.mark.file()?))
    }

    /// Writes a batch; returns once it is durable, and marked as such.
    pub(super) fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        batch.check()?;
        self.room.check(batch.bytes() as u64)?;
        let mut writer = self.writer.lock();
        match &writer.broken {
            Some((error, retry)) if Instant::now() < *retry => return Err(error.clone()),
            Some(_) => self.mend(&mut writer)?,
            // A background thread may have failed since the last commit, and the library takes none after that.
            None if !self.read(|engine| Ok(engine.works()))? => self.mend(&mut writer)?,
            None => {}
        }
        // The number of one that failed is used again: `mend` has taken that one out of the journal.
        let number = writer.last + 1;
        // Counted once it is begun: one that fails may be on the disk all the same.
        self.commits.store(number, Ordering::Relaxed);
        let journal = self.newest_journal(writer.mark.known().journal);
        let committed = self.read(|engine| engine.commit(batch, Stamp { number, store: self.folder.id }));
        match &committed {
            Ok(()) => {
                writer.last = number;
                // Unless another one was begun meanwhile, it is there that the commit is.
                let certain = journal.filter(|journal| self.newest_journal(Some(*journal)) == Some(*journal));
                let journal = certain.or(writer.mark.known().journal);
                writer.mark.advance(Known { number, journal });
                self.count_deleted(batch);
            }
            // Mended with the next commit: opening anew takes long, and whoever waits for this one is to hear.
            Err(error) => writer.broken = Some((error.clone(), Instant::now())),
        }
        committed
    }

    /// The number of the newest journal; the one that was it at last is a good guess.
    fn newest_journal(&self, guess: Option<u64>) -> Option<u64> {
        let database = self.folder.database();
        // A look for one name, instead of the whole directory with every commit.
        if let Some(guess) = guess
            && !journal::path_of(&database, guess + 1).exists()
        {
            return Some(guess);
        }
        journal::paths(&database).ok()?.last().map(|(number, _)| *number)
    }

    fn count_deleted(&self, batch: &Batch) {
        for write in &batch.writes {
            if let Write::Delete(space, _) = write {
                self.deleted[*space as usize].fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Takes back what was not acknowledged, and opens the database anew: after a failure the library takes no more
    /// commits, and what it had not written yet it writes while it closes.
    fn mend(&self, writer: &mut Writer) -> Result<(), StoreError> {
        // Whoever merges tables has the engine in hand, and it can only be closed by whoever has it alone.
        let Some(_tidying) = self.tidying.try_lock() else {
            return Err(StoreError::Io(
                "tables are being merged; the database is opened anew after that".into(),
            ));
        };
        tracing::warn!(last = writer.last, "the database is opened anew after a failure");
        // Readers that are at it finish first, and the next ones wait until it is open again.
        let mut slot = self.engine.write();
        if let Some(engine) = slot.take().and_then(Arc::into_inner) {
            engine.close();
        }
        // Only once it is closed, which may write what the failed commit left behind.
        let mended = self.cut_after(writer.last).and_then(|()| {
            let engine = Engine::open(&self.folder.database(), self.options.cache_bytes)?;
            let found = engine.last_commit()?;
            match found <= writer.last {
                true => Ok(engine),
                false => Err(StoreError::Corrupt(
                    format!("commit {found} is the newest, not {}", writer.last).into(),
                )),
            }
        });
        let outcome = mended.map(|engine| *slot = Some(Arc::new(engine)));
        match &outcome {
            Ok(()) => writer.broken = None,
            Err(error) => writer.broken = Some((error.clone(), Instant::now() + REOPEN)),
        }
        outcome
    }

    /// Ends the journals after a commit.
    fn cut_after(&self, number: u64) -> Result<(), StoreError> {
        let database = self.folder.database();
        let journals = journal::paths(&database).map_err(|error| failed(&database, &error))?;
        for (_, path) in journals.iter().rev() {
            let cut = || {
                let end = journal::end_of(path, self.folder.id, number)?;
                let file = OpenOptions::new().write(true).open(path)?;
                file.set_len(end)?;
                file.sync_all()?;
                Ok(end)
            };
            // One that is empty was begun when the failure happened.
            if cut().map_err(|error| failed(path, &error))? > 0 {
                break;
            }
        }
        Ok(())
    }

    /// Closes the database. Nothing can be read or written any more.
    pub(super) fn close(&self) {
        // A commit that is under way has the same lock, and finishes first.
        let writer = self.writer.lock();
        if let Some(engine) = self.engine.write().take().and_then(Arc::into_inner) {
            engine.close();
        }
        if let Err(error) = writer.mark.sync() {
            tracing::warn!(%error, "the mark could not be synced");
        }
    }
}
