//! What can be read of a range in which something cannot be.

use std::ops::Bound;

use bytes::Bytes;

use super::Scan;

/// A range, read around what is damaged in it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Salvage {
    /// What can be read, in key order: of each key the newest version that can be.
    pub entries: Vec<Salvaged>,
    /// What cannot.
    pub holes: Vec<Hole>,
}

/// An entry that can be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Salvaged {
    /// Its key.
    pub key: Bytes,
    /// Its value.
    pub value: Bytes,
    /// When it was written: what was written later has a higher number, whatever the space.
    pub written: u64,
}

/// Keys of which some may be missing, or be there in an older version only.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hole {
    /// From here on.
    pub from: Bound<Bytes>,
    /// Up to here.
    pub to: Bound<Bytes>,
    /// Nothing in it was written later than this.
    pub written: u64,
}

impl Hole {
    /// A hole that is one key wide.
    pub fn of(key: Bytes, written: u64) -> Self {
        Self { from: Bound::Included(key.clone()), to: Bound::Included(key), written }
    }

    /// Whether it may hold something of this key that was written after this.
    pub fn hides(&self, key: &[u8], written: u64) -> bool {
        let starts = match &self.from {
            Bound::Unbounded => true,
            Bound::Included(from) => from <= key,
            Bound::Excluded(from) => from < key,
        };
        let ends = match &self.to {
            Bound::Unbounded => true,
            Bound::Included(to) => key <= to,
            Bound::Excluded(to) => key < to,
        };
        // At the same number it is what the hole would show.
        starts && ends && written < self.written
    }

    /// Whether it may hold something behind this key that was written after this.
    pub fn hides_after(&self, key: &[u8], written: u64) -> bool {
        let reaches = match &self.to {
            Bound::Unbounded => true,
            Bound::Included(to) | Bound::Excluded(to) => key < to,
        };
        reaches && written < self.written
    }

    /// Whether a key of the range may lie in it.
    pub(super) fn touches(&self, scan: &Scan) -> bool {
        let apart = |end: &Bound<Bytes>, start: &Bound<Bytes>| match (end, start) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(end), Bound::Included(start)) => end < start,
            (
                Bound::Included(end) | Bound::Excluded(end),
                Bound::Included(start) | Bound::Excluded(start),
            ) => end <= start,
        };
        !apart(&self.to, &scan.from) && !apart(&scan.to, &self.from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Space;

    fn hole(from: &'static str, to: &'static str) -> Hole {
        Hole { from: Bound::Excluded(from.into()), to: Bound::Included(to.into()), written: 5 }
    }

    #[test]
    fn a_hole_hides_what_is_in_it_and_not_newer() {
        let hole = hole("b", "d");
        let hidden = |key: &str, written| hole.hides(key.as_bytes(), written);
        assert_eq!(
            [hidden("b", 0), hidden("bb", 0), hidden("d", 0), hidden("dd", 0)],
            [false, true, true, false]
        );
        assert_eq!([hidden("c", 4), hidden("c", 5)], [true, false]);
        assert!(hole.hides_after(b"a", 0) && hole.hides_after(b"c", 4));
        assert!(!hole.hides_after(b"d", 0) && !hole.hides_after(b"c", 5));
    }

    #[test]
    fn it_touches_ranges_that_share_a_key_with_it() {
        let touches = |prefix: &'static str| hole("b", "d").touches(&Scan::prefix(Space::Topics, prefix));
        assert_eq!(["a", "b", "c", "d", "e"].map(touches), [false, true, true, true, false]);
    }
}
