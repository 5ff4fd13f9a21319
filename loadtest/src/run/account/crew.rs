//! What the processes of a run need of each other's accounts.

use super::{Account, Fate, Place};
use crate::run::crew::{Answer, Fates};

impl Account {
    /// What became of each message, for those who did not publish it.
    pub(in crate::run) fn fates(&self) -> Fates {
        let answer = |fate| match fate {
            Fate::Sent => Answer::None,
            Fate::Acknowledged => Answer::Acknowledged,
            Fate::Refused => Answer::Refused,
        };
        let place = |place: Place| (place.epoch, place.offset);
        let messages = self.messages.iter().map(|m| (answer(m.state), m.place.map(place))).collect();
        let again = self.messages.iter().enumerate().filter(|(_, message)| message.retried);
        Fates { epochs: self.epochs.clone(), messages, again: again.map(|(number, _)| number).collect() }
    }

    /// Enters what became of the messages, as the one who published them knows it. What lies beyond was not sent after
    /// all.
    pub(in crate::run) fn adopt(&mut self, fates: &Fates) {
        let epochs: Vec<u32> = fates.epochs.iter().map(|name| self.epoch(name)).collect();
        let slots = self.layout.slots;
        for number in 0..self.messages.len() {
            let (answer, place) = fates.messages.get(number).copied().unwrap_or((Answer::Refused, None));
            let message = &mut self.messages[number];
            // Where epochs do not matter nobody looks at their names.
            let epoch = |number: u32| epochs.get(number as usize).copied().unwrap_or(0);
            message.place = place.map(|(number, offset)| Place { epoch: epoch(number), offset });
            message.state = match answer {
                Answer::None => Fate::Sent,
                Answer::Acknowledged => Fate::Acknowledged,
                Answer::Refused => {
                    let audience = u64::from(self.audiences[message.stream as usize / slots]);
                    self.counts.expected = self.counts.expected.saturating_sub(audience);
                    Fate::Refused
                }
            };
        }
        for &number in &fates.again {
            if let Some(message) = self.messages.get_mut(number) {
                message.retried = true;
            }
        }
    }

    /// The first epoch of each topic, by number, as far as this process was told.
    pub(in crate::run) fn first_epochs(&self) -> Vec<(usize, String)> {
        let known = self.first_epochs.iter().enumerate();
        known.filter_map(|(topic, epoch)| Some((topic, epoch.clone()?))).collect()
    }

    /// Enters the first epochs that another process was told.
    pub(in crate::run) fn learn_epochs(&mut self, epochs: &[(usize, String)]) {
        for (topic, epoch) in epochs {
            // The first one that anybody was told stays: where the server was killed, later ones are others.
            if let Some(first @ None) = self.first_epochs.get_mut(*topic) {
                *first = Some(epoch.clone());
            }
        }
    }

    /// For each message: how many of this process's subscribers have not got it, and when the last one did.
    pub(in crate::run) fn arrivals(&self) -> Vec<(u32, u64)> {
        self.messages.iter().map(|message| (message.outstanding, message.last_ns)).collect()
    }

    /// Enters the arrivals at another process's subscribers.
    pub(in crate::run) fn add_arrivals(&mut self, arrivals: &[(u32, u64)]) {
        for (message, &(outstanding, last_ns)) in self.messages.iter_mut().zip(arrivals) {
            message.outstanding += outstanding;
            message.last_ns = message.last_ns.max(last_ns);
        }
    }

    /// Enters for how long messages took to the last of all subscribers, where they got to all.
    pub(in crate::run) fn enter_completion(&mut self) {
        let (from, to) = self.measured_ns;
        for message in &self.messages {
            let arrived = message.outstanding == 0 && message.last_ns > 0;
            if arrived && (from..to).contains(&message.due_ns) {
                self.completion.enter(message.due_ns, message.last_ns);
            }
        }
    }

    /// The average latency of each subscriber that has one.
    pub(in crate::run) fn typical_ns(&self) -> Vec<u64> {
        let average = |subscriber: &super::Subscriber| subscriber.sum_ns.checked_div(subscriber.samples);
        self.subscribers.iter().filter_map(average).collect()
    }
}
