//! Which keys are being worked on, and which answers are known: bounded by age, and by their share of the memory. When that is used
//! up, the oldest answer of the caller with the most is forgotten, so nobody pushes out another one's.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};

use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use super::ack::Answer;
use crate::memory::Share;

/// What an entry costs beside its key and its answer.
const ENTRY_BYTES: usize = 192;

/// Whose key, and which.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub(super) struct Name {
    pub(super) caller: Arc<str>,
    pub(super) key: String,
}

impl Name {
    /// The same in a fixed number of characters.
    pub(super) fn digest(&self) -> String {
        data_encoding::BASE64URL_NOPAD.encode(&digest([self.caller.as_bytes(), self.key.as_bytes()]))
    }
}

/// What makes a request the same as another one.
pub(super) type Fingerprint = [u8; 32];

/// SHA-256 over parts that cannot be mistaken for others.
pub(super) fn digest<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Fingerprint {
    let mut context = Context::new(&SHA256);
    for part in parts {
        // Each with its length, or ("ab", "c") and ("a", "bc") would be the same.
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut fingerprint = Fingerprint::default();
    fingerprint.copy_from_slice(context.finish().as_ref());
    fingerprint
}

/// What a key stands for.
#[derive(Debug)]
pub(super) enum Entry {
    /// A request is being worked on.
    Claimed,
    /// It was answered.
    Known { known_ms: u64, fingerprint: Fingerprint, answer: Answer },
}

/// The known answers of a caller.
#[derive(Default)]
struct Mine {
    /// Oldest first.
    names: VecDeque<Arc<Name>>,
    bytes: usize,
}

/// All keys.
#[derive(Default)]
pub(super) struct Entries {
    by_name: HashMap<Arc<Name>, Entry>,
    /// The known ones, oldest first, with the time they became known; and some that were forgotten before.
    by_age: VecDeque<(u64, Arc<Name>)>,
    by_caller: HashMap<Arc<str>, Mine>,
    /// Callers by what their answers take.
    by_bytes: BTreeSet<(usize, Arc<str>)>,
    /// Size of the known ones.
    bytes: usize,
    /// What they may have of the memory.
    share: Arc<Share>,
}

impl Entries {
    /// None, and as many as this share has room for.
    pub(super) fn within(share: Arc<Share>) -> Self {
        Self { share, ..Self::default() }
    }

    pub(super) fn get(&self, name: &Name) -> Option<&Entry> {
        self.by_name.get(name)
    }

    /// A request works under this name, which is free.
    pub(super) fn claim(&mut self, name: Arc<Name>) {
        self.by_name.insert(name, Entry::Claimed);
    }

    /// It came to nothing.
    pub(super) fn free(&mut self, name: &Name) {
        // Only a claim is taken back: the request may have been answered, and then its entry stays.
        if let Some(Entry::Claimed) = self.by_name.get(name) {
            self.by_name.remove(name);
        }
    }

    pub(super) fn add(&mut self, name: Arc<Name>, known_ms: u64, fingerprint: Fingerprint, answer: Answer) {
        let mine = self.by_caller.entry(name.caller.clone()).or_default();
        let before = mine.bytes;
        mine.names.push_back(name.clone());
        mine.bytes += size(&name, &answer);
        let after = mine.bytes;
        self.moved(&name.caller, before, after);
        self.by_age.push_back((known_ms, name.clone()));
        self.by_name.insert(name, Entry::Known { known_ms, fingerprint, answer });
    }

    /// Forgets what is older, and what there is no room for; returns it.
    pub(super) fn forget(&mut self, oldest_ms: u64) -> Vec<Arc<Name>> {
        let mut forgotten = Vec::new();
        while self.by_age.front().is_some_and(|(at, _)| *at < oldest_ms) {
            let Some((at, name)) = self.by_age.pop_front() else { break };
            // `by_age` still names what was forgotten for want of room, and a key may have been used again since; the
            // time tells which entry is meant.
            let is_that =
                matches!(self.by_name.get(&name), Some(Entry::Known { known_ms, .. }) if *known_ms == at);
            if is_that {
                // The oldest of its caller is this one: both queues are filled in the same order.
                forgotten.extend(self.forget_oldest_of(&name.caller.clone()));
            }
        }
        while self.bytes > self.share.limit() {
            let Some((_, caller)) = self.by_bytes.last().cloned() else { break };
            forgotten.extend(self.forget_oldest_of(&caller));
        }
        // Names that were forgotten for want of room are left in `by_age`, since finding them there would mean a search
        // for each; they are cleared out together before they can outnumber the others.
        if self.by_age.len() > 2 * self.by_name.len() + 1024 {
            let is_known = |(at, name): &(u64, Arc<Name>)| matches!(self.by_name.get(name), Some(Entry::Known { known_ms, .. }) if known_ms == at);
            self.by_age.retain(is_known);
        }
        forgotten
    }

    fn forget_oldest_of(&mut self, caller: &Arc<str>) -> Option<Arc<Name>> {
        let mine = self.by_caller.get_mut(caller)?;
        let (before, oldest) = (mine.bytes, mine.names.pop_front()?);
        if let Some(Entry::Known { answer, .. }) = self.by_name.remove(&oldest) {
            mine.bytes -= size(&oldest, &answer);
        }
        let (after, is_last) = (mine.bytes, mine.names.is_empty());
        self.moved(caller, before, after);
        if is_last {
            self.by_caller.remove(caller);
            self.by_bytes.remove(&(after, caller.clone()));
        }
        Some(oldest)
    }

    fn moved(&mut self, caller: &Arc<str>, before: usize, after: usize) {
        // The set is ordered by the bytes, so an entry cannot change in place.
        self.by_bytes.remove(&(before, caller.clone()));
        self.by_bytes.insert((after, caller.clone()));
        self.bytes = self.bytes + after - before;
        self.share.set(self.bytes);
    }

    #[cfg(test)]
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }
}

fn size(name: &Name, answer: &Answer) -> usize {
    ENTRY_BYTES + name.caller.len() + name.key.len() + answer.body.len()
}

#[cfg(test)]
mod tests {
    use axum::http::StatusCode;

    use super::*;

    fn name(caller: &str, key: usize) -> Arc<Name> {
        Arc::new(Name { caller: caller.into(), key: key.to_string() })
    }

    fn add(entries: &mut Entries, caller: &str, key: usize, known_ms: u64) {
        let answer = Answer { status: StatusCode::OK, body: vec![b'x'; 100].into() };
        entries.add(name(caller, key), known_ms, [0; 32], answer);
    }

    #[test]
    fn whoever_has_the_most_loses_the_oldest() {
        let share = Arc::new(Share::new(100 * 400));
        let mut entries = Entries::within(share.clone());
        add(&mut entries, "quiet", 0, 0);
        for key in 0..10_000 {
            add(&mut entries, "loud", key, 1);
            entries.forget(0);
        }
        assert!(share.used() <= share.limit() && share.used() > share.limit() - 400);
        assert!(entries.get(&name("quiet", 0)).is_some());
        assert!(entries.get(&name("loud", 0)).is_none() && entries.get(&name("loud", 9_999)).is_some());
        assert!(entries.by_age.len() <= 2 * entries.by_name.len() + 1025, "{}", entries.by_age.len());
        assert_eq!((entries.by_caller.len(), entries.by_bytes.len()), (2, 2));
        assert!(entries.forget(2).len() > 50);
        assert_eq!((share.used(), entries.by_name.len(), entries.by_bytes.len()), (0, 0, 0));
    }

    #[test]
    fn what_is_answered_again_lives_from_then_on() {
        let mut entries = Entries::within(Arc::new(Share::new(0)));
        add(&mut entries, "a", 1, 1);
        assert_eq!(entries.forget(0), [name("a", 1)]);
        entries.share = Arc::default();
        add(&mut entries, "a", 1, 5);
        assert!(entries.forget(3).is_empty(), "the first answer was forgotten before");
        assert_eq!(entries.forget(6), [name("a", 1)]);
        assert_eq!((entries.bytes(), entries.by_age.len()), (0, 0));
    }
}
