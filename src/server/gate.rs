//! How many connections may be open, in all and from one address, of IPv6 from one network.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use dashmap::{DashMap, Entry};

use crate::auth::network;

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
    /// Where it is counted.
    counted: IpAddr,
    /// The place of the proxy's connection that the client came by.
    by: Option<Arc<Self>>,
}

/// Why there is no place; names the setting.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Full {
    /// All together have as many as they may.
    #[error("there are as many connections as `max_connections` allows")]
    All,
    /// The address has as many as it may.
    #[error("this address has as many connections as `max_connections_per_address` allows")]
    Address,
}

impl Gate {
    /// A place for a connection, unless its address or all together have as many as they may.
    pub(super) fn enter(
        self: &Arc<Self>,
        address: IpAddr,
        max: usize,
        max_per_address: usize,
    ) -> Result<Permit, Full> {
        // Counted before it is compared, so that no two take the last place. Relaxed: the counter guards nothing but
        // itself.
        if self.open.fetch_add(1, Ordering::Relaxed) >= max {
            self.open.fetch_sub(1, Ordering::Relaxed);
            return Err(Full::All);
        }
        let counted = self.count(address, max_per_address).inspect_err(|_| {
            self.open.fetch_sub(1, Ordering::Relaxed);
        })?;
        Ok(Permit { gate: self.clone(), address, counted, by: None })
    }

    /// Counts one more; says where.
    fn count(&self, address: IpAddr, max_per_address: usize) -> Result<IpAddr, Full> {
        // Who may have any number, as a trusted proxy, is counted apart, or its neighbours would pay for that.
        let counted = if max_per_address == usize::MAX { address } else { network(address) };
        let mut count = self.by_address.entry(counted).or_insert(0);
        if *count >= max_per_address {
            return Err(Full::Address);
        }
        *count += 1;
        Ok(counted)
    }

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

    /// The place of a client who came by this connection. Behind a proxy it is counted by its own address, for as long as
    /// its request or its socket lasts.
    pub(super) fn of_client(
        self: Arc<Self>,
        client: IpAddr,
        max_per_address: usize,
    ) -> Result<Arc<Self>, Full> {
        if client == self.address {
            return Ok(self);
        }
        let counted = self.gate.count(client, max_per_address)?;
        // Holds the proxy's own place as well: the connection it came by is counted for as long as its client is.
        Ok(Arc::new(Self { gate: self.gate.clone(), address: client, counted, by: Some(self) }))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        // A client's place behind a proxy is counted by address only; the connection was counted when it was accepted.
        if self.by.is_none() {
            self.gate.open.fetch_sub(1, Ordering::Relaxed);
        }
        if let Entry::Occupied(mut entry) = self.gate.by_address.entry(self.counted) {
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
        assert_eq!(gate.enter(a, 3, 2).unwrap_err(), Full::Address);
        let _third = gate.enter(b, 3, 2).unwrap();
        assert_eq!(gate.enter(b, 3, 2).unwrap_err(), Full::All);
        drop(first);
        assert!(gate.enter(b, 3, 2).is_ok());
        assert!(gate.enter(a, 3, 2).is_ok());
    }

    #[test]
    fn the_addresses_of_one_network_are_one() {
        let gate = Arc::new(Gate::default());
        let six = |text: &str| text.parse::<IpAddr>().unwrap();
        let _proxies = [1; 3].map(|_| gate.enter(six("2001:db8::9"), 9, usize::MAX).unwrap());
        let first = gate.enter(six("2001:db8::1"), 9, 2).unwrap();
        let second = gate.enter(six("2001:db8::2"), 9, 2).unwrap();
        assert_eq!(gate.enter(six("2001:db8::3"), 9, 2).unwrap_err(), Full::Address);
        assert!(gate.enter(six("2001:db8:0:1::1"), 9, 2).is_ok());
        drop((first, second));
        assert!(gate.enter(six("2001:db8::3"), 9, 2).is_ok());
        assert_eq!(gate.by_address.len(), 1, "the proxy's");
    }

    #[test]
    fn clients_behind_a_proxy_are_counted_by_themselves() {
        let gate = Arc::new(Gate::default());
        let (proxy, a): (IpAddr, IpAddr) = ([10, 0, 0, 1].into(), [9, 9, 9, 9].into());
        let connection = Arc::new(gate.enter(proxy, 9, usize::MAX).unwrap());
        let first = connection.clone().of_client(a, 2).unwrap();
        let second = connection.clone().of_client(a, 2).unwrap();
        assert_eq!(connection.clone().of_client(a, 2).unwrap_err(), Full::Address);
        assert_eq!((first.address(), gate.open()), (a, 1));
        drop(first);
        let third = connection.clone().of_client(a, 2).unwrap();
        drop((connection, second));
        assert_eq!(gate.open(), 1, "a socket is left");
        drop(third);
        assert_eq!((gate.open(), gate.by_address.len()), (0, 0));
    }
}
