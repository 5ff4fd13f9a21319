//! The HTTP door: publishing by `POST`, and the small pages that operators and probes read.

mod body;
mod credentials;
mod problem;
mod publish;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderValue, StatusCode, Uri, header},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
pub use credentials::{authorize, bearer};
use fanwire_proto::ErrorCode;
use metrics_exporter_prometheus::PrometheusHandle;
pub use problem::problem;

use super::errors::Failure;
use crate::broker::Broker;

/// What the routes share.
#[derive(Clone)]
pub struct HttpDoor {
    /// The broker.
    pub broker: Arc<Broker>,
    /// Renders `/metrics`.
    pub metrics: PrometheusHandle,
    /// Time to read a request's body.
    pub body_timeout: Duration,
}

/// A page for people, without anything from elsewhere.
const CONSOLE: &str = include_str!("console.html");

/// The page needs its own script and style and its own broker, nothing else.
const CONSOLE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// All routes but `/ws`.
pub fn router(door: HttpDoor) -> Router {
    Router::new()
        .route("/", get(async || ([(header::CONTENT_SECURITY_POLICY, CONSOLE_POLICY)], Html(CONSOLE))))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/v1/topics/{topic}/messages", post(publish::publish))
        .fallback(async |uri: Uri| not_found(&uri))
        .method_not_allowed_fallback(async || {
            problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "")
        })
        .with_state(door)
}

async fn ready(State(door): State<HttpDoor>) -> Response {
    match door.broker.is_draining() {
        false => "ready\n".into_response(),
        true => Failure::new(ErrorCode::Draining, "the broker is draining").into_response(),
    }
}

async fn metrics(State(door): State<HttpDoor>) -> Response {
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, text)], door.metrics.render()).into_response()
}

fn not_found(uri: &Uri) -> Response {
    problem(StatusCode::NOT_FOUND, "not_found", &format!("there is nothing at {}", uri.path()))
}

/// Milliseconds since 1970.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
