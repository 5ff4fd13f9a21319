//! What each command of the native protocol does.

use std::sync::Arc;

use fanwire_proto::{Command, Direction, ErrorCode, Event, History, Payload, Publish, Subscribe, TopicName};

use super::{
    NativeDoor,
    held::{Fetched, Undone, away},
};
use crate::{
    auth::{Grant, InvalidToken, Verb},
    broker::{Broker, Missing},
    defaults,
    doors::errors::Failure,
    order::Submitted,
    session::{By, OwnGrant, Terms, Wish},
    shard::{Cx, SubKey, SubscribeOptions},
    topic::{Draft, HistoryQuery, Joined, Kind, Topic},
};

/// Bytes of an answer that cost one.
const COST_BYTES: usize = 4 * 1024;

impl NativeDoor {
    pub(super) fn perform(
        &mut self,
        cx: &mut Cx<'_>,
        id: Option<u64>,
        command: Command,
        fetched: Fetched<'_>,
    ) -> Result<(), Undone> {
        match command {
            Command::Ping => self.say(cx, &Event::Pong { id }),
            Command::Auth { token } => self.auth(cx, id, &token)?,
            Command::Subscribe(subscribe) => self.subscribe(cx, id, subscribe, fetched)?,
            Command::Unsubscribe { topic } => {
                self.charge(cx, defaults::COST_MEMBERSHIP);
                self.unsubscribe(cx, id, topic)?;
            }
            Command::Publish(publish) => self.publish(cx, id, publish, fetched)?,
            Command::Presence { topic } => self.presence(cx, id, topic)?,
            Command::History(history) => self.history(cx, id, history, fetched)?,
        }
        Ok(())
    }

    fn check(&self, cx: &Cx<'_>, verb: Verb, topic: &TopicName) -> Result<&Grant, Failure> {
        Ok(self.session.check(verb, topic, cx.now_ms())?)
    }

    fn auth(&mut self, cx: &mut Cx<'_>, id: Option<u64>, token: &str) -> Result<(), Failure> {
        self.charge(cx, defaults::COST_CREDENTIAL);
        let grant = match self.broker.authenticate(token, cx.peer(), cx.now_ms()) {
            Ok(grant) => grant,
            // It may be good.
            Err(invalid @ InvalidToken::TooManyFalse(_)) => return Err(invalid.into()),
            Err(invalid) => return Err(self.refuse_credential(cx, invalid)),
        };
        // Only tries in a row count: a client that renews its token for days may fail now and then.
        self.refused = 0;
        let reply = Event::Authenticated { id, user: grant.user.clone(), expires: grant.expires_ms };
        // What is open is reviewed under the new grant, and before others see who the client is now: what it may no
        // longer have ends under its old name.
        self.session.renew(grant);
        let shown = self.review(cx);
        if let Some(grant) = self.session.shown() {
            cx.identify(grant);
        }
        // After `identify`, which shows the new user's info everywhere except where a subscription shows its own.
        shown.into_iter().for_each(|(key, info)| cx.show(key, info));
        cx.ends_at(self.session.next_end());
        // Before the subscriptions that the token names, so that the client knows whose they are when it hears of them.
        self.reply(cx, id, &reply);
        self.begin_named();
        Ok(())
    }

    /// A narrower token takes effect on what is open, too: ends what it does not cover. Returns what others see of this client
    /// on single topics from now on.
    fn review(&mut self, cx: &mut Cx<'_>) -> Vec<(SubKey, Option<Arc<Payload>>)> {
        let (cap, mut shown) = (self.session.rate(None), Vec::new());
        for (key, topic) in cx.subscribed() {
            let faster = cap.is_some_and(|cap| cx.max_rate(key).is_none_or(|rate| rate > cap));
            let too_fast = topic.kind == Kind::Latest && faster;
            match self.session.review(key, &topic.name, cx.is_watching(key), cx.now_ms()) {
                Ok(terms) if !too_fast => {
                    let info = terms.map(|terms| terms.info);
                    shown.extend(
                        info.filter(|info| info.is_some() || cx.is_shown_apart(key)).map(|info| (key, info)),
                    );
                }
                // Ended rather than slowed down: the client would not know that it gets less than it has asked for.
                _ => cx.end(key, ErrorCode::Forbidden),
            }
        }
        shown
    }

    /// Ends the connection after a few, one after the other: whoever has a credential does not need as many tries.
    fn refuse_credential(&mut self, cx: &mut Cx<'_>, invalid: InvalidToken) -> Failure {
        self.refused += 1;
        if self.refused >= defaults::CREDENTIALS_REFUSED {
            self.closing = true;
        }
        // Others have their turn first.
        self.charge(cx, defaults::COST_REFUSED_CREDENTIAL);
        invalid.into()
    }

    fn subscribe(
        &mut self,
        cx: &mut Cx<'_>,
        id: Option<u64>,
        request: Subscribe,
        fetched: Fetched<'_>,
    ) -> Result<(), Undone> {
        let past = request.since.is_some() || request.last.is_some();
        let wish = Wish { past, members: request.presence, max_rate: request.max_rate };
        let terms = self.session.may_subscribe(&request.topic, wish, cx.now_ms())?;
        // Before the topic is looked for: what a subscription begins with may be megabytes, for somebody who does not
        // read what is there.
        self.check_room_for_replies(cx)?;
        // Once it was fetched, it is not asked again: a topic that is forgotten at once would keep the command waiting
        // for ever. It is then read on this thread, which is rare.
        if fetched.is_none() && self.broker.is_away(&request.topic) {
            let topic = request.topic.clone();
            return Err(away(
                topic,
                Missing::Make(self.session.owner(cx.peer())),
                id,
                Command::Subscribe(request),
            ));
        }
        let Subscribe { topic, since, last, presence, echo, .. } = request;
        // A topic has one subscription of a connection: a second one is refused under the key of the first.
        let key = cx.subscription_to(&topic).unwrap_or_else(|| self.free_key(cx));
        let Terms { max_rate, expires_ms, info } = terms;
        let (watch, declines_own, member) = (presence, !echo, cx.member_showing(info));
        let options = SubscribeOptions { key, since, last, watch, max_rate, declines_own, member };
        let grant = OwnGrant { by: By::Credential, expires_ms };
        self.join(cx, &topic, &options, grant, |topic, joined| {
            id.is_some().then(|| Event::Subscribed {
                id,
                topic: topic.name.clone(),
                epoch: joined.epoch,
                offset: joined.offset,
                kind: topic.kind,
                recovered: joined.recovered,
                members: joined.members.take(),
            })
        })?;
        Ok(())
    }

    /// Begins a subscription that is allowed, says so, and charges the client for what that costs.
    pub(super) fn join(
        &mut self,
        cx: &mut Cx<'_>,
        topic: &TopicName,
        options: &SubscribeOptions,
        grant: OwnGrant,
        told: impl FnOnce(&Topic, &mut Joined) -> Option<Event>,
    ) -> Result<(), Failure> {
        let owner = self.session.owner(cx.peer());
        let (topic, mut joined) = self.broker.subscribe(cx, &owner, topic, options)?;
        self.session.begin(options.key, grant);
        if grant.expires_ms.is_some() {
            cx.ends_at(self.session.next_end());
        }
        let members = joined.members.as_ref().map_or(0, Vec::len);
        if let Some(told) = told(&topic, &mut joined) {
            self.say(cx, &told);
        }
        cx.start(options.key, &joined);
        // Watchers hear of it twice: when it comes and when it goes.
        let heard = 2 * joined.watchers / defaults::COST_WATCHERS;
        let told = joined.past.len() / defaults::COST_MESSAGES + members / defaults::COST_MEMBERS;
        self.charge(cx, defaults::COST_MEMBERSHIP + heard + told);
        Ok(())
    }

    fn publish(
        &mut self,
        cx: &mut Cx<'_>,
        id: Option<u64>,
        request: Publish,
        fetched: Fetched<'_>,
    ) -> Result<(), Undone> {
        self.check(cx, Verb::Publish, &request.topic)?;
        if fetched.is_none() && self.broker.is_away(&request.topic) {
            let topic = request.topic.clone();
            return Err(away(
                topic,
                Missing::Make(self.session.owner(cx.peer())),
                id,
                Command::Publish(request),
            ));
        }
        let Publish { topic, payload, key, message_id, tags, ack, except } = request;
        let by = self.session.owner(cx.peer());
        let draft = Draft { payload, key, message_id, tags, from: Some(cx.publisher()), not_to: except, by };
        // Made only if there is something to wait for; a topic in memory answers at once.
        let asker = || cx.asker(id, &topic);
        match self.broker.publish(&topic, draft, ack, asker, cx.now_ms())? {
            Submitted::Placed(receipt) => self.published(cx, id, topic, receipt),
            Submitted::Pending => {}
        }
        Ok(())
    }

    fn presence(&mut self, cx: &mut Cx<'_>, id: Option<u64>, topic: TopicName) -> Result<(), Failure> {
        self.check(cx, Verb::Presence, &topic)?;
        self.check_room_for_replies(cx)?;
        let off = || Failure::new(ErrorCode::PresenceOff, "this topic keeps no presence");
        let found = self.broker.members(&topic).ok_or_else(off)?;
        let (members, clients, users) = (found.members, found.clients, found.users);
        self.charge(cx, members.len() / defaults::COST_MEMBERS);
        self.reply(cx, id, &Event::Members { id, topic, members, clients, users });
        Ok(())
    }

    fn history(
        &mut self,
        cx: &mut Cx<'_>,
        id: Option<u64>,
        request: History,
        fetched: Fetched<'_>,
    ) -> Result<(), Undone> {
        self.check(cx, Verb::History, &request.topic)?;
        self.check_room_for_replies(cx)?;
        if fetched.is_none() && self.broker.is_away(&request.topic) {
            let topic = request.topic.clone();
            return Err(away(topic, Missing::Leave, id, Command::History(request)));
        }
        let wanted = request.limit.and_then(|limit| usize::try_from(limit).ok());
        let query = HistoryQuery {
            since: request.since,
            limit: wanted.unwrap_or(usize::MAX).min(defaults::HISTORY_REPLY_COUNT),
            reverse: request.direction == Direction::Backward,
        };
        let mut reply = match fetched {
            Some(found) => Broker::history_of(found, &request.topic, &query, cx.now_ms()),
            None => self.broker.history(&request.topic, &query, cx.now_ms())?,
        };
        reply.id = id;
        let bytes: usize = reply.messages.iter().map(|message| message.payload.len()).sum();
        self.charge(cx, reply.messages.len() / defaults::COST_MESSAGES + bytes / COST_BYTES);
        self.reply(cx, id, &Event::History(reply));
        Ok(())
    }

    fn unsubscribe(&mut self, cx: &mut Cx<'_>, id: Option<u64>, topic: TopicName) -> Result<(), Failure> {
        let Some(key) = cx.subscription_to(&topic).filter(|key| cx.unsubscribe(*key)) else {
            return Err(Failure::new(
                ErrorCode::NotSubscribed,
                "this connection is not subscribed to the topic",
            ));
        };
        self.session.ended(key);
        self.reply(cx, id, &Event::Unsubscribed { id, topic });
        Ok(())
    }

    pub(super) fn free_key(&mut self, cx: &Cx<'_>) -> SubKey {
        loop {
            // Keys are not used again at once, so a job for a subscription that has just ended cannot meet its successor.
            // There are far more keys than subscriptions, so one is always found.
            self.last_key = SubKey(self.last_key.0.wrapping_add(1));
            if !cx.has(self.last_key) {
                return self.last_key;
            }
        }
    }

    /// Large replies are for clients that read them.
    fn check_room_for_replies(&self, cx: &Cx<'_>) -> Result<(), Failure> {
        // Half of it, so that the other half is left for what the topics bring.
        let limit = self.broker.policy().limits.max_outbox_bytes / 2;
        match cx.waiting_bytes() > limit {
            true => Err(Failure::new(ErrorCode::RateLimited, "earlier replies are not read yet")),
            false => Ok(()),
        }
    }
}
