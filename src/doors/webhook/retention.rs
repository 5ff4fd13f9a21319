//! How much of each source's deliveries is kept: those that were accepted by size and age, and apart from them the rejected
//! and repeated ones, which push out none of the others.

use std::collections::{HashMap, HashSet, VecDeque};

use bytes::Bytes;
use parking_lot::Mutex;

use super::{
    pending::Pending,
    recent::Recent,
    record::{Delivery, DeliveryId, Entry},
};
use crate::{
    provider::Keep,
    store::{Batch, Space, Store, StoreError},
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

/// All sources.
#[derive(Default)]
pub(super) struct Retention {
    rows: Mutex<HashMap<String, Row>>,
    recent: Mutex<HashMap<String, Recent>>,
    /// What is no row any more, and still in the store.
    pub(super) removals: Mutex<Vec<Batch>>,
    /// Kept, and not published yet.
    pub(super) pending: Pending,
}

impl Retention {
    /// Reads what the store has.
    pub(super) fn load(&self, store: &dyn Store) -> Result<(), StoreError> {
        each(store, Entry::Head, |id, value| {
            let bytes = serde_json::from_slice::<Delivery>(value).map_or(0, |delivery| delivery.bytes);
            self.add(&id, bytes);
            Ok(())
        })?;
        each(store, Entry::Rejected, |id, value| {
            let Ok(delivery) = serde_json::from_slice::<Delivery>(value) else { return Ok(()) };
            let body = store.get(Space::Deliveries, &Entry::RejectedBody.key(&id))?.unwrap_or_default();
            self.recent.lock().entry(id.source).or_default().restore(delivery, body);
            Ok(())
        })?;
        each(store, Entry::Pending, |id, _| {
            self.pending.add(&id);
            Ok(())
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
            // In order, so the first that may not go ends it: what is still to be published keeps its body, and those
            // behind it.
            if !due || batch.writes.len() >= 2 * SLICE || self.pending.contains(&id) {
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
        self.recent.lock().entry(delivery.source.clone()).or_default().add(delivery, body);
    }

    /// What is to be written of a source's remembered deliveries; those from before a time are forgotten.
    pub(super) fn write_remembered(&self, source: &str, oldest_ms: u64) -> Option<Batch> {
        self.recent.lock().get_mut(source)?.write(oldest_ms)
    }

    /// A remembered delivery.
    pub(super) fn remembered(&self, id: &DeliveryId) -> Option<(Delivery, Bytes)> {
        self.recent.lock().get(&id.source)?.find(id)
    }

    /// The remembered deliveries of a source, newest first.
    pub(super) fn all_remembered(&self, source: &str) -> Vec<Delivery> {
        self.recent.lock().get(source).into_iter().flat_map(Recent::newest_first).cloned().collect()
    }
}

/// Every entry of a kind, a thousand at a time.
fn each(
    store: &dyn Store,
    entry: Entry,
    mut visit: impl FnMut(DeliveryId, &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut scan = entry.all();
    scan.limit = 1_000;
    loop {
        let entries = store.scan(&scan)?;
        for (key, value) in &entries {
            if let Some(id) = super::record::id_in(key) {
                visit(id, value)?;
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
