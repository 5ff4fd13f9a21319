//! The ledger of a run: every message of every stream, for every subscriber, by the rules of its kind.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::layout::Layout;
use super::scenario::Kind;
use crate::client::Sink;
use crate::clock::{MILLISECOND, SECOND};
use crate::error::Result;
use crate::latency::Latency;
use crate::ledger::{Arrival, Stream};
use crate::stamp::{Corrupt, Stamp};
use crate::wire::{Position, Reply};

/// How many faults are spelled out in a report.
const NAMED: usize = 12;
/// A subscriber is always late when its *fastest* delivery took this long, and ten times the usual.
const LATE_NS: u64 = 50 * MILLISECOND;
/// A value of kind `latest` may come this much after what the subscriber's rate allows: machines are busy.
const STALE_SLACK_NS: u64 = SECOND / 2;
/// Numbers of publications begin here; below are the subscriptions'.
pub(super) const FIRST_ID: u64 = 1 << 20;

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

/// How many messages went wrong, by kind of fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ledger {
    /// Never arrived, and nobody said so.
    pub missing: u64,
    /// Of these, the ones the server had acknowledged.
    pub acked_missing: u64,
    /// Arrived again.
    pub duplicate: u64,
    /// Arrived after a later one of the same stream; for kinds that leave out: went back.
    pub reordered: u64,
    /// Damaged on the way.
    pub corrupt: u64,
    /// Never sent in this run.
    pub phantom: u64,
    /// Arrived at a subscriber of another topic.
    pub wrong_topic: u64,
    /// Kind latest: streams whose last value never arrived.
    pub last_value_missing: u64,
    /// Kind latest: streams where delivered and skipped do not add up to what was sent.
    pub skipped_mismatch: u64,
    /// Kind latest: values delivered later than the subscriber's rate allows.
    pub stale: u64,
    /// No fault: declared gone by the server with a gap or an unrecovered resume.
    pub signalled: u64,
    /// No fault: kind latest, replaced by newer values.
    pub conflated: u64,
    /// No fault: kind volatile, dropped.
    pub dropped: u64,
    /// No fault: published while the subscriber was away and did not ask for it.
    pub away: u64,
    /// Not delivered because the connection had ended.
    pub cut_off: u64,
}

/// Everything counted besides the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Messages published.
    pub sent: u64,
    /// Answered with a success.
    pub acknowledged: u64,
    /// Answered with an error.
    pub refused: u64,
    /// Deliveries expected: every message to everyone who listens.
    pub expected: u64,
    /// Messages received, repeats included.
    pub deliveries: u64,
    /// The same within the measured time.
    pub measured: u64,
    /// Bytes read by subscribers.
    pub bytes: u64,
    /// Reads that returned them.
    pub reads: u64,
    /// Error replies, `end` and `goodbye`.
    pub errors: u64,
    /// Connections that ended unasked.
    pub disconnects: u64,
    /// Connections cut on purpose.
    pub cuts: u64,
    /// Subscriptions that went on where they were.
    pub recovered: u64,
    /// Subscriptions that could not.
    pub unrecovered: u64,
    /// Subscribers whose fastest delivery was far slower than the others'.
    pub late_subscribers: u64,
}

/// The running account.
#[derive(Debug)]
pub(super) struct Account {
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
    pub(super) measured_ns: (u64, u64),
    pub(super) response: Latency,
    pub(super) service: Latency,
    pub(super) interval: Latency,
    pub(super) completion: Latency,
    pub(super) ack: Latency,
    pub(super) counts: Counts,
    /// First arrivals, all in all.
    pub(super) accepted: u64,
    ledger: Ledger,
    pub(super) notes: Vec<String>,
    pub(super) last_arrival_ns: u64,
    /// Last arrival of a message that counts.
    pub(super) last_measured_ns: u64,
}

/// The closed account.
#[derive(Debug)]
pub(super) struct Closed {
    pub(super) ledger: Ledger,
    /// Due times of what was lost.
    pub(super) lost_due_ns: Vec<u64>,
}

impl Account {
    pub(super) fn new(run: u32, kind: Kind, layout: Layout, subscribers: usize, track: bool) -> Result<Self> {
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
            accepted: 0,
            ledger: Ledger::default(),
            notes: Vec::new(),
            last_arrival_ns: 0,
            last_measured_ns: 0,
        })
    }

    /// Who comes back asks for what was missed: only an answer to that excuses a loss.
    pub(super) fn expect_resume(&mut self) {
        self.resume = true;
    }

    /// Publishers get messages without asking.
    pub(super) fn let_publishers_listen(&mut self) {
        self.publishers_listen = true;
    }

    /// Values may not be older than this when they arrive.
    pub(super) fn expect_fresh(&mut self, max_rate: f64) {
        self.max_age_ns = Some(crate::clock::span_ns(1.0 / max_rate) + STALE_SLACK_NS);
    }

    /// Subscriber `at` reads slowly: what it gets late is not the server's fault.
    pub(super) fn set_slow(&mut self, at: usize) {
        self.subscribers[at].slow = true;
        for topic in self.layout.topics_of(at) {
            self.eager[topic] -= 1;
        }
    }

    /// Enters a message about to be sent; its number for the acknowledgement, and its place in the stream.
    pub(super) fn send(&mut self, stream: usize, due_ns: u64, now_ns: u64) -> (u64, u64) {
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
    pub(super) fn cut(&mut self, at: usize) {
        let count = self.messages.len();
        let subscriber = &mut self.subscribers[at];
        (subscriber.away, subscriber.returned, subscriber.cut_at) = (true, true, count);
        self.counts.cuts += 1;
    }

    /// Where subscriber `at` stands in its `nth` topic.
    pub(super) fn position(&self, at: usize, nth: usize) -> Option<Position> {
        self.subscribers[at].positions.get(nth).cloned().flatten()
    }

    pub(super) fn is_away(&self, at: usize) -> bool {
        self.subscribers[at].away
    }

    pub(super) fn has_ended(&self, at: usize) -> bool {
        self.subscribers[at].ended
    }

    /// Subscribers that are connected.
    pub(super) fn connected(&self) -> usize {
        self.subscribers.iter().filter(|subscriber| !subscriber.ended && !subscriber.away).count()
    }

    /// Faults that are certain before the end.
    pub(super) fn faults_so_far(&self) -> u64 {
        let Ledger { corrupt, phantom, wrong_topic, stale, .. } = self.ledger;
        corrupt + phantom + wrong_topic + stale
    }

    /// Messages that have neither been acknowledged nor refused.
    pub(super) fn unanswered(&self) -> u64 {
        self.counts.sent - self.counts.acknowledged - self.counts.refused
    }

    /// Whether nothing more is owed to anyone: everything arrived or, where the server leaves out by right, the last
    /// of everything. What kind volatile owes nobody knows.
    pub(super) fn is_whole(&self) -> bool {
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

    /// Closes everyone's account.
    pub(super) fn close(mut self) -> (Self, Closed) {
        let mut lost_due_ns = Vec::new();
        let mut ledger = self.ledger;
        let subscribers = std::mem::take(&mut self.subscribers);
        for (at, subscriber) in subscribers.iter().enumerate() {
            for (nth, topic) in self.layout.topics_of(at).collect::<Vec<_>>().into_iter().enumerate() {
                for slot in 0..self.layout.slots {
                    let local = nth * self.layout.slots + slot;
                    let place = (at, topic, topic * self.layout.slots + slot);
                    self.close_stream(subscriber, place, local, &mut ledger, &mut lost_due_ns);
                }
            }
        }
        for message in &self.messages {
            let (from, to) = self.measured_ns;
            if message.outstanding == 0 && (from..to).contains(&message.due_ns) {
                self.completion.enter(message.due_ns, message.last_ns);
            }
        }
        self.find_late(&subscribers);
        self.subscribers = subscribers;
        (self, Closed { ledger, lost_due_ns })
    }

    fn close_stream(
        &mut self,
        subscriber: &Subscriber,
        (at, topic, stream): (usize, usize, usize),
        local: usize,
        ledger: &mut Ledger,
        lost_due_ns: &mut Vec<u64>,
    ) {
        let sent = self.by_stream[stream].len() as u64;
        let account = subscriber.streams[local].close(sent);
        ledger.duplicate += account.faults.duplicate;
        ledger.reordered += account.faults.reordered;
        let mut lost = Vec::new();
        for sequence in account.missing.iter().flat_map(|&(from, to)| from..to) {
            let number = self.number(stream, sequence);
            let message = self.messages[number];
            if message.state == Fate::Refused {
                continue;
            }
            if subscriber.ended || subscriber.away {
                ledger.cut_off += 1;
                continue;
            }
            match self.kind {
                Kind::Latest => ledger.conflated += 1,
                Kind::Volatile => ledger.dropped += 1,
                Kind::Log => match subscriber.excuses.iter().find(|e| e.covers(topic, number, &message)) {
                    Some(Excuse::Away { .. }) => ledger.away += 1,
                    Some(_) => ledger.signalled += 1,
                    None => {
                        ledger.missing += 1;
                        ledger.acked_missing += u64::from(message.state == Fate::Acknowledged);
                        lost_due_ns.push(message.due_ns);
                        lost.push(sequence);
                    }
                },
            }
        }
        if self.kind == Kind::Latest && !subscriber.ended {
            let received = sent - account.faults.missing;
            let last_came = account.missing.last().is_none_or(|&(_, to)| to < sent);
            ledger.last_value_missing += u64::from(!last_came);
            // The end of a stream that is missing was never skipped, and resuming starts the counting over.
            let adds_up = received + subscriber.skipped[local] == sent;
            ledger.skipped_mismatch += u64::from(last_came && !subscriber.returned && !adds_up);
            let topic = &self.layout.topics[topic];
            let key = self.layout.key(stream % self.layout.slots).unwrap_or_default().to_owned();
            if !last_came {
                let text = format!("subscriber {at}: the last value of {topic} {key} never arrived");
                self.note(|| text);
            } else if !adds_up && !subscriber.returned {
                let text = format!(
                    "subscriber {at}: {topic} {key}: {received} delivered + {} skipped, but {sent} sent",
                    subscriber.skipped[local]
                );
                self.note(|| text);
            }
        }
        let faults = account.faults;
        if !lost.is_empty() || faults.duplicate + faults.reordered > 0 {
            let (topic, publisher) =
                (&self.layout.topics[topic], self.layout.publisher(stream % self.layout.slots));
            let (count, first) = (lost.len(), lost.first().copied().unwrap_or(0));
            let mut text = format!("subscriber {at}, {topic}, publisher {publisher}: ");
            if count > 0 {
                text += &format!("{count} lost (first: number {first}) ");
            }
            text += &format!("{} duplicate, {} reordered", faults.duplicate, faults.reordered);
            self.note(|| text);
        }
    }

    /// Someone whose fastest delivery is far slower than everybody's is being held back.
    fn find_late(&mut self, subscribers: &[Subscriber]) {
        let mut fastest: Vec<u64> = subscribers.iter().filter_map(|s| s.fastest_ns).collect();
        fastest.sort_unstable();
        let usual = fastest.get(fastest.len() / 2).copied().unwrap_or(0);
        for (at, subscriber) in subscribers.iter().enumerate() {
            let Some(own) = subscriber.fastest_ns.filter(|&own| own > LATE_NS && own > 10 * usual) else {
                continue;
            };
            self.counts.late_subscribers += 1;
            let ms = |ns: u64| ns as f64 / MILLISECOND as f64;
            self.note(|| {
                let (own, usual) = (ms(own), ms(usual));
                format!(
                    "subscriber {at} is always late: fastest delivery {own:.1} ms, of others {usual:.1} ms"
                )
            });
        }
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
            subscriber.ended = true;
        }
        self.note(|| format!("connection {at} ended: {reason}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::scenario::Scenario;

    const RUN: u32 = 9;

    fn account(kind: Kind, track: bool) -> Account {
        let scenario = Scenario { kind, topics: 2, subscribers: 2, keys: 1, ..Scenario::default() };
        Account::new(RUN, kind, Layout::new(&scenario, RUN), 2, track).unwrap()
    }

    /// Publishes `count` messages to topic 0 and acknowledges them with offsets from 1.
    fn publish(account: &mut Account, count: u64) {
        for _ in 0..count {
            let (id, sequence) = account.send(0, 1, 1);
            account.reply(2, &Reply { id: Some(id), offset: Some(sequence + 1), ..reply("ok") });
        }
    }

    fn reply(kind: &str) -> Reply {
        Reply { kind: kind.into(), topic: Some(format!("bench:{RUN:06x}-0")), ..Reply::default() }
    }

    fn deliver(account: &mut Account, at: usize, sequences: &[u64]) {
        for &sequence in sequences {
            account.stamped(at, &Stamp { run: RUN, stream: 0, sequence, intended_ns: 1 }, 5);
        }
    }

    fn closed(account: Account) -> Ledger {
        account.close().1.ledger
    }

    #[test]
    fn what_is_missing_is_lost_and_worse_when_it_was_acknowledged() {
        let mut account = account(Kind::Log, false);
        publish(&mut account, 4);
        let (_, sequence) = account.send(0, 1, 1);
        assert_eq!(sequence, 4);
        deliver(&mut account, 0, &[0, 2]);
        let ledger = closed(account);
        assert_eq!((ledger.missing, ledger.acked_missing, ledger.signalled), (3, 2, 0));
    }

    #[test]
    fn a_gap_excuses_what_lies_in_it_and_nothing_else() {
        let mut account = account(Kind::Log, false);
        publish(&mut account, 6);
        deliver(&mut account, 0, &[0]);
        account.reply(0, &Reply { after: Some(1), next: Some(4), ..reply("gap") });
        deliver(&mut account, 0, &[3, 5]);
        let ledger = closed(account);
        assert_eq!((ledger.signalled, ledger.missing, ledger.acked_missing), (2, 1, 1));
    }

    #[test]
    fn a_refused_message_is_owed_to_nobody() {
        let mut account = account(Kind::Log, false);
        let (id, _) = account.send(0, 1, 1);
        account.reply(2, &Reply { id: Some(id), ..reply("error") });
        assert_eq!((account.counts.refused, account.counts.expected), (1, 0));
        assert_eq!(closed(account), Ledger::default());
    }

    #[test]
    fn strangers_and_strays_are_told_apart() {
        let mut account = account(Kind::Log, false);
        publish(&mut account, 1);
        deliver(&mut account, 0, &[0, 7]);
        deliver(&mut account, 1, &[0]);
        account.stamped(0, &Stamp { run: 8, stream: 0, sequence: 0, intended_ns: 1 }, 5);
        let ledger = closed(account);
        assert_eq!((ledger.phantom, ledger.wrong_topic, ledger.missing), (2, 1, 0));
    }

    #[test]
    fn a_damaged_message_that_is_known_is_corrupt_and_not_lost() {
        let mut account = account(Kind::Log, false);
        publish(&mut account, 2);
        deliver(&mut account, 0, &[0]);
        let stamp = Stamp { run: RUN, stream: 0, sequence: 1, intended_ns: 1 };
        account.damaged(0, Corrupt::Payload(stamp));
        let ledger = closed(account);
        assert_eq!((ledger.corrupt, ledger.missing), (1, 0));
    }

    #[test]
    fn latest_values_may_be_skipped_when_it_is_said_but_never_the_last() {
        let value = |offset, skipped| Reply {
            topic: Some(format!("ticker:{RUN:06x}-0")),
            key: Some("k0".into()),
            offset: Some(offset),
            skipped,
            ..reply("message")
        };
        let mut good = account(Kind::Latest, true);
        publish(&mut good, 5);
        deliver(&mut good, 0, &[0, 4]);
        good.message(0, &value(1, None));
        good.message(0, &value(5, Some(3)));
        let ledger = closed(good);
        assert_eq!((ledger.conflated, ledger.skipped_mismatch, ledger.last_value_missing), (3, 0, 0));

        let mut silent = account(Kind::Latest, true);
        publish(&mut silent, 5);
        deliver(&mut silent, 0, &[0, 4]);
        assert_eq!(closed(silent).skipped_mismatch, 1);

        let mut late = account(Kind::Latest, true);
        publish(&mut late, 5);
        deliver(&mut late, 0, &[0, 3, 2]);
        let ledger = closed(late);
        assert_eq!((ledger.last_value_missing, ledger.reordered), (1, 1));
    }

    #[test]
    fn volatile_messages_may_be_dropped_but_not_repeated() {
        let mut account = account(Kind::Volatile, false);
        publish(&mut account, 4);
        deliver(&mut account, 0, &[1, 1, 3]);
        let ledger = closed(account);
        assert_eq!((ledger.dropped, ledger.duplicate, ledger.missing), (2, 1, 0));
    }

    /// Subscriber 0 gets the first of `published` messages, is cut, and comes back.
    fn come_back(resume: bool, recovered: Option<bool>, epoch: &str) -> Account {
        let mut account = account(Kind::Log, true);
        if resume {
            account.expect_resume();
        }
        account.subscribed(0, &Reply { epoch: Some("a".into()), offset: Some(0), ..reply("ok") });
        publish(&mut account, 3);
        deliver(&mut account, 0, &[0]);
        account.message(0, &Reply { offset: Some(1), ..reply("message") });
        account.cut(0);
        assert_eq!(account.position(0, 0), Some(Position { epoch: "a".into(), offset: 1 }));
        account
            .subscribed(0, &Reply { epoch: Some(epoch.into()), offset: Some(3), recovered, ..reply("ok") });
        account
    }

    #[test]
    fn who_recovers_gets_everything_or_it_is_lost() {
        let mut whole = come_back(true, Some(true), "a");
        deliver(&mut whole, 0, &[1, 2]);
        assert_eq!(whole.counts.recovered, 1);
        assert_eq!(closed(whole), Ledger::default());
        assert_eq!(closed(come_back(true, Some(true), "a")).acked_missing, 2);
    }

    #[test]
    fn who_cannot_recover_is_told_so_and_who_did_not_ask_was_away() {
        assert_eq!(closed(come_back(true, Some(false), "a")).signalled, 2);
        assert_eq!(closed(come_back(false, None, "a")).away, 2);
        assert_eq!(closed(come_back(true, None, "a")).missing, 2, "asked, and got no answer to that");
    }
}
