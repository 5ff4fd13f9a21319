//! A document's updates into one, in the memory that there is for that.

use std::sync::Arc;

use bytes::Bytes;
use fanwire_proto::{Offset, Position};

use crate::{
    document::{
        Malformed,
        compact::{self, CannotMerge, Compacted},
        update::EMPTY,
        working,
    },
    memory::{Held, Share},
    topic::{Topic, Updates},
};

/// Why there is no memory for work on a document.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoSpace {
    /// Others have it.
    #[error(
        "documents that are being merged and read take all the memory there is for that; try again in a second"
    )]
    Now,
    /// It is more than there ever is.
    #[error(
        "working on the document takes {needed} bytes of memory; {limit} are there for merging and reading (10 % of `max_memory_bytes`)"
    )]
    Ever {
        /// What it takes.
        needed: usize,
        /// What there is.
        limit: usize,
    },
    /// There is no telling.
    #[error("an update is malformed: {0}")]
    Malformed(#[from] Malformed),
}

/// Why updates are not made one.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoState {
    /// They cannot be.
    #[error(transparent)]
    Unmergeable(#[from] CannotMerge),
    /// There is no memory for it.
    #[error(transparent)]
    NoSpace(#[from] NoSpace),
}

/// The memory for work on documents.
#[derive(Clone, Debug)]
pub struct Workspace(Arc<Share>);

impl Workspace {
    /// Which is this.
    pub const fn new(share: Arc<Share>) -> Self {
        Self(share)
    }

    /// What merging or comparing updates takes, for as long as it goes on.
    pub fn to_merge(&self, updates: &[&[u8]]) -> Result<Held, NoSpace> {
        self.take(working::to_merge(updates)?)
    }

    /// What reading or changing a document takes.
    pub fn to_read(&self, updates: &[&[u8]]) -> Result<Held, NoSpace> {
        self.take(working::to_read(updates)?)
    }

    fn take(&self, needed: usize) -> Result<Held, NoSpace> {
        let limit = self.0.limit();
        if needed > limit {
            return Err(NoSpace::Ever { needed, limit });
        }
        self.0.take(needed).ok_or(NoSpace::Now)
    }
}

/// Everything in one update.
pub fn state_of(there: &Updates, space: &Workspace) -> Result<Bytes, NoState> {
    let updates: Vec<&[u8]> = there.after(Offset::ZERO).collect();
    match updates[..] {
        [] => Ok(Bytes::from_static(EMPTY)),
        [one] => Ok(Bytes::copy_from_slice(one)),
        ref many => {
            let _held = space.to_merge(many)?;
            Ok(compact::compact(many)?.state.into())
        }
    }
}

/// Merges what a document has so far.
pub fn merge(topic: &Topic, space: &Workspace) {
    let log = topic.mergeable();
    let epoch = log.position.epoch;
    match merged(&log, space) {
        Ok(Some((offset, state, apart))) => {
            let upto = Position { epoch, offset };
            topic.merged(upto, state, &apart);
        }
        // The next one may be what the others wait for.
        Ok(None) => topic.not_merged(epoch, log.updates.len() + 1, false),
        // As soon as there is room.
        Err(NoState::NoSpace(NoSpace::Now)) => topic.not_merged(epoch, 0, false),
        Err(error) => {
            tracing::warn!(topic = %topic.name, %error, "a document cannot be merged; it is set aside and served update by update");
            // What failed takes long and will fail again.
            topic.not_merged(epoch, 2 * log.updates.len(), true);
        }
    }
}

/// The last offset that is merged, the state, and what is left apart; `None` if there is nothing to merge.
fn merged(log: &Updates, space: &Workspace) -> Result<Option<(Offset, Bytes, Vec<Offset>)>, NoState> {
    let updates: Vec<&[u8]> = log.after(Offset::ZERO).collect();
    // Taken before anything is read: what it takes is told from the bytes.
    let _held = space.to_merge(&updates)?;
    let Compacted { state, apart } = compact::compact(&updates)?;
    // The state stands where the last update stands that is in it; what is behind is left as it is.
    let Some(last) = (0..updates.len()).rev().find(|index| apart.binary_search(index).is_err()) else {
        return Ok(None);
    };
    if last == 0 {
        // It is one already.
        return Ok(None);
    }
    let offset_of = |index: &usize| log.updates[*index].message.offset;
    let apart = apart.iter().filter(|index| **index < last).map(offset_of).collect();
    Ok(Some((offset_of(&last), state.into(), apart)))
}
