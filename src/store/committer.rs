//! Group commit: one thread gathers what many want kept and writes it with one `fsync`.
//!
//! A [`Job`] is asked for its writes only when the commit begins, so a job that stands for a topic brings everything
//! that has gathered there by then. While a commit is under way the next one gathers; so the rate of commits follows the
//! disk, and [`Pace`] says how much longer to wait for company.
//!
//! The queue is bounded by who submits: a topic has at most one job here, everyone else waits for the outcome.

use std::{
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::{Batch, Store, StoreError};

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
    /// About how many messages the jobs will bring.
    messages: usize,
    closing: bool,
}

struct Shared {
    store: Arc<dyn Store>,
    pace: Pace,
    queue: Mutex<Queue>,
    changed: Condvar,
}

/// The only way to write to a store while the broker runs.
#[derive(Clone)]
pub struct Committer {
    shared: Arc<Shared>,
}

impl Committer {
    /// Starts the thread, which ends after [`close`](Self::close).
    pub fn start(store: Arc<dyn Store>, pace: Pace) -> std::io::Result<(Self, JoinHandle<()>)> {
        let shared = Arc::new(Shared { store, pace, queue: Mutex::default(), changed: Condvar::new() });
        let committer = Self { shared: shared.clone() };
        let thread = std::thread::Builder::new().name("store".into()).spawn(move || run(&shared))?;
        Ok((committer, thread))
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
        self.count(&mut queue, 1);
        if queue.jobs.len() == 1 {
            self.shared.changed.notify_one();
        }
    }

    /// Counts messages that a job which is queued already will bring along.
    pub fn more(&self, messages: usize) {
        self.count(&mut self.shared.queue.lock(), messages);
    }

    fn count(&self, queue: &mut Queue, messages: usize) {
        let before = queue.messages;
        queue.messages += messages;
        let enough = self.shared.pace.messages;
        if before < enough && queue.messages >= enough {
            self.shared.changed.notify_one();
        }
    }

    /// Keeps a batch; ready once it is durable or has failed.
    pub async fn keep(&self, batch: Batch) -> Result<(), StoreError> {
        let (done, outcome) = oneshot::channel();
        self.submit(Box::new(OneBatch { batch, done: Some(done) }));
        outcome.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Commits what is queued, takes nothing more, and ends the thread.
    pub fn close(&self) {
        self.shared.queue.lock().closing = true;
        self.shared.changed.notify_one();
    }
}

struct OneBatch {
    batch: Batch,
    done: Option<oneshot::Sender<Result<(), StoreError>>>,
}

impl Job for OneBatch {
    fn write(&mut self, batch: &mut Batch) -> usize {
        batch.writes.append(&mut self.batch.writes);
        1
    }

    fn settled(mut self: Box<Self>, outcome: &Result<(), StoreError>) {
        if let Some(done) = self.done.take() {
            // Whoever asked may not be waiting any more.
            let _ = done.send(outcome.clone());
        }
    }
}

fn run(shared: &Shared) {
    while let Some(mut jobs) = gather(shared) {
        let mut batch = Batch::default();
        for job in &mut jobs {
            job.write(&mut batch);
        }
        let outcome = if batch.writes.is_empty() { Ok(()) } else { shared.store.commit(&batch) };
        if let Err(error) = &outcome {
            tracing::error!(%error, "a commit failed");
        }
        for job in jobs {
            job.settled(&outcome);
        }
    }
}

/// Waits for jobs and, for a while, for their company; `None` at the end.
fn gather(shared: &Shared) -> Option<Vec<Box<dyn Job>>> {
    let mut queue = shared.queue.lock();
    while queue.jobs.is_empty() {
        if queue.closing {
            return None;
        }
        shared.changed.wait(&mut queue);
    }
    let until = Instant::now() + shared.pace.delay;
    while !queue.closing && queue.messages < shared.pace.messages {
        if shared.changed.wait_until(&mut queue, until).timed_out() {
            break;
        }
    }
    queue.messages = 0;
    Some(std::mem::take(&mut queue.jobs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Memory, Space};

    const PACE: Pace = Pace { delay: Duration::from_millis(1), messages: 16 };

    #[tokio::test]
    async fn what_was_kept_can_be_read() {
        let (committer, thread) = Committer::start(Arc::new(Memory::default()), PACE).unwrap();
        let mut batch = Batch::default();
        batch.put(Space::Seen, "a", "1");
        committer.keep(batch).await.unwrap();
        assert_eq!(committer.store().get(Space::Seen, b"a").unwrap().as_deref(), Some(&b"1"[..]));
        committer.close();
        thread.join().unwrap();
        assert!(matches!(committer.keep(Batch::default()).await, Err(StoreError::Closed)));
    }
}
