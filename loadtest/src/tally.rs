//! What all subscribers together received in one measurement window.

use serde::Serialize;

use crate::client::Sink;
use crate::error::Result;
use crate::latency::Latency;
use crate::ledger::{Arrival, Faults, Stream};
use crate::stamp::{Corrupt, Stamp};
use crate::wire::Reply;

/// How many accounts are spelled out in a report.
const NAMED: usize = 5;

/// The running count of a window. Connections `0..subscribers` are the subscribers.
#[derive(Debug)]
pub struct Tally {
    run: u32,
    streams: Vec<Stream>,
    latency: Latency,
    /// Messages that arrived for the first time.
    pub accepted: u64,
    counts: Counts,
    notes: Vec<String>,
}

/// Everything that is counted besides the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Messages received, repeats included.
    pub deliveries: u64,
    /// Bytes read from subscribers' sockets.
    pub bytes: u64,
    /// Reads that returned them; fewer than deliveries when the server coalesces.
    pub reads: u64,
    /// Messages with a damaged or absent stamp.
    pub corrupt: u64,
    /// Messages nobody sent in this window, or that reached a connection without a subscription.
    pub phantom: u64,
    /// Publishes the server acknowledged.
    pub acknowledged: u64,
    /// Error replies, and `end` and `goodbye` objects.
    pub errors: u64,
    /// Messages the server itself declared gone with a `gap`.
    pub signalled: u64,
    /// Connections that ended.
    pub ended: u64,
}

/// The closed count.
#[derive(Debug)]
pub struct Closed {
    /// The ledger of all subscribers.
    pub faults: Faults,
    /// Everything else.
    pub counts: Counts,
    /// From due time to arrival.
    pub latency: Latency,
    /// What went wrong, in words, the first few.
    pub notes: Vec<String>,
}

impl Tally {
    /// Starts a count.
    ///
    /// # Errors
    /// Never in practice.
    pub fn new(run: u32, subscribers: usize) -> Result<Self> {
        Ok(Self {
            run,
            streams: vec![Stream::default(); subscribers],
            latency: Latency::new()?,
            accepted: 0,
            counts: Counts::default(),
            notes: Vec::new(),
        })
    }

    /// Closes every subscriber's account after `sent` messages.
    #[must_use]
    pub fn close(mut self, sent: u64) -> Closed {
        let mut faults = Faults::default();
        for (at, stream) in self.streams.iter().enumerate() {
            let account = stream.close(sent);
            if !account.faults.is_clean() && self.notes.len() < NAMED {
                self.notes.push(format!("subscriber {at}: {account}"));
            }
            faults.add(account.faults);
        }
        Closed { faults, counts: self.counts, latency: self.latency, notes: self.notes }
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        if self.notes.len() < NAMED {
            self.notes.push(text());
        }
    }
}

impl Sink for Tally {
    fn stamped(&mut self, at: usize, stamp: &Stamp, arrived_ns: u64) -> bool {
        self.counts.deliveries += 1;
        let known = stamp.run == self.run && stamp.stream == 0;
        let Some(stream) = self.streams.get_mut(at).filter(|_| known) else {
            self.counts.phantom += 1;
            return false;
        };
        self.latency.enter(stamp.intended_ns, arrived_ns);
        let arrival = stream.enter(stamp.sequence);
        self.accepted += u64::from(arrival != Arrival::Duplicate);
        arrival == Arrival::Next
    }

    fn damaged(&mut self, at: usize, damage: Corrupt) {
        // Which message it was is known when the stamp is whole; then it is damaged, not lost.
        if let (Corrupt::Payload(stamp), Some(stream)) = (damage, self.streams.get_mut(at)) {
            self.accepted +=
                u64::from(stamp.run == self.run && stream.enter(stamp.sequence) != Arrival::Duplicate);
        }
        self.counts.deliveries += 1;
        self.counts.corrupt += 1;
        self.note(|| format!("subscriber {at}: a corrupt message"));
    }

    fn reply(&mut self, at: usize, reply: &Reply) {
        match reply.kind.as_str() {
            "ok" => self.counts.acknowledged += 1,
            "gap" => {
                let span =
                    reply.next.zip(reply.after).map_or(0, |(next, after)| next.saturating_sub(after + 1));
                self.counts.signalled += span;
            }
            "error" | "end" | "goodbye" => {
                self.counts.errors += 1;
                let code = reply.code.clone().unwrap_or_default();
                self.note(|| format!("connection {at}: {} {code}", reply.kind));
            }
            _ => {}
        }
    }

    fn read(&mut self, at: usize, bytes: usize) {
        if at < self.streams.len() {
            self.counts.bytes += bytes as u64;
            self.counts.reads += 1;
        }
    }

    fn ended(&mut self, at: usize, reason: &str) {
        self.counts.ended += 1;
        self.note(|| format!("connection {at} ended: {reason}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_are_phantoms_and_do_not_disturb_the_ledger() {
        let mut tally = Tally::new(7, 1).unwrap();
        let stamp = Stamp { run: 7, stream: 0, sequence: 0, intended_ns: 5, lag_ns: 0 };
        assert!(tally.stamped(0, &stamp, 10));
        assert!(!tally.stamped(0, &Stamp { run: 8, ..stamp }, 10));
        assert!(!tally.stamped(1, &stamp, 10));
        let closed = tally.close(1);
        assert!(closed.faults.is_clean());
        assert_eq!((closed.counts.phantom, closed.counts.deliveries), (2, 3));
    }

    #[test]
    fn a_gap_counts_what_lies_between() {
        let mut tally = Tally::new(7, 1).unwrap();
        tally.reply(0, &Reply { kind: "gap".into(), after: Some(57), next: Some(103), ..Reply::default() });
        assert_eq!(tally.close(0).counts.signalled, 45);
    }
}
