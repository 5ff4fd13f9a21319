//! Grants that single subscriptions have of their own, by their door's keys. Most have none, and then they cost nothing.

use rustc_hash::FxHashMap;

use crate::fanout::SubKey;

/// Who allows a subscription.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    /// The client's credential, which names the topic.
    Credential,
    /// A back end, whatever the client's credential says, for as long as the client is the same user.
    BackEnd,
}

/// What one subscription is allowed by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OwnGrant {
    /// By whom.
    pub by: By,
    /// Until when, in milliseconds since 1970, if it ends before the connection.
    pub expires_ms: Option<u64>,
}

/// The grants of one client's subscriptions.
#[derive(Clone, Debug, Default)]
pub(super) struct OwnGrants(Option<Box<FxHashMap<SubKey, OwnGrant>>>);

impl OwnGrants {
    pub(super) fn get(&self, key: SubKey) -> Option<OwnGrant> {
        self.0.as_ref()?.get(&key).copied()
    }

    pub(super) fn set(&mut self, key: SubKey, grant: OwnGrant) {
        self.0.get_or_insert_default().insert(key, grant);
    }

    pub(super) fn forget(&mut self, key: SubKey) {
        self.retain(|known, _| known != key);
    }

    /// Forgets what back ends have allowed.
    pub(super) fn forget_back_ends(&mut self) {
        self.retain(|_, grant| grant.by != By::BackEnd);
    }

    /// When the first of them ends.
    pub(super) fn next_end(&self) -> Option<u64> {
        self.0.as_ref()?.values().filter_map(|grant| grant.expires_ms).min()
    }

    /// Takes out those that have ended.
    pub(super) fn take_expired(&mut self, now_ms: u64) -> Vec<SubKey> {
        let mut expired = Vec::new();
        self.retain(|key, grant| {
            let lasts = grant.expires_ms.is_none_or(|end| end > now_ms);
            if !lasts {
                expired.push(key);
            }
            lasts
        });
        expired
    }

    fn retain(&mut self, mut keep: impl FnMut(SubKey, OwnGrant) -> bool) {
        if let Some(grants) = &mut self.0 {
            grants.retain(|key, grant| keep(*key, *grant));
            // An empty map would keep its memory for as long as the connection lasts.
            if grants.is_empty() {
                self.0 = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::*};

    use super::*;

    const fn until(by: By, expires_ms: Option<u64>) -> OwnGrant {
        OwnGrant { by, expires_ms }
    }

    #[test]
    fn they_end_one_by_one_and_leave_nothing() {
        let mut own = OwnGrants::default();
        assert_eq!((own.next_end(), own.take_expired(u64::MAX)), (None, Vec::new()));
        own.set(SubKey(1), until(By::Credential, Some(30)));
        own.set(SubKey(2), until(By::BackEnd, Some(20)));
        own.set(SubKey(3), until(By::BackEnd, None));
        assert_eq!(own.next_end(), Some(20));
        assert_eq!(own.take_expired(19), Vec::new());
        assert_eq!(own.take_expired(20), [SubKey(2)]);
        assert_eq!((own.get(SubKey(2)), own.next_end()), (None, Some(30)));
        own.forget_back_ends();
        assert_eq!((own.get(SubKey(3)), own.get(SubKey(1)).is_some()), (None, true));
        own.forget(SubKey(1));
        assert!(own.0.is_none());
    }

    /// What may happen to the grants of a few subscriptions.
    #[derive(Clone, Debug)]
    enum Step {
        Set(u32, OwnGrant),
        Forget(u32),
        ForgetBackEnds,
        Look(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let by = prop_oneof![Just(By::Credential), Just(By::BackEnd)];
        let grant = (by, option::of(0..9_u64)).prop_map(|(by, expires_ms)| OwnGrant { by, expires_ms });
        prop_oneof![
            4 => (0..4_u32, grant).prop_map(|(key, grant)| Step::Set(key, grant)),
            1 => (0..4_u32).prop_map(Step::Forget),
            1 => Just(Step::ForgetBackEnds),
            2 => (0..9_u64).prop_map(Step::Look),
        ]
    }

    proptest! {
        /// Each grant is there until it is forgotten or has ended, and its end is told once.
        #[test]
        fn they_are_a_list_that_is_looked_through(steps in vec(step(), 0..40)) {
            let (mut own, mut list) = (OwnGrants::default(), Vec::<(u32, OwnGrant)>::new());
            for step in steps {
                match step {
                    Step::Set(key, grant) => {
                        own.set(SubKey(key), grant);
                        list.retain(|(known, _)| *known != key);
                        list.push((key, grant));
                    }
                    Step::Forget(key) => {
                        own.forget(SubKey(key));
                        list.retain(|(known, _)| *known != key);
                    }
                    Step::ForgetBackEnds => {
                        own.forget_back_ends();
                        list.retain(|(_, grant)| grant.by == By::Credential);
                    }
                    Step::Look(now_ms) => {
                        let over = |grant: &OwnGrant| grant.expires_ms.is_some_and(|end| end <= now_ms);
                        let mut told: Vec<_> = own.take_expired(now_ms).into_iter().map(|key| key.0).collect();
                        told.sort_unstable();
                        let mut ended: Vec<_> =
                            list.extract_if(.., |(_, grant)| over(grant)).map(|(key, _)| key).collect();
                        ended.sort_unstable();
                        prop_assert_eq!(told, ended);
                    }
                }
                for key in 0..4 {
                    let listed = list.iter().find(|(known, _)| *known == key).map(|(_, grant)| *grant);
                    prop_assert_eq!(own.get(SubKey(key)), listed);
                }
                prop_assert_eq!(own.next_end(), list.iter().filter_map(|(_, grant)| grant.expires_ms).min());
                prop_assert_eq!(own.0.is_some(), !list.is_empty());
            }
        }
    }
}
