//! The ledger of a run: every message of every stream, for every subscriber, by the rules of its kind.

mod closing;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use crate::client::Sink;
use crate::clock::{MILLISECOND, SECOND};
use crate::error::Result;
use crate::latency::Latency;
use crate::ledger::{Arrival, Stream};
use crate::run::counts::{Counts, Ledger};
use crate::run::layout::Layout;
use crate::run::scenario::Kind;
use crate::stamp::{Corrupt, Stamp};
use crate::wire::{Position, Reply};

/// How many faults are spelled out in a report.
const NAMED: usize = 12;
/// A subscriber is always late when its *fastest* delivery took this long, and ten times the usual.
const LATE_NS: u64 = 50 * MILLISECOND;
/// A value of kind `latest` may come this much after what the subscriber's rate allows: machines are busy.
const STALE_SLACK_NS: u64 = SECOND / 2;
/// Numbers of publications begin here; below are the subscriptions'.
pub(in crate::run) const FIRST_ID: u64 = 1 << 20;

/// One published message.
#[derive(Clone, Copy, Debug)]
struct Message {
    stream: u32,
    due_ns: u64,
    sent_ns: u64,
    /// Position in the topic, once acknowledged.
    offset: Option<u64>,
    state: Fate,
    /// Subscribers, slow ones apart, that have not got it.
    outstanding: u32,
    last_ns: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Sent,
    Acknowledged,
    Refused,
}

/// Why what is missing is no loss.
#[derive(Clone, Debug)]
enum Excuse {
    /// The server said that these offsets `[from, to)` of a topic are gone.
    Signalled { topic: usize, from: u64, to: u64 },
    /// The server said so, of another epoch: of messages number `[from, to)` of the run.
    Epoch { from: usize, to: usize },
    /// The subscriber was not there and did not ask for them: offsets `[from, to)`.
    Away { topic: usize, from: u64, to: u64 },
}

#[derive(Clone, Debug, Default)]
struct Subscriber {
    streams: Vec<Stream>,
    /// Values passed over, by stream, as the server counts them.
    skipped: Vec<u64>,
    /// Reads too slowly, on purpose: its latency is not the server's.
    slow: bool,
    excuses: Vec<Excuse>,
    /// Where it stands in each of its topics.
    positions: Vec<Option<Position>>,
    ended: bool,
    /// Cut by the tester, on purpose.
    away: bool,
    /// Whether it was ever away.
    returned: bool,
    /// Messages published when it was cut.
    cut_at: usize,
    /// What was due before came late because it was away.
    back_ns: u64,
    fastest_ns: Option<u64>,
}

/// The running account.
#[derive(Debug)]
pub(in crate::run) struct Account {
    run: u32,
    kind: Kind,
    layout: Layout,
    /// Decode every message: positions or skipped counts are needed.
    track: bool,
    /// Whether publishers get messages without asking: those are not looked at.
    publishers_listen: bool,
    /// Whether who comes back asks for what was missed.
    resume: bool,
    max_age_ns: Option<u64>,
    subscribers: Vec<Subscriber>,
    messages: Vec<Message>,
    by_stream: Vec<Vec<u32>>,
    /// Subscribers of each topic, and of these the ones that read as fast as they can.
    audiences: Vec<u32>,
    eager: Vec<u32>,
    topic_numbers: HashMap<String, usize>,
    /// Due times that count, `[from, to)`.
    pub(in crate::run) measured_ns: (u64, u64),
    pub(in crate::run) response: Latency,
    pub(in crate::run) service: Latency,
    pub(in crate::run) interval: Latency,
    pub(in crate::run) completion: Latency,
    pub(in crate::run) ack: Latency,
    pub(in crate::run) counts: Counts,
    /// Subscribers whose connection ended.
    ended: usize,
    /// First arrivals, all in all.
    pub(in crate::run) accepted: u64,
    ledger: Ledger,
    pub(in crate::run) notes: Vec<String>,
    pub(in crate::run) last_arrival_ns: u64,
    /// Last arrival of a message that counts.
    pub(in crate::run) last_measured_ns: u64,
}

/// The closed account.
#[derive(Debug)]
pub(in crate::run) struct Closed {
    pub(in crate::run) ledger: Ledger,
    /// Due times of what was lost.
    pub(in crate::run) lost_due_ns: Vec<u64>,
}

impl Account {
    pub(in crate::run) fn new(
        run: u32,
        kind: Kind,
        layout: Layout,
        subscribers: usize,
        track: bool,
    ) -> Result<Self> {
        let topic_numbers = layout.topics.iter().cloned().zip(0..).collect();
        let account = |at| {
            let topics = layout.topics_of(at).count();
            let skipped = if kind == Kind::Latest { topics * layout.slots } else { 0 };
            Subscriber {
                streams: vec![Stream::default(); topics * layout.slots],
                skipped: vec![0; skipped],
                positions: vec![None; if track { topics } else { 0 }],
                ..Subscriber::default()
            }
        };
        Ok(Self {
            run,
            kind,
            track,
            publishers_listen: false,
            resume: false,
            max_age_ns: None,
            subscribers: (0..subscribers).map(account).collect(),
            messages: Vec::new(),
            by_stream: vec![Vec::new(); layout.streams()],
            audiences: layout.audiences(),
            eager: layout.audiences(),
            topic_numbers,
            layout,
            measured_ns: (0, u64::MAX),
            response: Latency::new()?,
            service: Latency::new()?,
            interval: Latency::new()?,
            completion: Latency::new()?,
            ack: Latency::new()?,
            counts: Counts::default(),
            ended: 0,
            accepted: 0,
            ledger: Ledger::default(),
            notes: Vec::new(),
            last_arrival_ns: 0,
            last_measured_ns: 0,
        })
    }

    /// Who comes back asks for what was missed: only an answer to that excuses a loss.
    pub(in crate::run) fn expect_resume(&mut self) {
        self.resume = true;
    }

    /// Publishers get messages without asking.
    pub(in crate::run) fn let_publishers_listen(&mut self) {
        self.publishers_listen = true;
    }

    /// Values may not be older than this when they arrive.
    pub(in crate::run) fn expect_fresh(&mut self, max_rate: f64) {
        self.max_age_ns = Some(crate::clock::span_ns(1.0 / max_rate) + STALE_SLACK_NS);
    }

    /// Subscriber `at` reads slowly: what it gets late is not the server's fault.
    pub(in crate::run) fn set_slow(&mut self, at: usize) {
        self.subscribers[at].slow = true;
        for topic in self.layout.topics_of(at) {
            self.eager[topic] -= 1;
        }
    }

    /// Enters a message about to be sent; its number for the acknowledgement, and its place in the stream.
    pub(in crate::run) fn send(&mut self, stream: usize, due_ns: u64, now_ns: u64) -> (u64, u64) {
        let sequence = self.by_stream[stream].len() as u64;
        let number = u32::try_from(self.messages.len()).unwrap_or(u32::MAX);
        self.by_stream[stream].push(number);
        let topic = stream / self.layout.slots;
        let outstanding = self.eager[topic];
        self.counts.sent += 1;
        self.counts.expected += u64::from(self.audiences[topic]);
        self.messages.push(Message {
            stream: u32::try_from(stream).unwrap_or(u32::MAX),
            due_ns,
            sent_ns: now_ns,
            offset: None,
            state: Fate::Sent,
            outstanding,
            last_ns: 0,
        });
        (FIRST_ID + u64::from(number), sequence)
    }

    /// The tester cuts the connection of subscriber `at`.
    pub(in crate::run) fn cut(&mut self, at: usize) {
        let count = self.messages.len();
        let subscriber = &mut self.subscribers[at];
        (subscriber.away, subscriber.returned, subscriber.cut_at) = (true, true, count);
        self.counts.cuts += 1;
    }

    /// Where subscriber `at` stands in its `nth` topic.
    pub(in crate::run) fn position(&self, at: usize, nth: usize) -> Option<Position> {
        self.subscribers[at].positions.get(nth).cloned().flatten()
    }

    pub(in crate::run) fn is_away(&self, at: usize) -> bool {
        self.subscribers[at].away
    }

    pub(in crate::run) fn has_ended(&self, at: usize) -> bool {
        self.subscribers[at].ended
    }

    /// Whether every subscriber's connection ended.
    pub(in crate::run) fn all_ended(&self) -> bool {
        self.ended == self.subscribers.len()
    }

    /// Subscribers that are connected.
    pub(in crate::run) fn connected(&self) -> usize {
        self.subscribers.iter().filter(|subscriber| !subscriber.ended && !subscriber.away).count()
    }

    /// Faults that are certain before the end.
    pub(in crate::run) fn faults_so_far(&self) -> u64 {
        let Ledger { corrupt, phantom, wrong_topic, stale, .. } = self.ledger;
        corrupt + phantom + wrong_topic + stale
    }

    /// Messages that have neither been acknowledged nor refused.
    pub(in crate::run) fn unanswered(&self) -> u64 {
        self.counts.sent - self.counts.acknowledged - self.counts.refused
    }

    /// Whether nothing more is owed to anyone: everything arrived or, where the server leaves out by right, the last
    /// of everything. What kind volatile owes nobody knows.
    pub(in crate::run) fn is_whole(&self) -> bool {
        let leaves_out = match self.kind {
            Kind::Log => self.subscribers.iter().any(|subscriber| !subscriber.excuses.is_empty()),
            Kind::Latest => true,
            Kind::Volatile => false,
        };
        self.accepted >= self.counts.expected || (leaves_out && self.all_have_the_last())
    }

    fn all_have_the_last(&self) -> bool {
        let slots = self.layout.slots;
        self.subscribers.iter().enumerate().all(|(at, subscriber)| {
            let topics = self.layout.topics_of(at);
            let streams = topics.flat_map(|topic| (0..slots).map(move |slot| topic * slots + slot));
            let has_last =
                |(stream, own): (usize, &Stream)| own.has_last(self.by_stream[stream].len() as u64);
            subscriber.ended || streams.zip(&subscriber.streams).all(has_last)
        })
    }

    fn number(&self, stream: usize, sequence: u64) -> usize {
        let sequence = usize::try_from(sequence).unwrap_or(usize::MAX);
        self.by_stream[stream].get(sequence).map_or(usize::MAX, |&number| number as usize)
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        if self.notes.len() < NAMED {
            self.notes.push(text());
        }
    }

    /// The stream a stamp belongs to, and its number for subscriber `at`; counts what cannot be.
    fn place(&mut self, at: usize, stamp: &Stamp) -> Option<(usize, usize)> {
        let stream = usize::try_from(stamp.stream).unwrap_or(usize::MAX);
        let known = stamp.run == self.run
            && self.by_stream.get(stream).is_some_and(|sent| stamp.sequence < sent.len() as u64);
        if !known {
            self.ledger.phantom += 1;
            self.note(|| format!("subscriber {at}: a message that was never sent"));
            return None;
        }
        let topic = stream / self.layout.slots;
        let nth = self.layout.position(at, topic).filter(|_| at < self.subscribers.len());
        let Some(nth) = nth else {
            self.ledger.wrong_topic += 1;
            let topic = self.layout.topics[topic].clone();
            self.note(|| format!("subscriber {at} got a message of {topic}, to which it does not listen"));
            return None;
        };
        Some((stream, nth * self.layout.slots + stream % self.layout.slots))
    }

    fn acknowledge(&mut self, reply: &Reply, good: bool) {
        let number = reply.id.and_then(|id| id.checked_sub(FIRST_ID)).and_then(|n| usize::try_from(n).ok());
        let Some(message) = number.and_then(|number| self.messages.get_mut(number)) else {
            self.counts.errors += u64::from(!good);
            return;
        };
        if message.state != Fate::Sent {
            return;
        }
        if good {
            message.state = Fate::Acknowledged;
            message.offset = reply.offset;
            self.counts.acknowledged += 1;
            self.ack.enter(message.due_ns, crate::clock::now_ns());
        } else {
            message.state = Fate::Refused;
            let audience = u64::from(self.audiences[message.stream as usize / self.layout.slots]);
            self.counts.refused += 1;
            self.counts.expected = self.counts.expected.saturating_sub(audience);
        }
    }

    /// The subscription of `at` that a reply is about.
    fn topic_of(&self, at: usize, reply: &Reply) -> Option<(usize, usize)> {
        let topic = *self.topic_numbers.get(reply.topic.as_deref()?)?;
        self.layout.position(at, topic).filter(|_| at < self.subscribers.len()).map(|nth| (topic, nth))
    }
}

impl Excuse {
    fn covers(&self, at_topic: usize, number: usize, message: &Message) -> bool {
        match *self {
            Self::Epoch { from, to } => (from..to).contains(&number),
            Self::Signalled { topic, from, to } | Self::Away { topic, from, to } => {
                topic == at_topic && message.offset.is_some_and(|offset| (from..to).contains(&offset))
            }
        }
    }
}

impl Sink for Account {
    fn stamped(&mut self, at: usize, stamp: &Stamp, arrived_ns: u64) -> bool {
        if self.publishers_listen && at >= self.subscribers.len() {
            return true;
        }
        self.counts.deliveries += 1;
        self.last_arrival_ns = arrived_ns;
        let Some((stream, local)) = self.place(at, stamp) else { return false };
        let number = self.number(stream, stamp.sequence);
        let subscriber = &mut self.subscribers[at];
        let arrival = subscriber.streams[local].enter(stamp.sequence);
        if arrival == Arrival::Duplicate {
            return false;
        }
        self.accepted += 1;
        let message = &mut self.messages[number];
        if !subscriber.slow {
            message.outstanding = message.outstanding.saturating_sub(1);
            message.last_ns = message.last_ns.max(arrived_ns);
        }
        let (from, to) = self.measured_ns;
        let counts = (from..to).contains(&stamp.intended_ns)
            && !subscriber.slow
            && stamp.intended_ns >= subscriber.back_ns;
        if counts {
            self.counts.measured += 1;
            self.last_measured_ns = arrived_ns;
            self.response.enter(stamp.intended_ns, arrived_ns);
            self.service.enter(message.sent_ns, arrived_ns);
            self.interval.enter(stamp.intended_ns, arrived_ns);
            let span = arrived_ns.saturating_sub(stamp.intended_ns);
            subscriber.fastest_ns = Some(subscriber.fastest_ns.map_or(span, |known| known.min(span)));
            let stale =
                self.max_age_ns.is_some_and(|limit| arrived_ns.saturating_sub(message.sent_ns) > limit);
            self.ledger.stale += u64::from(stale);
        }
        arrival == Arrival::Next && !self.track
    }

    fn damaged(&mut self, at: usize, damage: Corrupt) {
        if self.publishers_listen && at >= self.subscribers.len() {
            return;
        }
        self.counts.deliveries += 1;
        self.ledger.corrupt += 1;
        self.note(|| format!("subscriber {at}: a corrupt message ({damage:?})"));
        // Which message it was is known when the stamp is whole; then it is damaged, not lost.
        let Corrupt::Payload(stamp) = damage else { return };
        if let Some((stream, local)) = self.place(at, &stamp) {
            self.subscribers[at].streams[local].enter(stamp.sequence);
            self.accepted += 1;
            let number = self.number(stream, stamp.sequence);
            let message = &mut self.messages[number];
            // It did not arrive everywhere: completion is not measured.
            message.outstanding = message.outstanding.max(1);
        }
    }

    fn message(&mut self, at: usize, reply: &Reply) {
        let Some((_, nth)) = self.topic_of(at, reply) else { return };
        let subscriber = &mut self.subscribers[at];
        if let (Some(Some(position)), Some(offset)) = (subscriber.positions.get_mut(nth), reply.offset) {
            position.offset = offset;
        }
        if let (Some(skipped), Some(key)) = (reply.skipped, reply.key.as_deref()) {
            let slot = key.strip_prefix('k').and_then(|number| number.parse::<usize>().ok());
            let local =
                slot.filter(|&slot| slot < self.layout.slots).map(|slot| nth * self.layout.slots + slot);
            if let Some(count) = local.and_then(|local| subscriber.skipped.get_mut(local)) {
                *count += skipped;
            }
        }
    }

    fn subscribed(&mut self, at: usize, reply: &Reply) {
        let Some((topic, nth)) = self.topic_of(at, reply) else { return };
        let count = self.messages.len();
        let subscriber = &mut self.subscribers[at];
        let now = reply.epoch.clone().zip(reply.offset).map(|(epoch, offset)| Position { epoch, offset });
        let before = subscriber.positions.get(nth).cloned().flatten();
        if subscriber.away {
            match (reply.recovered, &before, &now) {
                (Some(true), ..) => self.counts.recovered += 1,
                (recovered, Some(before), Some(now)) if before.epoch == now.epoch => {
                    let (from, to) = (before.offset + 1, now.offset + 1);
                    self.counts.unrecovered += u64::from(self.resume);
                    match recovered {
                        Some(_) => subscriber.excuses.push(Excuse::Signalled { topic, from, to }),
                        None if self.resume => {}
                        None => subscriber.excuses.push(Excuse::Away { topic, from, to }),
                    }
                }
                _ => {
                    self.counts.unrecovered += 1;
                    subscriber.excuses.push(Excuse::Epoch { from: subscriber.cut_at, to: count });
                }
            }
            subscriber.back_ns = crate::clock::now_ns();
            subscriber.away = nth + 1 < subscriber.positions.len();
        }
        // Recovered messages bring the position forward one by one; until then it is where it was.
        if reply.recovered != Some(true)
            && let Some(position) = subscriber.positions.get_mut(nth)
        {
            *position = now;
        }
    }

    fn reply(&mut self, at: usize, reply: &Reply) {
        match reply.kind.as_str() {
            "ok" => self.acknowledge(reply, true),
            "gap" => {
                let bounds = self.topic_of(at, reply).zip(reply.after.zip(reply.next));
                let Some(((topic, _), (after, next))) = bounds else { return };
                let (from, to) = (after.saturating_add(1), next);
                self.subscribers[at].excuses.push(Excuse::Signalled { topic, from, to });
                // A few of these are enough; faults need the room.
                if self.notes.len() < NAMED / 4 {
                    let span = to.saturating_sub(from);
                    self.notes.push(format!("subscriber {at}: the server signalled a gap of {span}"));
                }
            }
            "error" | "end" | "goodbye" => {
                if reply.kind == "error" {
                    self.acknowledge(reply, false);
                } else {
                    self.counts.errors += 1;
                }
                let (code, words) = (reply.code.clone(), reply.message.clone());
                let (code, words) = (code.unwrap_or_default(), words.unwrap_or_default());
                self.note(|| format!("connection {at}: {} {code} {words}", reply.kind));
            }
            _ => {}
        }
    }

    fn read(&mut self, at: usize, bytes: usize) {
        if at < self.subscribers.len() {
            self.counts.bytes += bytes as u64;
            self.counts.reads += 1;
        }
    }

    fn ended(&mut self, at: usize, reason: &str) {
        self.counts.disconnects += 1;
        if let Some(subscriber) = self.subscribers.get_mut(at) {
            self.ended += usize::from(!subscriber.ended);
            subscriber.ended = true;
        }
        self.note(|| format!("connection {at} ended: {reason}"));
    }
}
