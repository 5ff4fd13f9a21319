//! What topics and documents weigh: each adds its bytes to a share of the memory and to its owner's account, and takes them back
//! when it goes.

use std::sync::Arc;

use super::Refusal;
use crate::memory::{Account, Charge, Owner, Share};

/// Whose account it is on, and where there.
#[derive(Debug, Default)]
enum On {
    #[default]
    Nobody,
    /// A topic, for which its owner is charged while this lives.
    Topics(Charge),
    /// The content of a document.
    Documents(Arc<Account>),
}

impl On {
    fn account(&self) -> Option<(&Arc<Account>, &Share)> {
        match self {
            Self::Nobody => None,
            Self::Topics(charge) => Some((charge.account(), &charge.account().bytes)),
            Self::Documents(account) => Some((account, &account.documents)),
        }
    }
}

/// One topic's part in a share.
#[derive(Debug, Default)]
pub(super) struct Weight {
    share: Option<Arc<Share>>,
    on: On,
    bytes: usize,
}

impl Weight {
    /// It weighs so much now.
    pub(super) fn set(&mut self, bytes: usize) {
        // Most calls change nothing, and need not touch counters that all topics share.
        if bytes == self.bytes {
            return;
        }
        if let Some(share) = &self.share {
            share.change(self.bytes, bytes);
        }
        if let Some((_, own)) = self.on.account() {
            own.change(self.bytes, bytes);
        }
        self.bytes = bytes;
    }

    /// How much it weighs.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// From now on it counts there.
    pub(super) fn move_to(&mut self, share: &Arc<Share>, charge: Option<Charge>) {
        self.put(share, charge.map_or(On::Nobody, On::Topics));
    }

    /// The same for the content of a document.
    pub(super) fn move_document_to(&mut self, share: &Arc<Share>, account: Option<Arc<Account>>) {
        self.put(share, account.map_or(On::Nobody, On::Documents));
    }

    fn put(&mut self, share: &Arc<Share>, on: On) {
        let bytes = self.bytes;
        // Out of the old share first: moved with its bytes, it would give them back where it never took them.
        self.set(0);
        (self.share, self.on) = (Some(share.clone()), on);
        self.set(bytes);
    }

    /// Whether its share is tight, or its owner's account.
    pub(super) fn is_tight(&self) -> bool {
        self.share.as_ref().is_some_and(|share| share.is_tight())
            || self.on.account().is_some_and(|(_, own)| own.is_tight())
    }

    /// Refuses so many bytes more: while the share has no room, and its owner's own while the account has none. What others
    /// bring is no reason to refuse them.
    pub(super) fn check_room(&self, more: usize, by: &Owner) -> Result<(), Refusal> {
        // All together first: an owner with room of its own must not fill what is there for all.
        if let Some(share) = &self.share
            && !share.has_room(more)
        {
            return Err(Refusal::TopicsFull(share.limit()));
        }
        self.check_own_room(more, by)
    }

    /// The same for its owner's own account alone.
    pub(super) fn check_own_room(&self, more: usize, by: &Owner) -> Result<(), Refusal> {
        match self.on.account() {
            Some((account, own)) if account.owner() == by && !own.has_room(more) => {
                Err(Refusal::OwnerFull(own.limit()))
            }
            _ => Ok(()),
        }
    }

    /// Kind `document`: refuses while the share is tight and whoever is charged with this has more than the others; what nobody
    /// is charged with counts by itself.
    pub(super) fn check_level(&self) -> Result<(), Refusal> {
        let bytes = self.on.account().map_or(self.bytes, |(_, own)| own.used());
        match &self.share {
            Some(share) if bytes > share.level() => Err(Refusal::DocumentsTight(share.limit())),
            _ => Ok(()),
        }
    }

    /// The most that it may keep of what can be given up.
    pub(super) fn level(&self) -> usize {
        let share = self.share.as_ref().map_or(usize::MAX, |share| share.level());
        let own = self.on.account().map_or(usize::MAX, |(_, own)| own.level());
        share.min(own)
    }

    /// Who is charged with it.
    pub(super) fn owner(&self) -> Option<&Owner> {
        self.on.account().map(|(account, _)| account.owner())
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
    use crate::memory::Accounts;

    #[test]
    fn a_share_has_what_its_topics_weigh() {
        let share = Arc::new(Share::new(100));
        let (mut one, mut two) = (Weight::default(), Weight::default());
        one.set(5);
        assert_eq!(share.used(), 0);
        one.move_to(&share, None);
        two.move_to(&share, None);
        two.set(30);
        one.set(2);
        assert_eq!(share.used(), 32);
        assert_eq!(one.check_room(68, &Owner::Broker), Ok(()));
        assert_eq!(one.check_room(69, &Owner::Broker), Err(Refusal::TopicsFull(100)));
        drop(two);
        assert_eq!(share.used(), 2);
    }

    #[test]
    fn an_owner_is_refused_what_others_are_not() {
        let (share, accounts) = (Arc::new(Share::default()), Accounts::default());
        let alice = Owner::User("alice".into());
        let account = accounts.of(&alice, 50, 70);
        let mut weight = Weight::default();
        weight.move_to(&share, account.charge(1));
        weight.set(40);
        assert_eq!(account.bytes.used(), 40);
        assert_eq!(weight.check_room(11, &alice), Err(Refusal::OwnerFull(50)));
        assert_eq!(weight.check_room(11, &Owner::User("bob".into())), Ok(()));
        let mut content = Weight::default();
        content.move_document_to(&share, Some(account.clone()));
        content.set(60);
        assert_eq!((account.bytes.used(), account.documents.used()), (40, 60));
        assert_eq!(content.check_own_room(11, &alice), Err(Refusal::OwnerFull(70)));
        assert_eq!(content.check_own_room(10, &alice), Ok(()));
        assert_eq!(content.check_own_room(11, &Owner::Broker), Ok(()));
        drop((weight, content));
        assert_eq!((account.bytes.used(), account.documents.used(), account.topics()), (0, 0, 0));
    }
}
