//! Misbehaviour to order: a tester that cannot see these would not see them in a real broker either.

use std::collections::HashMap;

use crate::cli::Fault;

/// Puts frames into an outbox, now and then wrongly.
#[derive(Debug)]
pub struct Faulty {
    fault: Fault,
    every: u64,
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

    /// Delivers `frame` to connection `at` by way of its outbox.
    pub fn deliver(&mut self, at: usize, frame: &[u8], out: &mut Vec<u8>) {
        if self.fault == Fault::None {
            out.extend_from_slice(frame);
            return;
        }
        self.deliveries += 1;
        let due = self.deliveries.is_multiple_of(self.every);
        match self.fault {
            Fault::Drop if due => return,
            Fault::Duplicate if due => out.extend_from_slice(frame),
            Fault::Swap if due && !self.held.contains_key(&at) => {
                self.held.insert(at, frame.to_vec());
                return;
            }
            _ => {}
        }
        let start = out.len();
        out.extend_from_slice(frame);
        if self.fault == Fault::Corrupt && due {
            corrupt(&mut out[start..]);
        }
        if let Some(held) = self.held.remove(&at) {
            out.extend_from_slice(&held);
        }
    }

    /// Drops what is held for a closed connection.
    pub fn forget(&mut self, at: usize) {
        self.held.remove(&at);
    }
}

/// Changes a digit of the stamp's sequence.
fn corrupt(frame: &mut [u8]) {
    if let Some(digit) = memchr::memmem::find(frame, crate::stamp::MARK).and_then(|at| frame.get_mut(at + 20))
    {
        *digit = if *digit == b'7' { b'8' } else { b'7' };
    }
}
