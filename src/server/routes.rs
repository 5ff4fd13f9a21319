//! All addresses: the ways in for connections, the API, webhooks.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::Uri,
    routing::get,
};

use super::{configuration, cors, front::Front, upgrade};
use crate::doors::{
    Entrance,
    http::{canonical, method_not_allowed},
};

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
        // Before the webhooks are merged: a layer is for what is in the router already, and theirs is no CORS.
        .layer(cors::layer(front))
        .merge(webhooks)
}

fn with_entrance(routes: Router<Arc<Front>>, entrance: Arc<dyn Entrance>) -> Router<Arc<Front>> {
    let same = |path: &&'static str| {
        // What ends in a name ends where the name does.
        let with_slash = (!path.ends_with('}')).then(|| format!("{path}/"));
        [Some((*path).to_owned()), with_slash].into_iter().flatten()
    };
    entrance.paths().iter().flat_map(same).fold(routes, |routes, path| {
        let entrance = entrance.clone();
        routes.route(
            &path,
            get(move |State(front): State<Arc<Front>>, request: Request| {
                let entrance = entrance.clone();
                async move { upgrade::enter(&front, &*entrance, request).await }
            }),
        )
    })
}

/// Gives a request the address that its own one means.
pub(super) fn find_address(uri: &mut Uri) {
    let Some(mut path) = canonical(uri.path()) else { return };
    if let Some(query) = uri.query() {
        path.extend(["?", query]);
    }
    // One that has become too long stays what it was, and leads nowhere.
    let Ok(path) = path.parse() else { return };
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(path);
    if let Ok(found) = Uri::from_parts(parts) {
        *uri = found;
    }
}
