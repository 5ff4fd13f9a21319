//! How much of each source's deliveries is kept: those in the store by size and age, and the rejected and repeated ones
//! in memory, where nobody can fill the disk with them.

use std::collections::{HashMap, HashSet, VecDeque};

use bytes::Bytes;
use parking_lot::Mutex;

use super::record::{Delivery, DeliveryId, Entry};
use crate::{
    defaults,
    store::{Batch, Space, Store, StoreError},
    webhook::Keep,
};

/// Deliveries removed in one go.
const SLICE: usize = 256;

/// What an entry costs beside its body.
const HEAD_BYTES: usize = 1_024;

/// The store's part of one source, oldest first.
#[derive(Default)]
struct Row {
    kept: VecDeque<([u8; 16], usize)>,
    bytes: usize,
}

/// The memory's part, oldest first.
#[derive(Default)]
struct Recent {
    deliveries: VecDeque<(Delivery, Bytes)>,
    bytes: usize,
}

/// All sources.
#[derive(Default)]
pub(super) struct Shelves {
    rows: Mutex<HashMap<String, Row>>,
    recent: Mutex<HashMap<String, Recent>>,
    /// Kept, and not published yet.
    pending: Mutex<HashSet<DeliveryId>>,
}

impl Shelves {
    /// Reads what the store has.
    pub(super) fn load(&self, store: &dyn Store) -> Result<(), StoreError> {
        each(store, Entry::Head, |id, value| {
            let bytes = serde_json::from_slice::<Delivery>(value).map_or(0, |delivery| delivery.bytes);
            self.add(&id, bytes);
        })?;
        each(store, Entry::Pending, |id, _| {
            self.pending.lock().insert(id);
        })
    }

    pub(super) fn add(&self, id: &DeliveryId, bytes: usize) {
        let mut rows = self.rows.lock();
        let row = rows.entry(id.source.clone()).or_default();
        row.kept.push_back((id.number, bytes + HEAD_BYTES));
        row.bytes += bytes + HEAD_BYTES;
    }

    /// The removal of what a source has too much of or too long; `None` if there is nothing.
    pub(super) fn prune(&self, source: &str, keep: &Keep, now_ms: u64) -> Option<Batch> {
        let mut rows = self.rows.lock();
        let row = rows.get_mut(source)?;
        let age_ms = u64::try_from(keep.age.as_millis()).unwrap_or(u64::MAX);
        let mut batch = Batch::default();
        while let Some((number, bytes)) = row.kept.front().copied() {
            let id = DeliveryId { source: source.to_owned(), number };
            let received_ms = u64::from_be_bytes(number.first_chunk().copied().unwrap_or_default());
            let due = row.kept.len() > keep.count
                || row.bytes > keep.bytes
                || now_ms.saturating_sub(received_ms) > age_ms;
            if !due || batch.writes.len() >= 2 * SLICE || self.is_pending(&id) {
                break;
            }
            row.kept.pop_front();
            row.bytes -= bytes;
            batch.delete(Space::Deliveries, Entry::Head.key(&id));
            batch.delete(Space::Deliveries, Entry::Body.key(&id));
        }
        (!batch.writes.is_empty()).then_some(batch)
    }

    /// Names of all sources that anything is kept of, configured or not.
    pub(super) fn sources(&self) -> Vec<String> {
        let mut names: HashSet<String> = self.rows.lock().keys().cloned().collect();
        names.extend(self.recent.lock().keys().cloned());
        names.into_iter().collect()
    }

    /// Remembers a delivery that is not kept.
    pub(super) fn remember(&self, delivery: Delivery, body: Bytes) {
        let mut recent = self.recent.lock();
        let row = recent.entry(delivery.source.clone()).or_default();
        row.bytes += body.len();
        row.deliveries.push_back((delivery, body));
        while row.deliveries.len() > defaults::WEBHOOK_RECENT || row.bytes > defaults::WEBHOOK_RECENT_BYTES {
            let Some((_, body)) = row.deliveries.pop_front() else { break };
            row.bytes -= body.len();
        }
    }

    /// A remembered delivery.
    pub(super) fn remembered(&self, id: &DeliveryId) -> Option<(Delivery, Bytes)> {
        let name = id.to_string();
        let recent = self.recent.lock();
        let mut deliveries = recent.get(&id.source)?.deliveries.iter();
        deliveries.find(|(delivery, _)| delivery.id == name).cloned()
    }

    /// The remembered deliveries of a source, newest first.
    pub(super) fn all_remembered(&self, source: &str) -> Vec<Delivery> {
        let recent = self.recent.lock();
        let deliveries = recent.get(source).into_iter().flat_map(|row| row.deliveries.iter().rev());
        deliveries.map(|(delivery, _)| delivery.clone()).collect()
    }

    pub(super) fn mark_pending(&self, id: &DeliveryId) {
        self.pending.lock().insert(id.clone());
    }

    pub(super) fn unmark_pending(&self, id: &DeliveryId) {
        self.pending.lock().remove(id);
    }

    pub(super) fn is_pending(&self, id: &DeliveryId) -> bool {
        self.pending.lock().contains(id)
    }

    pub(super) fn pending_count(&self) -> usize {
        self.pending.lock().len()
    }

    /// Those of an earlier run.
    pub(super) fn all_pending(&self) -> Vec<DeliveryId> {
        let mut all: Vec<DeliveryId> = self.pending.lock().iter().cloned().collect();
        all.sort_by_key(|id| id.number);
        all
    }
}

/// Every entry of a kind, a thousand at a time.
fn each(store: &dyn Store, entry: Entry, mut visit: impl FnMut(DeliveryId, &[u8])) -> Result<(), StoreError> {
    let mut scan = entry.all();
    scan.limit = 1_000;
    loop {
        let entries = store.scan(&scan)?;
        for (key, value) in &entries {
            if let Some(id) = super::record::id_in(key) {
                visit(id, value);
            }
        }
        match entries.last() {
            Some((last, _)) if entries.len() == scan.limit => {
                scan.from = std::ops::Bound::Excluded(last.clone());
            }
            _ => return Ok(()),
        }
    }
}
