//! Taps: what is published, whatever the topic, for those who look after the broker.
//!
//! A tap takes messages beside the topics, not from them: it has no position, promises nothing, and holds nobody up. It
//! passes on so many messages a second and queues so many; the rest it counts. Two messages that are published at the same
//! moment may come in either order; their offsets tell.
//!
//! What subscribers may not see yet, a tap does not show either: a topic that delivers what is durable has its messages
//! passed on by the commit that makes them so, every other one by the publish.
//!
//! Without a tap either pays for one relaxed load.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use fanwire_proto::{Epoch, Message, Pattern, Position, TopicName};
use parking_lot::{Mutex, RwLock};
use tokio::sync::mpsc;

use crate::{
    defaults,
    topic::{Draft, Unkept},
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
pub struct Taps {
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
        // Stops one above the rate, so it cannot overflow however many are published within the second.
        self.count += u32::from(self.count <= defaults::TAP_RATE);
        self.count <= defaults::TAP_RATE
    }
}

/// A message that at least one tap wants, kept while it is published.
pub struct Copy {
    draft: Draft,
    valves: Vec<Arc<Valve>>,
}

impl Taps {
    /// Opens a tap on all topics that a pattern matches.
    pub fn open(self: &Arc<Self>, pattern: Pattern) -> Tap {
        let (sender, messages) = mpsc::channel(defaults::TAP_QUEUE);
        let (left_out, pace) = (AtomicU64::new(0), Mutex::default());
        let valve = Arc::new(Valve { pattern, sender, left_out, pace });
        self.list.write().push(valve.clone());
        // Relaxed: a publisher that does not see it yet is one that publishes at the same moment, which a tap may miss.
        self.count.fetch_add(1, Ordering::Relaxed);
        Tap { taps: self.clone(), valve, messages }
    }

    /// A message that is about to be published, for the taps that want it, unless there are none.
    pub fn copy(&self, topic: &TopicName, draft: &Draft, now_ms: u64) -> Option<Copy> {
        let valves = self.wanting(topic, now_ms)?;
        Some(Copy { draft: draft.clone(), valves })
    }

    /// Messages that a commit is about to make durable, for the taps that want them.
    pub fn copies(&self, topic: &TopicName, entries: &[Unkept], now_ms: u64) -> Copies {
        let copy = |entry: &Unkept| Some((entry.message.clone(), self.wanting(topic, now_ms)?));
        Copies(if self.is_closed() { Vec::new() } else { entries.iter().filter_map(copy).collect() })
    }

    fn is_closed(&self) -> bool {
        self.count.load(Ordering::Relaxed) == 0
    }

    /// Those who want a message of this topic; none is none that is empty.
    fn wanting(&self, topic: &TopicName, now_ms: u64) -> Option<Vec<Arc<Valve>>> {
        if self.is_closed() {
            return None;
        }
        // The pattern first: what is not wanted is not counted against the rate.
        let wants = |valve: &&Arc<Valve>| valve.pattern.matches(topic) && valve.admits(now_ms);
        // Cloned out of the lock, which must not be held while the message is published.
        let valves: Vec<_> = self.list.read().iter().filter(wants).cloned().collect();
        (!valves.is_empty()).then_some(valves)
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
    /// The message is here.
    pub fn pass_on(self, topic: &TopicName, at: Position, now_ms: u64) {
        let message = Message {
            topic: topic.clone(),
            offset: at.offset,
            time: now_ms,
            payload: self.draft.payload,
            key: self.draft.key.map(Into::into),
            tags: self.draft.tags.map(Box::new),
            from: self.draft.from,
            skipped: 0,
        };
        tell(&self.valves, message, at.epoch);
    }
}

/// Messages of one commit, each with the taps that want it.
pub struct Copies(Vec<(Message, Vec<Arc<Valve>>)>);

impl Copies {
    /// Whether no tap wants any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The messages are durable, and subscribers see them.
    pub fn pass_on(self, epoch: Epoch) {
        for (message, valves) in self.0 {
            tell(&valves, message, epoch);
        }
    }
}

fn tell(valves: &[Arc<Valve>], message: Message, epoch: Epoch) {
    let tapped = Arc::new(Tapped { message, epoch });
    for valve in valves {
        // Never waits: this runs under way of a publish, and a reader that is slow or gone must not hold it up.
        if valve.sender.try_send(tapped.clone()).is_err() {
            valve.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// An open tap; dropping it closes it.
pub struct Tap {
    taps: Arc<Taps>,
    valve: Arc<Valve>,
    messages: mpsc::Receiver<Arc<Tapped>>,
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
