//! What each command of the native protocol does.

use fanwire_proto::{Command, Direction, ErrorCode, Event, History, Publish, Subscribe, TopicName};

use super::{
    NativeDoor,
    held::{Fetched, Undone, away},
};
use crate::{
    auth::{Grant, InvalidToken, Verb},
    broker::{Broker, Missing, Published},
    defaults,
    doors::errors::Failure,
    shard::{Cx, SubKey, SubscribeOptions},
    topic::{Draft, HistoryQuery, Kind},
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
        self.refused = 0;
        // A narrower token takes effect on what is open, too.
        for (key, topic) in cx.subscribed() {
            let faster = grant.max_rate.is_some_and(|cap| cx.max_rate(key).is_none_or(|rate| rate > cap));
            let too_fast = topic.kind == Kind::Latest && faster;
            let watches = cx.is_watching(key) && !grant.allows(Verb::Presence, &topic.name);
            if !grant.allows(Verb::Subscribe, &topic.name) || watches || too_fast {
                cx.unsubscribe(key);
                self.say(cx, &Event::End { topic: topic.name.clone(), code: ErrorCode::Forbidden });
            }
        }
        cx.identify(grant.user.clone(), grant.info.clone(), grant.credential.clone());
        cx.ends_at(grant.expires_ms);
        let reply = Event::Authenticated { id, user: grant.user.clone(), expires: grant.expires_ms };
        self.session.renew(grant);
        self.reply(cx, id, &reply);
        Ok(())
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
        let cap = self.check(cx, Verb::Subscribe, &request.topic)?.max_rate;
        if request.presence {
            self.check(cx, Verb::Presence, &request.topic)?;
        }
        if request.since.is_some() || request.last.is_some() {
            self.check(cx, Verb::History, &request.topic)?;
        }
        self.check_room_for_replies(cx)?;
        if fetched.is_none() && self.broker.is_away(&request.topic) {
            let topic = request.topic.clone();
            return Err(away(
                topic,
                Missing::Make(self.session.owner(cx.peer())),
                id,
                Command::Subscribe(request),
            ));
        }
        let Subscribe { topic, since, last, presence, max_rate, echo } = request;
        let max_rate = match (max_rate, cap) {
            (Some(asked), Some(cap)) => Some(asked.min(cap)),
            (asked, cap) => asked.or(cap),
        };
        // A topic has one subscription of a connection: a second one is refused under the key of the first.
        let key = cx.subscription_to(&topic).unwrap_or_else(|| self.free_key(cx));
        let (watch, declines_own) = (presence, !echo);
        let options = SubscribeOptions { key, since, last, watch, max_rate, declines_own, member: None };
        let (topic, mut joined) =
            self.broker.subscribe(cx, &self.session.owner(cx.peer()), &topic, &options)?;
        let members = joined.members.as_ref().map_or(0, Vec::len);
        let reply = Event::Subscribed {
            id,
            topic: topic.name.clone(),
            epoch: joined.epoch,
            offset: joined.offset,
            kind: topic.kind,
            recovered: joined.recovered,
            members: joined.members.take(),
        };
        self.reply(cx, id, &reply);
        cx.start(key, &joined);
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
        let asker = || Some(cx.asker(id));
        let Published { receipt, waits } = self.broker.publish(&topic, draft, ack, asker, cx.now_ms())?;
        if waits {
            return Ok(());
        }
        let (epoch, offset, duplicate) = (receipt.epoch, receipt.offset, receipt.duplicate);
        self.reply(cx, id, &Event::Published { id, topic, epoch, offset, duplicate });
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

    fn unsubscribe(&self, cx: &mut Cx<'_>, id: Option<u64>, topic: TopicName) -> Result<(), Failure> {
        if !cx.subscription_to(&topic).is_some_and(|key| cx.unsubscribe(key)) {
            return Err(Failure::new(
                ErrorCode::NotSubscribed,
                "this connection is not subscribed to the topic",
            ));
        }
        self.reply(cx, id, &Event::Unsubscribed { id, topic });
        Ok(())
    }

    fn free_key(&mut self, cx: &Cx<'_>) -> SubKey {
        loop {
            self.last_key = SubKey(self.last_key.0.wrapping_add(1));
            if !cx.has(self.last_key) {
                return self.last_key;
            }
        }
    }

    /// Large replies are for clients that read them.
    fn check_room_for_replies(&self, cx: &Cx<'_>) -> Result<(), Failure> {
        let limit = self.broker.policy().limits.max_outbox_bytes / 2;
        match cx.waiting_bytes() > limit {
            true => Err(Failure::new(ErrorCode::RateLimited, "earlier replies are not read yet")),
            false => Ok(()),
        }
    }
}
