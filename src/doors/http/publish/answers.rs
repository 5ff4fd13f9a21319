//! Answers by caller and key, and whose request works under a key: what is known, in memory and in the store.

use std::sync::Arc;

use axum::http::StatusCode;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{
    ack::Answer,
    entries::{Entries, Entry, Fingerprint, Name},
};
use crate::{
    defaults,
    memory::Share,
    store::{Batch, Committer, Scan, Space, Write},
};

/// What begins the keys of answers in [`Space::Seen`].
const PREFIX: &[u8] = b"idempotency/";

/// Where an answer is kept.
fn stored_at(name: &Name) -> Vec<u8> {
    [PREFIX, name.digest().as_bytes()].concat()
}

/// An answer as it is kept.
#[derive(Serialize, Deserialize)]
struct Stored {
    name: Name,
    known_ms: u64,
    fingerprint: Fingerprint,
    status: u16,
    #[serde(with = "serde_bytes")]
    body: Vec<u8>,
}

/// Answers by caller and key.
pub(in crate::doors::http) struct Answers {
    entries: Mutex<Entries>,
    committer: Committer,
}

/// A key that one request works under.
pub(super) struct Claim<'a> {
    answers: &'a Answers,
    name: Arc<Name>,
}

/// What a key stands for.
pub(super) enum Found<'a> {
    /// Nothing so far; now this request's work.
    Nothing(Claim<'a>),
    /// Another request's work, which goes on.
    Claimed,
    /// A request that was answered.
    Known { fingerprint: Fingerprint, answer: Answer },
}

impl Answers {
    /// The answers that are kept. What cannot be read is left out, and named in the log.
    pub(in crate::doors::http) fn open(committer: Committer, share: Arc<Share>) -> Self {
        let mut stored = read_all(&committer);
        // The store has them by the hash of their names; `Entries` relies on being filled from the oldest on.
        stored.sort_by_key(|stored| stored.known_ms);
        let mut entries = Entries::within(share);
        for Stored { name, known_ms, fingerprint, status, body } in stored {
            let Ok(status) = StatusCode::from_u16(status) else { continue };
            let answer = Answer { status, body: body.into() };
            entries.add(Arc::new(name), known_ms, fingerprint, answer);
        }
        Self { entries: Mutex::new(entries), committer }
    }

    /// Claims a key that stands for nothing; otherwise says what it stands for.
    pub(super) fn claim(&self, name: Name, now_ms: u64) -> Found<'_> {
        let mut entries = self.entries.lock();
        let oldest_ms = now_ms.saturating_sub(defaults::IDEMPOTENCY_S * 1_000);
        let forgotten = entries.forget(oldest_ms);
        if !forgotten.is_empty() {
            let delete = |name: Arc<Name>| Write::Delete(Space::Seen, stored_at(&name).into());
            // Queued under the lock, so before the same key can be claimed again: otherwise this could delete its next
            // answer.
            self.committer.write_later(Batch { writes: forgotten.into_iter().map(delete).collect() });
        }
        match entries.get(&name) {
            Some(Entry::Claimed) => Found::Claimed,
            Some(Entry::Known { fingerprint, answer, .. }) => {
                Found::Known { fingerprint: *fingerprint, answer: answer.clone() }
            }
            None => {
                let name = Arc::new(name);
                entries.claim(name.clone());
                Found::Nothing(Claim { answers: self, name })
            }
        }
    }
}

fn read_all(committer: &Committer) -> Vec<Stored> {
    // The broker starts without them all the same: requests from before that come again are then done again, but for what
    // the ids of their messages catch.
    let entries = committer.store().scan(&Scan::prefix(Space::Seen, PREFIX)).unwrap_or_else(|error| {
        tracing::error!(%error, "answers to idempotent requests cannot be read");
        Vec::new()
    });
    entries.iter().filter_map(|(_, value)| rmp_serde::from_slice(value).ok()).collect()
}

impl Claim<'_> {
    /// The request was answered: its key stands for this from now on.
    pub(super) fn keep(self, fingerprint: Fingerprint, answer: Answer, now_ms: u64) {
        let Answer { status, body } = answer.clone();
        let (name, status, body) = (Name::clone(&self.name), status.as_u16(), body.to_vec());
        let stored = Stored { name, known_ms: now_ms, fingerprint, status, body };
        match rmp_serde::to_vec(&stored) {
            Ok(bytes) => {
                let mut batch = Batch::default();
                batch.put(Space::Seen, stored_at(&self.name), bytes);
                // Queued before the answer is known in memory: only what is known there is ever forgotten, so its
                // deletion comes later.
                self.answers.committer.write_later(batch);
            }
            Err(error) => tracing::error!(%error, "an answer could not be kept"),
        }
        self.answers.entries.lock().add(self.name.clone(), now_ms, fingerprint, answer);
    }
}

impl Drop for Claim<'_> {
    /// Nothing was kept: the key is free again.
    fn drop(&mut self) {
        // Also runs after `keep`; then the entry is no longer a claim, and `free` leaves it alone.
        self.answers.entries.lock().free(&self.name);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::store::{Memory, Pace};

    fn answers() -> Answers {
        let pace = Pace { delay: Duration::ZERO, messages: 1 };
        let share = Arc::new(Share::new(defaults::IDEMPOTENCY_BYTES));
        let committer = Committer::start(Arc::new(Memory::default()), pace, Batch::default()).unwrap().0;
        Answers::open(committer, share)
    }

    fn name(key: &str) -> Name {
        Name { caller: "user a".into(), key: key.into() }
    }

    fn answer(size: usize) -> Answer {
        Answer { status: StatusCode::OK, body: vec![b'x'; size].into() }
    }

    fn keep(answers: &Answers, key: &str, size: usize, now_ms: u64) {
        match answers.claim(name(key), now_ms) {
            Found::Nothing(claim) => claim.keep([7; 32], answer(size), now_ms),
            _ => panic!("`{key}` is not free"),
        }
    }

    #[test]
    fn a_claim_that_comes_to_nothing_frees_its_key() {
        let answers = answers();
        let Found::Nothing(claim) = answers.claim(name("k"), 0) else { panic!("not free") };
        assert!(matches!(answers.claim(name("k"), 0), Found::Claimed));
        drop(claim);
        assert!(matches!(answers.claim(name("k"), 0), Found::Nothing(_)));
    }

    #[test]
    fn an_answer_is_known_for_its_time() {
        let answers = answers();
        keep(&answers, "k", 10, 1_000);
        let end_ms = 1_000 + defaults::IDEMPOTENCY_S * 1_000;
        assert!(matches!(answers.claim(name("k"), end_ms), Found::Known { fingerprint: [7, ..], .. }));
        assert!(matches!(answers.claim(name("k"), end_ms + 1), Found::Nothing(_)));
        assert_eq!(answers.entries.lock().bytes(), 0);
    }

    #[test]
    fn answers_outlive_the_process() {
        let answers = answers();
        keep(&answers, "k", 10, 1_000);
        answers.committer.flush().recv().unwrap();
        let again = Answers::open(answers.committer.clone(), Arc::default());
        let Found::Known { fingerprint, answer: known } = again.claim(name("k"), 2_000) else {
            panic!("forgotten")
        };
        assert_eq!((fingerprint, known), ([7; 32], answer(10)));
        let end_ms = 1_001 + defaults::IDEMPOTENCY_S * 1_000;
        assert!(matches!(again.claim(name("k"), end_ms), Found::Nothing(_)));
        again.committer.flush().recv().unwrap();
        assert!(read_all(&again.committer).is_empty());
    }

    #[test]
    fn memory_is_bounded() {
        let answers = answers();
        for number in 0..80 {
            keep(&answers, &number.to_string(), 1024 * 1024, 0);
        }
        assert!(matches!(answers.claim(name("79"), 0), Found::Known { .. }));
        assert!(matches!(answers.claim(name("0"), 0), Found::Nothing(_)));
        assert!(answers.entries.lock().bytes() <= defaults::IDEMPOTENCY_BYTES);
    }
}
