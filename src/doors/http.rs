//! The HTTP door: publishing by `POST`, and the small pages that operators and probes read.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    response::{Html, IntoResponse, Response},
    routing::{get, post},
};
use fanwire_proto::{Epoch, ErrorCode, Offset, Payload, TopicName};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;

use super::errors::Failure;
use crate::{auth::Grant, broker::Broker, topic::Draft};

/// What the routes share.
#[derive(Clone)]
pub struct HttpDoor {
    /// The broker.
    pub broker: Arc<Broker>,
    /// Renders `/metrics`.
    pub metrics: PrometheusHandle,
    /// Time to read a request's body.
    pub body_timeout: Duration,
}

/// A page for people, without anything from elsewhere.
const CONSOLE: &str = include_str!("console.html");

/// The page needs its own script and style and its own broker, nothing else.
const CONSOLE_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// All routes but `/ws`.
pub fn router(door: HttpDoor) -> Router {
    Router::new()
        .route("/", get(async || ([(header::CONTENT_SECURITY_POLICY, CONSOLE_POLICY)], Html(CONSOLE))))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .route("/v1/topics/{topic}/messages", post(publish))
        .fallback(async |uri: Uri| not_found(&uri))
        .method_not_allowed_fallback(async || {
            problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "")
        })
        .with_state(door)
}

async fn ready(State(door): State<HttpDoor>) -> Response {
    match door.broker.is_draining() {
        false => "ready\n".into_response(),
        true => Failure::new(ErrorCode::Draining, "the broker is draining").into_response(),
    }
}

async fn metrics(State(door): State<HttpDoor>) -> Response {
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    ([(header::CONTENT_TYPE, text)], door.metrics.render()).into_response()
}

fn not_found(uri: &Uri) -> Response {
    problem(StatusCode::NOT_FOUND, "not_found", &format!("there is nothing at {}", uri.path()))
}

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

async fn publish(State(door): State<HttpDoor>, topic: Option<Path<String>>, request: Request) -> Response {
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
    if !authorize(&door.broker, &parts.headers, now_ms)?.publish.includes(&topic) {
        return Err(Failure::forbidden("publish to"));
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

/// What the bearer of a request may do.
pub fn authorize(broker: &Broker, headers: &HeaderMap, now_ms: u64) -> Result<Grant, Failure> {
    let policy = broker.policy();
    match bearer(headers) {
        Some(token) => Ok(policy.authenticator.verify(token, now_ms)?),
        None => policy.authenticator.anonymous().ok_or_else(Failure::unauthorized),
    }
}

/// The token of an `Authorization: Bearer` header (RFC 6750 §2.1).
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

async fn read_body(body: Body, limit: usize, timeout: Duration) -> Result<Bytes, Failure> {
    let too_large =
        |_| Failure::new(ErrorCode::TooLarge, format!("the body is cut off or has more than {limit} bytes"));
    match tokio::time::timeout(timeout, axum::body::to_bytes(body, limit)).await {
        Ok(read) => read.map_err(too_large),
        Err(_) => Err(Failure::new(ErrorCode::BadRequest, "the body took too long")),
    }
}

/// JSON and text stay what they are; whatever says it is bytes is bytes. A type that says nothing (`curl -d` sends a
/// form's) is taken for JSON if it parses, else for text if it is UTF-8.
fn payload_of(headers: &HeaderMap, body: &Bytes) -> Result<Payload, Failure> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let media_type = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
    let bad = |message: String| Failure::new(ErrorCode::BadPayload, message);
    let text = || std::str::from_utf8(body).map_err(|error| bad(format!("the body is not UTF-8: {error}")));
    match media_type.as_str() {
        "application/json" => Payload::json(text()?).map_err(|error| bad(error.to_string())),
        json if json.ends_with("+json") => Payload::json(text()?).map_err(|error| bad(error.to_string())),
        plain if plain.starts_with("text/") => Payload::text(text()?).map_err(|error| bad(error.to_string())),
        "" | "application/x-www-form-urlencoded" => Ok(match std::str::from_utf8(body) {
            Ok(text) => {
                Payload::json(text).or_else(|_| Payload::text(text)).map_err(|e| bad(e.to_string()))?
            }
            Err(_) => Payload::Bytes(body.clone()),
        }),
        _ => Ok(Payload::Bytes(body.clone())),
    }
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

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = status_of(self.code);
        let mut response = problem(status, self.code.as_str(), &self.message);
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The HTTP status of each code (RFC 9110 §15).
const fn status_of(code: ErrorCode) -> StatusCode {
    match code {
        ErrorCode::Unauthorized | ErrorCode::InvalidToken => StatusCode::UNAUTHORIZED,
        ErrorCode::Forbidden => StatusCode::FORBIDDEN,
        ErrorCode::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorCode::RateLimited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::Overloaded | ErrorCode::Draining | ErrorCode::TooManyTopics => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        ErrorCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorCode::WrongKind
        | ErrorCode::TooManyKeys
        | ErrorCode::PresenceOff
        | ErrorCode::AlreadySubscribed
        | ErrorCode::NotSubscribed
        | ErrorCode::TooManySubscriptions => StatusCode::CONFLICT,
        ErrorCode::BadFrame
        | ErrorCode::BadRequest
        | ErrorCode::UnknownType
        | ErrorCode::BadTopic
        | ErrorCode::BadPayload => StatusCode::BAD_REQUEST,
    }
}

/// A problem document (RFC 9457).
pub fn problem(status: StatusCode, code: &str, detail: &str) -> Response {
    #[derive(Serialize)]
    struct Problem<'a> {
        r#type: String,
        title: &'a str,
        status: u16,
        code: &'a str,
        detail: &'a str,
    }
    let title = status.canonical_reason().unwrap_or("Error");
    let document =
        Problem { r#type: format!("urn:fanwire:error:{code}"), title, status: status.as_u16(), code, detail };
    json(status, "application/problem+json", &document)
}

fn json<T: Serialize>(status: StatusCode, content_type: &'static str, value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => (status, [(header::CONTENT_TYPE, content_type)], body).into_response(),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Milliseconds since 1970.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
