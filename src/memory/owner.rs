//! Whom what the broker keeps is charged to, and how much each of them makes it keep. So nobody uses up what is there for all.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use dashmap::DashMap;
use rustc_hash::FxHashMap;

use super::share::Share;

/// Who made the broker keep something.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub enum Owner {
    /// The broker itself: what a back end does to documents.
    #[default]
    Broker,
    /// A back end, by the name of its key.
    Key(Arc<str>),
    /// A source of webhooks: whoever sends them may choose the topics, and ids.
    Source(Arc<str>),
    /// A user, whatever the connection.
    User(Arc<str>),
    /// Somebody without a name, by the address.
    Address(IpAddr),
}

impl Owner {
    /// For people, in refusals.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Broker => "the broker",
            Self::Key(_) => "this key",
            Self::Source(_) => "this source",
            Self::User(_) => "this user",
            Self::Address(_) => "this address",
        }
    }

    /// A message id as this owner's alone. Those without a name share one scope, since an address does not stay the same: a
    /// phone that tries again comes from another one. No message id contains what stands between.
    pub fn scoped(&self, message_id: &str) -> String {
        match self {
            Self::Address(_) => message_id.to_owned(),
            Self::Broker => format!("b{SCOPE_END}{message_id}"),
            Self::Key(name) => format!("k{name}{SCOPE_END}{message_id}"),
            Self::Source(name) => format!("s{name}{SCOPE_END}{message_id}"),
            Self::User(name) => format!("u{name}{SCOPE_END}{message_id}"),
        }
    }
}

/// Ends the scope of a message id.
const SCOPE_END: char = '\0';

/// The scope of a [scoped](Owner::scoped) message id; empty for those without a name.
pub fn scope_of(scoped: &str) -> &str {
    scoped.rsplit_once(SCOPE_END).map_or("", |(scope, _)| scope)
}

/// A [scoped](Owner::scoped) message id as its publisher wrote it.
pub fn unscoped(scoped: &str) -> &str {
    scoped.rsplit_once(SCOPE_END).map_or(scoped, |(_, id)| id)
}

/// What one owner makes the broker keep.
#[derive(Debug)]
pub struct Account {
    owner: Owner,
    topics: AtomicUsize,
    /// Bytes of its topics.
    pub bytes: Share,
    /// Bytes of the content of its documents.
    pub documents: Share,
}

impl Account {
    fn new(owner: Owner) -> Self {
        Self { owner, topics: AtomicUsize::new(0), bytes: Share::default(), documents: Share::default() }
    }

    /// Whose it is.
    pub const fn owner(&self) -> &Owner {
        &self.owner
    }

    /// How many topics it has made that are still there.
    pub fn topics(&self) -> usize {
        self.topics.load(Ordering::Relaxed)
    }

    /// Charges it with one more topic; `None` if it has so many.
    pub fn charge(self: &Arc<Self>, most: usize) -> Option<Charge> {
        let more = |topics: usize| (topics < most).then_some(topics + 1);
        // In one step with the look at the bound. Relaxed, since the number is all that is shared.
        self.topics.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Charge(self.clone()))
    }
}

/// A topic that somebody is charged with, for as long as this lives.
#[derive(Debug)]
pub struct Charge(Arc<Account>);

impl Charge {
    /// The account that is charged.
    pub const fn account(&self) -> &Arc<Account> {
        &self.0
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.0.topics.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The accounts of everybody who has something.
#[derive(Debug, Default)]
pub struct Accounts(DashMap<Owner, Arc<Account>>);

impl Accounts {
    /// The account of an owner, with so many bytes of topics and of documents at most.
    pub fn of(&self, owner: &Owner, most_bytes: usize, most_documents: usize) -> Arc<Account> {
        // Looked up for reading first: an entry would lock others out, and nearly everybody is known.
        let account = match self.0.get(owner) {
            Some(known) => known.value().clone(),
            None => {
                let open = || Arc::new(Account::new(owner.clone()));
                self.0.entry(owner.clone()).or_insert_with(open).value().clone()
            }
        };
        // Each time, since accounts outlive a reload.
        account.bytes.set_limit(most_bytes);
        account.documents.set_limit(most_documents);
        account
    }

    /// Forgets those who have nothing.
    pub fn sweep(&self) {
        // Whoever has it in hand counts, and while it is looked at here nobody gets it: the map is locked.
        self.0.retain(|_, account| Arc::strong_count(account) > 1 || account.topics() > 0);
    }

    /// Finds for each account the most that each of its topics may keep, given what some of all topics weigh: those of
    /// accounts that are tight, at least. Returns whether any has to give something up.
    pub fn find_levels(&self, weights: &FxHashMap<Owner, Vec<usize>>) -> bool {
        let mut any = false;
        for entry in &self.0 {
            let each = weights.get(entry.key()).map_or(&[][..], Vec::as_slice);
            entry.value().bytes.find_level(each);
            any |= entry.value().bytes.level() != usize::MAX;
        }
        any
    }

    /// Whether any account is tight.
    pub fn any_is_tight(&self) -> bool {
        self.0.iter().any(|entry| entry.value().bytes.is_tight())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_charged_until_it_is_gone() {
        let accounts = Accounts::default();
        let alice = accounts.of(&Owner::User("alice".into()), 10, 10);
        let first = alice.charge(2).unwrap();
        let again = accounts.of(&Owner::User("alice".into()), 10, 10);
        let second = again.charge(2).unwrap();
        assert!(alice.charge(2).is_none());
        assert!(accounts.of(&Owner::Key("alice".into()), 10, 10).charge(2).is_some(), "a key is no user");
        drop(first);
        assert_eq!(alice.topics(), 1);
        drop((second, alice, again));
        accounts.sweep();
        assert_eq!(accounts.0.len(), 0);
    }

    #[test]
    fn message_ids_belong_to_whoever_used_them() {
        let id = "order-7";
        let owners =
            [Owner::Broker, Owner::Key("a".into()), Owner::Source("a".into()), Owner::User("a".into())];
        let scoped = owners.map(|owner| owner.scoped(id));
        for (index, one) in scoped.iter().enumerate() {
            assert_eq!(unscoped(one), id);
            assert!(!scoped[..index].contains(one) && one != id);
        }
        let nobody = Owner::Address([127, 0, 0, 1].into()).scoped(id);
        assert_eq!((nobody.as_str(), scope_of(&nobody), unscoped(&nobody)), (id, "", id));
        assert_ne!(scope_of(&scoped[1]), scope_of(&scoped[2]));
    }
}
