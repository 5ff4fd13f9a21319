//! The native door: fanwire's own protocol over `/ws`, as `proto/PROTOCOL.md` specifies it.
//!
//! ```text
//!          token at the handshake, or none needed
//! opened ────────────────────────────────────────► Granted ──token ends──► close 4001
//!    │                                               ▲
//!    └──none yet──► Stranger ──auth with a token─────┘
//!                      └──one to two ping intervals later──► close 4000
//! ```

mod commands;
mod dialect;
pub(super) mod entrance;
mod held;
mod pause;
mod server_side;

use std::{collections::VecDeque, sync::Arc, time::Instant};

pub use dialect::NativeDialect;
use dialect::say;
use fanwire_proto::{
    CloseCode, Command, ErrorCode, ErrorReply, Event, Format, Rejection, Request, TopicName,
};
use held::{Away, Fetched, Held, Undone};

use super::{errors::Failure, standing::look_after};
use crate::{
    auth::{Grant, ServerSub},
    broker::Broker,
    session::{Session, Standing, TokenBucket},
    shard::{Cx, Door, Inbound, SubKey},
    topic::{Receipt, Settlement},
};

/// What the welcome says the server is.
const VERSION: &str = concat!("fanwire/", env!("CARGO_PKG_VERSION"));

/// The protocol on one connection.
pub struct NativeDoor {
    broker: Arc<Broker>,
    format: Format,
    session: Session,
    /// Seconds between pings.
    ping_s: u32,
    last_key: SubKey,
    /// Connections are looked after in turn, so the first time may be at once.
    was_ticked: bool,
    bucket: TokenBucket,
    /// Present while the connection pauses for a topic.
    held: Option<Box<Held>>,
    /// What is left of a frame whose commands are more than one turn has room for.
    rest: Option<Box<Rest>>,
    /// Credentials that were not taken, one after the other.
    refused: u8,
    /// Subscriptions that the token names, the last ones of them, which are still to be made.
    unmade: u8,
    /// So many that the connection ends.
    closing: bool,
}

/// Requests that wait, behind one word: most connections have none.
struct Rest(VecDeque<Result<Request, Rejection>>);

impl NativeDoor {
    /// A door for a client with this grant; without one it is a stranger, who may only present a token.
    pub fn new(broker: Arc<Broker>, format: Format, grant: Option<Grant>, ping_s: u64) -> Self {
        let bucket = TokenBucket::new(broker.policy().limits.max_commands_per_second, Instant::now());
        let session = Session::new(grant);
        Self {
            broker,
            format,
            session,
            ping_s: u32::try_from(ping_s).unwrap_or(u32::MAX),
            last_key: SubKey::default(),
            was_ticked: false,
            bucket,
            held: None,
            rest: None,
            refused: 0,
            unmade: 0,
            closing: false,
        }
    }
}

impl Door for NativeDoor {
    fn opened(&mut self, cx: &mut Cx<'_>) {
        if let Some(grant) = self.session.shown() {
            cx.identify(grant);
            if self.broker.is_revoked(grant, cx.now_ms()) {
                // Between the handshake and now; from here on orders reach the connection.
                return cx.close(CloseCode::Disconnected);
            }
        }
        let welcome = Event::Welcome {
            client: cx.member().client,
            version: VERSION.into(),
            ping_s: self.ping_s.into(),
            max_message_bytes: self.broker.policy().limits.max_message_bytes,
            user: cx.member().user,
        };
        self.say(cx, &welcome);
        self.begin_named();
        self.handle_all(cx, VecDeque::new());
    }

    fn received(&mut self, cx: &mut Cx<'_>, frame: Inbound<'_>) {
        let bytes = match (frame, self.format) {
            (Inbound::Text(text), Format::Json) => text.as_bytes(),
            (Inbound::Binary(bytes), Format::MsgPack) => bytes,
            (Inbound::Text(_) | Inbound::Binary(_), _) => return cx.close(CloseCode::Unsupported),
        };
        self.handle_all(cx, self.format.decode_requests(bytes).into());
    }

    fn resumed(&mut self, cx: &mut Cx<'_>) {
        // At most one of the two is there: what is held has its own rest, and nothing is decoded while either waits.
        let rest = self.rest.take();
        match self.held.is_some() {
            true => self.go_on(cx),
            false => self.handle_all(cx, rest.map(|rest| rest.0).unwrap_or_default()),
        }
    }

    fn settled(&mut self, cx: &mut Cx<'_>, settlement: &Settlement) {
        let Settlement { id, topic, outcome, .. } = settlement;
        match *outcome {
            Ok(receipt) => self.published(cx, *id, topic.clone(), receipt),
            Err(not_placed) => self.fail(cx, *id, not_placed.into()),
        }
    }

    fn ended(&mut self, _: &mut Cx<'_>, key: SubKey, _: ErrorCode) {
        self.session.ended(key);
    }

    fn ordered(&mut self, cx: &mut Cx<'_>, sub: &ServerSub) -> Result<bool, ErrorCode> {
        self.make_ordered(cx, sub).map_err(|failure| failure.code)
    }

    fn tick(&mut self, cx: &mut Cx<'_>) {
        match look_after(&mut self.session, &self.broker, cx) {
            Standing::Stranger if self.was_ticked => cx.close(CloseCode::TokenMissing),
            Standing::Stranger => self.was_ticked = true,
            _ => {}
        }
    }
}

impl NativeDoor {
    fn say(&self, cx: &mut Cx<'_>, event: &Event) {
        cx.send(&say(self.format, event));
    }

    /// Says where a message is, to whoever asked.
    fn published(&self, cx: &mut Cx<'_>, id: Option<u64>, topic: TopicName, receipt: Receipt) {
        let Receipt { epoch, offset, duplicate, .. } = receipt;
        self.reply(cx, id, &Event::Published { id, topic, epoch, offset, duplicate });
    }

    /// Sends the reply to a request, if it asked for one.
    fn reply(&self, cx: &mut Cx<'_>, id: Option<u64>, event: &Event) {
        if id.is_some() {
            self.say(cx, event);
        }
    }

    fn fail(&self, cx: &mut Cx<'_>, id: Option<u64>, failure: Failure) {
        let Failure { code, message } = failure;
        self.say(cx, &Event::Error(ErrorReply { id, code, message, retry: code.retry() }));
    }

    /// Makes what subscriptions the token names and handles requests in their order, until something has to wait or the turn
    /// is used up.
    fn handle_all(&mut self, cx: &mut Cx<'_>, mut requests: VecDeque<Result<Request, Rejection>>) {
        loop {
            // What the token names comes first: a client that publishes right after `auth` expects to be subscribed by
            // then.
            let done = match self.next_named() {
                Some(sub) => self.attempt_named(cx, sub),
                None => match requests.pop_front() {
                    Some(request) => self.handle(cx, request),
                    None => return,
                },
            };
            if let Err(away) = done {
                return self.wait_for(cx, *away, requests);
            }
            if self.closing {
                return cx.close(CloseCode::TokenMissing);
            }
            cx.charge(1);
            // Looked at after each command, since one frame may hold thousands, and all connections of the shard wait
            // meanwhile.
            if cx.is_spent() && (self.unmade > 0 || !requests.is_empty()) {
                self.rest = Some(Box::new(Rest(requests)));
                return cx.put_off();
            }
        }
    }

    /// Charges the client with what a command has done.
    fn charge(&mut self, cx: &mut Cx<'_>, cost: usize) {
        let cost = u32::try_from(cost).unwrap_or(u32::MAX);
        self.bucket.owe(cost);
        cx.charge(cost);
    }

    fn handle(&mut self, cx: &mut Cx<'_>, request: Result<Request, Rejection>) -> Result<(), Box<Away>> {
        let rate = self.broker.policy().limits.max_commands_per_second;
        // Also for what was malformed: it costs a reply, too.
        if !self.bucket.take(rate, cx.now()) {
            let id = request.map_or_else(|rejection| rejection.id, |request| request.id);
            let message = format!("more than {rate} commands a second");
            self.fail(cx, id, Failure::new(ErrorCode::RateLimited, message));
            return Ok(());
        }
        match request {
            Ok(Request { id, command }) => self.attempt(cx, id, command, None),
            Err(Rejection { id, code, message }) => {
                self.fail(cx, id, Failure { code, message });
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
                self.fail(cx, id, failure);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hundred thousand connections have one each.
    #[test]
    fn a_door_takes_little() {
        assert!(size_of::<NativeDoor>() <= 80, "{}", size_of::<NativeDoor>());
    }
}
