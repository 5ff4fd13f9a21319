//! `Idempotency-Key`: a request that is sent again is answered again, not done again.
//!
//! ```text
//!            first with the key            done, with success
//! unknown ─────────────────────► claimed ─────────────────────► known ──an hour, or too many newer answers──► unknown
//!    ▲                              │
//!    └─────failed, or broke off─────┘
//! ```
//! A key is claimed when the head of its request has come, so that a repetition that overtakes the body is told to wait
//! (409). Once known, the same request gets the same answer, and another request gets 422. Keys of different callers
//! have nothing to do with each other, and when there are too many answers ([`super::answers`]), one of the caller with the most is
//! forgotten.
//!
//! With a data directory answers outlive the process. They are written after they are given; what a crash takes back in
//! between is made up for by the messages themselves, which carry an id made of the key ([`Name::digest`]).

use std::sync::Arc;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use super::{
    Api,
    ack::{Ack, Answer, Publisher, Sent},
    answers::{Entries, Entry, Fingerprint, Name, digest},
    body::read_body,
    caller::Caller,
    problem::{Code, Problem},
};
use crate::{
    defaults,
    memory::Share,
    store::{Batch, Committer, Scan, Space, Write},
};

/// The key's header.
pub(super) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Marks an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Longest key, in bytes: several UUIDs.
const KEY_BYTES_MAX: usize = 255;

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
struct Claim<'a> {
    answers: &'a Answers,
    name: Arc<Name>,
}

/// What a key stands for.
enum Found<'a> {
    Nothing(Claim<'a>),
    Claimed,
    Known { fingerprint: Fingerprint, answer: Answer },
}

impl Answers {
    /// The answers that are kept. What cannot be read is left out, and named in the log.
    pub(in crate::doors::http) fn open(committer: Committer, share: Arc<Share>) -> Self {
        let mut stored = read_all(&committer);
        stored.sort_by_key(|stored| stored.known_ms);
        let mut entries = Entries::within(share);
        for Stored { name, known_ms, fingerprint, status, body } in stored {
            let Ok(status) = StatusCode::from_u16(status) else { continue };
            let answer = Answer { status, body: body.into() };
            entries.add(Arc::new(name), known_ms, fingerprint, answer);
        }
        Self { entries: Mutex::new(entries), committer }
    }

    fn claim(&self, name: Name, now_ms: u64) -> Found<'_> {
        let mut entries = self.entries.lock();
        let oldest_ms = now_ms.saturating_sub(defaults::IDEMPOTENCY_S * 1_000);
        let forgotten = entries.forget(oldest_ms);
        if !forgotten.is_empty() {
            let delete = |name: Arc<Name>| Write::Delete(Space::Seen, stored_at(&name).into());
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

/// What makes a request the same as another one.
fn fingerprint(parts: &Parts, body: &[u8]) -> Fingerprint {
    let told = |name: &str| {
        name == "content-type" || name == "message-id" || name == "message-key" || name.starts_with("ce-")
    };
    let mut headers: Vec<[&[u8]; 2]> = parts
        .headers
        .iter()
        .filter(|(name, _)| told(name.as_str()))
        .map(|(name, value)| [name.as_str().as_bytes(), value.as_bytes()])
        .collect();
    headers.sort_unstable();
    let target = [parts.method.as_str(), parts.uri.path(), parts.uri.query().unwrap_or_default()];
    digest(target.map(str::as_bytes).into_iter().chain([body]).chain(headers.into_iter().flatten()))
}

fn read_all(committer: &Committer) -> Vec<Stored> {
    let entries = committer.store().scan(&Scan::prefix(Space::Seen, PREFIX)).unwrap_or_else(|error| {
        tracing::error!(%error, "answers to idempotent requests cannot be read");
        Vec::new()
    });
    entries.iter().filter_map(|(_, value)| rmp_serde::from_slice(value).ok()).collect()
}

impl Claim<'_> {
    fn keep(self, fingerprint: Fingerprint, answer: Answer, now_ms: u64) {
        let Answer { status, body } = answer.clone();
        let (name, status, body) = (Name::clone(&self.name), status.as_u16(), body.to_vec());
        let stored = Stored { name, known_ms: now_ms, fingerprint, status, body };
        match rmp_serde::to_vec(&stored) {
            Ok(bytes) => {
                let mut batch = Batch::default();
                batch.put(Space::Seen, stored_at(&self.name), bytes);
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
        self.answers.entries.lock().free(&self.name);
    }
}

/// Reads a request's body and does the work, unless the request was answered before.
pub(super) async fn once(
    api: &Api,
    caller: &Caller,
    (parts, body): (Parts, Body),
    limit: usize,
    ack: Ack,
    work: impl FnOnce(&mut Publisher<'_>, &Parts, &Bytes) -> Result<Sent, Problem>,
) -> Result<Response, Problem> {
    let broker = &*api.door.broker;
    let Some(key) = key_of(&parts.headers)? else {
        let body = read_body(api, &parts, body, limit).await?;
        let sent = work(&mut Publisher::new(broker, caller, ack, None), &parts, &body.bytes)?;
        return Ok(sent.answer(ack).await?.into_response());
    };
    let answers = &*api.answers;
    let name = Name { caller: caller.scope(&parts.headers).into(), key };
    let request = name.digest();
    let found = answers.claim(name, caller.now_ms);
    if let Found::Claimed = found {
        let detail = "a request with this `Idempotency-Key` is being worked on";
        return Err(Problem::new(Code::IdempotencyInProgress, detail));
    }
    let body = read_body(api, &parts, body, limit).await?;
    let this = fingerprint(&parts, &body.bytes);
    match found {
        Found::Known { fingerprint, answer } if fingerprint == this => {
            let mut response = answer.into_response();
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            Ok(response)
        }
        Found::Nothing(claim) => {
            let mut publisher = Publisher::new(broker, caller, ack, Some(request));
            let sent = work(&mut publisher, &parts, &body.bytes)?;
            let answer = sent.answer(ack).await?;
            claim.keep(this, answer.clone(), caller.now_ms);
            Ok(answer.into_response())
        }
        Found::Known { .. } | Found::Claimed => {
            let detail = "this `Idempotency-Key` was used for another request";
            Err(Problem::new(Code::IdempotencyMismatch, detail))
        }
    }
}

/// The key, bare or as a string in quotes (a structured field, RFC 9651 §3.3.3).
fn key_of(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut given = headers.get_all(KEY).iter();
    let Some(value) = given.next() else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let bare = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    match (1..=KEY_BYTES_MAX).contains(&bare.len()) && given.next().is_none() {
        true => Ok(Some(bare.to_owned())),
        false => {
            let what = format!("`Idempotency-Key` must have 1 to {KEY_BYTES_MAX} ASCII characters, once");
            Err(Problem::bad_request(what))
        }
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
