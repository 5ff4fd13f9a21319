//! The seam between a shard and the protocols it runs without knowing them.

use std::{any::Any, net::IpAddr, sync::Arc, time::Instant};

use bytes::Bytes;
use fanwire_proto::{CloseCode, ErrorCode, Member, Payload, TopicName};

use super::{
    address::{Address, Awaited, Paused},
    core::Core,
    stamp::{OwnStamp, Stamp},
};
use crate::{
    auth::{Grant, ServerSub},
    defaults,
    fanout::{SubKey, SubscribeOptions},
    topic::{Asker, Joined, Placed, Refusal, Settlement, Topic},
    wire::{Body, Closing, Spoken},
};

/// A protocol on one connection: turns what comes in into calls on [`Cx`].
pub trait Door: Send {
    /// The connection is ready; first words go out here.
    fn opened(&mut self, cx: &mut Cx<'_>);

    /// A whole message came in.
    fn received(&mut self, cx: &mut Cx<'_>, frame: Inbound<'_>);

    /// What the door has paused for is there, see [`Cx::pause`].
    fn resumed(&mut self, _cx: &mut Cx<'_>) {}

    /// The time that was set with [`Cx::wake_at`] has come.
    fn woke(&mut self, _cx: &mut Cx<'_>) {}

    /// What became of a message that waited for its place, see [`Cx::asker`].
    fn settled(&mut self, _cx: &mut Cx<'_>, _settlement: &Settlement) {}

    /// The server has ended a subscription, and has told the client so.
    fn ended(&mut self, _cx: &mut Cx<'_>, _key: SubKey, _code: ErrorCode) {}

    /// A back end has this connection subscribed to a topic. Returns whether it was not before; if it was, nothing changes.
    ///
    /// # Errors
    /// When it cannot be: a connection may be for what it has asked for and nothing else.
    fn ordered(&mut self, _cx: &mut Cx<'_>, _sub: &ServerSub) -> Result<bool, ErrorCode> {
        Err(ErrorCode::TooManySubscriptions)
    }

    /// Called about once per ping interval, and when what the client may do [ends](Cx::ends_at).
    fn tick(&mut self, cx: &mut Cx<'_>);

    /// The client has said that it leaves.
    fn leaving(&mut self, _cx: &mut Cx<'_>) {}
}

/// A message as WebSocket types it.
pub enum Inbound<'a> {
    /// A text message.
    Text(&'a str),
    /// A binary message.
    Binary(&'a [u8]),
}

/// One connection's view of its shard while its door runs.
pub struct Cx<'a> {
    pub(super) core: &'a mut Core,
    pub(super) slot: u32,
}

impl Cx<'_> {
    /// Sends this client something of the door's own.
    pub fn send(&mut self, body: &Body) {
        let framing = self.core.out.conns[self.slot as usize].encoding.framing;
        framing.append(&mut self.core.out.replies, body);
    }

    /// Sends a message of a topic, in bytes that all who speak the same share.
    pub fn send_message(&mut self, message: &Placed) {
        let framing = self.core.out.conns[self.slot as usize].encoding.framing;
        let bytes = framing.plain(message.frame(self.core.out.speaker_of(self.slot)));
        self.send_frame(bytes);
    }

    /// Adds a subscription. Nothing is sent yet: send the reply, then [`start`](Self::start) it.
    pub fn subscribe(&mut self, topic: &Arc<Topic>, options: &SubscribeOptions) -> Result<Joined, Refusal> {
        self.core.subscribe(self.slot, topic, options)
    }

    /// Sends what a subscription begins with, right after its reply.
    pub fn start(&mut self, key: SubKey, joined: &Joined) {
        self.core.start_subscription(self.slot, key, joined);
    }

    /// Removes a subscription; false when there was none.
    pub fn unsubscribe(&mut self, key: SubKey) -> bool {
        self.core.unsubscribe(self.slot, key)
    }

    /// Ends a subscription, and tells the client why; the door hears of it, too.
    pub fn end(&mut self, key: SubKey, code: ErrorCode) {
        // What the door has said goes out before.
        self.core.out.stage_replies(self.slot);
        self.core.end_subscription(self.slot, key, code);
    }

    /// Shows others something else of this client on one topic; without it, what they see of it elsewhere.
    pub fn show(&mut self, key: SubKey, info: Option<Arc<Payload>>) {
        self.core.show(self.slot, key, info);
    }

    /// Whether a subscription shows something of its own.
    pub fn is_shown_apart(&self, key: SubKey) -> bool {
        self.core.fanout.subscription(self.slot, key).is_some_and(|sub| sub.has_member)
    }

    /// Whether this connection has a subscription of this name.
    pub fn has(&self, key: SubKey) -> bool {
        self.core.fanout.subscription(self.slot, key).is_some()
    }

    /// This connection's subscription to a topic; the first of several.
    pub fn subscription_to(&self, topic: &TopicName) -> Option<SubKey> {
        self.core.fanout.subscriptions(self.slot).find(|sub| sub.topic.name == *topic).map(|sub| sub.key)
    }

    /// Whether a subscription comes with presence.
    pub fn is_watching(&self, key: SubKey) -> bool {
        self.core.fanout.subscription(self.slot, key).is_some_and(|sub| sub.watches)
    }

    /// Most updates a second that a subscription gets, if there is a limit.
    pub fn max_rate(&self, key: SubKey) -> Option<f64> {
        let interval = self.core.fanout.subscription(self.slot, key)?.interval;
        (!interval.is_zero()).then(|| 1.0 / interval.as_secs_f64())
    }

    /// How many subscriptions this connection has.
    pub fn subscriptions(&self) -> usize {
        self.core.fanout.subscriptions(self.slot).len()
    }

    /// This connection's subscriptions with their topics.
    pub fn subscribed(&self) -> Vec<(SubKey, Arc<Topic>)> {
        self.core.fanout.subscriptions(self.slot).map(|sub| (sub.key, sub.topic.clone())).collect()
    }

    /// Bytes that wait for this client.
    pub fn waiting_bytes(&self) -> usize {
        let backlog = self.core.out.conns.get(self.slot as usize).map_or(0, super::conn::Conn::backlog_bytes);
        backlog + self.core.out.replies.len()
    }

    /// Who this is.
    pub fn member(&self) -> Member {
        self.core.out.conns[self.slot as usize].member.clone()
    }

    /// This client as it shows itself on one topic; nothing if it does as elsewhere.
    pub fn member_showing(&self, info: Option<Arc<Payload>>) -> Option<Member> {
        info.map(|info| Member { info: Some(info), ..self.member() })
    }

    /// Changes who this is and until when, also for those who watch the topics that it is subscribed to.
    pub fn identify(&mut self, grant: &Grant) {
        self.ends_at(grant.expires_ms);
        let conn = &mut self.core.out.conns[self.slot as usize];
        conn.credential.clone_from(&grant.credential);
        // Others see no more of it than these two.
        if (&conn.member.user, &conn.member.info) == (&grant.user, &grant.info) {
            return;
        }
        conn.member.user.clone_from(&grant.user);
        conn.member.info.clone_from(&grant.info);
        let Core { peers, fanout, .. } = &*self.core;
        let member = &self.core.out.conns[self.slot as usize].member;
        // The others show something of their own, whoever this is.
        for sub in fanout.subscriptions(self.slot).filter(|sub| !sub.has_member) {
            sub.topic.identify(member, |feed| peers[feed.shard.0].notify(feed));
        }
    }

    /// Has the door's [`tick`](Door::tick) called at this time too, in milliseconds since 1970.
    pub fn ends_at(&mut self, end_ms: Option<u64>) {
        self.core.ends_at(self.slot, end_ms);
    }

    /// How to answer this connection's request to publish later.
    pub fn asker(&self, id: Option<u64>, topic: &TopicName) -> Asker {
        let client = self.core.out.conns[self.slot as usize].member.client;
        Asker::connection(self.core.inbox.ear(), self.slot, client, id, topic.clone())
    }

    /// Where this client comes from.
    pub fn peer(&self) -> IpAddr {
        self.core.out.conns[self.slot as usize].origin.address
    }

    /// Who this is, as messages say it.
    pub fn publisher(&self) -> Member {
        Member { info: None, ..self.member() }
    }

    /// Ends the connection in order: what was sent is delivered, then a close frame.
    pub fn close(&mut self, code: CloseCode) {
        self.core.close(self.slot, code);
    }

    /// The same with a code of the door's own.
    pub fn close_with(&mut self, closing: Closing) {
        self.core.close_with(self.slot, closing);
    }

    /// Sends a whole frame, which may be shared with other connections.
    pub fn send_frame(&mut self, frame: Bytes) {
        self.core.out.stage_replies(self.slot);
        self.core.out.stage_own(self.slot, frame);
    }

    /// Has [`Door::woke`] called at this time, instead of the time set before; `None` for not at all.
    pub fn wake_at(&mut self, at: Option<Instant>) {
        self.core.wakes.set(self.slot, at);
    }

    /// From now on, what goes out to this connection gets from here what is its own.
    pub fn stamp_with(&mut self, stamp: impl Stamp) {
        self.core.out.conns[self.slot as usize].stamp = Some(Box::new(OwnStamp(Box::new(stamp))));
    }

    /// What this connection was [given](Self::stamp_with), if it is of this type.
    pub fn stamp<T: Stamp>(&mut self) -> Option<&mut T> {
        let stamp: &mut dyn Any = &mut *self.core.out.conns[self.slot as usize].stamp.as_mut()?.0;
        stamp.downcast_mut()
    }

    /// For whoever writes the beginning of the response, before this connection gets its socket.
    pub fn awaited(&self) -> Awaited {
        Awaited::new(self.address())
    }

    /// Lets the client's further input wait until what is returned is dropped. What others send this connection goes on.
    pub fn pause(&mut self) -> Paused {
        self.core.out.conns[self.slot as usize].paused = true;
        Paused(self.address())
    }

    /// Says what the door has just done costs beside the frame that asked for it, see [`defaults::TURN_COST`].
    pub fn charge(&mut self, cost: u32) {
        self.core.spent = self.core.spent.saturating_add(cost);
    }

    /// Whether the connection has had its share of the turn. A door with more to do [puts it off](Self::put_off).
    pub fn is_spent(&self) -> bool {
        self.core.spent >= defaults::TURN_COST
    }

    /// Has [`resumed`](Door::resumed) called when it is this connection's turn again; nothing is decoded until then.
    pub fn put_off(&mut self) {
        self.core.out.conns[self.slot as usize].yielded = true;
    }

    /// Where others can send this connection something.
    pub fn address(&self) -> Address {
        let client = self.core.out.conns[self.slot as usize].member.client;
        Address { shard: self.core.inbox.clone(), slot: self.slot, client, spoken: self.spoken() }
    }

    /// What is spoken on this connection.
    pub fn spoken(&self) -> Spoken {
        let encoding = self.core.out.conns[self.slot as usize].encoding;
        Spoken::new(encoding, self.core.out.dialects[encoding.dialect.index()].clone())
    }

    /// This turn's time.
    pub fn now(&self) -> Instant {
        self.core.now
    }

    /// This turn's time in milliseconds since 1970.
    pub fn now_ms(&self) -> u64 {
        self.core.now_ms
    }
}
