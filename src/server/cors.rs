//! Cross-origin requests (WHATWG Fetch §3.3): the same pages that may open a WebSocket may call the HTTP API.

use std::{sync::Arc, time::Duration};

use axum::http::{HeaderName, HeaderValue, Method, header, request::Parts};
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::front::Front;

/// How long a browser may remember the answer.
const REMEMBER: Duration = Duration::from_secs(600);

/// Answers preflight requests and marks answers as readable, for pages that may connect. No cookies are ever used, so
/// credentials are not allowed along.
pub(super) fn layer(front: &Arc<Front>) -> CorsLayer {
    let front = front.clone();
    let allowed = move |_: &HeaderValue, parts: &Parts| {
        let Some(origin) = parts.headers.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()) else {
            return false;
        };
        front.settings.load().pages.includes(origin, &parts.headers).is_ok()
    };
    let accepted = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        HeaderName::from_static("idempotency-key"),
        HeaderName::from_static("message-id"),
        HeaderName::from_static("message-key"),
        HeaderName::from_static("message-except"),
        HeaderName::from_static("last-event-id"),
        header::IF_MATCH,
        header::IF_NONE_MATCH,
    ];
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allowed))
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers(accepted)
        .expose_headers([header::RETRY_AFTER, header::ETAG, HeaderName::from_static("idempotency-replayed")])
        .max_age(REMEMBER)
}
