//! What documents weigh together: each adds its bytes to a meter, and takes them back when it goes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// Bytes of all documents that were given it.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<AtomicUsize>);

impl Meter {
    /// How many there are.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// One document's share.
#[derive(Debug, Default)]
pub(super) struct Weight {
    meter: Meter,
    bytes: usize,
}

impl Weight {
    /// A document weighs so much now.
    pub(super) fn set(&mut self, bytes: usize) {
        match bytes.checked_sub(self.bytes) {
            Some(more) => self.meter.0.fetch_add(more, Ordering::Relaxed),
            None => self.meter.0.fetch_sub(self.bytes - bytes, Ordering::Relaxed),
        };
        self.bytes = bytes;
    }

    /// From now on it counts there.
    pub(super) fn move_to(&mut self, meter: &Meter) {
        let bytes = self.bytes;
        self.set(0);
        self.meter = meter.clone();
        self.set(bytes);
    }
}

impl Drop for Weight {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_meter_has_what_its_documents_weigh() {
        let meter = Meter::default();
        let (mut one, mut two) = (Weight::default(), Weight::default());
        one.set(5);
        assert_eq!(meter.bytes(), 0);
        one.move_to(&meter);
        two.move_to(&meter);
        two.set(30);
        one.set(2);
        assert_eq!(meter.bytes(), 32);
        drop(two);
        assert_eq!(meter.bytes(), 2);
    }
}
