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
//! have nothing to do with each other, and when there are too many answers ([`super::entries`]), one of the caller with the most is
//! forgotten.
//!
//! With a data directory answers outlive the process. They are written after they are given; what a crash takes back in
//! between is made up for by the messages themselves, which carry an id made of the key ([`Name::digest`]).

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderName, HeaderValue, request::Parts},
    response::{IntoResponse, Response},
};

use super::{
    ack::{Ack, Publisher, Sent},
    answers::Found,
    entries::{Fingerprint, Name, digest},
};
use crate::doors::http::{
    api::Api,
    body::read_body,
    caller::Caller,
    problem::{Code, Problem},
};

/// The key's header.
pub(super) const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Marks an answer that was given before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Longest key, in bytes: several UUIDs.
const KEY_BYTES_MAX: usize = 255;

/// What makes a request the same as another one.
fn fingerprint(parts: &Parts, body: &[u8]) -> Fingerprint {
    let told = |name: &str| {
        matches!(name, "content-type" | "message-id" | "message-key" | "message-except")
            || name.starts_with("ce-")
    };
    let mut headers: Vec<[&[u8]; 2]> = parts
        .headers
        .iter()
        .filter(|(name, _)| told(name.as_str()))
        .map(|(name, value)| [name.as_str().as_bytes(), value.as_bytes()])
        .collect();
    // A proxy may pass headers on in another order; it is the same request.
    headers.sort_unstable();
    let target = [parts.method.as_str(), parts.uri.path(), parts.uri.query().unwrap_or_default()];
    digest(target.map(str::as_bytes).into_iter().chain([body]).chain(headers.into_iter().flatten()))
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
    // Before the body is read, which may take seconds: a repetition that comes meanwhile must find the key taken.
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
            // Whatever fails from here on, or is cut off as the client leaves, drops the claim and frees the key. What
            // was published by then is recognised by its message ids when the request comes again.
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
    use axum::http::Request;

    use super::*;

    fn of(headers: &[(&str, &str)]) -> Fingerprint {
        let request = Request::post("/v1/topics/a/messages");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        fingerprint(&request.body(()).unwrap().into_parts().0, b"{}")
    }

    #[test]
    fn whatever_says_what_is_published_to_whom_makes_another_request() {
        let plain = of(&[]);
        for name in ["content-type", "message-id", "message-key", "message-except", "ce-id"] {
            assert_ne!(of(&[(name, "a")]), plain, "{name}");
            assert_ne!(of(&[(name, "a")]), of(&[(name, "b")]), "{name}");
        }
        assert_eq!(of(&[("via", "a proxy")]), plain);
        assert_eq!(
            of(&[("message-id", "a"), ("message-except", "b")]),
            of(&[("message-except", "b"), ("message-id", "a")])
        );
    }
}
