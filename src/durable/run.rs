//! How often the broker did not end in order, or went on without commits that were lost: what offsets that a crash took back
//! are told from.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    clock::{self, Boot},
    store::{Batch, Space, Store, StoreError},
};

const KEY: Bytes = Bytes::from_static(b"run");

/// Where the broker's clock was.
const CLOCK: Bytes = Bytes::from_static(b"clock");

#[derive(Serialize, Deserialize)]
struct ClockNote {
    at_ms: u64,
    /// Name of the machine's start, and milliseconds since then.
    boot: Option<(String, u64)>,
}

#[derive(Serialize, Deserialize)]
struct Note {
    crashes: u64,
    ended: bool,
    /// Lost commits that are counted in already.
    #[serde(default)]
    lost: u64,
}

/// The life of a store from one opening to the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    /// How many runs before this one ended without saying so, and how many commits were lost.
    pub crashes: u64,
    lost: u64,
}

/// Has the broker's clock go on where the store says that it was; what cannot be read is as if nothing had been noted.
fn resume_clock(store: &dyn Store) {
    let note = store.get(Space::Store, &CLOCK).ok().flatten();
    let note = note.and_then(|note| rmp_serde::from_slice::<ClockNote>(&note).ok());
    if let Some(ClockNote { at_ms, boot }) = note {
        clock::resume(&clock::Note { at_ms, boot: boot.map(|(id, up_ms)| Boot { id, up_ms }) });
    }
}

impl Run {
    /// Counts a crash unless the run before ended in order. The batch notes that this one has begun: it has to be written
    /// before anything else of it.
    pub fn begin(store: &dyn Store) -> Result<(Self, Batch), StoreError> {
        resume_clock(store);
        let lost = store.lost_commits();
        let note = match store.get(Space::Store, &KEY) {
            Ok(None) => Ok(Note { crashes: 0, ended: true, lost: 0 }),
            Ok(Some(note)) => rmp_serde::from_slice(&note).map_err(|error| error.to_string()),
            // Damage to this note is no reason to serve nothing: a count that is too high does no harm.
            Err(StoreError::Corrupt(what)) => Err(what.to_string()),
            Err(error) => return Err(error),
        };
        let crashes = match note {
            Ok(note) => note.crashes + u64::from(!note.ended) + lost.saturating_sub(note.lost),
            Err(what) => {
                // Every run begins with a commit, and every lost one had a number.
                let crashes = store.commits();
                tracing::error!(%what, crashes, "damage in the store: how often it was not closed is guessed from above");
                crashes
            }
        };
        let run = Self { crashes, lost };
        Ok((run, run.note(false)?))
    }

    /// Notes that everything that was accepted is durable.
    pub fn end(self, store: &dyn Store) -> Result<(), StoreError> {
        store.commit(&self.note(true)?)
    }

    fn note(self, ended: bool) -> Result<Batch, StoreError> {
        let note = rmp_serde::to_vec(&Note { crashes: self.crashes, ended, lost: self.lost })
            .map_err(|error| StoreError::Io(error.to_string().into()))?;
        let mut batch = Batch::default();
        batch.put(Space::Store, KEY, note);
        let clock::Note { at_ms, boot } = clock::note();
        let clock = ClockNote { at_ms, boot: boot.map(|boot| (boot.id, boot.up_ms)) };
        let clock = rmp_serde::to_vec(&clock).map_err(|error| StoreError::Io(error.to_string().into()))?;
        batch.put(Space::Store, CLOCK, clock);
        Ok(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Memory;

    #[test]
    fn only_runs_that_did_not_end_are_crashes() {
        let store = Memory::default();
        let begin = || {
            let (run, note) = Run::begin(&store).unwrap();
            store.commit(&note).unwrap();
            run
        };
        assert_eq!(begin().crashes, 0);
        let second = begin();
        assert_eq!(second.crashes, 1);
        second.end(&store).unwrap();
        assert_eq!(begin().crashes, 1);
        assert_eq!(begin().crashes, 2);
    }
}
