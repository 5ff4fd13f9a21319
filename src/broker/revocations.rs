//! Which credentials are refused although they are valid, and until when. Kept in the store, so that with a data directory a
//! restart forgets none.
//!
//! In [`Space::Store`]: key `revoked/`, `user/`, `token/` or `key/`, and the name; value the end, in milliseconds since 1970,
//! as eight bytes in big endian.

use bytes::Bytes;
use dashmap::DashMap;
use parking_lot::Mutex;

use crate::{
    auth::Credential,
    defaults,
    shard::Who,
    store::{Batch, Scan, Space, Store, StoreError},
};

const PREFIX: &str = "revoked/";

/// Why a credential was not revoked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RevokeError {
    /// There are as many revocations as there may be.
    #[error("{0} credentials are revoked already, the most that may be; they end with their `for_s`")]
    TooMany(usize),
    /// The name is longer than any credential's.
    #[error("the name is longer than the {} bytes that it may have", defaults::REVOKED_NAME_BYTES)]
    TooLong,
    /// It is in force, but will not be after a restart.
    #[error("it is refused from now on, but could not be written down: a restart would forget it ({0})")]
    NotKept(StoreError),
}

/// Until when credentials are refused, by whose they are.
#[derive(Default)]
pub(super) struct Revocations {
    until: DashMap<Who, u64>,
    /// Held while one is put in force, and from forgetting until that is queued for the store.
    changing: Mutex<()>,
}

impl Revocations {
    /// Takes over what a store has.
    ///
    /// # Errors
    /// When it cannot be read: nobody would know whom to refuse.
    pub(super) fn restore(&self, store: &dyn Store) -> Result<usize, StoreError> {
        for (key, value) in store.scan(&Scan::prefix(Space::Store, PREFIX))? {
            let read = who_of(&key).zip(value.first_chunk().map(|until| u64::from_be_bytes(*until)));
            let Some((who, until_ms)) = read else {
                return Err(StoreError::Corrupt(
                    format!("store {}: no revocation", key.escape_ascii()).into(),
                ));
            };
            self.until.insert(who, until_ms);
        }
        Ok(self.until.len())
    }

    /// Puts one in force; what is returned makes it last.
    pub(super) fn add(&self, who: &Who, until_ms: u64) -> Result<Batch, RevokeError> {
        let Some(key) = key_of(who) else { return Ok(Batch::default()) };
        if key.len() > PREFIX.len() + defaults::REVOKED_NAME_BYTES {
            return Err(RevokeError::TooLong);
        }
        // Queued for the store after this, it is behind the removal of an earlier one of the same name.
        let _changing = self.changing.lock();
        if self.until.len() >= defaults::REVOCATIONS && !self.until.contains_key(who) {
            return Err(RevokeError::TooMany(defaults::REVOCATIONS));
        }
        self.until.insert(who.clone(), until_ms);
        let mut batch = Batch::default();
        batch.put(Space::Store, key, until_ms.to_be_bytes().to_vec());
        Ok(batch)
    }

    pub(super) fn is_in_force(&self, who: &Who, now_ms: u64) -> bool {
        self.until.get(who).is_some_and(|until| *until > now_ms)
    }

    /// Forgets those whose time is over; what is to be queued makes the store forget them.
    pub(super) fn expire(&self, now_ms: u64, queue: impl FnOnce(Batch)) {
        let _changing = self.changing.lock();
        let mut batch = Batch::default();
        self.until.retain(|who, until| {
            let lasts = *until > now_ms;
            if !lasts && let Some(key) = key_of(who) {
                batch.delete(Space::Store, key);
            }
            lasts
        });
        if !batch.writes.is_empty() {
            queue(batch);
        }
    }
}

/// `None` for a connection, which is not revoked but ended.
fn key_of(who: &Who) -> Option<Bytes> {
    let (kind, name) = match who {
        Who::Client(_) => return None,
        Who::User(name) => ("user", name),
        Who::Credential(Credential::Token(name)) => ("token", name),
        Who::Credential(Credential::Key(name)) => ("key", name),
    };
    Some(format!("{PREFIX}{kind}/{name}").into())
}

fn who_of(key: &[u8]) -> Option<Who> {
    let (kind, name) = std::str::from_utf8(key).ok()?.strip_prefix(PREFIX)?.split_once('/')?;
    match kind {
        "user" => Some(Who::User(name.into())),
        "token" => Some(Who::Credential(Credential::Token(name.into()))),
        "key" => Some(Who::Credential(Credential::Key(name.into()))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::mpsc, time::Duration};

    use super::*;
    use crate::store::Memory;

    fn all(name: &str) -> [Who; 3] {
        [
            Who::User(name.into()),
            Who::Credential(Credential::Token(name.into())),
            Who::Credential(Credential::Key(name.into())),
        ]
    }

    #[test]
    fn they_outlive_the_process_and_are_forgotten_when_over() {
        let store = Memory::default();
        let before = Revocations::default();
        for (who, until_ms) in all("a/b").iter().zip([100, 200, 300]) {
            store.commit(&before.add(who, until_ms).unwrap()).unwrap();
        }
        let after = Revocations::default();
        assert_eq!(after.restore(&store).unwrap(), 3);
        let in_force = |now_ms| all("a/b").map(|who| after.is_in_force(&who, now_ms));
        assert_eq!(in_force(99), [true; 3]);
        assert_eq!(in_force(100), [false, true, true]);
        after.expire(250, |batch| store.commit(&batch).unwrap());
        assert_eq!(Revocations::default().restore(&store).unwrap(), 1);
    }

    #[test]
    fn one_of_the_same_name_is_not_forgotten_with_the_one_before() {
        let store = Memory::default();
        let revocations = Revocations::default();
        let who = Who::User("a".into());
        store.commit(&revocations.add(&who, 100).unwrap()).unwrap();
        std::thread::scope(|scope| {
            revocations.expire(200, |removal| {
                let (done, added) = mpsc::channel();
                let (revocations, store, who) = (&revocations, &store, &who);
                scope.spawn(move || {
                    store.commit(&revocations.add(who, 300).unwrap()).unwrap();
                    let _ = done.send(());
                });
                // More than it takes, unless it is made to wait.
                let _ = added.recv_timeout(Duration::from_millis(200));
                store.commit(&removal).unwrap();
            });
        });
        let after = Revocations::default();
        after.restore(&store).unwrap();
        assert!(after.is_in_force(&who, 250));
    }

    #[test]
    fn their_number_and_names_are_bounded() {
        let revocations = Revocations::default();
        let longest = "n".repeat(defaults::REVOKED_NAME_BYTES - "token/".len());
        assert!(revocations.add(&Who::Credential(Credential::Token(longest.as_str().into())), 1).is_ok());
        let longer = format!("{longest}n");
        let refused = revocations.add(&Who::Credential(Credential::Token(longer.into())), 1);
        assert!(matches!(refused, Err(RevokeError::TooLong)));
        for number in 1..defaults::REVOCATIONS {
            revocations.until.insert(Who::User(number.to_string().into()), 1);
        }
        assert!(matches!(revocations.add(&Who::User("new".into()), 1), Err(RevokeError::TooMany(_))));
        assert!(
            revocations.add(&Who::User("7".into()), 2).is_ok(),
            "one that is there already is made longer"
        );
    }
}
