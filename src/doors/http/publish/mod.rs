//! Publishing over HTTP: one message, a batch of them, or a stream of lines.
//!
//! ```text
//! message · batch ──► idempotency ──┐
//! stream ──► lines                  ├──► item · cloudevents ──► ack ──► outcome
//!    └──────────────────────────────┘
//! ```

mod ack;
mod answers;
mod batch;
mod cloudevents;
mod entries;
mod idempotency;
mod item;
mod lines;
mod message;
mod outcome;
mod stream;

pub(super) use answers::Answers;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::api::Api;

pub(super) fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .routes(routes!(message::publish))
        .routes(routes!(batch::publish_batch))
        .routes(routes!(stream::publish_stream))
}
