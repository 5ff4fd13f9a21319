//! The Yjs door: the protocol of y-websocket over `/yjs/{topic}`, for providers as they are.
//!
//! A connection is for one document. It gets live updates from the moment it is there; when it says what it has (step 1),
//! it gets what it lacks, update by update as they are in the topic, so that newcomers share their frames, and then an
//! empty step 2, which makes the provider `synced`. Only a client that has part of a document that was merged is served
//! by a worker, which leaves out what it has (`answer.rs`).
//!
//! What a client has and the topic lacks comes in answer to our step 1. Every client sends all deletions there, so a
//! worker looks whether there is anything new in it.
//!
//! Updates come back to whoever sent them. That costs one delivery and does no harm; it tells a client that its update
//! was taken, and keeps the provider from taking the connection for dead.
//!
//! An update is never dropped. One that cannot be taken ends the connection: with 1013 the provider comes back at once
//! and brings everything again; from 4400 to 4499 it stays away.

mod answer;
mod dialect;
pub(super) mod entrance;
mod inside;

use std::{
    sync::{Arc, OnceLock, atomic::Ordering},
    time::Instant,
};

use answer::answer;
use bytes::Bytes;
pub use dialect::YjsDialect;
use dialect::said;
use fanwire_proto::{CloseCode, ErrorCode, Payload, TopicName};
use inside::Inside;

use super::{
    errors::Failure,
    standing::{look_after, standing},
};
use crate::{
    auth::{Grant, Verb},
    broker::{Broker, Missing, SubscribeError},
    clock::unix_ms,
    defaults,
    document::{
        Malformed, awareness,
        message::{self, Message},
        update::EMPTY,
    },
    memory::Owner,
    session::{By, OwnGrant, Session, Standing, Terms, TokenBucket, Wish},
    shard::{Cx, Door, Inbound, SubKey, SubscribeOptions},
    topic::{Asker, Draft, Kind},
    wire::{Closing, Dialect},
};

/// A connection's two subscriptions.
const DOCUMENT: SubKey = SubKey(0);
const AWARENESS: SubKey = SubKey(1);

/// The provider comes back at once.
const TRY_AGAIN: Closing = Closing { code: 1013, reason: "try again" };
/// What came is not the protocol.
const MALFORMED: Closing = Closing { code: 4400, reason: "malformed message" };
const NOT_A_DOCUMENT: Closing = Closing { code: 4400, reason: "the topic is not of kind `document`" };
const BAD_NAME: Closing = Closing { code: 4400, reason: "the room is no name of a topic" };
/// No token, or none that is good.
const UNAUTHORIZED: Closing = Closing { code: 4401, reason: "unauthorized" };
/// The token is for other topics, or the page for other brokers.
const FORBIDDEN: Closing = Closing { code: 4403, reason: "forbidden" };
/// A part of the document may be missing on the broker's disk. Trying again does not help.
const DAMAGED: Closing = Closing { code: 4410, reason: "the document is damaged on the broker's disk" };
/// The document, or the update, is larger than it may be.
const TOO_LARGE: Closing = Closing { code: 4413, reason: "too large" };

/// Why somebody may not come in. It is said with a close frame: browsers do not show what else a handshake ends with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// No token, or none that is good.
    Unauthorized,
    /// The token was not looked at: too many false ones came from the address.
    NotNow,
    /// The page is of an origin that may not connect.
    Forbidden,
    /// The path names no topic.
    BadName,
}

/// The protocol on one connection.
pub struct YjsDoor {
    broker: Arc<Broker>,
    entry: Result<(Session, TopicName), Refused>,
    /// Why the document could not be read from the disk.
    away: Arc<OnceLock<Closing>>,
    inside: Option<Inside>,
    frames: TokenBucket,
    updates: TokenBucket,
    /// Questions what it lacks, and who is here: they cost more to answer than to ask.
    asks: TokenBucket,
    queries: TokenBucket,
}

impl YjsDoor {
    /// A door for a client that asks for a topic.
    pub fn new(broker: Arc<Broker>, entry: Result<(Grant, TopicName), Refused>) -> Self {
        let entry = entry.map(|(grant, topic)| (Session::new(Some(grant)), topic));
        let now = Instant::now();
        let frames = TokenBucket::new(broker.policy().limits.max_commands_per_second, now);
        let updates = TokenBucket::new(defaults::MAX_UPDATES_PER_SECOND, now);
        let asks = TokenBucket::new(defaults::STEPS_PER_SECOND, now);
        let queries = TokenBucket::new(defaults::QUERIES_PER_SECOND, now);
        Self { broker, entry, away: Arc::default(), inside: None, frames, updates, asks, queries }
    }

    /// On what terms the client may come in, if it may.
    fn terms(&self, cx: &mut Cx<'_>) -> Result<Terms, Closing> {
        let (session, name) = match &self.entry {
            Ok(entry) => entry,
            Err(Refused::Unauthorized) => return Err(UNAUTHORIZED),
            Err(Refused::NotNow) => return Err(TRY_AGAIN),
            Err(Refused::Forbidden) => return Err(FORBIDDEN),
            Err(Refused::BadName) => return Err(BAD_NAME),
        };
        let Some(grant) = session.shown() else { return Err(UNAUTHORIZED) };
        cx.identify(grant);
        let may = session.may_subscribe(name, Wish::default(), cx.now_ms());
        match may {
            Ok(_) if standing(session, &self.broker, cx) != Standing::Good => Err(FORBIDDEN),
            Ok(_) if self.broker.kind_of(name) != Kind::Document => Err(NOT_A_DOCUMENT),
            may => may.map_err(|_| FORBIDDEN),
        }
    }

    fn enter(&mut self, cx: &mut Cx<'_>) -> Result<(), Closing> {
        let Terms { expires_ms, info, .. } = self.terms(cx)?;
        let Ok((session, name)) = &mut self.entry else { return Err(UNAUTHORIZED) };
        let by = session.owner(cx.peer());
        // Everything from now on; what was before is sent when the client says what it has.
        let member = cx.member_showing(info);
        let live = SubscribeOptions { key: DOCUMENT, last: Some(0), member, ..SubscribeOptions::default() };
        let joined = self.broker.subscribe(cx, &by, name, &live);
        let (topic, joined) = joined.map_err(|error| closing_of(error.into()))?;
        session.begin(DOCUMENT, OwnGrant { by: By::Credential, expires_ms });
        cx.ends_at(session.next_end());
        cx.start(DOCUMENT, &joined);
        let room = self.broker.room(name, cx.now_ms());
        let may_write = session.check(Verb::Publish, name, cx.now_ms()).is_ok();
        let inside = Inside {
            topic,
            room,
            owner: cx.member().client.0,
            by,
            speaker: awareness::Speaker { user: cx.member().user, may_write },
            has_spoken: false,
            was_told_no: false,
            answering: Arc::default(),
            offering: Arc::default(),
        };
        if may_write {
            self.ask(cx, &inside);
        }
        let awareness = inside.room.awareness_topic.clone();
        // Before what may still fail: from here on, dropping the door takes the client out of the room again.
        self.inside = Some(inside);
        let options = SubscribeOptions { key: AWARENESS, ..SubscribeOptions::default() };
        let everybody = cx.subscribe(&awareness, &options).map_err(|_| TRY_AGAIN)?;
        cx.start(AWARENESS, &everybody);
        Ok(())
    }

    /// Asks the client for what is not in the document.
    fn ask(&self, cx: &mut Cx<'_>, inside: &Inside) {
        let there = inside.topic.updates();
        // The vector is worked out from what the room has not looked through yet. Much of that is a task for a worker;
        // the client may be asked a little later.
        if inside.room.unseen_bytes(&there) <= defaults::LOOK_THROUGH_BYTES {
            return cx.send(&said(message::step1(&inside.room.vector(&there))));
        }
        let (room, address) = (inside.room.clone(), cx.address());
        self.broker.join_later(&inside.topic.name, move || {
            address.send(said(message::step1(&room.vector(&there))));
        });
    }

    fn handle(&mut self, cx: &mut Cx<'_>, bytes: &[u8]) -> Result<(), Closing> {
        let Some(inside) = &mut self.inside else { return Ok(()) };
        // With every message, since `tick` only comes when a timer does, and nothing may be written with a token that has
        // ended.
        if let Ok((session, _)) = &self.entry
            && session.grant(cx.now_ms()).is_err()
        {
            return Err(YjsDialect.closing(CloseCode::TokenExpired));
        }
        match Message::decode(bytes)? {
            // Ended instead of passed over: an unanswered step 1 would leave the provider waiting to be synced for ever.
            Message::Step1(_) if !self.asks.take(defaults::STEPS_PER_SECOND, cx.now()) => Err(TRY_AGAIN),
            Message::QueryAwareness if !self.queries.take(defaults::QUERIES_PER_SECOND, cx.now()) => {
                Err(TRY_AGAIN)
            }
            Message::Step1(vector) => Ok(answer(&self.broker, cx, inside, vector)?),
            Message::Step2(update) | Message::Update(update) if update == EMPTY => Ok(()),
            Message::Step2(_) | Message::Update(_) if !inside.speaker.may_write => {
                if !std::mem::replace(&mut inside.was_told_no, true) {
                    cx.send(&said(message::denied("read-only: changes are not taken")));
                }
                Ok(())
            }
            // Both alike: a step 2 costs what an update does, and looking through it besides.
            Message::Step2(_) | Message::Update(_)
                if !self.updates.take(defaults::MAX_UPDATES_PER_SECOND, cx.now()) =>
            {
                Err(TRY_AGAIN)
            }
            Message::Step2(update) => offer(&self.broker, cx, inside, update),
            Message::Update(update) => {
                let draft = draft(cx, inside.by.clone(), update);
                let published =
                    self.broker.publish(&inside.topic.name, draft, None, Asker::nobody, cx.now_ms());
                published.map(drop).map_err(|error| closing_of(error.into()))
            }
            Message::Awareness(entries) => {
                let entries = awareness::decode(entries)?;
                let first = !std::mem::replace(&mut inside.has_spoken, true);
                let broker = &self.broker;
                let notify = |feed| broker.notify(feed);
                let reminders =
                    inside.room.hear(&entries, inside.owner, &inside.speaker, first, cx.now_ms(), notify);
                reminders.into_iter().for_each(|reminder| cx.send(&said(reminder)));
                Ok(())
            }
            Message::QueryAwareness => {
                inside.room.everybody().into_iter().for_each(|state| cx.send(&said(state)));
                Ok(())
            }
            Message::Other => Ok(()),
        }
    }
}

impl Door for YjsDoor {
    fn opened(&mut self, cx: &mut Cx<'_>) {
        match &self.entry {
            // Asked before the disk is: who may not come in must not have topics read.
            Ok((session, name))
                if session.may_subscribe(name, Wish::default(), cx.now_ms()).is_ok()
                    && self.broker.is_away(name) =>
            {
                let (paused, away) = (cx.pause(), self.away.clone());
                self.broker.fetch(
                    name,
                    Missing::Make(session.owner(cx.peer())),
                    cx.now_ms(),
                    move |fetched| {
                        if let Err(error) = fetched {
                            // Nobody else sets it.
                            let _ = away.set(closing_of(SubscribeError::from(error).into()));
                        }
                        drop(paused);
                    },
                );
            }
            _ => self.resumed(cx),
        }
    }

    fn resumed(&mut self, cx: &mut Cx<'_>) {
        // Looked for again, it would be read from the disk on the shard's thread.
        let entered = match self.away.get() {
            Some(closing) => Err(*closing),
            None => self.enter(cx),
        };
        if let Err(closing) = entered {
            cx.close_with(closing);
        }
    }

    fn received(&mut self, cx: &mut Cx<'_>, inbound: Inbound<'_>) {
        let rate = self.broker.policy().limits.max_commands_per_second;
        let done = match inbound {
            Inbound::Text(_) => Err(MALFORMED),
            Inbound::Binary(_) if !self.frames.take(rate, cx.now()) => Err(TRY_AGAIN),
            Inbound::Binary(bytes) => self.handle(cx, bytes),
        };
        if let Err(closing) = done {
            cx.close_with(closing);
        }
    }

    fn tick(&mut self, cx: &mut Cx<'_>) {
        let Ok((session, _)) = &mut self.entry else { return };
        look_after(session, &self.broker, cx);
    }

    fn leaving(&mut self, cx: &mut Cx<'_>) {
        if let Some(inside) = &self.inside {
            inside.room.leave(inside.owner, cx.now_ms(), |feed| self.broker.notify(feed));
        }
    }
}

impl Drop for YjsDoor {
    fn drop(&mut self) {
        if let Some(inside) = &self.inside {
            // Its cursor stays for a while and can be taken over when it comes back; whoever has said goodbye has none
            // left here.
            inside.room.orphan(inside.owner, unix_ms());
        }
    }
}

/// Takes what a client has, unless all of it is there.
fn offer(broker: &Arc<Broker>, cx: &mut Cx<'_>, inside: &Inside, update: &[u8]) -> Result<(), Closing> {
    crate::document::check(update)?;
    // Given back by the worker: one look at a time for each connection, however much it brings.
    if inside.offering.swap(true, Ordering::AcqRel) {
        // Once per connection is the rule; what else comes is an update like any other.
        let published = broker.publish(
            &inside.topic.name,
            draft(cx, inside.by.clone(), update),
            None,
            Asker::nobody,
            cx.now_ms(),
        );
        return published.map(drop).map_err(|error| closing_of(error.into()));
    }
    let (address, offering, topic) = (cx.address(), inside.offering.clone(), inside.topic.clone());
    let (draft, broker_too, now_ms) = (draft(cx, inside.by.clone(), update), broker.clone(), cx.now_ms());
    broker.join_later(&inside.topic.name, move || {
        if let Err(error) = broker_too.offer(&topic, draft, now_ms) {
            address.end(closing_of(error.into()));
        }
        offering.store(false, Ordering::Release);
    });
    Ok(())
}

fn draft(cx: &Cx<'_>, by: Owner, update: &[u8]) -> Draft {
    let payload = Payload::Bytes(Bytes::copy_from_slice(update));
    Draft { payload, key: None, message_id: None, tags: None, from: Some(cx.publisher()), not_to: None, by }
}

/// Why the connection of somebody ends whose update or subscription is not taken.
fn closing_of(failure: Failure) -> Closing {
    match failure.code {
        ErrorCode::TooLarge => TOO_LARGE,
        ErrorCode::BadPayload => MALFORMED,
        ErrorCode::Forbidden => FORBIDDEN,
        ErrorCode::Damaged => DAMAGED,
        _ => TRY_AGAIN,
    }
}

impl From<Malformed> for Closing {
    fn from(error: Malformed) -> Self {
        tracing::debug!(%error, "a Yjs client sent something malformed");
        MALFORMED
    }
}
