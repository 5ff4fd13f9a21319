//! `/v1/deliveries`: webhooks that came in, to look at and to take once more. For admins.

use axum::{
    extract::{FromRequestParts, Path, State},
    http::{HeaderName, HeaderValue, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use fanwire_proto::ErrorCode;
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    Delivery, DeliveryId, DeliveryPage, DeliveryQuery, NotReplayed, NotTaken, Outcome, shared::Shared,
};
use crate::{
    defaults,
    doors::http::{Admin, Code, Problem, WATCH, count, json, query},
};

pub(super) fn routes() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(deliveries))
        .routes(routes!(delivery))
        .routes(routes!(raw))
        .routes(routes!(replay))
}

/// The `{id}` of a path.
struct IdPath(DeliveryId);

impl FromRequestParts<Shared> for IdPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, shared).await.map_err(|_| unknown())?;
        DeliveryId::read(&text).map(Self).ok_or_else(unknown)
    }
}

fn unknown() -> Problem {
    Problem::new(Code::NotFound, "there is no such delivery, or not any more")
}

/// Webhook deliveries
///
/// Newest first. Of rejected and repeated ones and of handshakes the latest hundred of each source are remembered; with a data
/// directory rejected ones outlast a restart. Needs an API key with `admin`.
#[utoipa::path(
    get, path = "/v1/deliveries", tag = WATCH, operation_id = "deliveries",
    params(
        ("source" = Option<String>, Query, description = "Of this source."),
        ("outcome" = Option<String>, Query, description = "`accepted`, `duplicate`, `filtered`, `failed`, `rejected` or `handshake`."),
        ("limit" = Option<usize>, Query, minimum = 1, description = "Most deliveries; 500 at most."),
        ("cursor" = Option<String>, Query, description = "`next` of the page before."),
    ),
    responses((status = 200, body = DeliveryPage, description = "A page")),
)]
async fn deliveries(State(shared): State<Shared>, _admin: Admin, uri: Uri) -> Result<Response, Problem> {
    let [source, outcome, limit, cursor] = query(&uri, ["source", "outcome", "limit", "cursor"])?;
    let limit = limit.map_or(Ok(defaults::PAGE), |limit| count("limit", &limit))?;
    let wrong_cursor = || Problem::bad_request("`cursor` must be the `next` of the page before");
    let before = cursor.as_deref().map(|cursor| DeliveryId::read(cursor).ok_or_else(wrong_cursor));
    let query = DeliveryQuery {
        source: source.map(std::borrow::Cow::into_owned),
        outcome: outcome.as_deref().map(outcome_of).transpose()?,
        before: before.transpose()?,
        limit: limit.min(defaults::DELIVERIES_PAGE_MAX),
    };
    let found = tokio::task::spawn_blocking(move || shared.webhooks.deliveries(&query));
    let page = found.await.map_err(Problem::internal)?.map_err(Problem::internal)?;
    Ok(json(StatusCode::OK, "application/json", &page))
}

fn outcome_of(text: &str) -> Result<Outcome, Problem> {
    let found = Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == text);
    found.ok_or_else(|| {
        let names = Outcome::ALL.map(|outcome| format!("`{}`", outcome.as_str()));
        Problem::bad_request(format!("`outcome` must be one of {}", names.join(", ")))
    })
}

/// One delivery
///
/// Needs an API key with `admin`.
#[utoipa::path(
    get, path = "/v1/deliveries/{id}", tag = WATCH, operation_id = "delivery",
    params(("id" = String, Path)),
    responses(
        (status = 200, body = Delivery, description = "The delivery, without its body"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "`not_found`"),
    ),
)]
async fn delivery(
    State(shared): State<Shared>,
    _admin: Admin,
    id: IdPath,
    uri: Uri,
) -> Result<Response, Problem> {
    let [] = query(&uri, [])?;
    let (delivery, _) = find(shared, id).await?;
    Ok(json(StatusCode::OK, "application/json", &delivery))
}

async fn find(shared: Shared, IdPath(id): IdPath) -> Result<(Delivery, bytes::Bytes), Problem> {
    let found = tokio::task::spawn_blocking(move || shared.webhooks.delivery(&id));
    let found = found.await.map_err(Problem::internal)?.map_err(Problem::internal)?;
    found.ok_or_else(unknown)
}

/// The body of a delivery
///
/// Byte for byte as it came; the type it was said to be is in `X-Content-Type`. Needs an API key with `admin`.
#[utoipa::path(
    get, path = "/v1/deliveries/{id}/raw", tag = WATCH, operation_id = "deliveryRaw",
    params(("id" = String, Path)),
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream", description = "The body"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "`not_found`"),
    ),
)]
async fn raw(State(shared): State<Shared>, _admin: Admin, id: IdPath, uri: Uri) -> Result<Response, Problem> {
    let [] = query(&uri, [])?;
    let (delivery, body) = find(shared, id).await?;
    // Others wrote it, so no browser may take it for a page of ours.
    let safe = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment")),
    ];
    let mut response = (safe, body).into_response();
    let said = delivery.headers.iter().find(|header| header.name == "content-type");
    if let Some(said) = said.and_then(|said| HeaderValue::from_str(&said.value).ok()) {
        response.headers_mut().insert(HeaderName::from_static("x-content-type"), said);
    }
    Ok(response)
}

/// Take a delivery once more
///
/// It gets a new name and is published again, with filter and templates as they are now. A rejected one is verified
/// again, as of when it came. Needs an API key with `admin`.
#[utoipa::path(
    post, path = "/v1/deliveries/{id}/replay", tag = WATCH, operation_id = "replayDelivery",
    params(("id" = String, Path)),
    responses(
        (status = 200, body = Delivery, description = "The new delivery"),
        (status = 404, body = Problem, content_type = "application/problem+json", description = "`not_found`"),
        (status = 409, body = Problem, content_type = "application/problem+json", description = "`not_replayable`"),
    ),
)]
async fn replay(
    State(shared): State<Shared>,
    _admin: Admin,
    id: IdPath,
    uri: Uri,
) -> Result<Response, Problem> {
    let [] = query(&uri, [])?;
    // A task of its own: a caller that hangs up must not leave it half done.
    let replayed = tokio::spawn(async move { shared.webhooks.replay(id.0).await });
    match replayed.await.map_err(Problem::internal)? {
        Ok(delivery) => Ok(json(StatusCode::OK, "application/json", &delivery)),
        Err(NotReplayed::Unknown) => Err(unknown()),
        Err(NotReplayed::NotTaken(NotTaken::Busy(why))) => {
            Err(Problem::new(Code::Protocol(ErrorCode::Overloaded), why))
        }
        Err(other) => Err(Problem::new(Code::NotReplayable, other.to_string())),
    }
}
