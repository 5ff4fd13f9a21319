//! What all black-box tests share: a broker as a child process, clients that know nothing of its code, and patience.
//!
//! No test sleeps and hopes. [`within`] and [`eventually`] wait for a condition and fail at a deadline that only a
//! broken broker reaches; that something does *not* arrive is shown by a later event that does.

use std::{
    panic::Location,
    time::{Duration, Instant},
};

mod client;
mod connect;
mod encoding;
mod http;
mod keys;
mod random;
mod raw;
mod server;
pub(crate) mod signing;
mod stream;
mod token;
mod transcript;
pub(crate) mod yjs;

pub(crate) use client::{Client, Ending};
pub(crate) use connect::Connect;
pub(crate) use encoding::{Encoding, bin};
pub(crate) use http::{Answer, get, post, raw_request, request};
pub(crate) use keys::{ADMIN, SECRET, WRITER, with_keys};
pub(crate) use random::Random;
pub(crate) use raw::{Frame, Raw, deflate, mask, opcode};
pub(crate) use server::{Launch, Scratch, Server};
pub(crate) use signing::now_s;
pub(crate) use stream::EventStream;
pub(crate) use token::{mint, seconds_from_now};
pub(crate) use transcript::Transcript;

/// How long anything may take that a sound broker does at once.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What a test needs and this machine lacks. Says so, and lets the test be; where `CI` is set it has failed.
#[track_caller]
pub(crate) fn missing(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "CI is set, so nothing may be missing: {what}");
    eprintln!("SKIPPED: there is no {what}");
}

/// For tests that move many megabytes or thousands of connections through a debug build.
pub(crate) const LONG_PATIENCE: Duration = Duration::from_secs(90);

/// The future's output, or a failed test that names the caller.
#[track_caller]
pub(crate) fn within<F: Future>(limit: Duration, future: F) -> impl Future<Output = F::Output> {
    let caller = Location::caller();
    async move {
        match tokio::time::timeout(limit, future).await {
            Ok(output) => output,
            Err(_) => panic!("nothing within {limit:?} at {caller}"),
        }
    }
}

/// Asks again and again until the probe has an answer.
#[track_caller]
pub(crate) fn eventually<T, P: AsyncFnMut() -> Option<T>>(mut probe: P) -> impl Future<Output = T> {
    let caller = Location::caller();
    async move {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(answer) = probe().await {
                return answer;
            }
            assert!(Instant::now() < deadline, "not within {PATIENCE:?} at {caller}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
