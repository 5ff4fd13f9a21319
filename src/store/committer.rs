//! Group commit: one thread gathers what many want kept and writes it with one `fsync`.
//!
//! A [`Job`] is asked for its writes only when the commit begins, so a job that stands for a topic brings everything
//! that has gathered there by then. While a commit is under way the next one gathers; so the rate of commits follows the
//! disk, and [`Pace`] says how much longer to wait for company.
//!
//! The queue is bounded by who submits: a topic has at most one job here, everyone else waits for the outcome.

use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::oneshot;

use super::{Batch, Space, Store, StoreError};
use crate::{
    defaults,
    liveness::{self, Pulse},
    memory,
};

/// Something to be kept.
pub trait Job: Send {
    /// Adds its writes; returns how many messages they are, for the counts.
    fn write(&mut self, batch: &mut Batch) -> usize;

    /// The commit that held them is over.
    fn settled(self: Box<Self>, outcome: &Result<(), StoreError>);
}

/// How long a commit waits for company.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// From the first job to the commit, at most.
    pub delay: Duration,
    /// No longer than until so many messages wait.
    pub messages: usize,
}

#[derive(Default)]
struct Queue {
    jobs: Vec<Box<dyn Job>>,
    closing: bool,
    /// Why the last commit failed.
    trouble: Option<StoreError>,
}

struct Shared {
    store: Arc<dyn Store>,
    pace: Pace,
    queue: Mutex<Queue>,
    changed: Condvar,
    /// About how many messages the jobs will bring.
    messages: AtomicUsize,
    /// Whether the last commit failed.
    failing: AtomicBool,
    /// What has to be written before anything else.
    first: Mutex<Batch>,
    counts: Counts,
    pulse: Pulse,
}

/// What was committed since the start.
#[derive(Debug, Default)]
pub struct Counts {
    /// Commits that succeeded.
    pub commits: AtomicU64,
    /// Commits that failed.
    pub failures: AtomicU64,
    /// Messages in those that succeeded.
    pub messages: AtomicU64,
    /// Time spent in all of them, in microseconds.
    pub micros: AtomicU64,
}

/// How long after a failed commit the store is tried again.
const RETRY: Duration = Duration::from_millis(250);

/// What is written to see whether the store works again.
const PROBE: &[u8] = b"probe";

/// The only way to write to a store while the broker runs.
#[derive(Clone)]
pub struct Committer {
    shared: Arc<Shared>,
}

impl Committer {
    /// Starts the thread, which ends after [`close`](Self::close). `first` is written before anything else; while the
    /// disk is full that is tried again and again, and nothing is taken.
    ///
    /// # Errors
    /// When `first` cannot be written for another reason, or there is no thread to be had.
    pub fn start(
        store: Arc<dyn Store>,
        pace: Pace,
        first: Batch,
    ) -> Result<(Self, JoinHandle<()>), StoreError> {
        let trouble = match store.commit(&first) {
            // A full disk is waited out, since what is there can be read meanwhile; other failures end the start.
            Err(error @ StoreError::Full(_)) => Some(error),
            outcome => outcome.map(|()| None)?,
        };
        let queue = Queue { trouble: trouble.clone(), ..Queue::default() };
        let shared = Arc::new(Shared {
            store,
            pace,
            queue: Mutex::new(queue),
            changed: Condvar::new(),
            messages: AtomicUsize::new(0),
            failing: AtomicBool::new(trouble.is_some()),
            first: Mutex::new(if trouble.is_some() { first } else { Batch::default() }),
            counts: Counts::default(),
            pulse: Pulse::of_queue("store"),
        });
        let committer = Self { shared: shared.clone() };
        let thread = liveness::start("store", defaults::STACK_BYTES, move || {
            let mut under_way = VecDeque::new();
            // Here, since `liveness` would end the process: without this thread all but durable publishing goes on.
            if catch_unwind(AssertUnwindSafe(|| run(&shared, &mut under_way))).is_err() {
                give_up(&shared, under_way);
            }
        });
        Ok((committer, thread.map_err(|error| StoreError::Io(error.to_string().into()))?))
    }

    /// For reading.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.shared.store
    }

    /// Queues a job that is about one message.
    pub fn submit(&self, job: Box<dyn Job>) {
        let mut queue = self.shared.queue.lock();
        if queue.closing {
            drop(queue);
            return job.settled(&Err(StoreError::Closed));
        }
        queue.jobs.push(job);
        self.shared.pulse.owe(1);
        // The thread waits for a first job; for company it waits by the clock and by `more`.
        if queue.jobs.len() == 1 {
            self.shared.changed.notify_one();
        }
        drop(queue);
        self.more();
    }

    /// Counts a message that a job which is queued already will bring along.
    pub fn more(&self) {
        // One caller meets the number, and wakes the thread. A count that is lost to a commit that begins just now costs
        // a little of `delay` and nothing else, so Relaxed will do.
        if self.shared.messages.fetch_add(1, Ordering::Relaxed) + 1 == self.shared.pace.messages {
            // With the lock, so that the thread is either waiting or has yet to look.
            let _queue = self.shared.queue.lock();
            self.shared.changed.notify_one();
        }
    }

    /// The thread's sign of life.
    pub fn pulse(&self) -> &Pulse {
        &self.shared.pulse
    }

    /// What was committed since the start.
    pub fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    /// Why nothing can be kept at the moment. The store is tried again and again meanwhile.
    pub fn trouble(&self) -> Option<StoreError> {
        // Asked with every publish: the lock is for saying why, which is seldom.
        if !self.shared.failing.load(Ordering::Relaxed) {
            return None;
        }
        self.shared.queue.lock().trouble.clone()
    }

    /// The receiver hears once everything that is queued now was committed, or has failed.
    pub fn flush(&self) -> mpsc::Receiver<()> {
        let (done, wait) = mpsc::sync_channel(1);
        self.submit(Box::new(Flush { done }));
        wait
    }

    /// Keeps a batch; ready once it is durable or has failed.
    pub async fn keep(&self, batch: Batch) -> Result<(), StoreError> {
        let (done, outcome) = oneshot::channel();
        // Whoever asked may not be waiting any more.
        self.submit(Box::new(OneBatch { batch, done: |kept| drop(done.send(kept)) }));
        outcome.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Keeps a batch, and blocks until it is durable or has failed.
    pub fn keep_now(&self, batch: Batch) -> Result<(), StoreError> {
        let (done, outcome) = mpsc::sync_channel(1);
        self.submit(Box::new(OneBatch { batch, done: move |kept| drop(done.send(kept)) }));
        outcome.recv().unwrap_or(Err(StoreError::Closed))
    }

    /// Keeps a batch some time soon; nobody waits for it, and a failure is only logged.
    pub fn write_later(&self, batch: Batch) {
        self.submit(Box::new(OneBatch { batch, done: |_| {} }));
    }

    /// Commits what is queued, takes nothing more, and ends the thread.
    pub fn close(&self) {
        self.shared.queue.lock().closing = true;
        self.shared.changed.notify_one();
    }
}

struct OneBatch<F> {
    batch: Batch,
    done: F,
}

impl<F: FnOnce(Result<(), StoreError>) + Send> Job for OneBatch<F> {
    fn write(&mut self, batch: &mut Batch) -> usize {
        batch.writes.append(&mut self.batch.writes);
        1
    }

    fn settled(self: Box<Self>, outcome: &Result<(), StoreError>) {
        (self.done)(outcome.clone());
    }
}

struct Flush {
    done: mpsc::SyncSender<()>,
}

impl Job for Flush {
    fn write(&mut self, _: &mut Batch) -> usize {
        0
    }

    fn settled(self: Box<Self>, _: &Result<(), StoreError>) {
        // Whoever asked may not be waiting any more.
        let _ = self.done.try_send(());
    }
}

/// `under_way` has the jobs of the commit until each is settled.
fn run(shared: &Shared, under_way: &mut VecDeque<Box<dyn Job>>) {
    loop {
        let jobs = match shared.failing.load(Ordering::Relaxed) {
            true => wait_to_retry(shared),
            false => gather(shared),
        };
        let Some(jobs) = jobs else { return shared.pulse.retire() };
        let count = jobs.len() as u64;
        under_way.extend(jobs);
        commit(shared, under_way);
        memory::relieve();
        shared.pulse.done(count);
    }
}

/// After a panic nothing more is taken: whoever asks is told so, and what waits is told, too.
fn give_up(shared: &Shared, under_way: VecDeque<Box<dyn Job>>) {
    shared.pulse.retire();
    let mut queue = shared.queue.lock();
    queue.closing = true;
    queue.trouble = Some(StoreError::Io("its thread ended in a panic".into()));
    shared.failing.store(true, Ordering::Relaxed);
    let jobs = std::mem::take(&mut queue.jobs);
    // Told without the lock: whoever hears it may turn to the store at once.
    drop(queue);
    tracing::error!("the store's thread ended in a panic; nothing durable is taken until a restart");
    under_way.into_iter().chain(jobs).for_each(|job| job.settled(&Err(StoreError::Closed)));
}

fn commit(shared: &Shared, jobs: &mut VecDeque<Box<dyn Job>>) {
    // Kept until it is written: the commits before may have failed.
    let mut batch = shared.first.lock().clone();
    let messages: usize = jobs.iter_mut().map(|job| job.write(&mut batch)).sum();
    // Without a write a commit would succeed, and prove nothing.
    if shared.failing.load(Ordering::Relaxed) {
        batch.put(Space::Store, PROBE, PROBE);
    }
    let outcome = if batch.writes.is_empty() { Ok(()) } else { write(shared, &batch, messages) };
    if outcome.is_ok() {
        *shared.first.lock() = Batch::default();
    }
    // Before anybody hears: who publishes again at once is refused, or let in again, by what is true now.
    note(shared, &outcome, messages);
    while let Some(job) = jobs.pop_front() {
        job.settled(&outcome);
    }
}

fn write(shared: &Shared, batch: &Batch, messages: usize) -> Result<(), StoreError> {
    let started = Instant::now();
    let outcome = shared.store.commit(batch);
    let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    let counts = &shared.counts;
    counts.micros.fetch_add(micros, Ordering::Relaxed);
    match &outcome {
        Ok(()) => {
            counts.commits.fetch_add(1, Ordering::Relaxed);
            counts.messages.fetch_add(messages as u64, Ordering::Relaxed);
        }
        Err(_) => drop(counts.failures.fetch_add(1, Ordering::Relaxed)),
    }
    outcome
}

/// Remembers trouble, and says when it begins and ends.
fn note(shared: &Shared, outcome: &Result<(), StoreError>, messages: usize) {
    let was_failing = shared.failing.load(Ordering::Relaxed);
    match outcome {
        Err(error) if !was_failing => {
            tracing::error!(%error, messages, "nothing can be kept; trying again until it can");
        }
        Ok(()) if was_failing => tracing::info!("the store works again"),
        _ => {}
    }
    shared.queue.lock().trouble = outcome.clone().err();
    shared.failing.store(outcome.is_err(), Ordering::Relaxed);
}

/// Waits a while after a failure; `None` at the end, when those that still wait have been told.
fn wait_to_retry(shared: &Shared) -> Option<Vec<Box<dyn Job>>> {
    let mut queue = shared.queue.lock();
    let until = Instant::now() + RETRY;
    // New jobs do not cut it short: on a failing disk each publish would try again at once.
    while !queue.closing && !shared.changed.wait_until(&mut queue, until).timed_out() {}
    shared.messages.store(0, Ordering::Relaxed);
    let jobs = std::mem::take(&mut queue.jobs);
    if !queue.closing {
        return Some(jobs);
    }
    drop(queue);
    jobs.into_iter().for_each(|job| job.settled(&Err(StoreError::Closed)));
    None
}

/// Waits for jobs and, for a while, for their company; `None` at the end.
fn gather(shared: &Shared) -> Option<Vec<Box<dyn Job>>> {
    let mut queue = shared.queue.lock();
    while queue.jobs.is_empty() {
        if queue.closing {
            return None;
        }
        if shared.changed.wait_for(&mut queue, defaults::REST).timed_out() {
            MutexGuard::unlocked(&mut queue, memory::relieve);
        }
    }
    let until = Instant::now() + shared.pace.delay;
    // When it closes nobody is left to wait for.
    while !queue.closing && shared.messages.load(Ordering::Relaxed) < shared.pace.messages {
        if shared.changed.wait_until(&mut queue, until).timed_out() {
            break;
        }
    }
    shared.messages.store(0, Ordering::Relaxed);
    Some(std::mem::take(&mut queue.jobs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;

    const PACE: Pace = Pace { delay: Duration::from_millis(1), messages: 16 };

    #[tokio::test]
    async fn what_was_kept_can_be_read() {
        let (committer, thread) =
            Committer::start(Arc::new(Memory::default()), PACE, Batch::default()).unwrap();
        let mut batch = Batch::default();
        batch.put(Space::Seen, "a", "1");
        committer.keep(batch).await.unwrap();
        assert_eq!(committer.store().get(Space::Seen, b"a").unwrap().as_deref(), Some(&b"1"[..]));
        committer.close();
        thread.join().unwrap();
        assert!(matches!(committer.keep(Batch::default()).await, Err(StoreError::Closed)));
    }

    struct Faulty;

    impl Job for Faulty {
        fn write(&mut self, _: &mut Batch) -> usize {
            panic!("on purpose")
        }

        fn settled(self: Box<Self>, _: &Result<(), StoreError>) {}
    }

    /// Says how it ended.
    struct Told(mpsc::Sender<bool>);

    impl Job for Told {
        fn write(&mut self, _: &mut Batch) -> usize {
            1
        }

        fn settled(self: Box<Self>, outcome: &Result<(), StoreError>) {
            self.0.send(outcome.is_ok()).unwrap();
        }
    }

    #[tokio::test]
    async fn after_a_panic_everybody_is_told() {
        // All of these are one commit.
        let pace = Pace { delay: Duration::from_secs(60), messages: 3 };
        let (committer, thread) =
            Committer::start(Arc::new(Memory::default()), pace, Batch::default()).unwrap();
        let (told, hear) = mpsc::channel();
        committer.submit(Box::new(Told(told.clone())));
        committer.submit(Box::new(Faulty));
        committer.submit(Box::new(Told(told)));
        thread.join().unwrap();
        assert_eq!(
            hear.iter().collect::<Vec<_>>(),
            [false, false],
            "those of the commit that broke off, too"
        );
        assert!(matches!(committer.trouble(), Some(StoreError::Io(_))));
        assert!(matches!(committer.keep(Batch::default()).await, Err(StoreError::Closed)));
    }
}
