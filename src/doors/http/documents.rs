//! `/v1/documents/{topic}`: the content of a document for those who are no editors: as JSON, as text, or as Yjs has it.

use axum::{
    body::Bytes,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use fanwire_proto::{Epoch, Offset, Position, TopicName};
use serde::Serialize;
use serde_json::{Value, value::RawValue};
use utoipa::ToSchema;

use super::{
    api::Api,
    body::{content_type, media_type, read_body},
    caller::{Caller, TopicPath},
    form::Form,
    openapi,
    problem::{Code, Problem, json, problem_of},
    query::query,
};
use crate::{
    auth::Verb,
    broker::DocumentError,
    collab::{Condition, NewContent},
    topic::KindRule,
};

/// Where a document stands.
#[derive(Serialize, ToSchema)]
pub(super) struct Place {
    #[schema(value_type = String)]
    topic: TopicName,
    #[schema(value_type = String)]
    epoch: Epoch,
    /// The offset of its last update.
    #[schema(value_type = u64)]
    offset: Offset,
}

impl Place {
    pub(super) fn new(topic: TopicName, position: Position) -> Self {
        Self { topic, epoch: position.epoch, offset: position.offset }
    }
}

/// A document
///
/// As JSON: text, objects and arrays by the name of the root. As text: one root. As bytes: the state as an update of Yjs.
#[utoipa::path(
    get, path = "/v1/documents/{topic}", tag = openapi::DOCUMENTS, operation_id = "document",
    params(
        ("topic" = String, Path, min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f*]+$"),
        ("version" = Option<u64>, Query, description = "As it was in this version, which takes the right to read the history."),
        ("root" = Option<String>, Query, description = "Of text, and only of that: which root; by default the only one there is, or `text`."),
    ),
    responses((status = 200, description = "The content; `ETag` says where the document stands", content(
        (Value = "application/json"), (String = "text/plain"), (Vec<u8> = "application/octet-stream"),
    ), headers(("ETag" = String, description = "`EPOCH:OFFSET` in quotes"))))
)]
pub(super) async fn read(
    State(api): State<Api>,
    caller: Caller,
    TopicPath(topic): TopicPath,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    caller.may(Verb::Subscribe, &topic)?;
    let [version, root] = query(&uri, ["version", "root"])?;
    if version.is_some() {
        caller.may(Verb::History, &topic)?;
    }
    let form = Form::accepted(&headers)?;
    form.check_root(root.as_deref())?;
    let (broker, by) = (&api.door.broker, &caller.owner());
    let (state, tag) = match version {
        None => {
            let (state, position) =
                broker.document_state(by, &topic, caller.now_ms).await.map_err(problem_of)?;
            (state, format!("\"{}:{}\"", position.epoch, position.offset))
        }
        Some(version) => {
            let id = version_id(&version)?;
            (broker.version_state(by, &topic, id).await.map_err(problem_of)?, format!("\"version:{id}\""))
        }
    };
    let mut response = form.answer(broker, by, &topic, state, root.map(|root| root.into_owned())).await?;
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Ok(response)
}

pub(super) fn version_id(text: &str) -> Result<u64, Problem> {
    text.parse()
        .map_err(|_| Problem::bad_request("`version` must be a number, as the list of versions has it"))
}

/// Write a document
///
/// What differs is changed by an edit, which everybody who has the document open sees happen; what others do meanwhile
/// stays. `If-None-Match: *` writes only what was never written, `If-Match` with an `ETag` only what stands there.
#[utoipa::path(
    put, path = "/v1/documents/{topic}", tag = openapi::DOCUMENTS, operation_id = "write_document",
    params(
        ("topic" = String, Path, min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f*]+$"),
        ("root" = Option<String>, Query, description = "Of text, and only of that: which root; by default the only one there is, or `text`."),
        ("If-Match" = Option<String>, Header, description = "An `ETag`."),
        ("If-None-Match" = Option<String>, Header, description = "`*`"),
    ),
    request_body(content((Value = "application/json"), (String = "text/plain"), (Vec<u8> = "application/octet-stream"))),
    responses((status = 200, body = Place, description = "It is so; durable, if the rule says so"))
)]
pub(super) async fn replace(
    State(api): State<Api>,
    caller: Caller,
    TopicPath(topic): TopicPath,
    request: Request,
) -> Result<Response, Problem> {
    caller.may(Verb::Publish, &topic)?;
    let (parts, body) = request.into_parts();
    let [root] = query(&parts.uri, ["root"])?;
    let condition = condition(&parts.headers)?;
    // Before the body is read, which may be as large as the document may become. Which kind the topic really has,
    // `replace` looks at.
    let policy = api.door.broker.policy();
    let limit = match policy.rules.of(&topic).kind {
        KindRule::Document(ref bounds) => bounds.max_bytes,
        _ => return Err(problem_of(DocumentError::WrongKind)),
    };
    let body = read_body(&api, &parts, body, limit).await?;
    let content = content_of(&parts.headers, root.map(|root| root.into_owned()), &body.bytes)?;
    let position = api
        .door
        .broker
        .replace(&caller.owner(), &topic, content, condition, caller.now_ms)
        .await
        .map_err(problem_of)?;
    Ok(json(StatusCode::OK, "application/json", &Place::new(topic, position)))
}

fn content_of(headers: &HeaderMap, root: Option<String>, body: &Bytes) -> Result<NewContent, Problem> {
    let text = || {
        std::str::from_utf8(body)
            .map_err(|error| Problem::bad_payload(format!("the body is not UTF-8: {error}")))
    };
    let media_type = media_type(content_type(headers));
    if root.is_some() && !media_type.starts_with("text/") {
        return Err(Problem::bad_request("`root` goes with `text/plain`; other forms have all roots"));
    }
    match media_type.as_str() {
        "application/json" => match serde_json::from_str::<Value>(text()?) {
            Ok(Value::Object(roots)) => Ok(NewContent::Json(roots)),
            Ok(_) => Err(Problem::bad_payload(
                "a document is an object with a text, object or array for each root",
            )),
            Err(error) => Err(Problem::bad_payload(error.to_string())),
        },
        "application/octet-stream" => {
            crate::document::check(body)
                .map_err(|error| Problem::bad_payload(format!("this is not an update of Yjs: {error}")))?;
            Ok(NewContent::State(body.clone()))
        }
        plain if plain.starts_with("text/") => Ok(NewContent::Text(root, text()?.to_owned())),
        _ => {
            let what =
                "documents are written as `application/json`, `text/plain` or `application/octet-stream`";
            Err(Problem::new(Code::UnsupportedMediaType, what))
        }
    }
}

fn condition(headers: &HeaderMap) -> Result<Condition, Problem> {
    let value = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default().trim());
    match (value(header::IF_MATCH), value(header::IF_NONE_MATCH)) {
        (None, None) => Ok(Condition::Always),
        (None, Some("*")) => Ok(Condition::IfNew),
        (Some(tag), None) => {
            let inner = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
            let position = inner.and_then(|tag| tag.split_once(':')).and_then(|(epoch, offset)| {
                // What is no epoch reads as one that no topic has, so a tag that we did not make fails the condition
                // instead of the request.
                Some(Position { epoch: Epoch::read(epoch), offset: Offset(offset.parse().ok()?) })
            });
            position
                .map(Condition::IfAt)
                .ok_or_else(|| Problem::bad_request("`If-Match` must be an `ETag` of the document"))
        }
        _ => Err(Problem::bad_request("`If-None-Match` must be `*`, and not beside `If-Match`")),
    }
}

/// Delete a document
///
/// With its versions. Editors are disconnected and stay away; other subscriptions end with `deleted`. Takes the right to
/// delete, which editors do not have by publishing.
#[utoipa::path(
    delete, path = "/v1/documents/{topic}", tag = openapi::DOCUMENTS, operation_id = "delete_document",
    params(("topic" = String, Path, min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f*]+$")),
    responses((status = 204, description = "It is gone"))
)]
pub(super) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    TopicPath(topic): TopicPath,
    uri: Uri,
) -> Result<Response, Problem> {
    caller.may(Verb::Delete, &topic)?;
    let [] = query(&uri, [])?;
    api.door.broker.delete_document(&caller.owner(), &topic, caller.now_ms).await.map_err(problem_of)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// What an editor says of itself.
#[derive(Serialize, ToSchema)]
struct Awareness {
    /// Yjs's client id.
    client_id: u64,
    /// The connection, unless it has broken off and may come back.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    client: Option<String>,
    #[schema(value_type = Value)]
    state: Box<RawValue>,
}

/// Everyone in a document.
#[derive(Serialize, ToSchema)]
pub(super) struct Everyone {
    #[schema(value_type = String)]
    topic: TopicName,
    states: Vec<Awareness>,
}

/// Who edits a document, with cursor and name
///
/// What editors call awareness. Connections and their users are in the topic's presence.
#[utoipa::path(
    get, path = "/v1/documents/{topic}/awareness", tag = openapi::DOCUMENTS, operation_id = "awareness",
    params(("topic" = String, Path, min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f*]+$")),
    responses((status = 200, body = Everyone, description = "The states"))
)]
pub(super) async fn awareness(
    State(api): State<Api>,
    caller: Caller,
    TopicPath(topic): TopicPath,
    uri: Uri,
) -> Result<Response, Problem> {
    caller.may(Verb::Presence, &topic)?;
    let [] = query(&uri, [])?;
    // A room that is not there is not made by looking: nobody is in it.
    let states = api.door.broker.find_room(&topic).map(|room| room.states()).unwrap_or_default();
    let state = |(client_id, owner, json): (u64, Option<u64>, Bytes)| {
        let state = serde_json::from_slice(&json).ok()?;
        let client = owner.map(|owner| fanwire_proto::ClientId(owner).to_string());
        Some(Awareness { client_id, client, state })
    };
    let states = states.into_iter().filter_map(state).collect();
    Ok(json(StatusCode::OK, "application/json", &Everyone { topic, states }))
}
