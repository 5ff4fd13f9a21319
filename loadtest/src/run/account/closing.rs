//! The end of the account: what each subscriber did not get, and whether anyone owes an explanation.

use super::{Account, Closed, Excuse, Fate, LATE_NS, Subscriber};
use crate::clock::MILLISECOND;
use crate::ledger;
use crate::run::counts::Ledger;
use crate::run::scenario::Kind;

/// One stream of one subscriber.
#[derive(Clone, Copy)]
struct Place {
    /// The subscriber.
    at: usize,
    topic: usize,
    stream: usize,
    /// Number of the stream among this subscriber's.
    local: usize,
}

/// What is being added up.
#[derive(Default)]
struct Sum {
    ledger: Ledger,
    /// Due times of what was lost.
    lost_due_ns: Vec<u64>,
}

impl Account {
    /// Closes everyone's account.
    pub(in crate::run) fn close(mut self) -> (Self, Closed) {
        let mut sum = Sum { ledger: self.ledger, lost_due_ns: Vec::new() };
        self.counts.stranded = self.away() as u64;
        let subscribers = std::mem::take(&mut self.subscribers);
        let slots = self.layout.slots;
        for (at, subscriber) in subscribers.iter().enumerate() {
            for (nth, topic) in self.layout.topics_of(at).collect::<Vec<_>>().into_iter().enumerate() {
                for slot in 0..slots {
                    let place = Place { at, topic, stream: topic * slots + slot, local: nth * slots + slot };
                    self.close_stream(subscriber, place, &mut sum);
                }
            }
        }
        // Counted by the streams as repeats, but known for what they are.
        sum.ledger.redelivered = self.redelivered();
        sum.ledger.duplicate -= sum.ledger.redelivered;
        self.find_late(&subscribers);
        self.subscribers = subscribers;
        (self, Closed { ledger: sum.ledger, lost_due_ns: sum.lost_due_ns })
    }

    /// Repeats of messages that their publisher had to send again.
    fn redelivered(&self) -> u64 {
        let sent_again = |number: usize| self.messages.get(number).is_some_and(|message| message.retried);
        self.repeats.iter().filter(|(number, _)| sent_again(**number)).map(|(_, count)| count).sum()
    }

    fn close_stream(&mut self, subscriber: &Subscriber, place: Place, sum: &mut Sum) {
        let sent = self.by_stream[place.stream].len() as u64;
        let account = subscriber.streams[place.local].close(sent);
        sum.ledger.duplicate += account.faults.duplicate;
        sum.ledger.reordered += account.faults.reordered;
        let missing = account.missing.iter().flat_map(|&(from, to)| from..to);
        // A refused message is owed to nobody.
        let state = |&sequence: &u64| self.messages[self.number(place.stream, sequence)].state;
        let missing: Vec<u64> = missing.filter(|sequence| state(sequence) != Fate::Refused).collect();
        if subscriber.ended || subscriber.away {
            sum.ledger.cut_off += missing.len() as u64;
        } else {
            match self.kind {
                Kind::Latest => self.close_values(subscriber, place, &account, &missing, sum),
                Kind::Volatile => sum.ledger.dropped += missing.len() as u64,
                Kind::Log | Kind::Document => self.close_log(subscriber, place, &missing, sum),
            }
        }
        let ledger::Faults { duplicate, reordered, .. } = account.faults;
        if duplicate + reordered > 0 {
            let who = self.name(place);
            self.note(|| format!("{who}: {duplicate} duplicate, {reordered} reordered"));
        }
    }

    /// Everything must be there, but for what the server said is gone.
    fn close_log(&mut self, subscriber: &Subscriber, place: Place, missing: &[u64], sum: &mut Sum) {
        let mut lost = Vec::new();
        for &sequence in missing {
            let number = self.number(place.stream, sequence);
            let message = &self.messages[number];
            // Starting over is no excuse for what was promised to survive just that.
            let promised = self.durable && message.state == Fate::Acknowledged;
            let fits = |excuse: &&Excuse| {
                excuse.covers(place.topic, number, message)
                    && !(promised && matches!(excuse, Excuse::StartedOver { .. }))
            };
            match subscriber.excuses.iter().find(fits) {
                Some(Excuse::Away { .. }) => sum.ledger.away += 1,
                Some(_) => sum.ledger.signalled += 1,
                None => {
                    sum.ledger.missing += 1;
                    sum.ledger.acked_missing += u64::from(message.state == Fate::Acknowledged);
                    sum.lost_due_ns.push(message.due_ns);
                    lost.push(sequence);
                }
            }
        }
        if let Some(first) = lost.first() {
            let who = self.name(place);
            self.note(|| format!("{who}: {} lost, first number {first}", lost.len()));
        }
    }

    /// The last value must be there, and what was skipped must have been counted.
    fn close_values(
        &mut self,
        subscriber: &Subscriber,
        place: Place,
        account: &ledger::Account,
        missing: &[u64],
        sum: &mut Sum,
    ) {
        let sent = self.by_stream[place.stream].len() as u64;
        sum.ledger.conflated += missing.len() as u64;
        let who = self.name(place);
        if sent > 0 && missing.last() == Some(&(sent - 1)) {
            sum.ledger.last_value_missing += 1;
            self.note(|| format!("{who}: the last value never arrived"));
            return;
        }
        // Resuming starts the counting over.
        let (skipped, received) = (subscriber.skipped[place.local], sent - account.faults.missing);
        if skipped != missing.len() as u64 && !subscriber.returned {
            sum.ledger.skipped_mismatch += 1;
            self.note(|| format!("{who}: {received} delivered + {skipped} skipped, but {sent} sent"));
        }
    }

    fn name(&self, place: Place) -> String {
        let slot = place.stream % self.layout.slots;
        let topic = &self.layout.topics[place.topic];
        match self.layout.key(slot) {
            Some(key) => format!("subscriber {}, {topic}, key {key}", self.layout.first + place.at),
            None => format!(
                "subscriber {}, {topic}, publisher {}",
                self.layout.first + place.at,
                self.layout.publisher(slot)
            ),
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
            let at = self.layout.first + at;
            let ms = |ns: u64| ns as f64 / MILLISECOND as f64;
            self.note(|| {
                let (own, usual) = (ms(own), ms(usual));
                format!(
                    "subscriber {at} is always late: fastest delivery {own:.1} ms, of others {usual:.1} ms"
                )
            });
        }
    }
}
