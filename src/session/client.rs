//! What one client may do, and whom what it makes the broker keep is charged to. Every door asks here.

use std::{
    net::IpAddr,
    sync::{Arc, LazyLock},
};

use fanwire_proto::{CloseCode, TopicName};

use super::own::OwnGrants;
use crate::{
    auth::{Credential, Grant, Verb},
    memory::Owner,
};

/// Why a client may not do something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Denied {
    /// It has shown no credential, and one is needed.
    NoGrant,
    /// Its credential has ended.
    Expired,
    /// Its credential is for other topics.
    Forbidden(Verb),
}

/// Where a client stands with its credential.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It has shown none.
    Stranger,
    /// Its credential is in force.
    Good,
    /// Its credential has ended.
    Expired,
    /// Its credential is valid, but refused.
    Revoked,
}

impl Standing {
    /// How a connection ends that may not go on like this; a stranger may, for a while.
    pub fn closing(self) -> Option<CloseCode> {
        match self {
            Self::Stranger | Self::Good => None,
            Self::Expired => Some(CloseCode::TokenExpired),
            Self::Revoked => Some(CloseCode::Disconnected),
        }
    }
}

/// A client as its credential describes it, and what single subscriptions may apart from that.
#[derive(Clone, Debug)]
pub struct Session {
    /// `None` for a stranger, who may only present a credential.
    grant: Option<Arc<Grant>>,
    pub(super) own: OwnGrants,
}

/// What anybody may where no credential is needed: the same for all connections, so that it is there once.
static ANYBODY: LazyLock<[Arc<Grant>; 2]> =
    LazyLock::new(|| [false, true].map(|admin| Arc::new(Grant { admin, ..Grant::everything() })));

fn shared(grant: Grant) -> Arc<Grant> {
    let known = ANYBODY.iter().find(|known| ***known == grant);
    known.cloned().unwrap_or_else(|| Arc::new(grant))
}

impl Session {
    /// Of a client with this grant.
    pub fn new(grant: Option<Grant>) -> Self {
        Self { grant: grant.map(shared), own: OwnGrants::default() }
    }

    /// The credential, whether it has ended or not.
    pub fn shown(&self) -> Option<&Grant> {
        self.grant.as_deref()
    }

    /// Puts another credential in the place of the old one. What back ends have allowed goes with the user whom they
    /// allowed it. Then comes a [`review`](Self::review) of each subscription.
    pub fn renew(&mut self, grant: Grant) {
        let was_user = self.shown().and_then(|before| before.user.as_ref());
        if was_user != grant.user.as_ref() {
            self.own.forget_back_ends();
        }
        self.grant = Some(shared(grant));
    }

    /// The credential in force.
    pub fn grant(&self, now_ms: u64) -> Result<&Grant, Denied> {
        let grant = self.shown().ok_or(Denied::NoGrant)?;
        if grant.is_expired(now_ms) { Err(Denied::Expired) } else { Ok(grant) }
    }

    /// Refuses what the credential does not cover.
    pub fn check(&self, verb: Verb, topic: &TopicName, now_ms: u64) -> Result<&Grant, Denied> {
        let grant = self.grant(now_ms)?;
        check(grant, verb, topic).map(|()| grant)
    }

    /// Where the client stands; whether a credential is refused is asked only of one that is there.
    pub fn standing(&self, now_ms: u64, is_revoked: impl FnOnce(&Grant) -> bool) -> Standing {
        match self.grant(now_ms) {
            Err(Denied::NoGrant) => Standing::Stranger,
            Err(_) => Standing::Expired,
            Ok(grant) if is_revoked(grant) => Standing::Revoked,
            Ok(_) => Standing::Good,
        }
    }

    /// Whom what this client, which comes from this address, makes the broker keep is charged to.
    pub fn owner(&self, address: IpAddr) -> Owner {
        owner_of(self.shown(), address)
    }
}

/// Refuses what a credential in force does not cover.
pub fn check(grant: &Grant, verb: Verb, topic: &TopicName) -> Result<(), Denied> {
    if grant.allows(verb, topic) { Ok(()) } else { Err(Denied::Forbidden(verb)) }
}

/// Whom what somebody makes the broker keep is charged to: the user or key where one is known, else the address.
pub fn owner_of(grant: Option<&Grant>, address: IpAddr) -> Owner {
    match grant {
        Some(Grant { user: Some(user), .. }) => Owner::User(Arc::clone(user)),
        Some(Grant { credential: Some(Credential::Key(name)), .. }) => Owner::Key(Arc::clone(name)),
        // Also with a token that names no user: nothing else tells its bearers apart.
        _ => Owner::Address(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Allowed;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn a_session_is_worth_what_its_grant_is() {
        let topic: TopicName = "a".parse().unwrap();
        let mut session = Session::new(None);
        assert_eq!(session.check(Verb::Publish, &topic, 0).map(drop), Err(Denied::NoGrant));
        let grant = Grant { expires_ms: Some(10), publish: Allowed::none(), ..Grant::everything() };
        session.renew(grant);
        assert!(session.check(Verb::Subscribe, &topic, 9).is_ok());
        assert_eq!(session.check(Verb::Publish, &topic, 9).map(drop), Err(Denied::Forbidden(Verb::Publish)));
        assert_eq!(session.check(Verb::Subscribe, &topic, 10).map(drop), Err(Denied::Expired));
    }

    #[test]
    fn a_client_stands_as_its_credential_does() {
        let until = |expires_ms| Session::new(Some(Grant { expires_ms, ..Grant::everything() }));
        assert_eq!(Session::new(None).standing(0, |_| true), Standing::Stranger);
        assert_eq!(until(Some(10)).standing(9, |_| false), Standing::Good);
        assert_eq!(until(Some(10)).standing(9, |_| true), Standing::Revoked);
        assert_eq!(until(Some(10)).standing(10, |_| true), Standing::Expired);
    }

    #[test]
    fn what_anybody_may_is_there_once() {
        let grant = |session: Session| session.grant.unwrap();
        let anybody = || grant(Session::new(Some(Grant::everything())));
        assert!(Arc::ptr_eq(&anybody(), &anybody()));
        let key = Grant { credential: Some(Credential::Key("k".into())), ..Grant::everything() };
        assert_eq!(*grant(Session::new(Some(key.clone()))), key);
    }

    #[test]
    fn the_owner_is_the_best_name_there_is() {
        let nobody = || Grant::everything();
        assert_eq!(owner_of(None, HERE), Owner::Address(HERE));
        let token = Grant { credential: Some(Credential::Token("t".into())), ..nobody() };
        assert_eq!(owner_of(Some(&token), HERE), Owner::Address(HERE), "another token is another name");
        let key = Grant { credential: Some(Credential::Key("t".into())), ..nobody() };
        assert_eq!(owner_of(Some(&key), HERE), Owner::Key("t".into()));
        let user = Grant { user: Some("alice".into()), ..nobody() };
        assert_eq!(owner_of(Some(&user), HERE), Owner::User("alice".into()));
    }
}
