//! Connections' own lists of their subscriptions, which point into the feeds' lists and back, and who of them waits to catch
//! up.

use std::collections::VecDeque;

use super::{feed::Feed, options::SubKey, slot::slot32, subscriber::Sub};

/// A subscription as seen from its connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct SubRef {
    pub(super) key: SubKey,
    pub(super) feed: u32,
    pub(super) index: u32,
}

/// What a connection subscribes to.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) subs: Vec<SubRef>,
    /// Some subscription waits to catch up.
    pub(super) lagging: bool,
    /// In the queue of those that catch up.
    pub(super) queued: bool,
}

/// All connections that ever subscribed to something, by their slots. Invariant: a [`SubRef`] and its [`Sub`] name each other.
#[derive(Default)]
pub(super) struct Readers {
    of: Vec<Reader>,
    /// Connections with subscriptions that read on in the history, in turn.
    catching: VecDeque<u32>,
}

impl Readers {
    pub(super) fn get(&self, conn: u32) -> Option<&Reader> {
        self.of.get(conn as usize)
    }

    pub(super) fn get_mut(&mut self, conn: u32) -> Option<&mut Reader> {
        self.of.get_mut(conn as usize)
    }

    /// A connection's subscriptions.
    pub(super) fn subs(&self, conn: u32) -> &[SubRef] {
        self.get(conn).map_or(&[], |reader| &reader.subs)
    }

    pub(super) fn find(&self, conn: u32, key: SubKey) -> Option<SubRef> {
        self.subs(conn).iter().find(|sub| sub.key == key).copied()
    }

    /// What a subscription is called.
    pub(super) fn key_of(&self, sub: &Sub) -> SubKey {
        self.of[sub.conn as usize].subs[sub.place as usize].key
    }

    /// Adds a subscription to both lists.
    pub(super) fn link(
        &mut self,
        (slot, feed): (u32, &mut Feed),
        conn: u32,
        key: SubKey,
        sub: impl FnOnce(u32) -> Sub,
    ) {
        if self.of.len() <= conn as usize {
            self.of.resize_with(conn as usize + 1, Reader::default);
        }
        let subs = &mut self.of[conn as usize].subs;
        let (place, index) = (slot32(subs.len()), slot32(feed.subs.len()));
        push_tightly(subs, SubRef { key, feed: slot, index });
        push_tightly(&mut feed.subs, sub(place));
    }

    /// Removes a subscription from both lists. Returns it, and which other subscription of its connection has another place
    /// now.
    pub(super) fn unlink(&mut self, at: SubRef, feed: &mut Feed) -> (Sub, Option<(SubRef, u32)>) {
        let readers = &mut self.of;
        let gone = feed.remove(at.index as usize, |sub, index| {
            readers[sub.conn as usize].subs[sub.place as usize].index = slot32(index);
        });
        let subs = &mut self.of[gone.conn as usize].subs;
        subs.swap_remove(gone.place as usize);
        // Its other end is in a feed that only the caller can reach.
        let moved = subs.get(gone.place as usize).map(|moved| (*moved, gone.place));
        // Of a hundred thousand connections without subscriptions none keeps room for one.
        if subs.is_empty() {
            subs.shrink_to_fit();
        }
        (gone, moved)
    }

    /// A connection is gone, and whoever has its slot next is somebody else.
    pub(super) fn forget(&mut self, conn: u32) {
        if let Some(reader) = self.get_mut(conn) {
            // The queue may still name it, and whoever has the slot then is looked at in vain.
            *reader = Reader::default();
        }
    }

    /// Makes a connection's waiting subscriptions be looked at, unless its socket must drain first.
    pub(super) fn schedule_catch_up(&mut self, conn: u32, blocked: bool) {
        let Some(reader) = self.of.get_mut(conn as usize) else { return };
        reader.lagging = true;
        if !blocked && !reader.queued {
            reader.queued = true;
            self.catching.push_back(conn);
        }
    }

    /// The next that is to catch up.
    pub(super) fn pop(&mut self) -> Option<u32> {
        self.catching.pop_front()
    }

    /// How many are to catch up.
    pub(super) fn waiting(&self) -> usize {
        self.catching.len()
    }
}

/// Adds to a list that often stays at one: a connection's only topic, or a topic's only subscriber.
fn push_tightly<T>(list: &mut Vec<T>, item: T) {
    if list.is_empty() {
        list.reserve_exact(1);
    }
    list.push(item);
}
