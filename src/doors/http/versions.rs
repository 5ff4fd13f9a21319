//! `/v1/documents/{topic}/versions`: keeping what a document is under a name, and going back to it.

use axum::{
    Json,
    extract::{Path, Request, State},
    http::{StatusCode, Uri},
    response::{IntoResponse, Response},
};
use fanwire_proto::{Epoch, Offset, TopicName};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    api::Api,
    body::read_body,
    caller::{Caller, TopicPath, topic_name},
    documents::{Place, version_id},
    openapi,
    problem::{Problem, json, problem_of},
    query::query,
};
use crate::{
    auth::Verb,
    collab::{self, Condition, NewContent},
    defaults,
};

/// A document as it was.
#[derive(Serialize, ToSchema)]
pub(super) struct Version {
    /// Its number: what names it wherever a version is asked for.
    version: u64,
    name: String,
    /// When it was kept, in milliseconds since 1970.
    time: u64,
    #[schema(value_type = String)]
    epoch: Epoch,
    /// The offset of its last update.
    #[schema(value_type = u64)]
    offset: Offset,
    bytes: u64,
}

impl From<collab::Version> for Version {
    fn from(version: collab::Version) -> Self {
        let position = version.position();
        let collab::Version { id, name, time, bytes, .. } = version;
        Self { version: id, name, time, epoch: position.epoch, offset: position.offset, bytes }
    }
}

/// The versions of a document.
#[derive(Serialize, ToSchema)]
pub(super) struct Versions {
    #[schema(value_type = String)]
    topic: TopicName,
    /// Oldest first.
    versions: Vec<Version>,
}

/// A version to be kept.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewVersion {
    #[schema(min_length = 1, max_length = 50)]
    name: String,
}

/// A version to go back to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    version: u64,
}

/// Bytes of a request here.
const BODY_BYTES: usize = 4096;

async fn read_json<T: for<'a> Deserialize<'a>>(api: &Api, request: Request) -> Result<T, Problem> {
    let (parts, body) = request.into_parts();
    let [] = query(&parts.uri, [])?;
    let body = read_body(api, &parts, body, BODY_BYTES).await?;
    serde_json::from_slice(&body.bytes).map_err(|error| Problem::bad_request(format!("the body: {error}")))
}

/// Versions of a document
#[utoipa::path(
    get, path = "/v1/documents/{topic}/versions", tag = openapi::DOCUMENTS, operation_id = "versions",
    params(("topic" = String, Path, min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f*]+$")),
    responses((status = 200, body = Versions, description = "The versions that were kept"))
)]
pub(super) async fn list(
    State(api): State<Api>,
    caller: Caller,
    TopicPath(topic): TopicPath,
    uri: Uri,
) -> Result<Response, Problem> {
    caller.may(Verb::History, &topic)?;
    let [] = query(&uri, [])?;
    let versions = api.door.broker.versions(&caller.owner(), &topic).await.map_err(problem_of)?;
    let versions = versions.into_iter().map(Into::into).collect();
    Ok(json(StatusCode::OK, "application/json", &Versions { topic, versions }))
}

/// Keep a version
#[utoipa::path(
    post, path = "/v1/documents/{topic}/versions", tag = openapi::DOCUMENTS, operation_id = "keep_version",
    params(("topic" = String, Path, min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f*]+$")),
    request_body = NewVersion,
    responses((status = 201, body = Version, description = "Kept"))
)]
pub(super) async fn keep(
    State(api): State<Api>,
    caller: Caller,
    TopicPath(topic): TopicPath,
    request: Request,
) -> Result<Response, Problem> {
    caller.may(Verb::Publish, &topic)?;
    let NewVersion { name } = read_json(&api, request).await?;
    if name.is_empty() || name.len() > defaults::VERSION_NAME_BYTES {
        let most = defaults::VERSION_NAME_BYTES;
        return Err(Problem::bad_request(format!("`name` must have from 1 to {most} bytes")));
    }
    let version = api
        .door
        .broker
        .keep_version(&caller.owner(), &topic, name, caller.now_ms)
        .await
        .map_err(problem_of)?;
    Ok((StatusCode::CREATED, Json(Version::from(version))).into_response())
}

/// Forget a version
#[utoipa::path(
    delete, path = "/v1/documents/{topic}/versions/{version}", tag = openapi::DOCUMENTS, operation_id = "delete_version",
    params(
        ("topic" = String, Path, min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f*]+$"),
        ("version" = u64, Path),
    ),
    responses((status = 204, description = "It is gone"))
)]
pub(super) async fn delete(
    State(api): State<Api>,
    caller: Caller,
    Path((topic, version)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response, Problem> {
    let topic = topic_name(&topic)?;
    caller.may(Verb::Delete, &topic)?;
    let [] = query(&uri, [])?;
    let id = version_id(&version)?;
    api.door.broker.delete_version(&caller.owner(), &topic, id).await.map_err(problem_of)?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Go back to a version
///
/// By an edit, as any other change: whoever has the document open sees it happen.
#[utoipa::path(
    post, path = "/v1/documents/{topic}/restore", tag = openapi::DOCUMENTS, operation_id = "restore_version",
    params(("topic" = String, Path, min_length = 1, max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f*]+$")),
    request_body = Wanted,
    responses((status = 200, body = Place, description = "The document is what it was then"))
)]
pub(super) async fn restore(
    State(api): State<Api>,
    caller: Caller,
    TopicPath(topic): TopicPath,
    request: Request,
) -> Result<Response, Problem> {
    caller.may(Verb::Publish, &topic)?;
    // Reading the past takes its own right, and going back to a version shows what was in it.
    caller.may(Verb::History, &topic)?;
    let Wanted { version } = read_json(&api, request).await?;
    let (broker, by) = (&api.door.broker, &caller.owner());
    let state = broker.version_state(by, &topic, version).await.map_err(problem_of)?;
    let content = NewContent::State(state);
    let position =
        broker.replace(by, &topic, content, Condition::Always, caller.now_ms).await.map_err(problem_of)?;
    Ok(json(StatusCode::OK, "application/json", &Place::new(topic, position)))
}
