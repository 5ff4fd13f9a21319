//! `GET /v1/config`: every setting with its value in force, for back ends whose API key has `admin`. Secrets are hidden.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};

use super::Front;
use crate::{
    clock::unix_ms,
    doors::{errors::Failure, http::authorize},
};

pub(super) async fn show(State(front): State<Arc<Front>>, headers: HeaderMap) -> Response {
    match authorize(&front.broker, &headers, unix_ms()) {
        Ok(grant) if grant.admin => Json(&front.settings.load().effective).into_response(),
        Ok(_) => Failure::not_admin().into_response(),
        Err(failure) => failure.into_response(),
    }
}
