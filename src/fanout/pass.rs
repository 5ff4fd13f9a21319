//! One run over a feed's subscribers with what was pulled, and the bytes that they share.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use fanwire_proto::Offset;

use super::{
    connections::{Connections, Item},
    subscriber::Except,
};
use crate::{
    topic::{Changes, Placed, PresenceChange},
    wire::{Encoding, Frame, Notice, Speaker},
};

/// One run over the subscribers with what was pulled.
pub(super) struct Pass {
    pub(super) messages: Vec<Arc<Placed>>,
    /// Kind `latest`: values left out before each message, for subscribers who take every pass.
    pub(super) skipped: Vec<u64>,
    pub(super) changes: Changes,
    /// Subscribers who are `Live` before the pass have everything up to here,
    pub(super) prev: Offset,
    /// and after it everything up to here.
    pub(super) last: Offset,
    /// Subscribers before this index are served.
    pub(super) cursor: usize,
    /// Whether the topic had more than fits one pass.
    pub(super) more: bool,
    /// Some message is not for everybody.
    pub(super) leaves_out: bool,
    pub(super) started: Instant,
    /// Time spent on it so far.
    pub(super) spent: Duration,
    batches: Batches,
    change_batches: Batches,
}

impl Pass {
    pub(super) fn new(
        messages: Vec<Arc<Placed>>,
        skipped: Vec<u64>,
        changes: Changes,
        reach: (Offset, Offset),
        more: bool,
        started: Instant,
    ) -> Self {
        let (prev, last) = reach;
        let (batches, change_batches) = Default::default();
        let (cursor, spent) = (0, Duration::ZERO);
        // Looked at once for all: subscribers of a pass without any need no look at its messages.
        let leaves_out = messages.iter().any(|message| message.not_to.is_some());
        Self {
            messages,
            skipped,
            changes,
            prev,
            last,
            cursor,
            more,
            leaves_out,
            started,
            spent,
            batches,
            change_batches,
        }
    }

    /// Has the frames of all messages shared, in one buffer that is made on first use.
    pub(super) fn share_messages(&mut self, io: &mut impl Connections, encoding: Encoding) -> Ones {
        let (messages, skipped) = (&self.messages, &self.skipped);
        let speaker = io.speaker(encoding);
        let frame = |(index, message): (usize, &Arc<Placed>)| {
            message.frame_after(speaker, skipped.get(index).copied().unwrap_or(0))
        };
        // Made once for the pass. Only its place in the turn's table is another one in each slice.
        let joined = kept(&mut self.batches, encoding, || join(messages.iter().enumerate().map(frame)));
        Ones::of(io, joined)
    }

    /// The same of all presence changes.
    pub(super) fn share_changes(&mut self, io: &mut impl Connections, encoding: Encoding) -> Ones {
        let speaker = io.speaker(encoding);
        let frames = self.changes.list.iter().map(|change| change_frame(speaker, change).clone());
        let joined = kept(&mut self.change_batches, encoding, || join(frames));
        Ones::of(io, joined)
    }

    /// All messages, each with what was skipped before it.
    pub(super) fn items(&self) -> impl Iterator<Item = Item<'_>> {
        let skipped = |index: usize| self.skipped.get(index).copied().unwrap_or(0);
        self.messages.iter().enumerate().map(move |(index, message)| Item::Message(message, skipped(index)))
    }

    /// The messages after an offset that a subscriber gets, each with what was skipped before it.
    pub(super) fn for_one(
        &self,
        after: Offset,
        except: Except,
    ) -> impl Iterator<Item = (&Placed, u64)> + Clone {
        let newer =
            self.messages.iter().enumerate().filter(move |(_, message)| message.message.offset > after);
        newer
            .filter(move |(_, message)| !except.covers(message))
            .map(|(index, message)| (&**message, self.skipped.get(index).copied().unwrap_or(0)))
    }
}

type Batches = Vec<(Encoding, Option<Bytes>)>;

/// What was made for an encoding before, or is made now.
fn kept(made: &mut Batches, encoding: Encoding, make: impl FnOnce() -> Option<Bytes>) -> Option<Bytes> {
    if let Some((_, bytes)) = made.iter().find(|(of, _)| *of == encoding) {
        return bytes.clone();
    }
    let bytes = make();
    made.push((encoding, bytes.clone()));
    bytes
}

/// What a join or leave is to those who watch.
pub fn notice_of(change: &PresenceChange) -> Notice<'_> {
    let PresenceChange { topic, member, joined, .. } = change;
    match joined {
        true => Notice::Joined { topic, member },
        false => Notice::Left { topic, member },
    }
}

/// What a watcher gets of a join or leave.
pub fn change_frame<'a>(speaker: Speaker<'_>, change: &'a PresenceChange) -> &'a Frame {
    speaker.shared_notice(&notice_of(change), &change.encoded)
}

/// What one encoding makes of something that many get.
#[derive(Clone, Copy)]
pub(super) enum Ones {
    /// All get these bytes.
    Shared(u32),
    /// Each gets bytes of its own.
    Own,
    /// The protocol has no word for it.
    Nothing,
}

impl Ones {
    fn of(io: &mut impl Connections, joined: Option<Bytes>) -> Self {
        match joined {
            None => Self::Own,
            Some(bytes) if bytes.is_empty() => Self::Nothing,
            Some(bytes) => Self::Shared(io.share(bytes)),
        }
    }
}

/// What subscribers share in the slice of a pass that runs, by encoding; empty between slices. A crowd has few encodings, so a
/// list is the fastest.
#[derive(Default)]
pub(super) struct SliceBytes {
    messages: Vec<(Encoding, Ones)>,
    changes: Vec<(Encoding, Ones)>,
}

impl SliceBytes {
    #[inline]
    pub(super) fn messages(&self, encoding: Encoding) -> Option<Ones> {
        find(&self.messages, encoding)
    }

    pub(super) fn changes(&self, encoding: Encoding) -> Option<Ones> {
        find(&self.changes, encoding)
    }

    pub(super) fn keep_messages(&mut self, encoding: Encoding, ones: Ones) -> Ones {
        self.messages.push((encoding, ones));
        ones
    }

    pub(super) fn keep_changes(&mut self, encoding: Encoding, ones: Ones) -> Ones {
        self.changes.push((encoding, ones));
        ones
    }

    pub(super) fn clear(&mut self) {
        self.messages.clear();
        self.changes.clear();
    }
}

#[inline]
fn find(list: &[(Encoding, Ones)], encoding: Encoding) -> Option<Ones> {
    list.iter().find(|(of, _)| *of == encoding).map(|(_, ones)| *ones)
}

/// Puts frames one after the other, if all of them are shared.
fn join(mut frames: impl Iterator<Item = Frame>) -> Option<Bytes> {
    let first = match frames.next() {
        None => return Some(Bytes::new()),
        Some(Frame::Shared(bytes)) => bytes,
        Some(Frame::Mixed(_)) => return None,
    };
    // Alone, a frame is shared with its message instead of copied.
    let Some(second) = frames.next() else { return Some(first) };
    let mut joined = Vec::from(first);
    for frame in [second].into_iter().chain(frames) {
        let Frame::Shared(bytes) = frame else { return None };
        joined.extend_from_slice(&bytes);
    }
    Some(joined.into())
}
