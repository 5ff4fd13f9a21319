//! `Idempotency-Key`: a request that is sent again is answered again, not done again.
//!
//! ```text
//!            first with the key            done, with success
//! unknown ─────────────────────► claimed ─────────────────────► known ──an hour, or 64 MiB of newer answers──► unknown
//!    ▲                              │
//!    └─────failed, or broke off─────┘
//! ```
//! A key is claimed when the head of its request has come, so that a repetition that overtakes the body is told to wait
//! (409). Once known, the same request gets the same answer, and another request gets 422. Keys of different callers
//! have nothing to do with each other.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::Arc,
};

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use parking_lot::Mutex;

use super::{
    Api,
    body::read_body,
    caller::Caller,
    problem::{Code, Problem},
};
use crate::defaults;

/// The key's header.
pub(super) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Marks an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Longest key, in bytes: several UUIDs.
const KEY_BYTES_MAX: usize = 255;
/// What an entry costs beside its key and its answer.
const ENTRY_BYTES: usize = 128;

/// An answer that can be given again.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// JSON, or nothing.
    pub(super) body: Bytes,
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        match self.body.is_empty() {
            true => self.status.into_response(),
            false => (self.status, [(header::CONTENT_TYPE, "application/json")], self.body).into_response(),
        }
    }
}

/// Whose key, and which.
#[derive(PartialEq, Eq, Hash, Debug)]
struct Name {
    caller: String,
    key: String,
}

#[derive(Debug)]
enum Entry {
    Claimed,
    Known { fingerprint: u64, answer: Answer },
}

#[derive(Default)]
struct Entries {
    by_name: HashMap<Arc<Name>, Entry>,
    /// The known ones, oldest first, with the time they became known.
    by_age: VecDeque<(u64, Arc<Name>)>,
    /// Size of the known ones.
    bytes: usize,
}

/// Answers by caller and key.
#[derive(Default)]
pub(super) struct Answers {
    entries: Mutex<Entries>,
    /// Random, so that nobody can make two requests that look the same.
    hashes: RandomState,
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
    Known { fingerprint: u64, answer: Answer },
}

impl Answers {
    fn claim(&self, name: Name, now_ms: u64) -> Found<'_> {
        let mut entries = self.entries.lock();
        entries.forget(now_ms.saturating_sub(defaults::IDEMPOTENCY_S * 1_000), defaults::IDEMPOTENCY_BYTES);
        match entries.by_name.get(&name) {
            Some(Entry::Claimed) => Found::Claimed,
            Some(Entry::Known { fingerprint, answer }) => {
                Found::Known { fingerprint: *fingerprint, answer: answer.clone() }
            }
            None => {
                let name = Arc::new(name);
                entries.by_name.insert(name.clone(), Entry::Claimed);
                Found::Nothing(Claim { answers: self, name })
            }
        }
    }

    /// What makes a request the same as another one.
    fn fingerprint(&self, parts: &Parts, body: &[u8]) -> u64 {
        let mut hasher = self.hashes.build_hasher();
        (parts.method.as_str(), parts.uri.path(), parts.uri.query()).hash(&mut hasher);
        let told = |name: &str| {
            name == "content-type" || name == "message-id" || name == "message-key" || name.starts_with("ce-")
        };
        let mut headers: Vec<(&str, &[u8])> =
            parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        headers.retain(|(name, _)| told(name));
        headers.sort_unstable();
        (headers, body).hash(&mut hasher);
        hasher.finish()
    }
}

impl Claim<'_> {
    fn keep(self, fingerprint: u64, answer: Answer, now_ms: u64) {
        let mut entries = self.answers.entries.lock();
        entries.bytes += size(&self.name, &answer);
        entries.by_age.push_back((now_ms, self.name.clone()));
        entries.by_name.insert(self.name.clone(), Entry::Known { fingerprint, answer });
    }
}

impl Drop for Claim<'_> {
    /// Nothing was kept: the key is free again.
    fn drop(&mut self) {
        let mut entries = self.answers.entries.lock();
        if let Some(Entry::Claimed) = entries.by_name.get(&self.name) {
            entries.by_name.remove(&self.name);
        }
    }
}

impl Entries {
    fn forget(&mut self, oldest_ms: u64, bytes_max: usize) {
        while self.by_age.front().is_some_and(|(at, _)| *at < oldest_ms || self.bytes > bytes_max) {
            let Some((_, name)) = self.by_age.pop_front() else { return };
            if let Some(Entry::Known { answer, .. }) = self.by_name.remove(&name) {
                self.bytes -= size(&name, &answer);
            }
        }
    }
}

fn size(name: &Name, answer: &Answer) -> usize {
    ENTRY_BYTES + name.caller.len() + name.key.len() + answer.body.len()
}

/// Reads a request's body and does the work, unless the request was answered before.
pub(super) async fn once(
    api: &Api,
    caller: &Caller,
    (parts, body): (Parts, Body),
    limit: usize,
    work: impl FnOnce(&Parts, &Bytes) -> Result<Answer, Problem>,
) -> Result<Response, Problem> {
    let Some(key) = key_of(&parts.headers)? else {
        let body = read_body(api, &parts.headers, body, limit).await?;
        return Ok(work(&parts, &body.bytes)?.into_response());
    };
    let answers = &*api.answers;
    let caller_name = caller.scope(&parts.headers, |token| answers.hashes.hash_one(token));
    let found = answers.claim(Name { caller: caller_name, key }, caller.now_ms);
    if let Found::Claimed = found {
        let detail = "a request with this `Idempotency-Key` is being worked on";
        return Err(Problem::new(Code::IdempotencyInProgress, detail));
    }
    let body = read_body(api, &parts.headers, body, limit).await?;
    let this = answers.fingerprint(&parts, &body.bytes);
    match found {
        Found::Known { fingerprint, answer } if fingerprint == this => {
            let mut response = answer.into_response();
            response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
            Ok(response)
        }
        Found::Nothing(claim) => {
            let answer = work(&parts, &body.bytes)?;
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
    use super::*;

    fn name(key: &str) -> Name {
        Name { caller: "user a".into(), key: key.into() }
    }

    fn answer(size: usize) -> Answer {
        Answer { status: StatusCode::OK, body: vec![b'x'; size].into() }
    }

    fn keep(answers: &Answers, key: &str, size: usize, now_ms: u64) {
        match answers.claim(name(key), now_ms) {
            Found::Nothing(claim) => claim.keep(7, answer(size), now_ms),
            _ => panic!("`{key}` is not free"),
        }
    }

    #[test]
    fn a_claim_that_comes_to_nothing_frees_its_key() {
        let answers = Answers::default();
        let Found::Nothing(claim) = answers.claim(name("k"), 0) else { panic!("not free") };
        assert!(matches!(answers.claim(name("k"), 0), Found::Claimed));
        drop(claim);
        assert!(matches!(answers.claim(name("k"), 0), Found::Nothing(_)));
    }

    #[test]
    fn an_answer_is_known_for_its_time() {
        let answers = Answers::default();
        keep(&answers, "k", 10, 1_000);
        let end_ms = 1_000 + defaults::IDEMPOTENCY_S * 1_000;
        assert!(matches!(answers.claim(name("k"), end_ms), Found::Known { fingerprint: 7, .. }));
        assert!(matches!(answers.claim(name("k"), end_ms + 1), Found::Nothing(_)));
        assert_eq!(answers.entries.lock().bytes, 0);
    }

    #[test]
    fn memory_is_bounded() {
        let answers = Answers::default();
        for number in 0..80 {
            keep(&answers, &number.to_string(), 1024 * 1024, 0);
        }
        assert!(matches!(answers.claim(name("79"), 0), Found::Known { .. }));
        assert!(matches!(answers.claim(name("0"), 0), Found::Nothing(_)));
        assert!(answers.entries.lock().bytes <= defaults::IDEMPOTENCY_BYTES);
    }
}
