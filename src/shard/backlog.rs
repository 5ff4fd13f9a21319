//! What a socket did not take yet: frames in order, held together with whoever else has them. So a thousand clients that
//! ask for one large document and do not read cost as much as one.

use std::collections::VecDeque;

use bytes::Bytes;

/// What is left of a frame is copied up to this size; more would not be worth keeping the whole frame for.
const COPIED_BYTES: usize = 4 * 1024;

/// Parts below this size are put together before they are written.
const SMALL_BYTES: usize = 16 * 1024;

/// Bytes that are put together at most.
const WRITE_BYTES: usize = 64 * 1024;

/// Bytes that wait for a socket. Invariant: no part is empty.
#[derive(Default)]
pub(super) struct Backlog {
    parts: VecDeque<Bytes>,
    bytes: usize,
}

impl Backlog {
    /// How many bytes wait.
    pub(super) fn len(&self) -> usize {
        self.bytes
    }

    /// How many of them wait for nobody else.
    pub(super) fn own_bytes(&self) -> usize {
        self.parts.iter().filter(|part| part.is_unique()).map(Bytes::len).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Appends a frame without its first `from` bytes.
    pub(super) fn append(&mut self, frame: &Bytes, from: usize) {
        let rest = frame.get(from..).unwrap_or_default();
        if rest.is_empty() {
            return;
        }
        // The end of a frame that nobody else keeps must not keep all of it.
        let is_shared = rest.len() > COPIED_BYTES && (rest.len() > frame.len() / 2 || !frame.is_unique());
        self.bytes += rest.len();
        self.parts.push_back(if is_shared { frame.slice(from..) } else { Bytes::copy_from_slice(rest) });
    }

    /// The bytes to write next; small parts are put together in `scratch`.
    pub(super) fn next<'a>(&'a self, scratch: &'a mut Vec<u8>) -> &'a [u8] {
        match self.parts.front() {
            None => &[],
            // Large or alone, it goes as it lies: putting parts together is a copy, and pays for small ones only.
            Some(first) if first.len() >= SMALL_BYTES || self.parts.len() == 1 => first,
            Some(_) => {
                scratch.clear();
                for part in &self.parts {
                    if scratch.len() + part.len() > WRITE_BYTES {
                        break;
                    }
                    scratch.extend_from_slice(part);
                }
                scratch
            }
        }
    }

    /// The socket has taken so many bytes.
    pub(super) fn taken(&mut self, mut count: usize) {
        self.bytes -= count;
        while let Some(first) = self.parts.front_mut() {
            if count < first.len() {
                // Cut in place: what is left stays shared.
                let _gone = first.split_to(count);
                return;
            }
            count -= first.len();
            self.parts.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(backlog: &mut Backlog, step: usize) -> Vec<u8> {
        let (mut out, mut scratch) = (Vec::new(), Vec::new());
        while !backlog.is_empty() {
            let next = backlog.next(&mut scratch);
            assert!(!next.is_empty());
            let count = next.len().min(step);
            out.extend_from_slice(&next[..count]);
            backlog.taken(count);
        }
        assert_eq!((backlog.len(), backlog.parts.len()), (0, 0));
        out
    }

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let frames: Vec<Bytes> = [3, 5_000, 1, 100_000, 17, 16_384, 9_000]
            .iter()
            .enumerate()
            .map(|(index, &length)| (0..length).map(|at| (at * 7 + index).to_le_bytes()[0]).collect())
            .collect();
        for step in [1_000, 16_385, 1_000_000] {
            let mut backlog = Backlog::default();
            backlog.append(&frames[0], 3);
            assert!(backlog.is_empty(), "nothing was left of it");
            backlog.append(&frames[1], 2);
            frames[2..].iter().for_each(|frame| backlog.append(frame, 0));
            let expected = [&frames[1][2..], &frames[2..].concat()].concat();
            assert_eq!(backlog.len(), expected.len());
            assert_eq!(drained(&mut backlog, step), expected);
        }
    }

    #[test]
    fn what_others_keep_is_shared_and_a_little_end_keeps_nothing() {
        let is_shared = |frame: &Bytes, from: usize| {
            let mut backlog = Backlog::default();
            backlog.append(frame, from);
            backlog.parts[0].as_ptr() == frame[from..].as_ptr()
        };
        let frame = Bytes::from(vec![1; 100_000]);
        assert!(is_shared(&frame, 10), "most of it is left");
        assert!(!is_shared(&frame, 60_000), "nobody else has it");
        assert!(!is_shared(&frame, 99_000));
        let topic = frame.clone();
        assert!(is_shared(&frame, 60_000));
        assert!(!is_shared(&frame, 99_000), "too little to keep a document for");
        drop(topic);
    }
}
