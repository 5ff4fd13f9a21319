//! How many connections may be open, in all and from one address.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use dashmap::{DashMap, Entry};

/// Counts connections of any kind, from accepting to the end.
#[derive(Debug, Default)]
pub(super) struct Gate {
    open: AtomicUsize,
    by_address: DashMap<IpAddr, usize>,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Permit {
    gate: Arc<Gate>,
    address: IpAddr,
}

impl Gate {
    /// A place for a connection, unless its address or all together have as many as they may.
    pub(super) fn enter(
        self: &Arc<Self>,
        address: IpAddr,
        max: usize,
        max_per_address: usize,
    ) -> Option<Permit> {
        if self.open.fetch_add(1, Ordering::Relaxed) >= max {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let mut count = self.by_address.entry(address).or_insert(0);
        if *count >= max_per_address {
            drop(count);
            self.open.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        *count += 1;
        Some(Permit { gate: self.clone(), address })
    }
}

impl Gate {
    /// How many connections are open.
    pub(super) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Permit {
    /// Whose connection it is.
    pub(super) fn address(&self) -> IpAddr {
        self.address
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.open.fetch_sub(1, Ordering::Relaxed);
        if let Entry::Occupied(mut entry) = self.gate.by_address.entry(self.address) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_hold_and_places_come_back() {
        let gate = Arc::new(Gate::default());
        let (a, b): (IpAddr, IpAddr) = ([127, 0, 0, 1].into(), [127, 0, 0, 2].into());
        let first = gate.enter(a, 3, 2).unwrap();
        let _second = gate.enter(a, 3, 2).unwrap();
        assert!(gate.enter(a, 3, 2).is_none(), "address full");
        let _third = gate.enter(b, 3, 2).unwrap();
        assert!(gate.enter(b, 3, 2).is_none(), "all full");
        drop(first);
        assert!(gate.enter(b, 3, 2).is_some());
        assert!(gate.enter(a, 3, 2).is_some());
    }
}
