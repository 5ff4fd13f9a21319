//! What probes and collectors of figures ask: whether it lives, whether it is ready, its counts.

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use fanwire_proto::ErrorCode;

use super::{api::HttpDoor, openapi};
use crate::{doors::errors::Failure, durable::Trouble};

/// Alive
#[utoipa::path(get, path = "/healthz", tag = openapi::OPERATE, responses((status = 200, body = String, description = "It runs")))]
pub(super) async fn healthy() -> &'static str {
    "ok\n"
}

/// Ready for work
///
/// `ready`, and further lines beginning with `degraded:` while durable topics take no messages, or a thread that waits for the
/// disk has done nothing for a while. That is no reason to send clients elsewhere: reading and everything in memory goes on.
/// While a thread that owns connections does nothing, 503.
#[utoipa::path(get, path = "/readyz", tag = openapi::OPERATE, responses((status = 200, body = String, description = "It takes work")))]
pub(super) async fn ready(State(door): State<HttpDoor>) -> Response {
    if door.broker.is_draining() {
        return Failure::new(ErrorCode::Draining, "the broker is draining").into_response();
    }
    let stalled = door.watchdog.stalled();
    if let Some(thread) = stalled.iter().find(|thread| thread.is_loop) {
        return Failure::new(ErrorCode::Overloaded, thread.to_string()).into_response();
    }
    let mut text = String::from("ready\n");
    match door.broker.trouble() {
        None => {}
        Some(Trouble::Full) => text.push_str("degraded: durable publishes are refused, the disk is full\n"),
        Some(Trouble::Failed) => text.push_str(
            "degraded: durable publishes are refused, the store fails; the broker's log says why\n",
        ),
    }
    for thread in stalled {
        text.push_str(&format!("degraded: {thread}\n"));
    }
    text.into_response()
}

/// Counts
#[utoipa::path(get, path = "/metrics", tag = openapi::OPERATE, responses((status = 200, body = String, description = "Prometheus")))]
pub(super) async fn metrics(State(door): State<HttpDoor>) -> Response {
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, text)], door.metrics.render()).into_response()
}
