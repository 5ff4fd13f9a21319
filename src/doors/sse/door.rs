//! One event stream: subscribes to what was asked for, says how that went, and keeps the stream alive.

use std::{
    collections::VecDeque,
    sync::{Arc, OnceLock},
    time::Duration,
};

use fanwire_proto::{CloseCode, ErrorCode, Event, Kind, Offset, Position, TopicName};
use tokio::sync::oneshot;

use super::{
    dialect::named,
    positions::{Places, Positions},
};
use crate::{
    auth::Grant,
    broker::{Broker, Missing, NoTopic, SubscribeError},
    defaults,
    doors::{errors::Failure, standing::look_after},
    session::{By, OwnGrant, Session, Terms, Wish},
    shard::{Awaited, Cx, Door, Inbound, SubKey, SubscribeOptions},
    topic::{Joined, Topic},
    wire::Body,
};

/// The first words: how long to wait before reconnecting, in milliseconds.
const PREAMBLE: &[u8] = b"retry: 2000\n\n";

/// A comment that keeps the connection open.
const HEARTBEAT: &[u8] = b":\n\n";

/// How subscribing went: the connection, which waits for its socket, or why there is none.
pub(super) type Outcome = Result<Awaited, Failure>;

/// What a client asks for.
pub(super) struct Wanted {
    pub(super) topics: Vec<TopicName>,
    pub(super) positions: Positions,
    pub(super) last: Option<u32>,
    pub(super) presence: bool,
    pub(super) max_rate: Option<f64>,
}

/// An event stream.
pub struct SseDoor {
    broker: Arc<Broker>,
    session: Session,
    wanted: Wanted,
    /// What is still to be subscribed to.
    left: VecDeque<(SubKey, TopicName)>,
    /// What became of the topic that the connection pauses for; nothing if the worker fails.
    fetched: Option<Arc<OnceLock<Result<(), NoTopic>>>>,
    /// Until it is told.
    outcome: Option<oneshot::Sender<Outcome>>,
    heartbeat_s: u32,
}

impl SseDoor {
    pub(super) fn new(
        broker: Arc<Broker>,
        grant: Grant,
        wanted: Wanted,
        ping_s: u64,
    ) -> (Self, oneshot::Receiver<Outcome>) {
        let (outcome, told) = oneshot::channel();
        let left = (0..).map(SubKey).zip(wanted.topics.iter().cloned()).collect();
        let session = Session::new(Some(grant));
        let heartbeat_s = u32::try_from(defaults::HEARTBEAT_S.min(ping_s).max(1)).unwrap_or(u32::MAX);
        (Self { broker, session, wanted, left, fetched: None, outcome: Some(outcome), heartbeat_s }, told)
    }

    /// Subscribes to what is left, until a topic has to be read from the disk first.
    fn go_on(&mut self, cx: &mut Cx<'_>) {
        while let Some((key, topic)) = self.left.pop_front() {
            // What was fetched is for the first that is left: `fetch` has put it back in front.
            let was_fetched = match self.fetched.take().map(|fetched| fetched.get().copied()) {
                None => false,
                Some(Some(Ok(()))) => true,
                Some(Some(Err(error))) => return self.refuse(cx, SubscribeError::from(error).into()),
                Some(None) => {
                    let what = "the topic could not be read";
                    return self.refuse(cx, Failure::new(ErrorCode::Internal, what));
                }
            };
            if !was_fetched && self.broker.is_away(&topic) {
                return self.fetch(cx, key, topic);
            }
            if let Err(failure) = self.subscribe(cx, key, &topic) {
                return self.refuse(cx, failure);
            }
        }
        // Only now: whatever fails before is still an ordinary HTTP answer, with a status.
        self.tell(cx, Ok(cx.awaited()));
        cx.wake_at(Some(cx.now() + Duration::from_secs(self.heartbeat_s.into())));
    }

    fn fetch(&mut self, cx: &mut Cx<'_>, key: SubKey, topic: TopicName) {
        let fetched = Arc::new(OnceLock::new());
        self.fetched = Some(fetched.clone());
        let (paused, missing) = (cx.pause(), Missing::Make(self.session.owner(cx.peer())));
        self.broker.fetch(&topic, missing, cx.now_ms(), move |found| {
            // Nobody else sets it.
            let _ = fetched.set(found.map(drop));
            drop(paused);
        });
        self.left.push_front((key, topic));
    }

    fn subscribe(&mut self, cx: &mut Cx<'_>, key: SubKey, topic: &TopicName) -> Result<(), Failure> {
        let since = self.wanted.positions.of(topic);
        let (last, watch) = (self.wanted.last, self.wanted.presence);
        let past = since.is_some() || last.is_some();
        let wish = Wish { past, members: watch, max_rate: self.wanted.max_rate };
        let Terms { max_rate, expires_ms, info } = self.session.may_subscribe(topic, wish, cx.now_ms())?;
        let member = cx.member_showing(info);
        let options = SubscribeOptions { key, since, last, watch, max_rate, declines_own: false, member };
        let owner = self.session.owner(cx.peer());
        let (topic, mut joined) = self.broker.subscribe(cx, &owner, topic, &options)?;
        self.session.begin(key, OwnGrant { by: By::Credential, expires_ms });
        cx.ends_at(self.session.next_end());
        let begins = self.begins(&topic, &joined);
        if let Some(places) = cx.stamp::<Places>() {
            places.begin(key, joined.epoch, begins);
        }
        let reply = Event::Subscribed {
            id: Some(u64::from(key.0)),
            topic: topic.name.clone(),
            epoch: joined.epoch,
            offset: joined.offset,
            kind: topic.kind,
            recovered: joined.recovered,
            members: joined.members.take(),
        };
        say(cx, named("subscribed", None, &reply));
        cx.start(key, &joined);
        Ok(())
    }

    /// Where a subscription starts, so that a break before its first messages loses none of them: where the client was, if
    /// it gets everything since; before everything, for the newest values and documents; with the first message of the
    /// past, if it wants some; else where the topic is.
    fn begins(&self, topic: &Topic, joined: &Joined) -> Option<Offset> {
        let resumed = self.wanted.positions.of(&topic.name).filter(|_| joined.recovered == Some(true));
        match (resumed, topic.kind) {
            (Some(Position { offset, .. }), _) => Some(offset),
            (None, Kind::Latest | Kind::Document) => Some(Offset::ZERO),
            (None, Kind::Log) if self.wanted.last.is_some() && joined.recovered.is_none() => None,
            (None, _) => Some(joined.offset),
        }
    }

    fn refuse(&mut self, cx: &mut Cx<'_>, failure: Failure) {
        self.tell(cx, Err(failure));
        // Ends what was subscribed to before the one that failed, too: the client was told of none.
        cx.close(CloseCode::Normal);
    }

    fn tell(&mut self, cx: &mut Cx<'_>, outcome: Outcome) {
        let heard = self.outcome.take().is_some_and(|told| told.send(outcome).is_ok());
        if !heard {
            // Whoever asked has gone or lost patience.
            cx.close(CloseCode::Normal);
        }
    }
}

/// Sends an event that has to say where the client is.
fn say(cx: &mut Cx<'_>, body: Body) {
    let Body::Own(data, lines, _) = body else { return };
    let mut event = Vec::new();
    if let Some(places) = cx.stamp::<Places>() {
        places.append(&mut event);
    }
    event.extend_from_slice(&lines);
    cx.send(&Body::of(data, event));
}

impl Door for SseDoor {
    fn opened(&mut self, cx: &mut Cx<'_>) {
        if let Some(grant) = self.session.shown() {
            cx.identify(grant);
            if self.broker.is_revoked(grant, cx.now_ms()) {
                let what = "the credential has been revoked";
                return self.refuse(cx, Failure::new(ErrorCode::InvalidToken, what));
            }
        }
        // Before anything is sent: every event from the first on has to carry an id.
        cx.stamp_with(Places::new(&self.wanted.topics));
        cx.send(&Body::text(PREAMBLE));
        self.go_on(cx);
    }

    /// A client has nothing more to say.
    fn received(&mut self, _: &mut Cx<'_>, _: Inbound<'_>) {}

    fn resumed(&mut self, cx: &mut Cx<'_>) {
        self.go_on(cx);
    }

    fn woke(&mut self, cx: &mut Cx<'_>) {
        // With something waiting, the connection is not idle to anybody on the way, and a comment more would only wait
        // behind it.
        if cx.waiting_bytes() == 0 {
            cx.send(&Body::text(HEARTBEAT));
        }
        cx.wake_at(Some(cx.now() + Duration::from_secs(self.heartbeat_s.into())));
    }

    /// A stream without subscriptions is over.
    fn ended(&mut self, cx: &mut Cx<'_>, key: SubKey, _: ErrorCode) {
        self.session.ended(key);
        if cx.subscriptions() == 0 {
            cx.close(CloseCode::Normal);
        }
    }

    fn tick(&mut self, cx: &mut Cx<'_>) {
        look_after(&mut self.session, &self.broker, cx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hundred thousand streams have one each.
    #[test]
    fn a_door_takes_little() {
        assert!(size_of::<SseDoor>() <= 168, "{}", size_of::<SseDoor>());
    }
}
