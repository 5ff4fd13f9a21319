//! `POST /v1/publish`: many messages in one request.
//!
//! Each is published or refused by itself, in order, unless the batch is `atomic`: then all are checked first (form,
//! permission, size, kind and room of the topic), and if any of them would be refused, none is published. The check is
//! no lock: a topic that fills up between check and publishing can still refuse, which then shows in the results (207),
//! and subscribers may see messages of others between those of the batch.

use axum::{
    body::Bytes,
    extract::{Request, State},
    http::StatusCode,
    response::Response,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use super::{
    Api,
    caller::Caller,
    idempotency::{Answer, once},
    item::{Fields, Item, Outcome, message_bytes_max},
    openapi::{self, NewMessages},
    problem::Problem,
    publish::{ANSWER_BYTES, Ack, AckName},
};
use crate::{broker::Broker, defaults};

#[derive(Deserialize)]
struct Batch<M> {
    messages: Vec<M>,
    #[serde(default)]
    atomic: bool,
}

/// What became of the messages, in their order.
#[derive(Serialize, ToSchema)]
pub(super) struct Results {
    results: Vec<Outcome>,
}

impl Results {
    /// 200, or 207 if anything was refused.
    pub(super) fn answer(results: Vec<Outcome>, ack: Ack) -> Result<Answer, Problem> {
        let size = results.len() * ANSWER_BYTES;
        match results.iter().all(Outcome::is_success) {
            true => ack.answer(StatusCode::OK, &Self { results }, size),
            // Whoever wants no acknowledgement still wants to know of failures.
            false => Ack::Accepted.answer(StatusCode::MULTI_STATUS, &Self { results }, size),
        }
    }
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
    let broker = &*api.door.broker;
    let limit = message_bytes_max(broker.policy().limits.max_message_bytes).max(defaults::BATCH_BYTES);
    once(&api, &caller, request.into_parts(), limit, |_, body| {
        let Batch { messages, atomic } = read(body)?;
        // A message counts once for each of its topics.
        check_count(messages.iter().map(|item| item.as_ref().map_or(1, Item::count)).sum())?;
        let results = match atomic {
            true => publish_all(broker, &caller, messages)?,
            false => messages.into_iter().map(|message| publish(broker, &caller, message)).collect(),
        };
        Results::answer(results, ack)
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

/// Bounds the messages of a request.
pub(super) fn check_count(count: usize) -> Result<(), Problem> {
    let most = defaults::BATCH_MESSAGES;
    match count > most {
        true => Err(Problem::too_large(format!("there are {count} messages; {most} are allowed"))),
        false => Ok(()),
    }
}

fn publish(broker: &Broker, caller: &Caller, message: Result<Item, Problem>) -> Outcome {
    message.map_or_else(Outcome::Problem, |item| item.publish(broker, caller))
}

fn publish_all(
    broker: &Broker,
    caller: &Caller,
    messages: Vec<Result<Item, Problem>>,
) -> Result<Vec<Outcome>, Problem> {
    let mut items = Vec::with_capacity(messages.len());
    for (index, message) in messages.into_iter().enumerate() {
        let checked = message.and_then(|item| item.check(broker, caller).map(|()| item));
        items.push(checked.map_err(|problem| Problem {
            detail: format!("message {index}: {}; nothing was published", problem.detail),
            index: Some(index),
            ..problem
        })?);
    }
    Ok(items.into_iter().map(|item| item.publish(broker, caller)).collect())
}
