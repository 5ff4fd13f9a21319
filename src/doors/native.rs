//! The native door: fanwire's own protocol over `/ws`, as `proto/PROTOCOL.md` specifies it.
//!
//! ```text
//!          token at the handshake, or none needed
//! opened ────────────────────────────────────────► Granted ──token ends──► close 4001
//!    │                                               ▲
//!    └──none yet──► Stranger ──auth with a token─────┘
//!                      └──one to two ping intervals later──► close 4000
//! ```

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
    time::Instant,
};

use fanwire_proto::{
    CloseCode, Command, Direction, ErrorCode, ErrorReply, Event, Format, History, Publish, Rejection,
    Request, Subscribe, TopicName,
};

use super::errors::Failure;
use crate::{
    auth::{Grant, Verb},
    broker::{Broker, Missing, NoTopic, Published, SubscribeError},
    defaults,
    session::TokenBucket,
    shard::{Cx, Door, Inbound, SubscribeOptions, Wire},
    topic::{Draft, HistoryQuery, Kind, Topic},
};

/// What the welcome says the server is.
const VERSION: &str = concat!("fanwire/", env!("CARGO_PKG_VERSION"));

/// The protocol on one connection.
pub struct NativeDoor<P> {
    broker: Arc<Broker>,
    /// `None` for a stranger, who may only present a token.
    grant: Option<Grant>,
    ping_s: u64,
    /// Connections are looked after in turn, so the first time may be at once.
    was_ticked: bool,
    bucket: TokenBucket,
    /// Present while the connection pauses for a topic.
    held: Option<Held>,
    /// Counts the connection where connections are limited, until it is dropped.
    _permit: P,
}

impl<P: Send> NativeDoor<P> {
    /// A door for a client with this grant.
    pub fn new(broker: Arc<Broker>, grant: Option<Grant>, ping_s: u64, permit: P) -> Self {
        let bucket = TokenBucket::new(broker.policy().limits.max_commands_per_second, Instant::now());
        Self { broker, grant, ping_s, was_ticked: false, bucket, held: None, _permit: permit }
    }
}

/// What is done once a topic has been read from the disk.
struct Held {
    /// What becomes of that; nothing if the worker fails.
    fetched: Arc<OnceLock<Result<Option<Arc<Topic>>, NoTopic>>>,
    id: Option<u64>,
    command: Command,
    /// What else was in the same frame.
    rest: VecDeque<Result<Request, Rejection>>,
}

/// Whether a command's topic was fetched for it, and which one was found.
type Fetched<'a> = Option<Option<&'a Topic>>;

/// A command whose topic has to be read from the disk first.
struct Away {
    topic: TopicName,
    missing: Missing,
    id: Option<u64>,
    /// Allowed already.
    command: Command,
}

/// Why a command is not done.
enum Undone {
    Failed(Failure),
    Away(Box<Away>),
}

impl<E: Into<Failure>> From<E> for Undone {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl<P: Send> Door for NativeDoor<P> {
    fn opened(&mut self, cx: &mut Cx<'_>) {
        if let Some(grant) = &self.grant {
            cx.identify(grant.user.clone(), grant.info.clone(), grant.token_id.clone());
            cx.ends_at(grant.expires_ms);
            if self.broker.is_revoked(grant, cx.now_ms()) {
                // Between the handshake and now; from here on orders reach the connection.
                return cx.close(CloseCode::Disconnected);
            }
        }
        let welcome = Event::Welcome {
            client: cx.member().client,
            version: VERSION.into(),
            ping_s: self.ping_s,
            max_message_bytes: self.broker.policy().limits.max_message_bytes,
            user: cx.member().user,
        };
        cx.send(&welcome);
    }

    fn received(&mut self, cx: &mut Cx<'_>, frame: Inbound<'_>) {
        let (bytes, format) = match (frame, cx.wire()) {
            (Inbound::Text(text), Wire::Native(Format::Json)) => (text.as_bytes(), Format::Json),
            (Inbound::Binary(bytes), Wire::Native(Format::MsgPack)) => (bytes, Format::MsgPack),
            (Inbound::Text(_) | Inbound::Binary(_), _) => return cx.close(CloseCode::Unsupported),
        };
        self.handle_all(cx, format.decode_requests(bytes).into());
    }

    fn resumed(&mut self, cx: &mut Cx<'_>) {
        let Some(Held { fetched, id, command, rest }) = self.held.take() else { return };
        let done = match fetched.get() {
            Some(Ok(topic)) => self.attempt(cx, id, command, Some(topic.as_deref())),
            Some(Err(error)) => {
                fail(cx, id, SubscribeError::from(*error).into());
                Ok(())
            }
            None => {
                fail(cx, id, Failure::new(ErrorCode::Internal, "the topic could not be read"));
                Ok(())
            }
        };
        match done {
            Ok(()) => self.handle_all(cx, rest),
            Err(away) => self.wait_for(cx, *away, rest),
        }
    }

    fn tick(&mut self, cx: &mut Cx<'_>) {
        match &self.grant {
            None if self.was_ticked => cx.close(CloseCode::TokenMissing),
            None => self.was_ticked = true,
            Some(grant) if grant.is_expired(cx.now_ms()) => cx.close(CloseCode::TokenExpired),
            Some(grant) if self.broker.is_revoked(grant, cx.now_ms()) => cx.close(CloseCode::Disconnected),
            Some(_) => {}
        }
    }
}

impl<P: Send> NativeDoor<P> {
    /// Handles requests in their order, until one has to wait.
    fn handle_all(&mut self, cx: &mut Cx<'_>, mut requests: VecDeque<Result<Request, Rejection>>) {
        while let Some(request) = requests.pop_front() {
            if let Err(away) = self.handle(cx, request) {
                return self.wait_for(cx, *away, requests);
            }
        }
    }

    /// Goes on with this when the topic is there.
    fn wait_for(&mut self, cx: &mut Cx<'_>, away: Away, rest: VecDeque<Result<Request, Rejection>>) {
        let Away { topic, missing, id, command } = away;
        let fetched = Arc::new(OnceLock::new());
        self.held = Some(Held { fetched: fetched.clone(), id, command, rest });
        let paused = cx.pause();
        self.broker.fetch(&topic, missing, cx.now_ms(), move |outcome| {
            // Nobody else sets it.
            let _ = fetched.set(outcome);
            drop(paused);
        });
    }

    fn handle(&mut self, cx: &mut Cx<'_>, request: Result<Request, Rejection>) -> Result<(), Box<Away>> {
        let rate = self.broker.policy().limits.max_commands_per_second;
        if !self.bucket.take(rate, cx.now()) {
            let id = request.map_or_else(|rejection| rejection.id, |request| request.id);
            let message = format!("more than {rate} commands a second");
            fail(cx, id, Failure::new(ErrorCode::RateLimited, message));
            return Ok(());
        }
        match request {
            Ok(Request { id, command }) => self.attempt(cx, id, command, None),
            Err(Rejection { id, code, message }) => {
                fail(cx, id, Failure { code, message });
                Ok(())
            }
        }
    }

    fn attempt(
        &mut self,
        cx: &mut Cx<'_>,
        id: Option<u64>,
        command: Command,
        fetched: Fetched<'_>,
    ) -> Result<(), Box<Away>> {
        match self.perform(cx, id, command, fetched) {
            Ok(()) => Ok(()),
            Err(Undone::Away(away)) => Err(away),
            Err(Undone::Failed(failure)) => {
                fail(cx, id, failure);
                Ok(())
            }
        }
    }

    fn perform(
        &mut self,
        cx: &mut Cx<'_>,
        id: Option<u64>,
        command: Command,
        fetched: Fetched<'_>,
    ) -> Result<(), Undone> {
        match command {
            Command::Ping => cx.send(&Event::Pong { id }),
            Command::Auth { token } => self.auth(cx, id, &token)?,
            Command::Subscribe(subscribe) => self.subscribe(cx, id, subscribe, fetched)?,
            Command::Unsubscribe { topic } => unsubscribe(cx, id, topic)?,
            Command::Publish(publish) => self.publish(cx, id, publish, fetched)?,
            Command::Presence { topic } => self.presence(cx, id, topic)?,
            Command::History(history) => self.history(cx, id, history, fetched)?,
        }
        Ok(())
    }

    /// The grant in force, or why there is none.
    fn grant(&self, cx: &Cx<'_>) -> Result<&Grant, Failure> {
        let grant = self.grant.as_ref().ok_or_else(Failure::unauthorized)?;
        if grant.is_expired(cx.now_ms()) { Err(Failure::expired()) } else { Ok(grant) }
    }

    fn check(&self, cx: &Cx<'_>, verb: Verb, topic: &TopicName) -> Result<&Grant, Failure> {
        let grant = self.grant(cx)?;
        if grant.allows(verb, topic) { Ok(grant) } else { Err(Failure::forbidden(verb)) }
    }

    fn auth(&mut self, cx: &mut Cx<'_>, id: Option<u64>, token: &str) -> Result<(), Failure> {
        let grant = self.broker.authenticate(token, cx.now_ms())?;
        cx.identify(grant.user.clone(), grant.info.clone(), grant.token_id.clone());
        cx.ends_at(grant.expires_ms);
        // A narrower token takes effect on what is open, too.
        for topic in cx.topics() {
            let faster =
                grant.max_rate.is_some_and(|cap| cx.max_rate(&topic.name).is_none_or(|rate| rate > cap));
            let too_fast = topic.kind == Kind::Latest && faster;
            let watches = cx.is_watching(&topic.name) && !grant.allows(Verb::Presence, &topic.name);
            if !grant.allows(Verb::Subscribe, &topic.name) || watches || too_fast {
                cx.unsubscribe(topic.name.as_str());
                cx.send(&Event::End { topic: topic.name.clone(), code: ErrorCode::Forbidden });
            }
        }
        let reply = Event::Authenticated { id, user: grant.user.clone(), expires: grant.expires_ms };
        self.grant = Some(grant);
        cx.reply(id, &reply);
        Ok(())
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
            return Err(away(topic, Missing::Make, id, Command::Subscribe(request)));
        }
        let Subscribe { topic, since, last, presence, max_rate } = request;
        let max_rate = match (max_rate, cap) {
            (Some(asked), Some(cap)) => Some(asked.min(cap)),
            (asked, cap) => asked.or(cap),
        };
        let options = SubscribeOptions { since, last, watch: presence, max_rate };
        let (topic, mut joined) = self.broker.subscribe(cx, &topic, &options)?;
        let reply = Event::Subscribed {
            id,
            topic: topic.name.clone(),
            epoch: joined.epoch,
            offset: joined.offset,
            kind: topic.kind,
            recovered: joined.recovered,
            members: joined.members.take(),
        };
        cx.reply(id, &reply);
        cx.start(&topic, &joined);
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
            return Err(away(topic, Missing::Make, id, Command::Publish(request)));
        }
        let Publish { topic, payload, key, message_id, tags, ack } = request;
        let draft = Draft { payload, key, message_id, tags, from: Some(cx.publisher()) };
        let asker = || Some(cx.asker(id));
        let Published { receipt, waits } = self.broker.publish(&topic, draft, ack, asker, cx.now_ms())?;
        if waits {
            return Ok(());
        }
        let (epoch, offset, duplicate) = (receipt.epoch, receipt.offset, receipt.duplicate);
        cx.reply(id, &Event::Published { id, topic, epoch, offset, duplicate });
        Ok(())
    }

    fn presence(&mut self, cx: &mut Cx<'_>, id: Option<u64>, topic: TopicName) -> Result<(), Failure> {
        self.check(cx, Verb::Presence, &topic)?;
        self.check_room_for_replies(cx)?;
        let off = || Failure::new(ErrorCode::PresenceOff, "this topic keeps no presence");
        let found = self.broker.members(&topic).ok_or_else(off)?;
        let (members, clients, users) = (found.members, found.clients, found.users);
        cx.reply(id, &Event::Members { id, topic, members, clients, users });
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
        cx.reply(id, &Event::History(reply));
        Ok(())
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

fn unsubscribe(cx: &mut Cx<'_>, id: Option<u64>, topic: TopicName) -> Result<(), Failure> {
    if !cx.unsubscribe(topic.as_str()) {
        return Err(Failure::new(ErrorCode::NotSubscribed, "this connection is not subscribed to the topic"));
    }
    cx.reply(id, &Event::Unsubscribed { id, topic });
    Ok(())
}

fn away(topic: TopicName, missing: Missing, id: Option<u64>, command: Command) -> Undone {
    Undone::Away(Box::new(Away { topic, missing, id, command }))
}

fn fail(cx: &mut Cx<'_>, id: Option<u64>, failure: Failure) {
    let Failure { code, message } = failure;
    cx.send(&Event::Error(ErrorReply { id, code, message, retry: code.retry() }));
}
