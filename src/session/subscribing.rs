//! On what terms a client subscribes, and for how long.

use std::sync::Arc;

use fanwire_proto::{Payload, TopicName};

use super::{
    client::{Denied, Session, check},
    own::{By, OwnGrant},
};
use crate::{
    auth::{ServerSub, Verb},
    fanout::SubKey,
};

/// What a client wants of a topic beside its messages from now on.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Wish {
    /// Messages of the past.
    pub past: bool,
    /// To see who is there.
    pub members: bool,
    /// Kind `latest`: at most this many updates a second.
    pub max_rate: Option<f64>,
}

/// On what terms a client may subscribe.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Terms {
    /// At most this many updates a second.
    pub max_rate: Option<f64>,
    /// Until then, in milliseconds since 1970, if it ends before the connection.
    pub expires_ms: Option<u64>,
    /// What others see of the client on this topic, instead of what they see of it elsewhere.
    pub info: Option<Arc<Payload>>,
}

impl Session {
    /// Refuses a subscription that the credential does not cover, by a pattern or since it names the topic; who subscribes to
    /// one that is named does so on the terms that are named.
    pub fn may_subscribe(&self, topic: &TopicName, wish: Wish, now_ms: u64) -> Result<Terms, Denied> {
        let grant = self.grant(now_ms)?;
        let named = grant.named(topic, now_ms);
        let needs = |verb, is_named: bool| if is_named { Ok(()) } else { check(grant, verb, topic) };
        needs(Verb::Subscribe, named.is_some())?;
        if wish.members {
            needs(Verb::Presence, named.is_some_and(|sub| sub.presence))?;
        }
        if wish.past {
            needs(Verb::History, named.is_some_and(ServerSub::wants_past))?;
        }
        Ok(Terms {
            max_rate: self.rate(wish.max_rate),
            expires_ms: named.and_then(|sub| sub.expires_ms),
            info: named.and_then(|sub| sub.info.clone()),
        })
    }

    /// At most how many updates a second a subscription gets that asks for so many, if there is a limit.
    pub fn rate(&self, asked: Option<f64>) -> Option<f64> {
        let cap = self.shown().and_then(|grant| grant.max_rate);
        match (asked, cap) {
            (Some(asked), Some(cap)) => Some(asked.min(cap)),
            (asked, cap) => asked.or(cap),
        }
    }

    /// On what terms a subscription, with members or without, goes on under another credential; `None` for those that it
    /// has, since a back end allows it.
    pub fn review(
        &mut self,
        key: SubKey,
        topic: &TopicName,
        members: bool,
        now_ms: u64,
    ) -> Result<Option<Terms>, Denied> {
        if self.own.get(key).is_some_and(|own| own.by == By::BackEnd) {
            return Ok(None);
        }
        // Without the past: that was delivered when it began, under the credential of that time.
        let terms = self.may_subscribe(topic, Wish { members, ..Wish::default() }, now_ms)?;
        self.begin(key, OwnGrant { by: By::Credential, expires_ms: terms.expires_ms });
        Ok(Some(terms))
    }

    /// A subscription begins, or goes on by another grant. One that is allowed by the client's credential, for as long as that
    /// is in force, has none of its own.
    pub fn begin(&mut self, key: SubKey, grant: OwnGrant) {
        match grant {
            OwnGrant { by: By::Credential, expires_ms: None } => self.own.forget(key),
            own => self.own.set(key, own),
        }
    }

    /// A subscription has ended.
    pub fn ended(&mut self, key: SubKey) {
        self.own.forget(key);
    }

    /// The subscriptions whose time is over; each is told once.
    pub fn take_expired(&mut self, now_ms: u64) -> Vec<SubKey> {
        self.own.take_expired(now_ms)
    }

    /// When the client, or one of its subscriptions, may do less than now: in milliseconds since 1970.
    pub fn next_end(&self) -> Option<u64> {
        let ends = [self.shown().and_then(|grant| grant.expires_ms), self.own.next_end()];
        ends.into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Allowed, Grant, SubOptions};

    #[test]
    fn a_subscription_is_worth_what_it_asks_for() {
        let topic: TopicName = "a".parse().unwrap();
        let grant = Grant { history: Allowed::none(), max_rate: Some(5.0), ..Grant::everything() };
        let session = Session::new(Some(grant));
        let rate = |max_rate| {
            session.may_subscribe(&topic, Wish { max_rate, ..Wish::default() }, 0).unwrap().max_rate
        };
        assert_eq!([None, Some(2.0), Some(9.0)].map(rate), [Some(5.0), Some(2.0), Some(5.0)]);
        let past = Wish { past: true, members: true, max_rate: None };
        assert_eq!(session.may_subscribe(&topic, past, 0), Err(Denied::Forbidden(Verb::History)));
        assert!(session.may_subscribe(&topic, Wish { past: false, ..past }, 0).is_ok());
    }

    #[test]
    fn what_a_credential_names_needs_no_pattern_and_has_its_own_terms() {
        let session = Session::new(Some(naming("a", Some(10))));
        let ask = |topic: &str, wish| session.may_subscribe(&topic.parse().unwrap(), wish, 9);
        let terms = ask("a", Wish { past: true, ..Wish::default() }).unwrap();
        assert_eq!((terms.expires_ms, terms.info.is_some()), (Some(10), true));
        let members = Wish { members: true, ..Wish::default() };
        assert_eq!(ask("a", members), Err(Denied::Forbidden(Verb::Presence)));
        assert_eq!(ask("b", Wish::default()), Err(Denied::Forbidden(Verb::Subscribe)));
        let late = session.may_subscribe(&"a".parse().unwrap(), Wish::default(), 10);
        assert_eq!(late, Err(Denied::Forbidden(Verb::Subscribe)));
    }

    #[test]
    fn each_subscription_is_reviewed_by_what_allows_it() {
        let (named, ordered) = (SubKey(1), SubKey(2));
        let (a, b): (TopicName, TopicName) = ("a".parse().unwrap(), "b".parse().unwrap());
        let mut session = Session::new(Some(naming("a", Some(10))));
        session.begin(named, OwnGrant { by: By::Credential, expires_ms: Some(10) });
        session.begin(ordered, OwnGrant { by: By::BackEnd, expires_ms: Some(30) });
        assert_eq!(session.next_end(), Some(10));
        session.renew(naming("a", Some(20)));
        assert_eq!(session.review(named, &a, false, 5).map(|terms| terms.unwrap().expires_ms), Ok(Some(20)));
        assert_eq!(session.review(ordered, &b, true, 5), Ok(None));
        assert_eq!((session.take_expired(20), session.next_end()), (vec![named], Some(30)));
        session.renew(Grant { user: Some("bob".into()), ..naming("a", None) });
        assert_eq!(session.review(ordered, &b, true, 5), Err(Denied::Forbidden(Verb::Subscribe)));
        assert_eq!(session.next_end(), None);
    }

    /// Allows nothing but a topic that it names, with something of the past.
    fn naming(topic: &str, expires_ms: Option<u64>) -> Grant {
        let options = SubOptions { last: Some(1), info: Some(1.into()), ..SubOptions::default() };
        let sub = options.of(topic.parse().unwrap(), expires_ms).unwrap();
        let none = Allowed::none;
        let (subscribe, history, presence) = (none(), none(), none());
        Grant { subs: Some(Arc::new(vec![sub])), subscribe, history, presence, ..Grant::everything() }
    }
}
