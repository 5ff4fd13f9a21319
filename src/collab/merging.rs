//! A document's updates into one.

use bytes::Bytes;
use fanwire_proto::{Offset, Position};

use crate::{
    document::{
        compact::{self, CannotMerge, Compacted},
        update::EMPTY,
    },
    topic::{Topic, Updates},
};

/// Everything in one update.
pub fn state_of(there: &Updates) -> Result<Bytes, CannotMerge> {
    let updates: Vec<&[u8]> = there.after(Offset::ZERO).collect();
    match updates[..] {
        [] => Ok(Bytes::from_static(EMPTY)),
        [one] => Ok(Bytes::copy_from_slice(one)),
        ref many => Ok(compact::compact(many)?.state.into()),
    }
}

/// Merges what a document has so far.
pub fn merge(topic: &Topic) {
    let log = topic.mergeable();
    match merged(&log) {
        Ok(Some((offset, state, apart))) => {
            let upto = Position { epoch: log.position.epoch, offset };
            topic.merged(upto, state, &apart);
        }
        // The next one may be what the others wait for.
        Ok(None) => topic.not_merged(log.updates.len() + 1, false),
        Err(error) => {
            tracing::warn!(topic = %topic.name, %error, "a document cannot be merged; it is set aside and served update by update");
            // What failed takes long and will fail again.
            topic.not_merged(2 * log.updates.len(), true);
        }
    }
}

/// The last offset that is merged, the state, and what is left apart; `None` if there is nothing to merge.
fn merged(log: &Updates) -> Result<Option<(Offset, Bytes, Vec<Offset>)>, CannotMerge> {
    let updates: Vec<&[u8]> = log.after(Offset::ZERO).collect();
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
