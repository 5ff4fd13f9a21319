//! Threads for what takes longer than a shard may: reading topics from the disk, merging and converting documents, comparing
//! them with what a client has.
//!
//! The queues are bounded by who submits: each says how many jobs it has under way. Jobs are bounded by what they do: none takes
//! longer than a second or so, so whoever waits for a thread waits for little.

use std::{
    hash::{BuildHasher, Hash},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, mpsc},
};

use parking_lot::Mutex;
use rustc_hash::FxBuildHasher;

use crate::{
    defaults,
    liveness::{self, Pulse},
    memory,
};

type Job = Box<dyn FnOnce() + Send>;

/// Threads that take their jobs from one queue.
#[derive(Clone)]
pub struct Crew {
    jobs: mpsc::Sender<Job>,
    pulse: Pulse,
}

impl Crew {
    /// Starts so many threads, one at least, which end with the last handle.
    pub fn start(name: &str, threads: usize) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let (queue, pulse) = (Arc::new(Mutex::new(queue)), Pulse::of_queue(name));
        for number in 0..threads.max(1) {
            let (queue, pulse) = (queue.clone(), pulse.clone());
            let name = format!("{name}-{number}");
            liveness::start(&name, defaults::WORKER_STACK_BYTES, move || work(&queue, &pulse))?;
        }
        Ok(Self { jobs, pulse })
    }

    /// Queues a job.
    pub fn submit(&self, job: impl FnOnce() + Send + 'static) {
        // Before it is sent: a fast worker's `done` must not come before it and count below zero.
        self.pulse.owe(1);
        if self.jobs.send(Box::new(job)).is_err() {
            tracing::error!("a worker is gone");
        }
    }
}

fn work(queue: &Mutex<mpsc::Receiver<Job>>, pulse: &Pulse) {
    loop {
        let job = match next(queue) {
            Next::Job(job) => job,
            Next::Rest => {
                memory::relieve();
                continue;
            }
            Next::End => return,
        };
        // What a job was about to do is left undone; whatever it shares with others is behind locks that do not poison, and
        // changed in one step.
        if catch_unwind(AssertUnwindSafe(job)).is_err() {
            tracing::error!("a job of a worker ended in a panic");
        }
        // After a panic, too: a job that is owed for ever would make the watchdog take a thread that rests for one that
        // hangs.
        pulse.done(1);
    }
}

enum Next {
    Job(Job),
    /// There was none for a while.
    Rest,
    End,
}

/// One waits with the lock for a job, the others for the lock.
fn next(queue: &Mutex<mpsc::Receiver<Job>>) -> Next {
    let Some(queue) = queue.try_lock_for(defaults::REST) else { return Next::Rest };
    match queue.recv_timeout(defaults::REST) {
        Ok(job) => Next::Job(job),
        Err(mpsc::RecvTimeoutError::Timeout) => Next::Rest,
        Err(mpsc::RecvTimeoutError::Disconnected) => Next::End,
    }
}

/// Several workers for jobs of which those with the same name are done one after the other.
#[derive(Clone)]
pub struct Pool {
    workers: Vec<Crew>,
}

impl Pool {
    /// Starts so many threads, one at least.
    pub fn start(name: &str, threads: usize) -> io::Result<Self> {
        let start = |number| Crew::start(&format!("{name}-{number}"), 1);
        Ok(Self { workers: (0..threads.max(1)).map(start).collect::<io::Result<_>>()? })
    }

    /// Queues a job behind those with the same name.
    pub fn submit(&self, name: &impl Hash, job: impl FnOnce() + Send + 'static) {
        // By its hash instead of the shortest queue: what comes from one document has to be done in order, on one thread.
        let hash = FxBuildHasher.hash_one(name) % self.workers.len() as u64;
        self.workers[usize::try_from(hash).unwrap_or(0)].submit(job);
    }
}

/// The broker's workers.
#[derive(Clone)]
pub struct Workers {
    /// For reading topics from the disk.
    pub loads: Pool,
    /// For what newcomers to documents wait for; what comes from one document is done in order.
    pub joins: Pool,
    /// For merging documents.
    pub merge: Crew,
    /// For reading and changing documents over HTTP.
    pub convert: Crew,
}

impl Workers {
    /// Starts them.
    pub fn start() -> io::Result<Self> {
        Ok(Self {
            loads: Pool::start("load", defaults::LOADS)?,
            joins: Pool::start("join", defaults::DOCUMENT_THREADS)?,
            merge: Crew::start("merge", defaults::DOCUMENT_THREADS)?,
            convert: Crew::start("convert", defaults::DOCUMENT_THREADS)?,
        })
    }

    /// Their signs of life.
    pub fn pulses(&self) -> Vec<Pulse> {
        let pools = self.loads.workers.iter().chain(&self.joins.workers);
        pools.chain([&self.merge, &self.convert]).map(|crew| crew.pulse.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_the_job_and_not_the_worker() {
        let worker = Crew::start("test", 1).unwrap();
        let (done, wait) = mpsc::channel();
        worker.submit(|| panic!("on purpose"));
        worker.submit(move || done.send(1).unwrap());
        assert_eq!(wait.recv(), Ok(1));
    }

    #[test]
    fn one_long_job_does_not_hold_up_the_next() {
        let crew = Crew::start("test", 2).unwrap();
        let (release, held) = mpsc::channel::<()>();
        crew.submit(move || assert!(held.recv().is_err()));
        let (done, wait) = mpsc::channel();
        crew.submit(move || done.send(1).unwrap());
        assert_eq!(wait.recv(), Ok(1));
        drop(release);
    }
}
