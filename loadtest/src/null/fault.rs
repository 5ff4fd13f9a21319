//! Misbehaviour to order: a tester that cannot see these would not see them in a real broker either.

use std::collections::HashMap;

use crate::options::Fault;

/// Puts frames into an outbox, now and then wrongly.
#[derive(Debug)]
pub struct Faulty {
    pub(super) fault: Fault,
    pub(super) every: u64,
    deliveries: u64,
    /// A swapped delivery waits here, by connection, for the one after it.
    held: HashMap<usize, Vec<u8>>,
}

impl Faulty {
    /// Does `fault` once in `every` deliveries.
    #[must_use]
    pub fn new(fault: Fault, every: u64) -> Self {
        Self { fault, every: every.max(1), deliveries: 0, held: HashMap::new() }
    }

    /// Delivers `frame` to connection `at` by way of its outbox; true when this is a delivery to do wrong.
    pub fn deliver(&mut self, at: usize, frame: &[u8], out: &mut Vec<u8>) -> bool {
        if self.fault == Fault::None {
            out.extend_from_slice(frame);
            return false;
        }
        self.deliveries += 1;
        let due = self.deliveries.is_multiple_of(self.every);
        match self.fault {
            Fault::Drop | Fault::Gap if due => return true,
            Fault::Duplicate if due => out.extend_from_slice(frame),
            Fault::Swap if due && !self.held.contains_key(&at) => {
                self.held.insert(at, frame.to_vec());
                return true;
            }
            _ => {}
        }
        let start = out.len();
        out.extend_from_slice(frame);
        if self.fault == Fault::Corrupt && due {
            corrupt(&mut out[start..], self.deliveries / self.every);
        }
        if let Some(held) = self.held.remove(&at) {
            out.extend_from_slice(&held);
        }
        due
    }

    /// Drops what is held for a closed connection.
    pub fn forget(&mut self, at: usize) {
        self.held.remove(&at);
    }
}

/// Changes a digit of the stamp's sequence, every other time a letter near the end.
fn corrupt(frame: &mut [u8], nth: u64) {
    let Some(stamp) = memchr::memmem::find(frame, crate::stamp::MARK) else { return };
    let at = if nth.is_multiple_of(2) { frame.len() - 10 } else { stamp + 15 };
    if let Some(byte) = frame.get_mut(at) {
        *byte = if *byte == b'7' { b'8' } else { b'7' };
    }
}
