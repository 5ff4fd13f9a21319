//! What topics weigh: each adds its bytes to a share of the memory and to its owner's account, and takes them back when it goes.

use std::sync::Arc;

use super::Refusal;
use crate::memory::{Charge, Owner, Share};

/// One topic's part in a share.
#[derive(Debug, Default)]
pub(super) struct Weight {
    share: Option<Arc<Share>>,
    /// Whoever made the topic.
    charge: Option<Charge>,
    bytes: usize,
}

impl Weight {
    /// It weighs so much now.
    pub(super) fn set(&mut self, bytes: usize) {
        if bytes == self.bytes {
            return;
        }
        if let Some(share) = &self.share {
            share.change(self.bytes, bytes);
        }
        if let Some(charge) = &self.charge {
            charge.account().bytes.change(self.bytes, bytes);
        }
        self.bytes = bytes;
    }

    /// How much it weighs.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// From now on it counts there.
    pub(super) fn move_to(&mut self, share: &Arc<Share>, charge: Option<Charge>) {
        let bytes = self.bytes;
        self.set(0);
        (self.share, self.charge) = (Some(share.clone()), charge);
        self.set(bytes);
    }

    /// Refuses so many bytes more: while the share has no room, and its owner's own while the account has none. What others
    /// bring is no reason to refuse them.
    pub(super) fn check_room(&self, more: usize, by: &Owner) -> Result<(), Refusal> {
        if let Some(share) = &self.share
            && !share.has_room(more)
        {
            return Err(Refusal::TopicsFull(share.limit()));
        }
        if let Some(account) = self.charge.as_ref().map(Charge::account)
            && account.owner() == by
            && !account.bytes.has_room(more)
        {
            return Err(Refusal::OwnerFull(account.bytes.limit()));
        }
        Ok(())
    }

    /// The most that it may keep of what can be given up.
    pub(super) fn level(&self) -> usize {
        let share = self.share.as_ref().map_or(usize::MAX, |share| share.level());
        let account = self.charge.as_ref().map_or(usize::MAX, |charge| charge.account().bytes.level());
        share.min(account)
    }

    /// Who is charged with it.
    pub(super) fn owner(&self) -> Option<&Owner> {
        self.charge.as_ref().map(|charge| charge.account().owner())
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
        let account = accounts.of(&alice, 50);
        let mut weight = Weight::default();
        weight.move_to(&share, account.charge(1));
        weight.set(40);
        assert_eq!(account.bytes.used(), 40);
        assert_eq!(weight.check_room(11, &alice), Err(Refusal::OwnerFull(50)));
        assert_eq!(weight.check_room(11, &Owner::User("bob".into())), Ok(()));
        drop(weight);
        assert_eq!((account.bytes.used(), account.topics()), (0, 0));
    }
}
