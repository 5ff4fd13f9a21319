//! The answer to a step 1: what a client lacks of a document.
//!
//! Newcomers get the document's updates as they are in the topic, in frames that all of them share. A client that has part
//! of it gets an answer of its own if that is much shorter; what all clients together have not read of such answers
//! is bounded, so that many who ask and do not read cost no more than those who have nothing.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use fanwire_proto::Offset;

use super::{dialect::said, inside::Inside};
use crate::{
    broker::Broker,
    collab::Workspace,
    defaults,
    document::{Malformed, compact, message, vector::Clocks},
    shard::Cx,
    topic::Updates,
    wire::Spoken,
};

/// Sends what a client with this state vector lacks, and that this was all.
pub(super) fn answer(
    broker: &Broker,
    cx: &mut Cx<'_>,
    inside: &Inside,
    vector: &[u8],
) -> Result<(), Malformed> {
    let is_new = Clocks::decode(vector)?.is_empty();
    // The connection has been subscribed since before this look, so an update is in it, or comes live, or both; twice
    // does no harm.
    let there = inside.topic.updates();
    let bytes: usize = there.after(Offset::ZERO).map(<[u8]>::len).sum();
    // Comparing means reading all of the document. For a small one, sending a little too much costs less than finding out
    // what.
    if is_new || bytes <= defaults::LOOK_THROUGH_BYTES {
        there.updates.iter().for_each(|update| cx.send_message(update));
        cx.send(&said(message::synced()));
        return Ok(());
    }
    if inside.answering.swap(true, Ordering::AcqRel) {
        // One answer at a time: a client asks once, and again when it is back.
        return Ok(());
    }
    let (address, answering, vector) = (cx.address(), inside.answering.clone(), vector.to_vec());
    let (unread, space) = (broker.unread_answers(), broker.workspace());
    broker.join_later(&inside.topic.name, move || {
        address.deliver(lacking(&there, address.spoken(), &vector, &unread, &space));
        // After the answer is on its way, so that two never overlap.
        answering.store(false, Ordering::Release);
    });
    Ok(())
}

/// Every update, and that this was all.
fn all_of(there: &Updates, spoken: &Spoken) -> Vec<Bytes> {
    let speaker = spoken.speaker();
    let framing = spoken.encoding().framing;
    let frames = there.updates.iter().map(|update| framing.plain(update.frame(speaker)));
    frames.chain([speaker.say(said(message::synced()))]).collect()
}

/// The same, but of the largest update, which is the merged one, only what the client does not have.
fn lacking(
    there: &Updates,
    spoken: &Spoken,
    vector: &[u8],
    unread: &Arc<AtomicUsize>,
    space: &Workspace,
) -> Vec<Bytes> {
    let mut frames = all_of(there, spoken);
    let largest = there.after(Offset::ZERO).enumerate().max_by_key(|(_, update)| update.len());
    let Some((index, merged)) = largest else { return frames };
    // Where there is no memory to compare, or nothing is gained, the client gets all of it, which is never wrong.
    let Ok(_held) = space.to_merge(&[merged]) else { return frames };
    match compact::diff(merged, vector) {
        Ok(rest) if rest.len() <= merged.len() / 2 => {
            if let Some(own) = Own::admit(spoken.speaker().say(said(message::update(&rest))), unread) {
                frames[index] = own;
            }
        }
        Ok(_) => {}
        Err(error) => tracing::debug!(%error, "a document could not be compared"),
    }
    frames
}

/// A frame that counts for as long as anybody holds it.
struct Own {
    frame: Bytes,
    /// Bytes of all of them.
    unread: Arc<AtomicUsize>,
}

impl Own {
    /// The frame, unless too much waits to be read.
    fn admit(frame: Bytes, unread: &Arc<AtomicUsize>) -> Option<Bytes> {
        // Counted before it is compared, so no two of them both take the last of the room; dropping `own` takes it back.
        let bytes = unread.fetch_add(frame.len(), Ordering::Relaxed) + frame.len();
        let own = Self { frame, unread: unread.clone() };
        (bytes <= defaults::ANSWER_BYTES).then(|| Bytes::from_owner(own))
    }
}

impl AsRef<[u8]> for Own {
    fn as_ref(&self) -> &[u8] {
        &self.frame
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        self.unread.fetch_sub(self.frame.len(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_read_is_bounded() {
        let unread = Arc::default();
        let half = || Bytes::from(vec![0; defaults::ANSWER_BYTES / 2]);
        let (one, two) = (Own::admit(half(), &unread).unwrap(), Own::admit(half(), &unread).unwrap());
        let rest = one.slice(10..20);
        drop(one);
        assert!(Own::admit(half(), &unread).is_none(), "somebody still has a part of the first one");
        drop(rest);
        let three = Own::admit(half(), &unread).unwrap();
        assert_eq!(three.len(), defaults::ANSWER_BYTES / 2);
        drop((two, three));
        assert_eq!(unread.load(Ordering::Relaxed), 0);
    }
}
