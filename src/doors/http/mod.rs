//! The HTTP door: publishing by `POST`, and the small pages that operators and probes read.

mod batch;
mod body;
mod caller;
mod cloudevents;
mod credentials;
mod idempotency;
mod item;
mod lines;
mod problem;
mod publish;
mod query;
mod read;
mod stream;

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    extract::{FromRef, Request, State},
    http::{HeaderValue, Uri, header},
    middleware::{self, Next},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
pub use credentials::{authorize, bearer};
use fanwire_proto::ErrorCode;
use metrics_exporter_prometheus::PrometheusHandle;
pub use problem::{Code, Problem};

use super::errors::Failure;
use crate::broker::Broker;

/// What the server hands to the routes.
#[derive(Clone)]
pub struct HttpDoor {
    /// The broker.
    pub broker: Arc<Broker>,
    /// Renders `/metrics`.
    pub metrics: PrometheusHandle,
    /// Time to read a request's body.
    pub body_timeout: Duration,
}

/// What the routes share.
#[derive(Clone)]
struct Api {
    door: HttpDoor,
    answers: Arc<idempotency::Answers>,
    held: Arc<body::Held>,
}

impl FromRef<Api> for HttpDoor {
    fn from_ref(api: &Api) -> Self {
        api.door.clone()
    }
}

/// A page for people, without anything from elsewhere.
const CONSOLE: &str = include_str!("console.html");

/// The page needs its own script and style and its own broker, nothing else.
const CONSOLE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// All routes but `/ws`.
pub fn router(door: HttpDoor) -> Router {
    let api = Api { door, answers: Arc::default(), held: Arc::default() };
    Router::new()
        .route("/", get(async || ([(header::CONTENT_SECURITY_POLICY, CONSOLE_POLICY)], Html(CONSOLE))))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/v1/topics/{topic}/messages", post(publish::publish).get(read::history))
        .route("/v1/topics", get(read::list))
        .route("/v1/topics/{topic}", get(read::one))
        .route("/v1/topics/{topic}/presence", get(read::presence))
        .route("/v1/publish", post(batch::publish_batch))
        .route("/v1/publish/stream", post(stream::publish_stream))
        .fallback(async |uri: Uri| not_found(&uri))
        .method_not_allowed_fallback(async || {
            Problem::new(Code::MethodNotAllowed, "this path takes other methods, see `Allow`")
        })
        .layer(middleware::from_fn(close_after_chunks))
        .with_state(api)
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

fn not_found(uri: &Uri) -> Problem {
    Problem::new(Code::NotFound, format!("there is nothing at {}", uri.path()))
}

/// Ends the connection after a chunked request. Where a request has a `Content-Length`, too, some proxy may take its
/// tail for the next request; hyper hides that header, so all of them are treated alike (RFC 9112 §6.1).
async fn close_after_chunks(request: Request, next: Next) -> Response {
    let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
    let mut response = next.run(request).await;
    if chunked {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Milliseconds since 1970.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
