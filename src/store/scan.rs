//! Which entries are read, and in which order.

use std::ops::Bound;

use bytes::Bytes;

use super::Space;

/// Which keys, in which order, and how many.
#[derive(Clone, Debug)]
pub struct Scan {
    /// The map.
    pub space: Space,
    /// From here on.
    pub from: Bound<Bytes>,
    /// Up to here.
    pub to: Bound<Bytes>,
    /// From the end to the beginning.
    pub reverse: bool,
    /// Most entries.
    pub limit: usize,
    /// Stop once values of about this many bytes were read; at least one entry is returned if there is one.
    pub bytes: usize,
}

impl Scan {
    /// Every key that begins with `prefix`, without limits.
    pub fn prefix(space: Space, prefix: impl Into<Bytes>) -> Self {
        let prefix: Bytes = prefix.into();
        let to = successor(&prefix).map_or(Bound::Unbounded, Bound::Excluded);
        Self {
            space,
            from: Bound::Included(prefix),
            to,
            reverse: false,
            limit: usize::MAX,
            bytes: usize::MAX,
        }
    }

    /// Whether no key can be in the range; maps panic on a start after the end.
    pub(super) fn is_empty(&self) -> bool {
        match (&self.from, &self.to) {
            (Bound::Unbounded, _) | (_, Bound::Unbounded) => false,
            (Bound::Included(from), Bound::Included(to)) => from > to,
            (Bound::Included(from) | Bound::Excluded(from), Bound::Included(to) | Bound::Excluded(to)) => {
                from >= to
            }
        }
    }
}

/// The first key that does not begin with the prefix and is greater; `None` if there is no greater one.
fn successor(prefix: &[u8]) -> Option<Bytes> {
    let kept = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut next = prefix[..=kept].to_vec();
    next[kept] += 1;
    Some(next.into())
}

/// A key with its value.
pub type Entry = (Bytes, Bytes);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_ends_before_the_next_one() {
        assert_eq!(successor(b"ab"), Some(Bytes::from_static(b"ac")));
        assert_eq!(successor(b"a\xff"), Some(Bytes::from_static(b"b")));
        assert_eq!(successor(b"\xff\xff"), None);
        assert_eq!(successor(b""), None);
    }
}
