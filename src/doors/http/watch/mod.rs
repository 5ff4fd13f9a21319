//! What goes on in the broker, for the console and others who look after it: figures, topics with their rates, connections,
//! and messages as they are published. All of it takes an API key with `admin`, unless the broker has no credentials at all.
//!
//! Nothing is counted for this on the way of a message: rates are differences between two looks, and nobody looks while
//! nobody watches.

mod connections;
mod feed;
mod figures;
mod ranking;
mod sampler;
mod stats;
mod tap;

pub(super) use sampler::Watch;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::api::Api;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(stats::stats))
        .routes(routes!(stats::stats_stream))
        .routes(routes!(connections::connections))
        .routes(routes!(tap::tap))
}
