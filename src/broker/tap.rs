//! Taps: what is published, whatever the topic, for those who look after the broker.
//!
//! A tap takes messages beside the topics, not from them: it has no position, promises nothing, and holds nobody up. It
//! passes on so many messages a second and queues so many; the rest it counts. Two messages that are published at the same
//! moment may come in either order; their offsets tell.
//!
//! Without a tap a publish pays for one relaxed load.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use fanwire_proto::{Epoch, Message, Pattern, TopicName};
use parking_lot::{Mutex, RwLock};
use tokio::sync::mpsc;

use super::Broker;
use crate::{
    defaults,
    topic::{Draft, Receipt},
};

/// A message that a tap passes on.
#[derive(Clone, Debug)]
pub struct Tapped {
    /// The message.
    pub message: Message,
    /// The epoch of its offset.
    pub epoch: Epoch,
}

/// All open taps.
#[derive(Default)]
pub(super) struct Taps {
    count: AtomicUsize,
    list: RwLock<Vec<Arc<Valve>>>,
}

/// One tap, as publishers see it.
struct Valve {
    pattern: Pattern,
    sender: mpsc::Sender<Arc<Tapped>>,
    left_out: AtomicU64,
    pace: Mutex<Pace>,
}

/// How many messages were let through in a second.
#[derive(Default)]
struct Pace {
    second: u64,
    count: u32,
}

impl Pace {
    fn admit(&mut self, now_ms: u64) -> bool {
        let second = now_ms / 1_000;
        if self.second != second {
            *self = Self { second, count: 0 };
        }
        self.count += u32::from(self.count <= defaults::TAP_RATE);
        self.count <= defaults::TAP_RATE
    }
}

/// A message that at least one tap wants, kept while it is published.
pub(super) struct Copy {
    draft: Draft,
    valves: Vec<Arc<Valve>>,
}

impl Taps {
    /// The message for the taps that want it, unless there are none.
    pub(super) fn copy(&self, topic: &TopicName, draft: &Draft, now_ms: u64) -> Option<Copy> {
        if self.count.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let wants = |valve: &&Arc<Valve>| valve.pattern.matches(topic) && valve.admits(now_ms);
        let valves: Vec<_> = self.list.read().iter().filter(wants).cloned().collect();
        (!valves.is_empty()).then(|| Copy { draft: draft.clone(), valves })
    }

    fn open(&self, valve: Arc<Valve>) {
        self.list.write().push(valve);
        self.count.fetch_add(1, Ordering::Relaxed);
    }

    fn close(&self, valve: &Arc<Valve>) {
        self.list.write().retain(|open| !Arc::ptr_eq(open, valve));
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Valve {
    fn admits(&self, now_ms: u64) -> bool {
        let admitted = self.pace.lock().admit(now_ms);
        if !admitted {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }
}

impl Copy {
    /// The message has its place; a repeated publish is no new message.
    pub(super) fn pass_on(self, topic: &TopicName, receipt: &Receipt, now_ms: u64) {
        if receipt.duplicate {
            return;
        }
        let message = Message {
            topic: topic.clone(),
            offset: receipt.offset,
            time: now_ms,
            payload: self.draft.payload,
            key: self.draft.key.map(Into::into),
            tags: self.draft.tags.map(Box::new),
            from: self.draft.from,
            skipped: 0,
        };
        let tapped = Arc::new(Tapped { message, epoch: receipt.epoch });
        for valve in self.valves {
            if valve.sender.try_send(tapped.clone()).is_err() {
                valve.left_out.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// An open tap; dropping it closes it.
pub struct Tap {
    taps: Arc<Taps>,
    valve: Arc<Valve>,
    messages: mpsc::Receiver<Arc<Tapped>>,
}

impl Broker {
    /// Opens a tap on all topics that a pattern matches.
    pub fn tap(&self, pattern: Pattern) -> Tap {
        let (sender, messages) = mpsc::channel(defaults::TAP_QUEUE);
        let (left_out, pace) = (AtomicU64::new(0), Mutex::default());
        let valve = Arc::new(Valve { pattern, sender, left_out, pace });
        self.taps.open(valve.clone());
        Tap { taps: self.taps.clone(), valve, messages }
    }
}

impl Tap {
    /// The next message.
    pub async fn next(&mut self) -> Option<Arc<Tapped>> {
        self.messages.recv().await
    }

    /// The next message, if there is one already.
    pub fn at_hand(&mut self) -> Option<Arc<Tapped>> {
        self.messages.try_recv().ok()
    }

    /// How many messages were left out since this was last asked.
    pub fn take_left_out(&self) -> u64 {
        self.valve.left_out.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.taps.close(&self.valve);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_its_share() {
        let mut pace = Pace::default();
        let admitted =
            |pace: &mut Pace, now_ms| (0..2 * defaults::TAP_RATE).filter(|_| pace.admit(now_ms)).count();
        let share = defaults::TAP_RATE as usize;
        assert_eq!((admitted(&mut pace, 5_000), admitted(&mut pace, 5_999)), (share, 0));
        assert_eq!(admitted(&mut pace, 6_000), share);
    }
}
