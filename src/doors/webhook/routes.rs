//! The door's addresses: `/in/{source}` for providers, `/v1/deliveries` for those who look after the broker.

use std::sync::Arc;

use axum::{Router, middleware, routing::any};
use utoipa_axum::router::OpenApiRouter;

use super::{Webhooks, deliveries, receive, shared::Shared};
use crate::doors::http::{Api, close_after_chunks};

/// Where webhooks come in; apart from other routes, since their `OPTIONS` is not about CORS.
pub fn router(api: Api, webhooks: Arc<Webhooks>) -> Router {
    Router::new()
        .route("/in/{source}", any(receive::receive))
        .route("/in/{source}/", any(receive::receive))
        .route("/in/{source}/{token}", any(receive::receive_with_token))
        .layer(middleware::from_fn(close_after_chunks))
        .with_state(Shared { api, webhooks })
}

/// What came in, to be merged into the documented routes.
pub fn watching(api: Api, webhooks: Arc<Webhooks>) -> OpenApiRouter<Api> {
    deliveries::routes().with_state(Shared { api, webhooks })
}
