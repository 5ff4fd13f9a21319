//! The HTTP door: publishing by `POST`, and the small pages that operators and probes read.

mod api;
mod away;
mod bodies;
mod body;
mod caller;
mod chunked;
mod credentials;
mod documents;
mod elsewhere;
mod error_page;
mod form;
mod nowhere;
mod openapi;
mod pages;
mod path;
mod places;
mod probes;
mod problem;
mod publish;
mod query;
mod read;
mod versions;
mod watch;

pub use api::{Api, HttpDoor};
pub(super) use away::with_topic;
use axum::{Router, body::Bytes, http::Uri, middleware, routing::get};
pub use bodies::Bodies;
pub(super) use body::{read_body, read_body_for};
pub(super) use caller::topic_name;
pub use caller::{Admin, HasBroker};
pub(super) use chunked::close_after_chunks;
pub use credentials::{Sender, bearer};
pub use nowhere::method_not_allowed;
pub(super) use nowhere::not_found;
pub(super) use openapi::WATCH;
pub use path::canonical;
pub(super) use problem::json;
pub use problem::{Code, Problem};
pub(super) use query::{count, query};
use utoipa::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

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
            .routes(routes!(probes::healthy))
            .routes(routes!(probes::ready))
            .routes(routes!(probes::metrics))
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
