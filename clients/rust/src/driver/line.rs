//! One connection: what is sent, what comes, signs of life.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fanwire_proto::{Command, ErrorCode, Event, Format, Request, TopicName};
use futures_util::{SinkExt, StreamExt};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_tungstenite::tungstenite::Message as Frame;

use super::{Driver, End, opening};
use crate::client::Order;
use crate::error::{Code, Error};
use crate::options::{GOODBYE_MAX, Options, REFRESH_MIN, REFRESH_PART, Token};
use crate::socket::Socket;

/// Close codes from here to below the next hundred say not to come back (DESIGN: 4000–4099).
const STAY_AWAY: std::ops::Range<u16> = 4000..4100;
/// The token is not, or no longer, good.
const UNAUTHORIZED: u16 = 4001;
/// Nothing is due: look again by then all the same.
const IDLE: Duration = Duration::from_secs(3600);

/// What a command of the driver's own was for.
#[derive(Debug)]
pub(super) enum Asked {
    /// A subscription, by its number.
    Subscribe(TopicName, u64),
    /// A new token.
    Token,
    /// A sign of life, or something whose answer changes nothing.
    Nothing,
}

/// An open connection.
pub(super) struct Line {
    pub(super) socket: Socket,
    format: Format,
    /// Largest frame that the broker reads.
    pub(super) max_bytes: usize,
    asked: HashMap<u64, Asked>,
    goodbye: Option<(bool, Duration)>,
    heard_at: Instant,
    /// Since when a sign of life has been waited for.
    probing_since: Option<Instant>,
    refresh_at: Option<Instant>,
    token: Option<oneshot::Receiver<Result<String, Error>>>,
    patience: Duration,
}

/// What a connection's end means: the broker's close code, and what it said before.
pub(super) fn end_of(code: Option<u16>, goodbye: Option<(bool, Duration)>, options: &Options) -> End {
    let renewable = code == Some(UNAUTHORIZED) && matches!(options.token, Some(Token::Callback(_)));
    let told = code.is_some_and(|code| STAY_AWAY.contains(&code)) && !renewable;
    if told || goodbye.is_some_and(|(reconnect, _)| !reconnect) {
        let code = code.map_or_else(String::new, |code| format!(" (close code {code})"));
        return End::Stopped(Error::new(Code::Stopped, format!("the broker said to stay away{code}")));
    }
    End::Lost(goodbye.map(|(_, after)| after.min(GOODBYE_MAX)))
}

impl Line {
    pub(super) fn new(socket: Socket, options: &Options) -> Self {
        Self {
            socket,
            format: options.format,
            max_bytes: usize::MAX,
            asked: HashMap::new(),
            goodbye: None,
            heard_at: Instant::now(),
            probing_since: None,
            refresh_at: None,
            token: None,
            patience: options.ping_timeout,
        }
    }

    /// Whether nothing new is to be sent.
    pub(super) fn is_leaving(&self) -> bool {
        self.goodbye.is_some()
    }

    pub(super) fn goodbye(&self) -> Option<(bool, Duration)> {
        self.goodbye
    }

    pub(super) fn say_goodbye(&mut self, reconnect: bool, after_ms: u64) {
        self.goodbye = Some((reconnect, Duration::from_millis(after_ms)));
    }

    /// Sends a frame. A peer that takes nothing for too long is gone.
    pub(super) async fn send(&mut self, frame: Vec<u8>) -> Result<(), End> {
        let frame = match self.format {
            Format::Json => Frame::text(String::from_utf8(frame).unwrap_or_default()),
            Format::MsgPack => Frame::binary(frame),
        };
        // Nothing is read meanwhile, so this must not wait for a broker that itself waits to be read.
        match timeout(self.patience, self.socket.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(End::Lost(None)),
        }
    }

    /// Sends a command of the driver's own.
    pub(super) async fn ask(&mut self, id: u64, command: Command, asked: Asked) -> Result<(), End> {
        if self.is_leaving() {
            return Ok(());
        }
        let request = Request { id: Some(id), command };
        let frame = self.format.encode_request(&request).map_err(|_| End::Lost(None))?;
        self.asked.insert(id, asked);
        self.send(frame).await
    }

    /// The events of a frame; of one that is not of the protocol, the end of the connection.
    pub(super) fn read(&mut self, frame: Frame) -> Result<Vec<Event>, End> {
        // Anything that comes is a sign of life, also what answers no question.
        self.heard_at = Instant::now();
        self.probing_since = None;
        let events = match &frame {
            Frame::Text(text) => self.format.decode_events(text.as_bytes()),
            Frame::Binary(bytes) => self.format.decode_events(bytes),
            _ => return Ok(Vec::new()),
        };
        events.map_err(|_| End::Lost(None))
    }

    /// Looks after a token that the broker took; it ends at `expires`, in milliseconds since 1970.
    pub(super) fn keep_token(&mut self, expires: Option<u64>) {
        let Some(expires) = expires else { return };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        // By this machine's clock, which may be wrong: `REFRESH_MIN` below keeps one that is ahead from asking without a
        // pause.
        let left = Duration::from_millis(expires).saturating_sub(now).mul_f64(REFRESH_PART);
        self.refresh_at = Some(Instant::now() + left.max(REFRESH_MIN));
    }
}

impl Driver {
    /// Uses a connection until it ends.
    pub(super) async fn serve(&mut self, mut line: Line) -> End {
        let end = match self.resume(&mut line).await {
            Err(end) => end,
            Ok(()) => loop {
                if let Err(end) = self.turn(&mut line).await {
                    break end;
                }
            },
        };
        if let End::Closed(_) = end {
            // A broker that does not answer loses nothing by it.
            let _ = timeout(line.patience, line.socket.close(None)).await;
        }
        end
    }

    /// Subscribes to everything again and sends what waits.
    async fn resume(&mut self, line: &mut Line) -> Result<(), End> {
        // Before what waits in the outbox, so that this client hears what it publishes itself.
        for topic in self.topics.keys().cloned().collect::<Vec<_>>() {
            self.ask_for(&topic, line).await?;
        }
        for id in self.outbox.waiting() {
            self.send_waiting(id, line).await?;
        }
        Ok(())
    }

    async fn turn(&mut self, line: &mut Line) -> Result<(), End> {
        let due = self.next_due(line);
        // Each of these can be dropped halfway without losing anything; what they bring is handled to its end before the
        // next turn.
        tokio::select! {
            order = self.orders.recv() => self.obey(order, line).await,
            frame = line.socket.next() => match frame {
                Some(Ok(Frame::Close(close))) => {
                    Err(end_of(close.map(|close| close.code.into()), line.goodbye, &self.options))
                }
                Some(Ok(frame)) => {
                    for event in line.read(frame)? {
                        self.event(event, line).await?;
                    }
                    Ok(())
                }
                Some(Err(_)) | None => Err(end_of(None, line.goodbye, &self.options)),
            },
            token = new_token(&mut line.token) => self.present(token, line).await,
            () = sleep_until(due) => self.timers(line).await,
        }
    }

    async fn obey(&mut self, order: Option<Order>, line: &mut Line) -> Result<(), End> {
        self.take(order, Some(line)).await.map_or(Ok(()), Err)
    }

    fn next_due(&self, line: &Line) -> Instant {
        let life = match line.probing_since {
            Some(since) => since + self.options.ping_timeout,
            None => line.heard_at + self.options.ping_interval,
        };
        let again = self.topics.values().filter_map(|topic| topic.again_at).min();
        [Some(life), again, line.refresh_at].into_iter().flatten().min().unwrap_or(Instant::now() + IDLE)
    }

    async fn timers(&mut self, line: &mut Line) -> Result<(), End> {
        let now = Instant::now();
        if line.probing_since.is_some_and(|since| now >= since + self.options.ping_timeout) {
            return Err(End::Lost(None));
        }
        if line.probing_since.is_none() && now >= line.heard_at + self.options.ping_interval {
            line.probing_since = Some(now);
            let id = self.next_id();
            line.ask(id, Command::Ping, Asked::Nothing).await?;
        }
        if line.refresh_at.is_some_and(|at| now >= at) {
            line.refresh_at = None;
            self.refresh(line);
        }
        let due = |(topic, known): (&TopicName, &crate::topic::Topic)| {
            known.again_at.is_some_and(|at| now >= at).then(|| topic.clone())
        };
        for topic in self.topics.iter().filter_map(due).collect::<Vec<_>>() {
            self.ask_for(&topic, line).await?;
        }
        Ok(())
    }

    /// Gets a new token, on a task of its own: the callback may take its time.
    fn refresh(&self, line: &mut Line) {
        let Some(token @ Token::Callback(_)) = self.options.token.clone() else { return };
        let (sender, receiver) = oneshot::channel();
        tokio::spawn(async move {
            // A connection that is gone needs none.
            let _ = sender.send(opening::get(&token).await);
        });
        line.token = Some(receiver);
    }

    async fn present(&mut self, token: Result<String, Error>, line: &mut Line) -> Result<(), End> {
        line.token = None;
        match token {
            Ok(token) => {
                let id = self.next_id();
                line.ask(id, Command::Auth { token }, Asked::Token).await
            }
            Err(_) => {
                line.refresh_at = Some(Instant::now() + REFRESH_MIN + self.backoff.next());
                Ok(())
            }
        }
    }

    async fn event(&mut self, event: Event, line: &mut Line) -> Result<(), End> {
        let (topic, outcome) = match event {
            Event::Reply(reply) => match reply.id.and_then(|id| line.asked.remove(&id)) {
                Some(Asked::Subscribe(topic, number)) => {
                    // By number: the answer may be for a subscription that was dropped and made again since.
                    let known = self.topics.get_mut(&topic).filter(|known| known.number == number);
                    let outcome = known.map_or(Ok(()), |known| known.confirmed(&reply));
                    (topic, outcome)
                }
                Some(Asked::Token) => {
                    line.keep_token(reply.expires);
                    return Ok(());
                }
                Some(Asked::Nothing) => return Ok(()),
                None => {
                    self.outbox.succeed(*reply);
                    return Ok(());
                }
            },
            Event::Error(reply) => match reply.id.and_then(|id| line.asked.remove(&id)) {
                Some(Asked::Subscribe(topic, _)) if reply.code == ErrorCode::AlreadySubscribed => {
                    return self.take_over(topic, line).await;
                }
                Some(Asked::Subscribe(topic, number)) => {
                    let known = self.topics.get_mut(&topic).filter(|known| known.number == number);
                    let refused = Error::refused(&reply);
                    let outcome = known.map_or(Ok(()), |known| known.refused(refused, Instant::now()));
                    (topic, outcome)
                }
                Some(Asked::Token) => {
                    line.refresh_at = Some(Instant::now() + REFRESH_MIN + self.backoff.next());
                    return Ok(());
                }
                Some(Asked::Nothing) => return Ok(()),
                // Every command has an id: one that came without was not readable on arrival, and nobody knows which.
                None if !self.outbox.refuse(&reply) && reply.id.is_none() => return Err(End::Lost(None)),
                None => return Ok(()),
            },
            Event::Message(message) => {
                let topic = message.topic.clone();
                let outcome = self.topics.get_mut(&topic).map_or(Ok(()), |known| known.message(message));
                (topic, outcome)
            }
            Event::Gap(gap) => {
                let topic = gap.topic.clone();
                let outcome = self.topics.get_mut(&topic).map_or(Ok(()), |known| known.gap(gap));
                (topic, outcome)
            }
            Event::Join { topic, member } => {
                let outcome = self.topics.get_mut(&topic).map_or(Ok(()), |known| known.join(member));
                (topic, outcome)
            }
            Event::Leave { topic, member } => {
                let outcome = self.topics.get_mut(&topic).map_or(Ok(()), |known| known.leave(&member));
                (topic, outcome)
            }
            Event::End { topic, code } => {
                let known = self.topics.get_mut(&topic);
                let outcome = known.map_or(Ok(()), |known| known.refused(Error::ended(code), Instant::now()));
                (topic, outcome)
            }
            Event::Pong { id } => {
                id.and_then(|id| line.asked.remove(&id));
                return Ok(());
            }
            Event::Goodbye { reconnect, after_ms, .. } => {
                line.say_goodbye(reconnect, after_ms);
                return Ok(());
            }
            // What a later broker says is passed over: the protocol may grow.
            _ => return Ok(()),
        };
        match outcome {
            Ok(()) => Ok(()),
            Err(error) => self.end_topic(topic, error, line).await,
        }
    }

    /// The broker has made a subscription by itself before it was asked for it, and knows neither its options nor where it
    /// was.
    async fn take_over(&mut self, topic: TopicName, line: &mut Line) -> Result<(), End> {
        self.leave(topic.clone(), line).await?;
        self.ask_for(&topic, line).await
    }

    /// A subscription is over. One that the broker does not know of yet is given up there, too.
    async fn end_topic(&mut self, topic: TopicName, error: Error, line: &mut Line) -> Result<(), End> {
        let told = matches!(error.code, Code::Broker(_));
        if let Some(known) = self.topics.remove(&topic) {
            known.end(error);
        }
        if told { Ok(()) } else { self.leave(topic, line).await }
    }
}

/// The token that has been asked for; never, when none has.
async fn new_token(token: &mut Option<oneshot::Receiver<Result<String, Error>>>) -> Result<String, Error> {
    match token {
        Some(receiver) => {
            receiver.await.unwrap_or_else(|_| Err(Error::new(Code::Token, "the callback panicked")))
        }
        None => std::future::pending().await,
    }
}
