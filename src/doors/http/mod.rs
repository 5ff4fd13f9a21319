//! The HTTP door: publishing by `POST`, and the small pages that operators and probes read.

mod away;
mod body;
mod caller;
mod credentials;
mod deliveries;
mod documents;
mod elsewhere;
mod error_page;
mod form;
mod ingest;
mod openapi;
mod pages;
mod problem;
mod publish;
mod query;
mod read;
mod versions;
mod watch;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Bytes,
    extract::{FromRef, Request, State},
    http::{HeaderValue, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{any, get},
};
pub use credentials::{authorize, bearer};
use fanwire_proto::ErrorCode;
use metrics_exporter_prometheus::PrometheusHandle;
pub use problem::{Code, Problem};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{errors::Failure, webhook::Webhooks};
use crate::{broker::Broker, durable::Trouble};

/// What the server hands to the routes.
#[derive(Clone)]
pub struct HttpDoor {
    /// The broker.
    pub broker: Arc<Broker>,
    /// Renders `/metrics`.
    pub metrics: PrometheusHandle,
    /// Time to read a request's body.
    pub body_timeout: Duration,
    /// Where webhooks come in.
    pub webhooks: Arc<Webhooks>,
}

/// What the routes share.
#[derive(Clone)]
struct Api {
    door: HttpDoor,
    answers: Arc<publish::Answers>,
    held: Arc<body::Held>,
    watch: Arc<watch::Watch>,
}

impl FromRef<Api> for HttpDoor {
    fn from_ref(api: &Api) -> Self {
        api.door.clone()
    }
}

/// All routes but those of `server`: those for callers of ours, and those for webhooks, whose `OPTIONS` is not about CORS.
pub fn routers(door: HttpDoor) -> (Router, Router) {
    let answers = Arc::new(publish::Answers::open(door.broker.committer().clone()));
    let api = Api { door, answers, held: Arc::default(), watch: Arc::default() };
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
            .merge(deliveries::routes())
            .routes(routes!(healthy))
            .routes(routes!(ready))
            .routes(routes!(metrics))
            .split_for_parts();
    let document = Bytes::from(serde_json::to_vec(&openapi::complete(document)).unwrap_or_default());
    let webhooks = Router::new()
        .route("/in/{source}", any(ingest::receive))
        .route("/in/{source}/{token}", any(ingest::receive_with_token))
        .layer(middleware::from_fn(close_after_chunks))
        .with_state(api.clone());
    let router = router
        .merge(pages::routes())
        .route("/docs/errors", get(error_page::serve))
        .route("/v1/openapi.json", get(async move || openapi::serve(&document)))
        .fallback(async |uri: Uri| not_found(&uri))
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn(close_after_chunks))
        .with_state(api);
    (router, webhooks)
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
/// `ready`, and a second line beginning with `degraded:` while durable topics take no messages. That is no reason to send
/// clients elsewhere: reading and everything in memory goes on.
#[utoipa::path(get, path = "/readyz", tag = openapi::OPERATE, responses((status = 200, body = String, description = "It takes work")))]
async fn ready(State(door): State<HttpDoor>) -> Response {
    if door.broker.is_draining() {
        return Failure::new(ErrorCode::Draining, "the broker is draining").into_response();
    }
    match door.broker.trouble() {
        None => "ready\n",
        Some(Trouble::Full) => "ready\ndegraded: durable publishes are refused, the disk is full\n",
        Some(Trouble::Failed) => {
            "ready\ndegraded: durable publishes are refused, the store fails; the broker's log says why\n"
        }
    }
    .into_response()
}

/// Counts
#[utoipa::path(get, path = "/metrics", tag = openapi::OPERATE, responses((status = 200, body = String, description = "Prometheus")))]
async fn metrics(State(door): State<HttpDoor>) -> Response {
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, text)], door.metrics.render()).into_response()
}

fn not_found(uri: &Uri) -> Problem {
    // Below `/in/` a path may hold the secret of a source.
    let path = if uri.path().starts_with("/in/") { "/in/…" } else { uri.path() };
    Problem::new(Code::NotFound, format!("there is nothing at {path}"))
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
