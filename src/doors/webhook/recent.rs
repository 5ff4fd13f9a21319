//! What was rejected, repeated or asked lately: in memory, a bounded number for each source, since anybody can cause it. What
//! was rejected is also written to the store, in its own time: secrets come from the environment, so mending one takes a
//! restart, and what was rejected for its sake is to be replayed after it.

use std::collections::VecDeque;

use bytes::Bytes;

use super::record::{Delivery, DeliveryId, Entry, Outcome};
use crate::{
    defaults,
    store::{Batch, Space},
};

struct Remembered {
    delivery: Delivery,
    body: Bytes,
    written: bool,
}

/// Those of one source, oldest first.
#[derive(Default)]
pub(super) struct Recent {
    deliveries: VecDeque<Remembered>,
    bytes: usize,
    /// Forgotten, but still in the store.
    gone: Vec<DeliveryId>,
}

impl Recent {
    /// Remembers one that came now.
    pub(super) fn add(&mut self, delivery: Delivery, body: Bytes) {
        self.push(Remembered { delivery, body, written: false });
    }

    /// Remembers one that an earlier run has left in the store.
    pub(super) fn restore(&mut self, delivery: Delivery, body: Bytes) {
        self.push(Remembered { delivery, body, written: true });
    }

    fn push(&mut self, remembered: Remembered) {
        self.bytes += remembered.body.len();
        self.deliveries.push_back(remembered);
        while self.deliveries.len() > defaults::WEBHOOK_RECENT || self.bytes > defaults::WEBHOOK_RECENT_BYTES
        {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.deliveries.pop_front() else { return };
        self.bytes -= oldest.body.len();
        if oldest.written {
            self.gone.extend(DeliveryId::read(&oldest.delivery.id));
        }
    }

    /// One of them.
    pub(super) fn find(&self, id: &DeliveryId) -> Option<(Delivery, Bytes)> {
        let name = id.to_string();
        let found = self.deliveries.iter().find(|remembered| remembered.delivery.id == name)?;
        Some((found.delivery.clone(), found.body.clone()))
    }

    /// All of them, newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Delivery> {
        self.deliveries.iter().rev().map(|remembered| &remembered.delivery)
    }

    /// Forgets what came before a time, and writes some of what the store does not have yet, the newest first: a flood must
    /// not keep the disk busy. `None` if there is nothing to write.
    pub(super) fn write(&mut self, oldest_ms: u64) -> Option<Batch> {
        while self.deliveries.front().is_some_and(|oldest| oldest.delivery.received_at < oldest_ms) {
            self.forget_oldest();
        }
        let mut batch = Batch::default();
        for id in self.gone.drain(..) {
            batch.delete(Space::Deliveries, Entry::Rejected.key(&id));
            batch.delete(Space::Deliveries, Entry::RejectedBody.key(&id));
        }
        let wanted = |remembered: &&mut Remembered| {
            !remembered.written && remembered.delivery.outcome == Outcome::Rejected
        };
        let newest = self.deliveries.iter_mut().rev().filter(wanted);
        for remembered in newest.take(defaults::WEBHOOK_REJECTED_WRITTEN) {
            // Before it is known to be written: if it is not, it stays in memory, and only a restart loses it.
            remembered.written = true;
            let id = DeliveryId::read(&remembered.delivery.id);
            let head = serde_json::to_vec(&remembered.delivery).ok();
            let (Some(id), Some(head)) = (id, head) else { continue };
            batch.put(Space::Deliveries, Entry::Rejected.key(&id), head);
            batch.put(Space::Deliveries, Entry::RejectedBody.key(&id), remembered.body.clone());
        }
        (!batch.writes.is_empty()).then_some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        provider::{Request, vectors},
        store::{Memory, Scan, Store},
    };

    fn delivery(number: u64, outcome: Outcome) -> Delivery {
        let source = vectors::source("hmac", &["k"]);
        let headers = vectors::headers(&[]);
        let id = DeliveryId::new("it", number, 0);
        let request = Request::new("POST", "/in/it", &headers, b"body", number);
        Delivery { outcome, ..Delivery::of(&id, &source, &request) }
    }

    fn stored(store: &Memory, entry: Entry) -> usize {
        store.scan(&Scan { limit: 10_000, ..entry.all() }).unwrap().len()
    }

    #[test]
    fn what_was_rejected_is_in_the_store_as_long_as_it_is_remembered() {
        let (store, mut recent) = (Memory::default(), Recent::default());
        let write = |recent: &mut Recent, oldest_ms: u64| {
            let mut writes = 0;
            while let Some(batch) = recent.write(oldest_ms) {
                store.commit(&batch).unwrap();
                writes += 1;
            }
            writes
        };
        for number in 0..250 {
            recent.add(delivery(number, Outcome::Rejected), Bytes::from_static(b"body"));
            recent.add(delivery(number, Outcome::Duplicate), Bytes::from_static(b"body"));
            if number % 50 == 0 {
                store.commit(&recent.write(0).unwrap()).unwrap();
            }
        }
        assert!(write(&mut recent, 0) > 1, "not all at once");
        assert_eq!(recent.newest_first().count(), defaults::WEBHOOK_RECENT);
        assert_eq!(stored(&store, Entry::Rejected), defaults::WEBHOOK_RECENT / 2);
        assert_eq!(stored(&store, Entry::RejectedBody), defaults::WEBHOOK_RECENT / 2);
        write(&mut recent, 240);
        assert_eq!((stored(&store, Entry::Rejected), recent.newest_first().count()), (10, 20));
        write(&mut recent, 1_000);
        assert_eq!((stored(&store, Entry::Rejected), stored(&store, Entry::RejectedBody)), (0, 0));
    }
}
