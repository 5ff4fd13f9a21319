//! Subscriptions that the server makes: those that the token names, and those that back ends ask for.

use fanwire_proto::{Event, ServerSubscribed};

use super::{
    NativeDoor,
    held::{Away, Task},
};
use crate::{
    auth::ServerSub,
    broker::Missing,
    doors::errors::Failure,
    session::{By, OwnGrant},
    shard::{Cx, SubscribeOptions},
};

impl NativeDoor {
    /// A token is in force: from now on, what it names is to be made.
    pub(super) fn begin_named(&mut self) {
        let named = self.session.shown().and_then(|grant| grant.subs.as_ref()).map_or(0, |subs| subs.len());
        // More than `TOKEN_SUBS` are refused with their token.
        self.unmade = u8::try_from(named).unwrap_or(u8::MAX);
    }

    /// The next that the token names.
    pub(super) fn next_named(&mut self) -> Option<ServerSub> {
        let left = usize::from(self.unmade);
        if left == 0 {
            return None;
        }
        // Counted from the end, so that one byte says both how many are left and which is next.
        self.unmade -= 1;
        let subs = self.session.shown()?.subs.as_ref()?;
        subs.len().checked_sub(left).and_then(|next| subs.get(next)).cloned()
    }

    /// Makes one that the token names, unless it is there already or its time is over.
    pub(super) fn attempt_named(&mut self, cx: &mut Cx<'_>, sub: ServerSub) -> Result<(), Box<Away>> {
        if self.broker.is_away(&sub.topic) {
            let missing = Missing::Make(self.session.owner(cx.peer()));
            return Err(Box::new(Away { topic: sub.topic.clone(), missing, task: Task::Named(sub) }));
        }
        self.make_named(cx, &sub);
        Ok(())
    }

    /// The same once its topic is in memory.
    pub(super) fn make_named(&mut self, cx: &mut Cx<'_>, sub: &ServerSub) {
        // Looked at late: it may have ended, or been subscribed to by the client, while the connection paused.
        if sub.is_expired(cx.now_ms()) || cx.subscription_to(&sub.topic).is_some() {
            return;
        }
        if let Err(failure) = self.make(cx, sub, By::Credential) {
            self.give_up_named(cx, sub, &failure);
        }
    }

    /// Says that one is not to be had.
    pub(super) fn give_up_named(&self, cx: &mut Cx<'_>, sub: &ServerSub, failure: &Failure) {
        self.say(cx, &Event::End { topic: sub.topic.clone(), code: failure.code });
    }

    /// Makes one that a back end asks for; false if there is one to its topic.
    pub(super) fn make_ordered(&mut self, cx: &mut Cx<'_>, sub: &ServerSub) -> Result<bool, Failure> {
        if cx.subscription_to(&sub.topic).is_some() {
            return Ok(false);
        }
        self.make(cx, sub, By::BackEnd)?;
        Ok(true)
    }

    fn make(&mut self, cx: &mut Cx<'_>, sub: &ServerSub, by: By) -> Result<(), Failure> {
        let options = SubscribeOptions {
            key: self.free_key(cx),
            since: sub.since,
            last: sub.last,
            watch: sub.presence,
            max_rate: self.session.rate(sub.max_rate),
            declines_own: !sub.echo,
            member: cx.member_showing(sub.info.clone()),
        };
        let expires = sub.expires_ms;
        self.join(cx, &sub.topic, &options, OwnGrant { by, expires_ms: expires }, |topic, joined| {
            let (epoch, offset, recovered) = (joined.epoch, joined.offset, joined.recovered);
            let (kind, members) = (Some(topic.kind), joined.members.take());
            let topic = topic.name.clone();
            Some(Event::ServerSubscribed(ServerSubscribed {
                topic,
                epoch,
                offset,
                kind,
                recovered,
                members,
                expires,
            }))
        })
    }
}
