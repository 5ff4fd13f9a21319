//! `POST /v1/topics/{topic}/messages`: the body becomes a message, or several if it is a batch of CloudEvents.

use axum::{
    body::Bytes,
    extract::{Request, State},
    http::HeaderMap,
    response::Response,
};
use fanwire_proto::{ClientId, Tags};
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    ack::{Ack, AckName, Sent},
    cloudevents::{self, Mode},
    idempotency::once,
    item::{LABEL_BYTES_MAX, check_count, client, message_bytes_max},
    outcome::{Published, Results},
};
use crate::{
    auth::Verb,
    defaults,
    doors::http::{
        api::Api,
        body::{content_type, keep_content_type, payload_of},
        caller::{Caller, TopicPath},
        openapi::{self, CloudEvent},
        problem::Problem,
    },
    memory::Owner,
    topic::Draft,
};

/// One message's answer, or that of a batch.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "for the document")]
enum PublishAnswer {
    One(Published),
    Many(Results),
}

/// Publish a message
///
/// The body is the message, as its `Content-Type` says: JSON, text, or bytes. With `application/cloudevents+json` or `ce-*`
/// headers it is a CloudEvent, with `application/cloudevents-batch+json` several, whose answer is that of a batch.
#[utoipa::path(
    post, path = "/v1/topics/{topic}/messages", tag = openapi::PUBLISH, operation_id = "publish",
    params(
        ("topic" = String, Path, min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f*]+$"),
        ("ack" = inline(Option<AckName>), Query, description = "What is to be acknowledged."),
        ("Idempotency-Key" = Option<String>, Header, min_length = 1, max_length = 255, pattern = r"^[\x21\x23-\x7e]+$", description = "A request sent again under its key is answered again, not done again."),
        ("Message-Id" = Option<String>, Header, description = "Makes the publish idempotent within the topic."),
        ("Message-Key" = Option<String>, Header, description = "Kind `latest`: which value it replaces."),
        ("Message-Except" = Option<String>, Header, pattern = "^[0-9a-f]{16}$", description = "The client that does not get it."),
    ),
    request_body(content(
        (Value = "application/json"), (String = "text/plain"), (Vec<u8> = "application/octet-stream"),
        (CloudEvent = "application/cloudevents+json"), (Vec<CloudEvent> = "application/cloudevents-batch+json"),
    )),
    responses(
        (status = 200, body = inline(PublishAnswer), description = "Published"),
        (status = 202, description = "`ack=none`: taken; no body"),
        (status = 207, body = Results, description = "Of a batch of events, some were refused"),
    )
)]
pub(super) async fn publish(
    State(api): State<Api>,
    caller: Caller,
    TopicPath(topic): TopicPath,
    request: Request,
) -> Result<Response, Problem> {
    // `Publisher` asks again; here so that whoever may not publish does not send megabytes first.
    caller.may(Verb::Publish, &topic)?;
    let ack = Ack::of(request.uri())?;
    let mode = Mode::of(request.headers())?;
    let most = api.door.broker.payload_limit(&topic);
    let limit = match mode {
        Mode::Plain | Mode::Binary => most,
        Mode::Structured => message_bytes_max(most),
        Mode::Batched => message_bytes_max(most).max(defaults::BATCH_BYTES),
    };
    once(&api, &caller, request.into_parts(), limit, ack, |publisher, parts, body| {
        let labels = Labels::of(&parts.headers, mode)?;
        let mut publish = |draft: Draft| publisher.publish(topic.clone(), labels.clone().attach_to(draft));
        let draft = match mode {
            Mode::Plain => plain(&parts.headers, body)?,
            Mode::Binary => cloudevents::binary(&parts.headers, body)?,
            Mode::Structured => cloudevents::structured(body)?,
            Mode::Batched => {
                let events = cloudevents::batched(body)?;
                check_count(events.len())?;
                let outcomes = events.into_iter().map(|event| event.and_then(&mut publish).into());
                return Ok(Sent::Many(outcomes.collect()));
            }
        };
        Ok(Sent::One(publish(draft)?))
    })
    .await
}

/// The body as it is.
fn plain(headers: &HeaderMap, body: &Bytes) -> Result<Draft, Problem> {
    let content_type = content_type(headers);
    let mut tags = Tags::new();
    keep_content_type(&mut tags, content_type)?;
    let tags = (!tags.is_empty()).then_some(tags);
    Ok(Draft {
        payload: payload_of(content_type, body)?,
        key: None,
        message_id: None,
        tags,
        from: None,
        not_to: None,
        by: Owner::default(),
    })
}

/// What headers say of a message.
#[derive(Clone)]
struct Labels {
    key: Option<String>,
    message_id: Option<String>,
    except: Option<ClientId>,
}

impl Labels {
    fn of(headers: &HeaderMap, mode: Mode) -> Result<Self, Problem> {
        let labels = Self {
            key: label(headers, "message-key")?,
            message_id: label(headers, "message-id")?,
            except: label(headers, "message-except")?
                .map(|text| client(&text, "message-except"))
                .transpose()?,
        };
        match labels.message_id.is_some() && mode == Mode::Batched {
            true => Err(Problem::bad_request("`Message-Id` is for one message, not for a batch")),
            false => Ok(labels),
        }
    }

    fn attach_to(self, draft: Draft) -> Draft {
        // The header wins over the id that an event brings, for whoever sends it says here what it calls the same
        // message.
        let message_id = self.message_id.or(draft.message_id);
        Draft { key: self.key, message_id, not_to: self.except, ..draft }
    }
}

fn label(headers: &HeaderMap, name: &str) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    match value.to_str() {
        Ok(text) if (1..=LABEL_BYTES_MAX).contains(&text.len()) => Ok(Some(text.into())),
        _ => Err(Problem::bad_request(format!("`{name}` must have 1 to {LABEL_BYTES_MAX} ASCII characters"))),
    }
}
