//! Whether the threads that everything depends on still work. One that ends takes the process down; one that stands still
//! is noticed by the watchdog, told to whoever asks (`/readyz`), given nothing new, and, if it does not come back, takes
//! the process down as well: a broker of which a part is dead is worse than one that starts again.

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};

use crate::defaults;

/// How often the watchdog looks.
const LOOK: Duration = Duration::from_millis(250);

/// Starts a thread without which the process is not whole: if it panics, the process ends. Its stack has so many bytes.
pub fn start(name: &str, stack: usize, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let known_as = name.to_owned();
    let builder = std::thread::Builder::new().name(name.to_owned()).stack_size(stack);
    let started = builder.spawn(move || {
        if catch_unwind(AssertUnwindSafe(work)).is_err() {
            // Ended from here rather than by whoever joins the thread: nobody joins before the process ends.
            end_process(&format!("the thread `{known_as}` ended in a panic"));
        }
    });
    started.map_err(|error| {
        let what =
            format!("no thread `{name}` can be made ({error}); see `ulimit -u` and the limit of tasks");
        io::Error::new(error.kind(), what)
    })
}

/// Whether so many threads can be had now. For those who would not survive it that there are none.
pub fn can_start(count: usize, stack: usize) -> io::Result<()> {
    let gate = Arc::new(RwLock::new(()));
    // Holds all of them back until the last one is made: one after the other could be had where all at once cannot.
    let closed = gate.write();
    let one = |_| {
        let gate = gate.clone();
        start("probe", stack, move || drop(gate.read()))
    };
    let started: io::Result<Vec<_>> = (0..count).map(one).collect();
    // Also if one could not be made, or those that were would wait for ever.
    drop(closed);
    started?.into_iter().for_each(|thread| drop(thread.join()));
    Ok(())
}

/// Ends the process at once and loudly. What was acknowledged as durable is on the disk.
pub fn end_process(why: &str) -> ! {
    tracing::error!("{why}; the process ends, so that whoever looks after it starts it again");
    // Not `exit`, whose handlers might wait for the very thread that stands still.
    std::process::abort()
}

/// A thread's sign of life.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<State>);

#[derive(Debug)]
struct State {
    name: String,
    /// Counts what the thread has done.
    beats: AtomicU64,
    /// What it has yet to do; a thread that owes nothing may stand still.
    owed: AtomicU64,
    /// Set by the watchdog.
    is_stalled: AtomicBool,
    /// How much longer than others it may take: what waits for a disk waits as long as the disk does.
    patience: u32,
}

impl Pulse {
    /// Of a thread that comes round by itself, several times a second.
    pub fn of_loop(name: &str) -> Self {
        Self::new(name, 1, 1)
    }

    /// Of a thread that works on what it is given.
    pub fn of_queue(name: &str) -> Self {
        Self::new(name, 0, defaults::STALLED_WORK_FACTOR)
    }

    fn new(name: &str, owed: u64, patience: u32) -> Self {
        let (beats, is_stalled) = (AtomicU64::new(0), AtomicBool::new(false));
        Self(Arc::new(State { name: name.into(), beats, owed: AtomicU64::new(owed), is_stalled, patience }))
    }

    /// The thread has come round.
    pub fn beat(&self) {
        // Relaxed, as are all of these: the watchdog compares numbers over seconds, and nothing is read by way of them.
        self.0.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// The thread was given so much to do.
    pub fn owe(&self, count: u64) {
        self.0.owed.fetch_add(count, Ordering::Relaxed);
    }

    /// The thread has done so much of it.
    pub fn done(&self, count: u64) {
        self.0.owed.fetch_sub(count, Ordering::Relaxed);
        self.beat();
    }

    /// The thread has ended in order.
    pub fn retire(&self) {
        self.0.owed.store(0, Ordering::Relaxed);
    }

    /// Whether the thread has stood still for a while.
    pub fn is_stalled(&self) -> bool {
        self.0.is_stalled.load(Ordering::Relaxed)
    }
}

/// A pulse and how long it has been silent.
#[derive(Debug)]
struct Patient {
    pulse: Pulse,
    beats: u64,
    silent: Duration,
}

impl Patient {
    /// Looks after `passed` since the last time; true when it has just been found to stand still.
    fn look(&mut self, passed: Duration) -> bool {
        let State { beats, owed, is_stalled, .. } = &*self.pulse.0;
        let (beats, owed) = (beats.load(Ordering::Relaxed), owed.load(Ordering::Relaxed));
        // Nothing owed counts as a sign of life: a thread that waits for work does not beat.
        if beats != self.beats || owed == 0 {
            (self.beats, self.silent) = (beats, Duration::ZERO);
        } else {
            self.silent += passed;
        }
        let stalled = self.silent >= Duration::from_millis(defaults::STALLED_MS);
        let was = is_stalled.swap(stalled, Ordering::Relaxed);
        if was && !stalled {
            tracing::warn!(thread = self.pulse.0.name, "a thread works again");
        }
        stalled && !was
    }
}

/// A thread that stands still.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stalled {
    /// Its name.
    pub name: String,
    /// For how long.
    pub silent: Duration,
    /// Whether it comes round by itself when all is well; others wait for work, and for the disk.
    pub is_loop: bool,
}

impl fmt::Display for Stalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the thread `{}` has done nothing for {} s", self.name, self.silent.as_secs())
    }
}

/// Looks after pulses.
#[derive(Debug, Default)]
pub struct Watchdog(Mutex<Vec<Patient>>);

impl Watchdog {
    /// Looks after these, too.
    pub fn watch(&self, pulses: impl IntoIterator<Item = Pulse>) {
        let patient = |pulse| Patient { pulse, beats: 0, silent: Duration::ZERO };
        self.0.lock().extend(pulses.into_iter().map(patient));
    }

    /// Which threads stand still, and for how long.
    pub fn stalled(&self) -> Vec<Stalled> {
        let patients = self.0.lock();
        let stalled = patients.iter().filter(|patient| patient.pulse.is_stalled());
        stalled
            .map(|Patient { pulse, silent, .. }| Stalled {
                name: pulse.0.name.clone(),
                silent: *silent,
                is_loop: pulse.0.patience == 1,
            })
            .collect()
    }

    /// Looks at all of them; says which one, if any, will not come back.
    fn look(&self, passed: Duration, limit: Duration) -> Option<String> {
        let mut patients = self.0.lock();
        let mut gone = None;
        // All of them are looked at, even after one is found to be gone, so that the log names each that stands still.
        for patient in patients.iter_mut() {
            if patient.look(passed) {
                tracing::error!(
                    thread = patient.pulse.0.name,
                    "a thread does nothing; if that lasts, the process ends (`max_stall_s`)"
                );
            }
            if patient.silent >= limit * patient.pulse.0.patience {
                let name = &patient.pulse.0.name;
                gone = Some(format!("the thread `{name}` has done nothing for {:?}", patient.silent));
            }
        }
        gone
    }

    /// Starts the thread that looks, which ends the process when something has stood still for `limit`.
    pub fn start(self: &Arc<Self>, limit: Duration) -> io::Result<()> {
        let watched = Arc::downgrade(self);
        start("watchdog", defaults::STACK_BYTES, move || {
            let mut last = Instant::now();
            while let Some(watchdog) = watched.upgrade() {
                // While the whole process is stopped, nobody stands still.
                let passed = last.elapsed().min(LOOK * 2);
                last = Instant::now();
                if let Some(why) = watchdog.look(passed, limit) {
                    end_process(&why);
                }
                // Not held while sleeping: the last handle that is dropped elsewhere ends this thread.
                drop(watchdog);
                std::thread::sleep(LOOK);
            }
        })?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALLED: Duration = Duration::from_millis(defaults::STALLED_MS);
    const LIMIT: Duration = Duration::from_secs(30);

    #[test]
    fn silence_is_noticed_and_ends_with_a_beat() {
        let (watchdog, pulse) = (Watchdog::default(), Pulse::of_loop("shard-0"));
        watchdog.watch([pulse.clone()]);
        pulse.beat();
        assert_eq!(watchdog.look(STALLED, LIMIT), None);
        assert!(!pulse.is_stalled(), "it has beaten since");
        assert_eq!(watchdog.look(STALLED, LIMIT), None);
        assert!(pulse.is_stalled());
        let told = Stalled { name: "shard-0".into(), silent: STALLED, is_loop: true };
        assert_eq!(watchdog.stalled(), [told]);
        pulse.beat();
        watchdog.look(STALLED, LIMIT);
        assert!(!pulse.is_stalled() && watchdog.stalled().is_empty());
        let why = watchdog.look(LIMIT, LIMIT).unwrap();
        assert!(why.contains("shard-0") && why.contains("30s"), "{why}");
        pulse.retire();
        assert_eq!(watchdog.look(LIMIT, LIMIT), None);
    }

    #[test]
    fn a_queue_may_stand_still_while_it_is_empty_and_longer_with_work() {
        let (watchdog, pulse) = (Watchdog::default(), Pulse::of_queue("store"));
        watchdog.watch([pulse.clone()]);
        assert_eq!(watchdog.look(LIMIT, LIMIT), None);
        assert!(!pulse.is_stalled());
        pulse.owe(2);
        assert_eq!(watchdog.look(LIMIT, LIMIT), None, "a disk may be slow");
        assert!(pulse.is_stalled());
        assert!(watchdog.look(LIMIT * defaults::STALLED_WORK_FACTOR, LIMIT).is_some());
        pulse.done(2);
        assert_eq!(watchdog.look(LIMIT, LIMIT), None);
        assert!(!pulse.is_stalled());
    }
}
