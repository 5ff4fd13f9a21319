//! `POST /v1/topics/{topic}/messages`: the body becomes a message.

use axum::{
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use fanwire_proto::{Epoch, ErrorCode, Offset, TopicName};
use serde::Serialize;

use super::{HttpDoor, body::payload_of, body::read_body, credentials::authorize, problem::json, unix_ms};
use crate::{auth::Verb, doors::errors::Failure, topic::Draft};

/// What a publish answers.
#[derive(Serialize)]
struct Published<'a> {
    id: String,
    topic: &'a TopicName,
    offset: Offset,
    epoch: Epoch,
    duplicate: bool,
    subscribers: usize,
}

pub(super) async fn publish(
    State(door): State<HttpDoor>,
    topic: Option<Path<String>>,
    request: Request,
) -> Response {
    door.broker.metrics.http_requests.increment(1);
    match try_publish(&door, topic, request).await {
        Ok(response) => response,
        Err(failure) => failure.into_response(),
    }
}

async fn try_publish(
    door: &HttpDoor,
    topic: Option<Path<String>>,
    request: Request,
) -> Result<Response, Failure> {
    let now_ms = unix_ms();
    let not_text = || Failure::new(ErrorCode::BadTopic, "the topic in the path is not UTF-8");
    let Path(topic) = topic.ok_or_else(not_text)?;
    let topic =
        TopicName::new(&topic).map_err(|error| Failure::new(ErrorCode::BadTopic, error.to_string()))?;
    let (parts, body) = request.into_parts();
    if !authorize(&door.broker, &parts.headers, now_ms)?.allows(Verb::Publish, &topic) {
        return Err(Failure::forbidden(Verb::Publish));
    }
    let limit = door.broker.policy().limits.max_message_bytes;
    let body = read_body(body, limit, door.body_timeout).await?;
    let draft = Draft {
        payload: payload_of(&parts.headers, &body)?,
        key: label(&parts.headers, "message-key")?,
        message_id: label(&parts.headers, "message-id")?,
        tags: None,
        from: None,
    };
    let receipt = door.broker.publish(&topic, draft, now_ms)?;
    let answer = Published {
        id: format!("{}-{}", receipt.epoch, receipt.offset),
        topic: &topic,
        offset: receipt.offset,
        epoch: receipt.epoch,
        duplicate: receipt.duplicate,
        subscribers: receipt.subscribers,
    };
    Ok(json(StatusCode::OK, "application/json", &answer))
}

fn label(headers: &HeaderMap, name: &str) -> Result<Option<String>, Failure> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    match value.to_str() {
        Ok(text) if (1..=200).contains(&text.len()) => Ok(Some(text.into())),
        _ => {
            Err(Failure::new(ErrorCode::BadRequest, format!("`{name}` must have 1 to 200 ASCII characters")))
        }
    }
}
