//! All addresses: the ways in for connections, the API, webhooks.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    routing::get,
};

use super::{configuration, cors, front::Front, upgrade};
use crate::doors::{Entrance, http::method_not_allowed};

pub(super) fn routes(
    front: &Arc<Front>,
    ways_in: Vec<Arc<dyn Entrance>>,
    http: Router,
    webhooks: Router,
) -> Router {
    ways_in
        .into_iter()
        .fold(Router::new(), with_entrance)
        .route("/v1/config", get(configuration::show))
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(front.clone())
        .merge(http)
        .layer(cors::layer(front))
        .merge(webhooks)
}

fn with_entrance(routes: Router<Arc<Front>>, entrance: Arc<dyn Entrance>) -> Router<Arc<Front>> {
    entrance.paths().iter().fold(routes, |routes, path| {
        let entrance = entrance.clone();
        routes.route(
            path,
            get(move |State(front): State<Arc<Front>>, request: Request| {
                let entrance = entrance.clone();
                async move { upgrade::enter(&front, &*entrance, request).await }
            }),
        )
    })
}
