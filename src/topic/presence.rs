//! Who is subscribed to a topic, and who came and went.

use std::{collections::VecDeque, sync::Arc};

use fanwire_proto::{ClientId, Member, Payload, TopicName};
use rustc_hash::FxHashMap;

use crate::{defaults, wire::Encoded};

/// A join or leave, for those who watch.
#[derive(Debug)]
pub struct PresenceChange {
    /// In which topic.
    pub topic: TopicName,
    /// Who.
    pub member: Member,
    /// True for a join.
    pub joined: bool,
    /// Its bytes, by encoding.
    pub encoded: Encoded,
}

/// A run of changes, numbered one after the other.
#[derive(Debug, Default)]
pub struct Changes {
    /// The number of the change before the first one here.
    pub before: u64,
    /// The changes.
    pub list: Vec<Arc<PresenceChange>>,
}

/// What is known of a member.
#[derive(Clone, Debug)]
struct Profile {
    user: Option<Arc<str>>,
    info: Option<Arc<Payload>>,
    /// A client may be here several times over one connection; it leaves with the last of them.
    subscriptions: u32,
}

/// The members of a topic and the changes that some shard has not yet taken over.
///
/// Invariant: a change is recorded in the same step as the membership it reports.
#[derive(Debug, Default)]
pub(super) struct Presence {
    members: FxHashMap<ClientId, Profile>,
    clients_of: FxHashMap<Arc<str>, u32>,
    changes: VecDeque<Arc<PresenceChange>>,
    /// How many changes were ever recorded; the last of `changes` has this number.
    recorded: u64,
}

impl Presence {
    pub(super) fn join(&mut self, topic: &TopicName, member: &Member, watched: bool) {
        match self.members.get_mut(&member.client) {
            Some(known) => known.subscriptions += 1,
            None => self.enter(topic, member, 1, watched),
        }
    }

    fn enter(&mut self, topic: &TopicName, member: &Member, subscriptions: u32, watched: bool) {
        let profile = Profile { user: member.user.clone(), info: member.info.clone(), subscriptions };
        self.members.insert(member.client, profile);
        if let Some(user) = &member.user {
            *self.clients_of.entry(user.clone()).or_default() += 1;
        }
        self.record(topic, member.clone(), true, watched);
    }

    /// A member is somebody else from now on, or says something else of itself: to those who watch, the one leaves and
    /// the other joins. False when nothing changes.
    pub(super) fn identify(&mut self, topic: &TopicName, member: &Member, watched: bool) -> bool {
        let Some(Profile { user, info, subscriptions }) = self.members.get(&member.client) else {
            return false;
        };
        if (user, info) == (&member.user, &member.info) {
            return false;
        }
        let subscriptions = *subscriptions;
        // Both under one lock, or whoever looks in between would miss a member.
        self.go(topic, member.client, watched);
        self.enter(topic, member, subscriptions, watched);
        true
    }

    pub(super) fn leave(&mut self, topic: &TopicName, client: ClientId, watched: bool) {
        match self.members.get_mut(&client) {
            Some(known) if known.subscriptions > 1 => known.subscriptions -= 1,
            _ => self.go(topic, client, watched),
        }
    }

    fn go(&mut self, topic: &TopicName, client: ClientId, watched: bool) {
        let Some(Profile { user, .. }) = self.members.remove(&client) else { return };
        if let Some(user) = &user {
            self.forget_client_of(user);
        }
        self.record(topic, Member { client, user, info: None }, false, watched);
    }

    fn forget_client_of(&mut self, user: &Arc<str>) {
        if let Some(clients) = self.clients_of.get_mut(user) {
            *clients -= 1;
            if *clients == 0 {
                self.clients_of.remove(user);
            }
        }
    }

    fn record(&mut self, topic: &TopicName, member: Member, joined: bool, watched: bool) {
        // Nobody would read it: who watches later begins with the members there are.
        if !watched {
            return;
        }
        let change = PresenceChange { topic: topic.clone(), member, joined, encoded: Encoded::default() };
        self.changes.push_back(Arc::new(change));
        self.recorded += 1;
        // A shard that has not taken over the one that goes notices by the numbers, and ends its watchers.
        if self.changes.len() > defaults::UNPULLED_PRESENCE {
            self.changes.pop_front();
        }
    }

    /// The number of the newest change.
    pub(super) fn recorded(&self) -> u64 {
        self.recorded
    }

    /// The first changes after number `seen`, at most `limit`; `None` when some of them are gone.
    pub(super) fn after(&self, seen: u64, limit: usize) -> Option<Changes> {
        let wanted = usize::try_from(self.recorded - seen).unwrap_or(usize::MAX);
        // Numbers go on while changes are forgotten: fewer here than wanted means that some are gone.
        let start = self.changes.len().checked_sub(wanted)?;
        let list = self.changes.range(start..).take(limit).cloned().collect();
        Some(Changes { before: seen, list })
    }

    /// Forgets changes up to number `seen`.
    pub(super) fn prune(&mut self, seen: u64) {
        let keep = usize::try_from(self.recorded - seen).unwrap_or(usize::MAX);
        let drop = self.changes.len().saturating_sub(keep);
        self.changes.drain(..drop);
    }

    /// All members, in no order: that is for after the lock.
    pub(super) fn members(&self) -> Vec<Member> {
        let member = |(&client, profile): (&ClientId, &Profile)| {
            let Profile { user, info, .. } = profile.clone();
            Member { client, user, info }
        };
        self.members.iter().map(member).collect()
    }

    pub(super) fn clients(&self) -> usize {
        self.members.len()
    }

    pub(super) fn users(&self) -> usize {
        self.clients_of.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(client: u64, user: &str) -> Member {
        Member { client: ClientId(client), user: Some(user.into()), info: None }
    }

    #[test]
    fn a_user_counts_once_for_several_clients() {
        let topic: TopicName = "t".parse().unwrap();
        let mut presence = Presence::default();
        presence.join(&topic, &member(1, "alice"), true);
        presence.join(&topic, &member(2, "alice"), true);
        assert_eq!((presence.clients(), presence.users()), (2, 1));
        assert!(!presence.identify(&topic, &member(2, "alice"), true), "the same");
        assert!(!presence.identify(&topic, &member(3, "bob"), true), "nobody there");
        presence.leave(&topic, ClientId(1), true);
        assert_eq!((presence.clients(), presence.users()), (1, 1));
        presence.leave(&topic, ClientId(2), true);
        presence.leave(&topic, ClientId(2), true);
        assert_eq!((presence.clients(), presence.users()), (0, 0));
        assert_eq!(presence.after(0, 9).unwrap().list.len(), 4);
        presence.prune(3);
        assert!(presence.after(2, 9).is_none());
        assert_eq!(presence.after(3, 9).unwrap().list.len(), 1);
    }

    #[test]
    fn a_client_leaves_with_its_last_subscription() {
        let topic: TopicName = "t".parse().unwrap();
        let mut presence = Presence::default();
        presence.join(&topic, &member(1, "alice"), true);
        presence.join(&topic, &member(1, "alice"), true);
        assert!(presence.identify(&topic, &member(1, "bob"), true));
        presence.leave(&topic, ClientId(1), true);
        assert_eq!((presence.clients(), presence.users(), presence.recorded()), (1, 1, 3));
        presence.leave(&topic, ClientId(1), true);
        assert_eq!((presence.clients(), presence.users(), presence.recorded()), (0, 0, 4));
    }

    #[test]
    fn another_user_on_the_same_client_is_a_leave_and_a_join() {
        let topic: TopicName = "t".parse().unwrap();
        let mut presence = Presence::default();
        presence.join(&topic, &member(1, "alice"), true);
        presence.join(&topic, &member(2, "alice"), true);
        assert!(presence.identify(&topic, &member(2, "bob"), true));
        assert_eq!((presence.clients(), presence.users()), (2, 2));
        let told = presence.after(2, 9).unwrap().list;
        let told: Vec<_> = told.iter().map(|change| (change.member.client, change.joined)).collect();
        assert_eq!(told, [(ClientId(2), false), (ClientId(2), true)]);
        assert!(presence.identify(&topic, &member(2, "alice"), false));
        assert_eq!((presence.users(), presence.recorded()), (1, 4));
    }
}
