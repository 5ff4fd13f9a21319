//! A store that fails when it is told to: for tests of what is built on a store.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use parking_lot::{Condvar, Mutex};

use super::{Batch, Entry, Hole, Salvage, Scan, Space, Store, StoreError};

/// How a commit fails.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Nothing is written.
    Before(StoreError),
    /// The batch is written, and the caller told that it was not: as when the process dies before it can answer, and is
    /// seen by `get` and `scan` from then on.
    After(StoreError),
    /// It takes so much longer.
    Late(Duration),
}

#[derive(Default)]
struct Plan {
    /// Commits that were begun.
    begun: u64,
    /// By the number of the commit, from 1 on.
    faults: BTreeMap<u64, Fault>,
    /// Every commit fails.
    failing: Option<StoreError>,
    /// Entries that cannot be read.
    damaged: BTreeSet<(Space, Bytes)>,
    /// Commits wait.
    held: bool,
    /// Commits that wait.
    waiting: usize,
    /// Reads of keys that begin so wait.
    unread: Option<Bytes>,
    /// Reads that wait.
    reading: usize,
}

impl Plan {
    fn holds(&self, key: &[u8]) -> bool {
        self.unread.as_ref().is_some_and(|prefix| key.starts_with(prefix))
    }
}

/// A store with faults in front of another one. Without any it does what the other one does.
pub struct Faulty {
    inner: Arc<dyn Store>,
    plan: Mutex<Plan>,
    changed: Condvar,
}

impl Faulty {
    /// In front of a store.
    pub fn new(inner: Arc<dyn Store>) -> Self {
        Self { inner, plan: Mutex::default(), changed: Condvar::new() }
    }

    /// Commits that were begun so far.
    pub fn begun(&self) -> u64 {
        self.plan.lock().begun
    }

    /// The n-th commit from now on has a fault; 1 is the next one.
    pub fn fault(&self, nth: u64, fault: Fault) {
        let mut plan = self.plan.lock();
        let number = plan.begun + nth;
        plan.faults.insert(number, fault);
    }

    /// Every commit fails from now on, before anything is written, until told otherwise.
    pub fn fail(&self, error: Option<StoreError>) {
        self.plan.lock().failing = error;
    }

    /// What is under this key cannot be read from now on.
    pub fn damage(&self, space: Space, key: impl Into<Bytes>) {
        self.plan.lock().damaged.insert((space, key.into()));
    }

    /// Commits wait until what is returned is dropped: as if the disk had stopped to answer.
    pub fn hold(self: &Arc<Self>) -> Held {
        self.plan.lock().held = true;
        Held { store: self.clone(), of: Waiting::Commits }
    }

    /// Reads of keys that begin so, and scans that begin there, wait until what is returned is dropped.
    pub fn hold_reads(self: &Arc<Self>, prefix: impl Into<Bytes>) -> Held {
        self.plan.lock().unread = Some(prefix.into());
        Held { store: self.clone(), of: Waiting::Reads }
    }

    fn wait_to_read(&self, key: &[u8]) {
        let mut plan = self.plan.lock();
        if !plan.holds(key) {
            return;
        }
        plan.reading += 1;
        self.changed.notify_all();
        while plan.holds(key) {
            self.changed.wait(&mut plan);
        }
        plan.reading -= 1;
    }

    /// What is to happen with the commit that begins now.
    fn next_fault(&self) -> Option<Fault> {
        let mut plan = self.plan.lock();
        plan.begun += 1;
        let number = plan.begun;
        plan.waiting += 1;
        self.changed.notify_all();
        while plan.held {
            self.changed.wait(&mut plan);
        }
        plan.waiting -= 1;
        plan.failing.clone().map(Fault::Before).or_else(|| plan.faults.remove(&number))
    }

    fn check(&self, space: Space, key: &[u8]) -> Result<(), StoreError> {
        let damaged = self.plan.lock().damaged.contains(&(space, Bytes::copy_from_slice(key)));
        match damaged {
            true => Err(StoreError::Corrupt(format!("{} {}", space.name(), key.escape_ascii()).into())),
            false => Ok(()),
        }
    }
}

impl Store for Faulty {
    fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        match self.next_fault() {
            None => self.inner.commit(batch),
            Some(Fault::Before(error)) => Err(error),
            Some(Fault::After(error)) => self.inner.commit(batch).and(Err(error)),
            Some(Fault::Late(delay)) => {
                std::thread::sleep(delay);
                self.inner.commit(batch)
            }
        }
    }

    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.wait_to_read(key);
        self.check(space, key)?;
        self.inner.get(space, key)
    }

    fn scan(&self, scan: &Scan) -> Result<Vec<Entry>, StoreError> {
        if let Bound::Included(key) | Bound::Excluded(key) = &scan.from {
            self.wait_to_read(key);
        }
        let entries = self.inner.scan(scan)?;
        entries.iter().try_for_each(|(key, _)| self.check(scan.space, key))?;
        Ok(entries)
    }

    fn salvage(&self, scan: &Scan) -> Result<Salvage, StoreError> {
        let Salvage { entries, mut holes } = self.inner.salvage(scan)?;
        let (damaged, entries): (Vec<_>, _) =
            entries.into_iter().partition(|entry| self.check(scan.space, &entry.key).is_err());
        // Newer than all that can be read, as for all anybody knows.
        holes.extend(damaged.into_iter().map(|entry| Hole::of(entry.key, u64::MAX)));
        Ok(Salvage { entries, holes })
    }

    fn commits(&self) -> u64 {
        self.inner.commits()
    }

    fn size(&self) -> Result<u64, StoreError> {
        self.inner.size()
    }

    fn room(&self) -> Option<u64> {
        self.inner.room()
    }
}

/// Commits, or reads, wait while this exists.
pub struct Held {
    store: Arc<Faulty>,
    of: Waiting,
}

#[derive(Clone, Copy)]
enum Waiting {
    Commits,
    Reads,
}

impl Held {
    /// Waits until so many wait; `false` if they do not in time.
    pub fn until_waiting(&self, many: usize, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut plan = self.store.plan.lock();
        let waiting = |plan: &Plan| match self.of {
            Waiting::Commits => plan.waiting,
            Waiting::Reads => plan.reading,
        };
        while waiting(&plan) < many {
            if self.store.changed.wait_until(&mut plan, deadline).timed_out() {
                return waiting(&plan) >= many;
            }
        }
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut plan = self.store.plan.lock();
        match self.of {
            Waiting::Commits => plan.held = false,
            Waiting::Reads => plan.unread = None,
        }
        drop(plan);
        self.store.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn one(key: &'static str) -> Batch {
        let mut batch = Batch::default();
        batch.put(Space::Topics, key, "value");
        batch
    }

    fn full() -> StoreError {
        StoreError::Full("no room".into())
    }

    fn has(store: &Faulty, key: &str) -> bool {
        store.get(Space::Topics, key.as_bytes()).unwrap().is_some()
    }

    #[test]
    fn the_commit_that_is_meant_fails() {
        let store = Faulty::new(Arc::new(Memory::default()));
        store.fault(2, Fault::Before(full()));
        store.fault(3, Fault::After(full()));
        store.commit(&one("a")).unwrap();
        assert!(matches!(store.commit(&one("b")), Err(StoreError::Full(_))));
        assert!(matches!(store.commit(&one("c")), Err(StoreError::Full(_))));
        store.commit(&one("d")).unwrap();
        assert_eq!(["a", "b", "c", "d"].map(|key| has(&store, key)), [true, false, true, true]);
        assert_eq!(store.begun(), 4);
    }

    #[test]
    fn every_commit_fails_until_told_otherwise() {
        let store = Faulty::new(Arc::new(Memory::default()));
        store.fail(Some(full()));
        assert!(store.commit(&one("a")).is_err() && store.commit(&one("a")).is_err());
        store.fail(None);
        store.commit(&one("a")).unwrap();
    }

    #[test]
    fn what_is_damaged_is_not_returned() {
        let store = Faulty::new(Arc::new(Memory::default()));
        store.commit(&one("a")).unwrap();
        store.damage(Space::Topics, "a");
        assert!(matches!(store.get(Space::Topics, b"a"), Err(StoreError::Corrupt(_))));
        assert!(matches!(store.scan(&Scan::prefix(Space::Topics, "")), Err(StoreError::Corrupt(_))));
        assert_eq!(store.get(Space::Values, b"a").unwrap(), None);
    }

    #[test]
    fn reads_wait_while_held() {
        let store = Arc::new(Faulty::new(Arc::new(Memory::default())));
        store.commit(&one("abc")).unwrap();
        let held = store.hold_reads("ab");
        let reader = std::thread::spawn({
            let store = store.clone();
            move || has(&store, "abc")
        });
        assert!(held.until_waiting(1, PATIENCE));
        assert!(!has(&store, "b"), "other keys are read meanwhile");
        drop(held);
        assert!(reader.join().unwrap());
    }

    #[test]
    fn commits_wait_while_held() {
        let store = Arc::new(Faulty::new(Arc::new(Memory::default())));
        let held = store.hold();
        let writer = std::thread::spawn({
            let store = store.clone();
            move || store.commit(&one("a"))
        });
        assert!(held.until_waiting(1, PATIENCE));
        assert!(!has(&store, "a"));
        assert!(!held.until_waiting(2, Duration::from_millis(1)));
        drop(held);
        writer.join().unwrap().unwrap();
        assert!(has(&store, "a"));
    }
}
