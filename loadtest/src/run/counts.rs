//! How often each thing happened: the ledger's faults, and everything else.

use serde::{Deserialize, Serialize};

/// How many messages went wrong, by kind of fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
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
    /// Arrived again because the publisher, its connection broken before the answer, had to send it again: a fault where
    /// what was acknowledged has to survive, as then the server must know the message by its id.
    pub redelivered: u64,
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
#[serde(default)]
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
    /// Times the server was killed on purpose.
    pub kills: u64,
    /// Times it did not come back after that.
    pub failed_restarts: u64,
    /// Connections that ended with it.
    pub severed: u64,
    /// Messages sent again because the answer had not come.
    pub retried: u64,
    /// Subscribers that were away and did not manage to come back.
    pub stranded: u64,
    /// Messages that reading all topics from their beginning, at the end, found.
    pub audited: u64,
    /// Topics that could not be read from their beginning, and documents that could not be read.
    pub unaudited_topics: u64,
    /// Documents that do not read as their updates make them.
    pub documents_differ: u64,
}

impl Ledger {
    /// Adds what another process found.
    pub fn add(&mut self, other: &Self) {
        self.missing += other.missing;
        self.acked_missing += other.acked_missing;
        self.duplicate += other.duplicate;
        self.reordered += other.reordered;
        self.corrupt += other.corrupt;
        self.phantom += other.phantom;
        self.wrong_topic += other.wrong_topic;
        self.last_value_missing += other.last_value_missing;
        self.skipped_mismatch += other.skipped_mismatch;
        self.stale += other.stale;
        self.redelivered += other.redelivered;
        self.signalled += other.signalled;
        self.conflated += other.conflated;
        self.dropped += other.dropped;
        self.away += other.away;
        self.cut_off += other.cut_off;
    }
}

impl Counts {
    /// Adds what happened to the subscribers of another process, which published nothing.
    pub fn add_subscribers(&mut self, other: &Self) {
        self.expected += other.expected;
        self.deliveries += other.deliveries;
        self.measured += other.measured;
        self.bytes += other.bytes;
        self.reads += other.reads;
        self.errors += other.errors;
        self.disconnects += other.disconnects;
        self.cuts += other.cuts;
        self.recovered += other.recovered;
        self.unrecovered += other.unrecovered;
        self.late_subscribers += other.late_subscribers;
        self.stranded += other.stranded;
        self.severed += other.severed;
    }
}
