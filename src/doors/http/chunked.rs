//! Chunked requests: the connection ends after them.

use axum::{
    extract::Request,
    http::{HeaderValue, header},
    middleware::Next,
    response::Response,
};

/// Ends the connection after a chunked request. Where a request has a `Content-Length`, too, some proxy may take its
/// tail for the next request; hyper hides that header, so all of them are treated alike (RFC 9112 §6.1).
pub(in crate::doors) async fn close_after_chunks(request: Request, next: Next) -> Response {
    let chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
    let mut response = next.run(request).await;
    if chunked {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}
