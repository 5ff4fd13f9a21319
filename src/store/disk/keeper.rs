//! A thread that does what has time: makes the mark durable, and merges tables when much in them was deleted.
//!
//! The library gives room back only where tables are merged anyway, so what retention deleted in bulk could stay for
//! long. Merging rewrites what is live, so it waits until about as much was deleted as is live.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use super::{engine::Engine, state::State};
use crate::{
    defaults,
    store::{Space, StoreError},
};

/// How often it looks.
const TICK: Duration = Duration::from_secs(1);

/// How long closing waits for tables that are being merged. Merging can be broken off at any time without harm.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Running,
    Stopping,
    Ended,
}

/// The running thread.
pub(super) struct Keeper {
    phase: Arc<(Mutex<Phase>, Condvar)>,
}

impl Keeper {
    pub(super) fn start(state: Arc<State>) -> Result<Self, StoreError> {
        let phase = Arc::new((Mutex::new(Phase::Running), Condvar::new()));
        let keeper = Self { phase: phase.clone() };
        let run = move || {
            let mut marked = 0;
            while !stops(&phase) {
                marked = sync_mark(&state, marked);
                Space::ALL.iter().for_each(|space| tidy(&state, *space));
            }
            // Before it says that it has ended: the directory's lock goes with the last one that has the state.
            drop(state);
            *phase.0.lock() = Phase::Ended;
            phase.1.notify_all();
        };
        let started = std::thread::Builder::new().name("store-keeper".into()).spawn(run);
        started.map_err(|error| StoreError::Io(format!("no thread: {error}").into()))?;
        Ok(keeper)
    }

    /// Ends the thread.
    pub(super) fn stop(&self) {
        let (phase, changed) = &*self.phase;
        let deadline = Instant::now() + PATIENCE;
        let mut phase = phase.lock();
        if *phase == Phase::Running {
            *phase = Phase::Stopping;
        }
        changed.notify_all();
        while *phase != Phase::Ended && !changed.wait_until(&mut phase, deadline).timed_out() {}
    }
}

/// Waits for the next look; whether there is none.
fn stops(phase: &(Mutex<Phase>, Condvar)) -> bool {
    let deadline = Instant::now() + TICK;
    let mut now = phase.0.lock();
    while *now == Phase::Running {
        if phase.1.wait_until(&mut now, deadline).timed_out() {
            return *now != Phase::Running;
        }
    }
    true
}

/// Makes the mark durable if it has moved; returns where it is.
fn sync_mark(state: &State, before: u64) -> u64 {
    let synced = state.mark().and_then(|(number, file)| {
        // Without commits the disk is left alone.
        if number != before {
            file.sync_data().map_err(|error| StoreError::Io(error.to_string().into()))?;
        }
        Ok(number)
    });
    synced.unwrap_or_else(|error| {
        tracing::warn!(%error, "the mark could not be synced");
        before
    })
}

/// Merges the tables of a space if that gives back enough.
fn tidy(state: &State, space: Space) {
    // Whoever has it opens the database anew; there is another look in a second.
    let Some(_tidying) = state.tidying.try_lock() else { return };
    let Some(engine) = state.engine() else { return };
    let deleted = state.deleted[space as usize].load(Ordering::Relaxed);
    // Merging writes what is live a second time before the first copy goes.
    if !is_worth_it(&engine, space, deleted) || !state.has_room(engine.space_bytes(space)) {
        return;
    }
    match state.merge(&engine, space) {
        Ok(false) => {}
        Ok(true) => {
            // Not set to zero: what was deleted meanwhile counts for the next time.
            state.deleted[space as usize].fetch_sub(deleted, Ordering::Relaxed);
            tracing::debug!(space = space.name(), bytes = engine.space_bytes(space), "tables merged");
        }
        // It is tried again; what is wrong with the files is said by whoever reads them.
        Err(error) => tracing::warn!(%error, space = space.name(), "tables could not be merged"),
    }
}

fn is_worth_it(engine: &Engine, space: Space, deleted: u64) -> bool {
    deleted > 0
        && engine.space_bytes(space) >= defaults::STORE_TIDY_BYTES
        // As many as are left. What says that they are deleted is counted among the entries.
        && deleted.saturating_mul(3) >= engine.entries(space)
}
