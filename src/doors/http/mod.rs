//! The HTTP door: publishing by `POST`, and the small pages that operators and probes read.

mod away;
mod bodies;
mod body;
mod caller;
mod credentials;
mod documents;
mod elsewhere;
mod error_page;
mod form;
mod openapi;
mod pages;
mod path;
mod places;
mod problem;
mod publish;
mod query;
mod read;
mod versions;
mod watch;

use std::{sync::Arc, time::Duration};

pub(super) use away::with_topic;
use axum::{
    Router,
    body::Bytes,
    extract::{FromRef, Request, State},
    http::{HeaderValue, Uri, header, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
pub use bodies::Bodies;
pub(super) use body::{read_body, read_body_for};
pub(super) use caller::topic_name;
pub use caller::{Admin, HasBroker};
pub use credentials::{Sender, bearer};
use fanwire_proto::ErrorCode;
use metrics_exporter_prometheus::PrometheusHandle;
pub(super) use openapi::WATCH;
pub use path::canonical;
pub(super) use problem::json;
pub use problem::{Code, Problem};
pub(super) use query::{count, query};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use self::bodies::Payer;
use super::errors::Failure;
use crate::{broker::Broker, defaults, durable::Trouble, liveness::Watchdog, memory::Class};

/// What the server hands to the routes.
#[derive(Clone)]
pub struct HttpDoor {
    /// The broker.
    pub broker: Arc<Broker>,
    /// Renders `/metrics`.
    pub metrics: PrometheusHandle,
    /// Time to read a request's body.
    pub body_timeout: Duration,
    /// Knows which threads stand still.
    pub watchdog: Arc<Watchdog>,
    /// Memory for request bodies.
    pub bodies: Arc<Bodies>,
}

/// What the routes share, and those of other doors that read requests as these do.
#[derive(Clone)]
pub struct Api {
    door: HttpDoor,
    answers: Arc<publish::Answers>,
    watch: Arc<watch::Watch>,
    /// Each listing looks at every topic, so more at a time would only slow down publishing.
    listings: Arc<places::Places>,
}

impl FromRef<Api> for HttpDoor {
    fn from_ref(api: &Api) -> Self {
        api.door.clone()
    }
}

impl HasBroker for Api {
    fn broker(&self) -> &Broker {
        &self.door.broker
    }

    fn bodies(&self) -> Option<&Bodies> {
        Some(&self.door.bodies)
    }
}

impl Api {
    /// At whose expense a request's body is read.
    pub(in crate::doors) fn payer_of(&self, parts: &Parts) -> Payer {
        self.door.bodies.payer_of(parts)
    }

    /// What routes of this door need.
    pub fn new(door: HttpDoor) -> Self {
        let answers = Arc::new(publish::Answers::open(
            door.broker.committer().clone(),
            door.broker.memory().share(Class::Idempotency).clone(),
        ));
        let listings = Arc::new(places::Places::new(defaults::LISTINGS));
        Self { door, answers, watch: Arc::default(), listings }
    }
}

/// All routes but those of `server`, and those of other doors that are documented beside them.
pub fn router(api: Api, beside: OpenApiRouter<Api>) -> Router {
    let (router, document) =
        OpenApiRouter::with_openapi(openapi::Start::openapi().merge_from(elsewhere::Elsewhere::openapi()))
            .merge(publish::routes())
            .routes(routes!(read::history))
            .routes(routes!(read::list))
            .routes(routes!(read::one))
            .routes(routes!(read::presence))
            .routes(routes!(documents::read, documents::replace, documents::delete))
            .routes(routes!(documents::awareness))
            .routes(routes!(versions::list, versions::keep))
            .routes(routes!(versions::delete))
            .routes(routes!(versions::restore))
            .merge(watch::routes())
            .merge(beside)
            .routes(routes!(healthy))
            .routes(routes!(ready))
            .routes(routes!(metrics))
            .split_for_parts();
    let document = Bytes::from(serde_json::to_vec(&openapi::complete(document)).unwrap_or_default());
    router
        .merge(pages::routes())
        .route("/docs/errors", get(error_page::serve))
        .route("/v1/openapi.json", get(async move || openapi::serve(&document)))
        .fallback(async |uri: Uri| not_found(&uri))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn(close_after_chunks))
        .with_state(api)
}

/// What a path answers to methods that it does not take.
pub async fn method_not_allowed() -> Response {
    Problem::new(Code::MethodNotAllowed, "this path takes other methods, see `Allow`").into_response()
}

/// Alive
#[utoipa::path(get, path = "/healthz", tag = openapi::OPERATE, responses((status = 200, body = String, description = "It runs")))]
async fn healthy() -> &'static str {
    "ok\n"
}

/// Ready for work
///
/// `ready`, and further lines beginning with `degraded:` while durable topics take no messages, or a thread that waits for the
/// disk has done nothing for a while. That is no reason to send clients elsewhere: reading and everything in memory goes on.
/// While a thread that owns connections does nothing, 503.
#[utoipa::path(get, path = "/readyz", tag = openapi::OPERATE, responses((status = 200, body = String, description = "It takes work")))]
async fn ready(State(door): State<HttpDoor>) -> Response {
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
async fn metrics(State(door): State<HttpDoor>) -> Response {
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, text)], door.metrics.render()).into_response()
}

pub(super) fn not_found(uri: &Uri) -> Problem {
    // Below `/in/` a path may hold the secret of a source.
    let path = if uri.path().starts_with("/in/") { "/in/…" } else { uri.path() };
    Problem::new(Code::NotFound, format!("there is nothing at {path}"))
}

/// Ends the connection after a chunked request. Where a request has a `Content-Length`, too, some proxy may take its
/// tail for the next request; hyper hides that header, so all of them are treated alike (RFC 9112 §6.1).
pub(super) async fn close_after_chunks(request: Request, next: Next) -> Response {
    let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
    let mut response = next.run(request).await;
    if chunked {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
