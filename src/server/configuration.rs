//! `GET /v1/config`: every setting with its value in force, for back ends whose API key has `admin`. Secrets are hidden.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};

use super::front::Front;
use crate::{
    broker::Broker,
    doors::http::{Admin, HasBroker},
};

impl HasBroker for Arc<Front> {
    fn broker(&self) -> &Broker {
        &self.broker
    }
}

pub(super) async fn show(State(front): State<Arc<Front>>, _: Admin) -> Response {
    Json(&front.settings.load().effective).into_response()
}
