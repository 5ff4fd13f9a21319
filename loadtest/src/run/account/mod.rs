//! The ledger of a run: every message of every stream, for every subscriber, by the rules of its kind.

mod answers;
mod audit;
mod closing;
mod crew;
mod documents;
mod excuse;
mod presence;
mod sink;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use self::excuse::{Excuse, Place};
use crate::clock::{MILLISECOND, SECOND};
use crate::error::Result;
use crate::latency::Latency;
use crate::ledger::Stream;
use crate::run::counts::{Counts, Ledger};
use crate::run::layout::Layout;
use crate::run::scenario::{Ack, Kind, Scenario};
use crate::stamp::Stamp;
use crate::wire::Position;

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
    /// Held back, as long as there is no connection.
    sent: bool,
    /// Position in the topic, once acknowledged.
    place: Option<Place>,
    state: Fate,
    /// Bytes of payload: with the stamp, enough to send it again.
    size: u32,
    /// Sent again, because the connection broke before the answer came.
    retried: bool,
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
    /// Cut on purpose, or by the end of a server that was killed on purpose.
    away: bool,
    /// Whether it was ever away.
    returned: bool,
    /// What was due before came late because it was away.
    back_ns: u64,
    fastest_ns: Option<u64>,
    /// Of what it got in the measured time: the sum of all latencies, and their number.
    sum_ns: u64,
    samples: u64,
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
    /// Whether what was acknowledged has to survive the server's death.
    durable: bool,
    /// Connections whose end is no surprise, because the server was killed.
    doomed: Vec<bool>,
    /// How many.
    doomed_count: usize,
    /// Of these, the ones that have ended since somebody looked.
    fallen: Vec<usize>,
    /// Epochs, numbered as they are met.
    epochs: Vec<String>,
    /// The first one of each topic.
    first_epochs: Vec<Option<String>>,
    max_age_ns: Option<u64>,
    subscribers: Vec<Subscriber>,
    messages: Vec<Message>,
    by_stream: Vec<Vec<u32>>,
    /// How often messages, by number, came again.
    repeats: HashMap<usize, u64>,
    /// The same, all together.
    repeated: u64,
    /// Messages that a later one of their stream came before, and those of them that came after all.
    skipped: u64,
    overtaken: u64,
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
    /// The account of a run of `scenario`.
    pub(in crate::run) fn new(run: u32, scenario: &Scenario, layout: Layout) -> Result<Self> {
        let kind = scenario.kind;
        let track = kind == Kind::Latest || scenario.breaks();
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
            publishers_listen: scenario.adapter.adapter().publishers_listen(),
            resume: scenario.resumes(),
            durable: scenario.ack == Ack::Durable,
            doomed: vec![false; scenario.subscribers + scenario.publishers],
            doomed_count: 0,
            fallen: Vec::new(),
            epochs: Vec::new(),
            first_epochs: vec![None; layout.topics.len()],
            max_age_ns: (scenario.max_rate > 0.0)
                .then(|| crate::clock::span_ns(1.0 / scenario.max_rate) + STALE_SLACK_NS),
            subscribers: (0..scenario.subscribers).map(account).collect(),
            messages: Vec::new(),
            by_stream: vec![Vec::new(); layout.streams()],
            repeats: HashMap::new(),
            repeated: 0,
            skipped: 0,
            overtaken: 0,
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

    /// Subscriber `at` reads slowly: what it gets late is not the server's fault.
    pub(in crate::run) fn set_slow(&mut self, at: usize) {
        self.subscribers[at].slow = true;
        for topic in self.layout.topics_of(at) {
            self.eager[topic] -= 1;
        }
    }

    /// Enters a message about to be sent, or held back; its number for the acknowledgement, and its place in the stream.
    pub(in crate::run) fn send(&mut self, stream: usize, size: usize, due_ns: u64, sent: bool) -> (u64, u64) {
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
            sent,
            place: None,
            state: Fate::Sent,
            size: u32::try_from(size).unwrap_or(u32::MAX),
            retried: false,
            outstanding,
            last_ns: 0,
        });
        (FIRST_ID + u64::from(number), sequence)
    }

    /// The stamp and size of publication `id`, to send it again; `None` when it has been answered. With `now_ns`, it
    /// is sent again then.
    pub(in crate::run) fn again(&mut self, id: u64, run: u32, now_ns: Option<u64>) -> Option<(Stamp, usize)> {
        let number = usize::try_from(id.checked_sub(FIRST_ID)?).ok()?;
        let message = self.messages.get_mut(number).filter(|message| message.state == Fate::Sent)?;
        if now_ns.is_some() {
            // One that was held back goes out for the first time now, which is no repeat.
            if message.sent {
                message.retried = true;
                self.counts.retried += 1;
            }
            message.sent = true;
        }
        let (stream, intended_ns, size) = (message.stream, message.due_ns, message.size as usize);
        let lag_ns = now_ns.unwrap_or(intended_ns).saturating_sub(intended_ns);
        let sent = &self.by_stream[stream as usize];
        // Numbers of a stream go up, as messages are numbered when they are due.
        let sequence = sent.binary_search(&u32::try_from(number).ok()?).ok()? as u64;
        Some((Stamp { run, stream, sequence, intended_ns, lag_ns }, size))
    }

    /// The number of an epoch.
    fn epoch(&mut self, name: &str) -> u32 {
        // From the back: what is said is nearly always of the newest.
        let known = self.epochs.iter().rposition(|epoch| epoch == name);
        let at = known.unwrap_or_else(|| {
            self.epochs.push(name.to_owned());
            self.epochs.len() - 1
        });
        u32::try_from(at).unwrap_or(u32::MAX)
    }

    /// Where subscriber `at` stands in its `nth` topic.
    pub(in crate::run) fn position(&self, at: usize, nth: usize) -> Option<Position> {
        self.subscribers[at].positions.get(nth).cloned().flatten()
    }

    /// Faults that are certain before the end.
    pub(in crate::run) fn faults_so_far(&self) -> u64 {
        let Ledger { corrupt, phantom, wrong_topic, stale, .. } = self.ledger;
        corrupt + phantom + wrong_topic + stale + self.repeated + self.overtaken
    }

    /// Deliveries that were passed over so far, where every message has to arrive. Some may have been declared gone.
    pub(in crate::run) fn not_arrived(&self) -> u64 {
        match self.kind {
            Kind::Log | Kind::Document => self.skipped.saturating_sub(self.overtaken),
            Kind::Latest | Kind::Volatile => 0,
        }
    }

    /// Messages that have neither been acknowledged nor refused.
    pub(in crate::run) fn unanswered(&self) -> u64 {
        self.counts.sent - self.counts.acknowledged - self.counts.refused
    }

    /// Whether nothing more is owed to anyone: everything arrived or, where the server leaves out by right, the last
    /// of everything. What kind volatile owes nobody knows.
    pub(in crate::run) fn is_whole(&self) -> bool {
        let leaves_out = match self.kind {
            Kind::Log | Kind::Document => {
                self.subscribers.iter().any(|subscriber| !subscriber.excuses.is_empty())
            }
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

    /// Says something about the run.
    pub(in crate::run) fn remark(&mut self, text: &str) {
        self.note(|| text.to_owned());
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
            let who = self.layout.first + at;
            self.note(|| format!("subscriber {who}: a message that was never sent"));
            return None;
        }
        let topic = stream / self.layout.slots;
        let nth = self.layout.position(at, topic).filter(|_| at < self.subscribers.len());
        let Some(nth) = nth else {
            self.ledger.wrong_topic += 1;
            let topic = self.layout.topics[topic].clone();
            let who = self.layout.first + at;
            self.note(|| format!("subscriber {who} got a message of {topic}, to which it does not listen"));
            return None;
        };
        Some((stream, nth * self.layout.slots + stream % self.layout.slots))
    }
}
