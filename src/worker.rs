//! Threads for what takes longer than a shard may: reading topics from the disk, merging documents, comparing them with
//! what a client has.
//!
//! The queues are bounded by who submits: each says how many jobs it has under way.

use std::{
    hash::{BuildHasher, Hash},
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc,
};

use rustc_hash::FxBuildHasher;

use crate::defaults;

type Job = Box<dyn FnOnce() + Send>;

/// A thread that does one thing after the other.
#[derive(Clone)]
pub struct Worker {
    jobs: mpsc::Sender<Job>,
}

impl Worker {
    /// Starts the thread, which ends with the last handle.
    pub fn start(name: &str) -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        std::thread::Builder::new().name(name.into()).spawn(move || {
            for job in queue {
                // What a job was about to do is left undone; whatever it shares with others is behind locks that do not
                // poison, and changed in one step.
                if catch_unwind(AssertUnwindSafe(job)).is_err() {
                    tracing::error!("a job of a worker ended in a panic");
                }
            }
        })?;
        Ok(Self { jobs })
    }

    /// Queues a job.
    pub fn submit(&self, job: impl FnOnce() + Send + 'static) {
        if self.jobs.send(Box::new(job)).is_err() {
            tracing::error!("a worker is gone");
        }
    }
}

/// Several workers for jobs of which those with the same name are done one after the other.
#[derive(Clone)]
pub struct Pool {
    workers: Vec<Worker>,
}

impl Pool {
    /// Starts so many threads, one at least.
    pub fn start(name: &str, threads: usize) -> io::Result<Self> {
        let start = |number| Worker::start(&format!("{name}-{number}"));
        Ok(Self { workers: (0..threads.max(1)).map(start).collect::<io::Result<_>>()? })
    }

    /// Queues a job behind those with the same name.
    pub fn submit(&self, name: &impl Hash, job: impl FnOnce() + Send + 'static) {
        let hash = FxBuildHasher.hash_one(name) % self.workers.len() as u64;
        self.workers[usize::try_from(hash).unwrap_or(0)].submit(job);
    }
}

/// The broker's workers.
#[derive(Clone)]
pub struct Workers {
    /// For reading topics from the disk.
    pub loads: Pool,
    /// For what somebody waits for: newcomers.
    pub joins: Worker,
    /// For what may take seconds with a large document: merging, converting.
    pub merge: Worker,
}

impl Workers {
    /// Starts them.
    pub fn start() -> io::Result<Self> {
        let loads = Pool::start("load", defaults::LOADS)?;
        Ok(Self { loads, joins: Worker::start("joins")?, merge: Worker::start("merge")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_ends_the_job_and_not_the_worker() {
        let worker = Worker::start("test").unwrap();
        let (done, wait) = mpsc::channel();
        worker.submit(|| panic!("on purpose"));
        worker.submit(move || done.send(1).unwrap());
        assert_eq!(wait.recv(), Ok(1));
    }
}
