//! What the store has of a topic, read around damage where there is some.

use bytes::Bytes;
use fanwire_proto::{Kind, TopicName};

use super::{
    keys::{prefix_of, state_key},
    record::{StoredHead, decode_head},
};
use crate::store::{Hole, Salvage, Salvaged, Scan, Space, Store, StoreError};

/// The parts of a topic as they were found.
#[derive(Default)]
pub(super) struct Parts {
    /// What is known of it, in the newest version that can be read.
    pub(super) head: Option<StoredHead>,
    /// When that was written.
    pub(super) head_written: u64,
    /// There may be a newer version of it, or one at all.
    pub(super) head_is_hidden: bool,
    /// Kinds `log` and `document`: blocks. Kind `latest`: values.
    pub(super) content: Salvage,
    /// Kind `document`: what was merged.
    pub(super) state: Salvage,
}

impl Parts {
    /// What the topic is to remember of what cannot be read, so that it is not news again.
    pub(super) fn damage(&self, kind: Kind) -> u64 {
        match kind {
            Kind::Latest => self.shape_of_holes(),
            // A log remembers where it goes on; a document with a hole is not served at all.
            Kind::Log | Kind::Document | Kind::Volatile => self.head.map_or(0, |head| head.head.damage),
        }
    }

    /// The same for the same holes in the values; 0 without any.
    pub(super) fn shape_of_holes(&self) -> u64 {
        let shape = |hole: &Hole| {
            let text = format!("{:?} {:?} {}", hole.from, hole.to, hole.written);
            xxhash_rust::xxh3::xxh3_64(text.as_bytes())
        };
        // By XOR, so that the order in which holes are found makes no difference.
        self.content.holes.iter().map(shape).fold(0, |sum, shape| sum ^ shape)
    }

    /// Holes that may hold something that was written since the document was last begun anew.
    pub(super) fn news<'a>(&'a self, holes: &'a [Hole]) -> impl Iterator<Item = &'a Hole> {
        let known = self.head.map_or(0, |head| head.head.damage);
        holes.iter().filter(move |hole| hole.written > known)
    }
}

pub(super) fn report(name: &TopicName, what: &dyn std::fmt::Display) {
    tracing::error!(topic = %name, %what, "damage in the store");
}

fn point(space: Space, key: Bytes) -> Scan {
    use std::ops::Bound::Included;
    Scan { from: Included(key.clone()), to: Included(key), ..Scan::prefix(space, "") }
}

/// What a kind keeps its content as.
fn content_of(name: &TopicName, kind: Kind) -> Option<Scan> {
    match kind {
        Kind::Log | Kind::Document => Some(Scan::prefix(Space::Messages, prefix_of(name))),
        Kind::Latest => Some(Scan::prefix(Space::Values, prefix_of(name))),
        Kind::Volatile => None,
    }
}

/// Everything of a topic.
pub(super) fn parts(store: &dyn Store, name: &TopicName, kind: Kind) -> Result<Parts, StoreError> {
    let whole = |scan: &Scan| {
        let entry = |(key, value)| Salvaged { key, value, written: 0 };
        let entries = store.scan(scan)?.into_iter().map(entry).collect();
        Ok(Salvage { entries, holes: Vec::new() })
    };
    // The usual way first: reading around damage takes many times as long.
    match read(name, kind, whole) {
        Err(StoreError::Corrupt(what)) => {
            report(name, &what);
            read(name, kind, |scan| store.salvage(scan))
        }
        parts => parts,
    }
}

fn read(
    name: &TopicName,
    kind: Kind,
    read: impl Fn(&Scan) -> Result<Salvage, StoreError>,
) -> Result<Parts, StoreError> {
    let key = Bytes::copy_from_slice(name.as_str().as_bytes());
    let heads = read(&point(Space::Topics, key.clone()))?;
    let mut parts = Parts::default();
    let found = heads.entries.into_iter().next();
    parts.head_written = found.as_ref().map_or(0, |found| found.written);
    parts.head_is_hidden = heads.holes.iter().any(|hole| hole.hides(&key, parts.head_written));
    match found.map(|found| decode_head(&found.value)).transpose() {
        Ok(head) => parts.head = head,
        Err(error) => {
            report(name, &error);
            parts.head_is_hidden = true;
        }
    }
    if let Some(content) = content_of(name, kind) {
        parts.content = read(&content)?;
    }
    if kind == Kind::Document {
        parts.state = read(&point(Space::Documents, state_key(name)))?;
    }
    Ok(parts)
}

/// Whether there is anything of a topic beside its head; what cannot be read counts.
pub(super) fn holds_content(store: &dyn Store, name: &TopicName, kind: Kind) -> bool {
    let any = |scan: Scan| {
        let first = store.scan(&Scan { limit: 1, ..scan });
        first.map_or(true, |entries| !entries.is_empty())
    };
    let state = kind == Kind::Document && any(point(Space::Documents, state_key(name)));
    state || content_of(name, kind).is_some_and(any)
}

/// The keys of a page, and whether no page follows; around damage all of them are one page.
pub(super) fn keys(store: &dyn Store, page: &Scan) -> Result<(Vec<Bytes>, bool), StoreError> {
    match store.scan(page) {
        Ok(entries) => Ok((entries.into_iter().map(|(key, _)| key).collect(), false)),
        Err(StoreError::Corrupt(what)) => {
            tracing::error!(space = page.space.name(), %what, "damage in the store");
            let entries = store.salvage(page)?.entries;
            Ok((entries.into_iter().map(|entry| entry.key).collect(), true))
        }
        Err(error) => Err(error),
    }
}
