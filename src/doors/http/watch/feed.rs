//! A stream of events to somebody who watches: as Server-Sent Events, for as long as the credential is good and the broker
//! is not about to end.

use std::time::Duration;

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use fanwire_proto::ErrorCode;
use futures_util::{Stream, StreamExt};
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use super::sampler::Watch;
use crate::{
    broker::Broker,
    doors::{
        errors::Failure,
        http::{caller::Admin, problem::Problem},
    },
};

/// How often a stream with nothing to say looks whether it may go on.
pub(super) const LOOK_AROUND: Duration = Duration::from_secs(1);

/// The right to a stream.
pub(super) struct Feed {
    admin: Admin,
    headers: HeaderMap,
    _place: OwnedSemaphorePermit,
}

impl Feed {
    /// A place, unless all are taken.
    pub(super) fn open(watch: &Watch, admin: Admin, headers: HeaderMap) -> Result<Self, Problem> {
        let full = |_| Failure::new(ErrorCode::Overloaded, "too many are watching already");
        // Kept for as long as the stream is: each costs a copy of what is shown to it every second.
        let place = watch.places.clone().try_acquire_owned().map_err(full)?;
        Ok(Self { admin, headers, _place: place })
    }

    /// Whether the stream may go on; otherwise its last words.
    pub(super) fn check(&mut self, broker: &Broker) -> Result<(), Bytes> {
        if broker.is_draining() {
            return Err(last_words(&Failure::new(ErrorCode::Draining, "the broker is draining").into()));
        }
        let caller = &mut self.admin.0;
        // Asked again although it is the same credential: the key may have lost `admin` by a reload.
        let allowed = caller.refresh(broker, &self.headers).and_then(|()| caller.must_be_admin());
        allowed.map_err(|problem| last_words(&problem))
    }
}

fn last_words(problem: &Problem) -> Bytes {
    let mut text = Vec::new();
    append(&mut text, "failure", problem);
    text.into()
}

/// Appends an event.
pub(super) fn append<T: Serialize>(out: &mut Vec<u8>, name: &str, data: &T) {
    let start = out.len();
    out.extend_from_slice(format!("event: {name}\ndata: ").as_bytes());
    // JSON text as it was published may have line breaks, which would end the field; between tokens they mean nothing.
    let json = serde_json::to_vec(data).map(|json| {
        out.extend(json.into_iter().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }));
    });
    match json {
        Ok(()) => out.extend_from_slice(b"\n\n"),
        Err(error) => {
            tracing::error!(%error, "an event was not sent");
            out.truncate(start);
        }
    }
}

/// The answer that carries a stream.
pub(super) fn answer(events: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache, no-transform"),
        // nginx and others would collect the stream otherwise.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(events.map(Ok::<_, std::convert::Infallible>))).into_response()
}
