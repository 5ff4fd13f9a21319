//! `POST /v1/publish`: many messages in one request.
//!
//! Each is published or refused by itself, in order, unless the batch is `atomic`: then all are checked first (form,
//! permission, size, kind and room of the topic), and if any of them would be refused, none is published. The check is
//! no lock: a topic that fills up between check and publishing can still refuse, which then shows in the results (207),
//! and subscribers may see messages of others between those of the batch.

use axum::{
    body::Bytes,
    extract::{Request, State},
    response::Response,
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    ack::{Ack, AckName, Pending, Publisher, Sent},
    idempotency::once,
    item::{Fields, Item, check_count, message_bytes_max},
    outcome::Results,
};
use crate::{
    defaults,
    doors::http::{
        api::Api,
        caller::Caller,
        openapi::{self, NewMessages},
        problem::Problem,
    },
};

#[derive(Deserialize)]
struct Batch<M> {
    messages: Vec<M>,
    #[serde(default)]
    atomic: bool,
}

/// Publish many messages
///
/// Each is published or refused by itself, in order, unless the batch is `atomic`.
#[utoipa::path(
    post, path = "/v1/publish", tag = openapi::PUBLISH,
    params(
        ("ack" = inline(Option<AckName>), Query, description = "What is to be acknowledged."),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = r"^[\x21\x23-\x7e]+$", description = "A request sent again under its key is answered again, not done again."),
    ),
    request_body(content = NewMessages),
    responses(
        (status = 200, body = Results, description = "All were published"),
        (status = 202, description = "`ack=none`: all were published; no body"),
        (status = 207, body = Results, description = "Some were refused"),
    )
)]
pub(super) async fn publish_batch(
    State(api): State<Api>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let ack = Ack::of(request.uri())?;
    let limit =
        message_bytes_max(api.door.broker.policy().limits.max_message_bytes).max(defaults::BATCH_BYTES);
    once(&api, &caller, request.into_parts(), limit, ack, |publisher, _, body| {
        let Batch { messages, atomic } = read(body)?;
        // A message counts once for each of its topics.
        check_count(messages.iter().map(|item| item.as_ref().map_or(1, Item::count)).sum())?;
        Ok(Sent::Many(match atomic {
            true => publish_all(publisher, messages)?,
            false => messages.into_iter().map(|message| publish(publisher, message)).collect(),
        }))
    })
    .await
}

/// Reads the messages in one go if all are sound, else each by itself, so that a mistake in one is that one's.
fn read(body: &Bytes) -> Result<Batch<Result<Item, Problem>>, Problem> {
    let body = std::str::from_utf8(body)
        .map_err(|error| Problem::bad_request(format!("the body is not UTF-8: {error}")))?;
    if let Ok(Batch { messages, atomic }) = serde_json::from_str::<Batch<Fields<'_>>>(body) {
        return Ok(Batch { messages: messages.into_iter().map(Item::try_from).collect(), atomic });
    }
    let batch = serde_json::from_str::<Batch<&RawValue>>(body)
        .map_err(|error| Problem::bad_request(format!("this is no batch of messages: {error}")))?;
    let messages = batch.messages.into_iter().map(|message| Item::read(message.get())).collect();
    Ok(Batch { messages, atomic: batch.atomic })
}

fn publish(publisher: &mut Publisher<'_>, message: Result<Item, Problem>) -> Pending {
    message.map_or_else(|problem| Pending::One(Err(problem)), |item| item.publish(publisher))
}

fn publish_all(
    publisher: &mut Publisher<'_>,
    messages: Vec<Result<Item, Problem>>,
) -> Result<Vec<Pending>, Problem> {
    // All are checked before the first is published, which is as much as `atomic` promises: see above.
    let mut items = Vec::with_capacity(messages.len());
    for (index, message) in messages.into_iter().enumerate() {
        let checked =
            message.and_then(|item| item.check(publisher.broker(), publisher.caller()).map(|()| item));
        items.push(checked.map_err(|problem| Problem {
            detail: format!("message {index}: {}; nothing was published", problem.detail),
            index: Some(index),
            ..problem
        })?);
    }
    Ok(items.into_iter().map(|item| item.publish(publisher)).collect())
}
