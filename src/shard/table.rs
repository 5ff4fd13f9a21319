//! The bytes of one turn, which connections refer to by index: those that many share, and those that are one's own, all of
//! which lie in one buffer.

use std::ops::Range;

use bytes::Bytes;

use super::backlog::Backlog;
use crate::fanout::slot32;

/// A buffer larger than this is given back after its turn.
const KEPT_BYTES: usize = 1024 * 1024;

#[derive(Default)]
pub(super) struct Table {
    entries: Vec<Entry>,
    /// Bytes of all entries that are one connection's own.
    own: Vec<u8>,
}

enum Entry {
    Shared(Bytes),
    Own(Range<usize>),
}

/// Where an entry of one's own begins.
#[derive(Clone, Copy)]
pub(super) struct Begun(usize);

impl Table {
    pub(super) fn add(&mut self, bytes: Bytes) -> u32 {
        self.push(Entry::Shared(bytes))
    }

    fn push(&mut self, entry: Entry) -> u32 {
        self.entries.push(entry);
        slot32(self.entries.len() - 1)
    }

    /// Begins an entry of one's own, whose bytes are then appended to [`growing`](Self::growing).
    pub(super) fn begin(&self) -> Begun {
        Begun(self.own.len())
    }

    pub(super) fn growing(&mut self) -> &mut Vec<u8> {
        &mut self.own
    }

    /// Adds what was appended, if anything was.
    pub(super) fn finish(&mut self, Begun(start): Begun) -> Option<u32> {
        let end = self.own.len();
        // An empty entry would be a place in a stage for nothing.
        (start < end).then(|| self.push(Entry::Own(start..end)))
    }

    pub(super) fn get(&self, index: u32) -> &[u8] {
        match &self.entries[index as usize] {
            Entry::Shared(bytes) => bytes,
            Entry::Own(range) => &self.own[range.clone()],
        }
    }

    /// Keeps an entry without its first `from` bytes until its connection takes it.
    pub(super) fn keep(&self, index: u32, from: usize, backlog: &mut Backlog) {
        match &self.entries[index as usize] {
            Entry::Shared(bytes) => backlog.append(bytes, from),
            Entry::Own(range) => {
                // Copied, since the buffer that it lies in is emptied with the turn.
                let rest = self.own[range.clone()].get(from..).unwrap_or_default();
                backlog.append(&Bytes::copy_from_slice(rest), 0);
            }
        }
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.own.clear();
        if self.own.capacity() > KEPT_BYTES {
            self.own.shrink_to(KEPT_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_both_kinds_keep_their_bytes() {
        let mut table = Table::default();
        let shared = table.add(Bytes::from_static(b"shared"));
        let begun = table.begin();
        assert_eq!(table.finish(begun), None, "nothing was appended");
        table.growing().extend_from_slice(b"own");
        let own = table.finish(begun).unwrap();
        let begun = table.begin();
        table.growing().extend_from_slice(b"another");
        let another = table.finish(begun).unwrap();
        assert_eq!(
            [shared, own, another].map(|index| table.get(index)),
            [&b"shared"[..], b"own", b"another"]
        );
        let mut backlog = Backlog::default();
        table.keep(shared, 3, &mut backlog);
        table.keep(own, 1, &mut backlog);
        table.keep(another, 7, &mut backlog);
        assert_eq!(backlog.len(), 3 + 2);
        table.clear();
        assert_eq!(table.add(Bytes::new()), 0);
    }
}
