//! What the server answers: to a publication, to a subscription, and what it says about messages that are gone.

use super::{Account, Excuse, FIRST_ID, Fate, NAMED, Place};
use crate::wire::{Position, Reply};

impl Account {
    /// Enters the answer to a publication.
    pub(super) fn acknowledge(&mut self, reply: &Reply, good: bool) {
        let number = reply.id.and_then(|id| id.checked_sub(FIRST_ID)).and_then(|n| usize::try_from(n).ok());
        let known = number.filter(|&number| number < self.messages.len());
        let Some(number) = known else {
            self.counts.errors += u64::from(!good);
            return;
        };
        let epoch = if self.track { reply.epoch.as_deref() } else { None };
        let epoch = epoch.map_or(0, |epoch| self.epoch(epoch));
        let message = &mut self.messages[number];
        // Of a topic that nobody listens to, this is the only word.
        if let first @ None = &mut self.first_epochs[message.stream as usize / self.layout.slots] {
            first.clone_from(&reply.epoch);
        }
        // A message that was sent again may be answered twice.
        if message.state != Fate::Sent {
            return;
        }
        if good {
            message.state = Fate::Acknowledged;
            message.place = reply.offset.map(|offset| Place { epoch, offset });
            self.counts.acknowledged += 1;
            // The time of one that had to be sent again is the outage's, not the server's.
            if !message.retried {
                self.ack.enter(message.due_ns, crate::clock::now_ns());
            }
        } else {
            message.state = Fate::Refused;
            let audience = u64::from(self.audiences[message.stream as usize / self.layout.slots]);
            self.counts.refused += 1;
            // Nobody is owed what was refused.
            self.counts.expected = self.counts.expected.saturating_sub(audience);
        }
    }

    /// The subscription of `at` that a reply is about.
    pub(super) fn topic_of(&self, at: usize, reply: &Reply) -> Option<(usize, usize)> {
        let topic = *self.topic_numbers.get(reply.topic.as_deref()?)?;
        self.layout.position(at, topic).filter(|_| at < self.subscribers.len()).map(|nth| (topic, nth))
    }

    /// Enters what the server said to a subscription: for one who comes back, whether anything is gone.
    pub(super) fn enter_subscription(&mut self, at: usize, reply: &Reply) {
        let Some((topic, nth)) = self.topic_of(at, reply) else { return };
        let now = reply.epoch.clone().zip(reply.offset).map(|(epoch, offset)| Position { epoch, offset });
        if let (Some(now), first @ None) = (&now, &mut self.first_epochs[topic]) {
            *first = Some(now.epoch.clone());
        }
        let before = self.subscribers[at].positions.get(nth).cloned().flatten();
        if self.subscribers[at].away {
            let excuse = self.excuse_of(topic, before.as_ref(), now.as_ref(), reply.recovered);
            let subscriber = &mut self.subscribers[at];
            subscriber.excuses.extend(excuse);
            subscriber.back_ns = crate::clock::now_ns();
            // Answers come in the order of the subscriptions, so with the last one it is wholly back.
            subscriber.away = nth + 1 < subscriber.positions.len();
        }
        // Recovered messages bring the position forward one by one; until then it is where it was.
        if reply.recovered != Some(true)
            && let Some(position) = self.subscribers[at].positions.get_mut(nth)
        {
            *position = now;
        }
    }

    /// What the answer to one who was `before` and is `now` says about the messages between.
    fn excuse_of(
        &mut self,
        topic: usize,
        before: Option<&Position>,
        now: Option<&Position>,
        recovered: Option<bool>,
    ) -> Option<Excuse> {
        if recovered == Some(true) {
            self.counts.recovered += 1;
            return None;
        }
        self.counts.unrecovered += u64::from(self.resume);
        let place = |account: &mut Self, position: &Position| Place {
            epoch: account.epoch(&position.epoch),
            offset: position.offset,
        };
        let (before, now) =
            (before.map(|position| place(self, position)), now.map(|position| place(self, position)));
        match (before, now) {
            (Some(before), Some(now)) if before.epoch == now.epoch => {
                let (epoch, from, to) = (before.epoch, before.offset + 1, now.offset + 1);
                match recovered {
                    Some(_) => Some(Excuse::Signalled { topic, epoch, from, to }),
                    // Asked, and got no answer to that: no excuse.
                    None if self.resume => None,
                    None => Some(Excuse::Away { topic, epoch, from, to }),
                }
            }
            _ => {
                // A follower enters messages before they are due: those are none that could be gone.
                let now_ns = crate::clock::now_ns();
                let until = self.messages.partition_point(|message| message.due_ns <= now_ns);
                Some(Excuse::StartedOver { topic, before, now, until })
            }
        }
    }

    /// Enters what the server said is gone.
    pub(super) fn enter_gap(&mut self, at: usize, reply: &Reply) {
        let bounds = self.topic_of(at, reply).zip(reply.after.zip(reply.next));
        let Some(((topic, _), (after, next))) = bounds else { return };
        let epoch = if self.track { reply.epoch.as_deref() } else { None };
        let epoch = epoch.map_or(0, |epoch| self.epoch(epoch));
        let (from, to) = (after.saturating_add(1), next);
        self.subscribers[at].excuses.push(Excuse::Signalled { topic, epoch, from, to });
        // A few of these are enough; faults need the room.
        if self.notes.len() < NAMED / 4 {
            let span = to.saturating_sub(from);
            let who = self.layout.first + at;
            self.notes.push(format!("subscriber {who}: the server signalled a gap of {span}"));
        }
    }
}
