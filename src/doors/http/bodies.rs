//! Memory for request bodies: how much of it there is, and how much of that one caller may have at a time.
//!
//! Whoever is known (by user, token or key) has a share of their own; strangers, and webhooks before they are verified,
//! have one by address and another for all of them together. So nobody who sends slowly, or much at once, keeps others
//! from publishing.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, Hash, RandomState},
    net::IpAddr,
    sync::Arc,
};

use axum::http::request::Parts;
use parking_lot::Mutex;

use super::credentials::Sender;
use crate::{defaults, memory::Share};

/// Who is charged for a body. Kept as a hash with a secret of the process's own, so that it costs no memory of its own and
/// nobody can make another one pay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::doors) struct Payer {
    id: u64,
    is_stranger: bool,
}

/// Which share was too small; names the limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum NoRoom {
    /// The caller's own.
    #[error("{0} bytes of unfinished request bodies are one caller's share; finish some first")]
    Caller(usize),
    /// That of all strangers.
    #[error("requests without a credential hold {0} bytes of unfinished bodies, which is their share")]
    Strangers(usize),
    /// All there is.
    #[error("unfinished request bodies hold {0} bytes, which is all that they may")]
    Whole(usize),
}

/// The memory for bodies.
pub struct Bodies {
    /// All of it.
    whole: Arc<Share>,
    secret: RandomState,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    strangers: usize,
    by_payer: HashMap<u64, usize>,
}

impl Bodies {
    /// The memory there is for them.
    pub fn new(whole: Arc<Share>) -> Self {
        Self { whole, secret: RandomState::new(), held: Mutex::default() }
    }

    /// Somebody known by more than an address.
    pub(super) fn known(&self, name: impl Hash) -> Payer {
        Payer { id: self.secret.hash_one(("known", name)), is_stranger: false }
    }

    /// Somebody known by an address only.
    pub(super) fn stranger(&self, address: Option<IpAddr>) -> Payer {
        // Hashed apart from names that are known, so that nobody can take a name which looks like somebody's address.
        Payer { id: self.secret.hash_one(("stranger", address)), is_stranger: true }
    }

    /// Who pays for a request: whom its credential names, if it was checked.
    pub(super) fn payer_of(&self, parts: &Parts) -> Payer {
        let known = parts.extensions.get::<Payer>().copied();
        known.unwrap_or_else(|| self.stranger(parts.extensions.get().map(|sender: &Sender| sender.address)))
    }

    /// Most bytes of one payer.
    fn share(&self) -> usize {
        // The largest body there may be always fits.
        (self.whole.limit() / defaults::HTTP_BODIES_CALLERS).max(defaults::HTTP_BODY_BYTES_MAX)
    }

    /// Most bytes of all strangers.
    fn strangers(&self) -> usize {
        self.whole.limit() / 2
    }
}

/// What one body holds, given back when dropped.
pub(super) struct Holding {
    bodies: Arc<Bodies>,
    payer: Payer,
    bytes: usize,
}

impl Holding {
    pub(super) fn new(bodies: &Arc<Bodies>, payer: Payer) -> Self {
        Self { bodies: bodies.clone(), payer, bytes: 0 }
    }

    /// Takes so many bytes more.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let whole = &self.bodies.whole;
        let (share, strangers) = (self.bodies.share(), self.bodies.strangers());
        // One lock for all three bounds: checked and taken one by one, two bodies could both fit into the last of the
        // room.
        let mut held = self.bodies.held.lock();
        if !whole.has_room(bytes) {
            return Err(NoRoom::Whole(whole.limit()));
        }
        if self.payer.is_stranger && held.strangers + bytes > strangers {
            return Err(NoRoom::Strangers(strangers));
        }
        let own = held.by_payer.entry(self.payer.id).or_default();
        if *own + bytes > share {
            return Err(NoRoom::Caller(share));
        }
        *own += bytes;
        whole.change(0, bytes);
        held.strangers += if self.payer.is_stranger { bytes } else { 0 };
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let mut held = self.bodies.held.lock();
        self.bodies.whole.change(self.bytes, 0);
        held.strangers -= if self.payer.is_stranger { self.bytes } else { 0 };
        if let Entry::Occupied(mut own) = held.by_payer.entry(self.payer.id) {
            *own.get_mut() -= self.bytes;
            // Also after a body that got nothing: `grow` makes the entry before it looks whether there is room.
            if *own.get() == 0 {
                own.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: usize = 256 << 20;
    const SHARE: usize = 32 << 20;

    #[test]
    fn nobody_takes_more_than_their_share() {
        let bodies = Arc::new(Bodies::new(Arc::new(Share::new(WHOLE))));
        let mut first = Holding::new(&bodies, bodies.known("alice"));
        let mut second = Holding::new(&bodies, bodies.known("alice"));
        assert_eq!(first.grow(SHARE - 1), Ok(()));
        assert_eq!(second.grow(1), Ok(()));
        assert_eq!(second.grow(1), Err(NoRoom::Caller(SHARE)));
        assert_eq!(Holding::new(&bodies, bodies.known("bob")).grow(SHARE), Ok(()));
        drop(first);
        assert_eq!(second.grow(SHARE - 1), Ok(()));
    }

    #[test]
    fn strangers_leave_half_of_it_to_others() {
        let bodies = Arc::new(Bodies::new(Arc::new(Share::new(WHOLE))));
        let from = |host: u8| {
            let mut share = Holding::new(&bodies, bodies.stranger(Some([10, 0, 0, host].into())));
            share.grow(SHARE).map(|()| share)
        };
        let held: Vec<_> = (0..4).map(|host| from(host).unwrap()).collect();
        assert!(matches!(from(9), Err(NoRoom::Strangers(_))));
        let users: Vec<_> = (0..4)
            .map(|user| {
                let mut share = Holding::new(&bodies, bodies.known(user));
                share.grow(SHARE).map(|()| share)
            })
            .collect();
        assert!(users.iter().all(Result::is_ok));
        assert_eq!(Holding::new(&bodies, bodies.known("another")).grow(1), Err(NoRoom::Whole(WHOLE)));
        drop((held, users));
        let held = bodies.held.lock();
        assert_eq!((bodies.whole.used(), held.strangers, held.by_payer.len()), (0, 0, 0));
    }
}
