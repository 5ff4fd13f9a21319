//! What is answered where nothing is, or nothing that takes this method.

use axum::{
    http::Uri,
    response::{IntoResponse, Response},
};

use super::problem::{Code, Problem};

/// There is nothing at this address.
pub(in crate::doors) fn not_found(uri: &Uri) -> Problem {
    // Below `/in/` a path may hold the secret of a source.
    let path = if uri.path().starts_with("/in/") { "/in/…" } else { uri.path() };
    Problem::new(Code::NotFound, format!("there is nothing at {path}"))
}

/// What a path answers to methods that it does not take.
pub async fn method_not_allowed() -> Response {
    Problem::new(Code::MethodNotAllowed, "this path takes other methods, see `Allow`").into_response()
}
