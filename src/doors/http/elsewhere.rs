//! For the OpenAPI document: the routes that `server` has, since they reach further than a broker.
#![expect(dead_code, reason = "descriptions; the handlers are in `server`")]

use utoipa::{OpenApi, ToSchema};

/// The descriptions.
#[derive(OpenApi)]
#[openapi(paths(events, config, disconnect, subscribe, unsubscribe, revoke))]
pub(super) struct Elsewhere;

/// Whose connections are meant; exactly one of these.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
enum Target {
    /// One connection.
    Client(String),
    /// All of a user.
    User(String),
    /// All that were opened with a token of this id (`jti`).
    Token(String),
    /// All that were opened with an API key of this name.
    Key(String),
}

/// Subscriptions to make; one of `client`, `user`, `token` and `key`.
#[derive(ToSchema)]
struct Subscribe {
    topic: String,
    client: Option<String>,
    user: Option<String>,
    token: Option<String>,
    key: Option<String>,
    /// Begin after this position.
    since: Option<Position>,
    /// Without `since`: begin with this many past messages.
    last: Option<u32>,
    /// Members now, and joins and leaves from now on.
    presence: Option<bool>,
    /// Kind `latest`: most updates a second.
    #[schema(minimum = 0.001)]
    max_rate: Option<f64>,
    /// `false`: without what the connection publishes itself.
    #[schema(default = true)]
    echo: Option<bool>,
    /// For how many seconds; without it, for as long as the connection lasts.
    #[schema(minimum = 1)]
    expires_in_s: Option<u64>,
    /// What others see of the client on this topic: any JSON of at most a kilobyte.
    #[schema(required = false)]
    info: serde_json::Value,
}

/// Everything up to here is known.
#[derive(ToSchema)]
struct Position {
    epoch: String,
    offset: u64,
}

/// How many connections have a subscription that they had not before.
#[derive(ToSchema)]
struct Made {
    count: usize,
    /// Why connections that were meant do not have theirs; absent if all do.
    #[schema(nullable = false)]
    refused: Option<Vec<Refusals>>,
}

/// Connections that do not have theirs for the same reason.
#[derive(ToSchema)]
struct Refusals {
    /// As in problems and in the socket protocol.
    #[schema(examples("too_many_subscriptions"))]
    code: String,
    count: usize,
}

/// Subscriptions to end.
#[derive(ToSchema)]
struct Unsubscribe {
    topic: String,
    client: Option<String>,
    user: Option<String>,
    token: Option<String>,
    key: Option<String>,
}

/// Credentials to refuse.
#[derive(ToSchema)]
struct Revoke {
    user: Option<String>,
    token: Option<String>,
    key: Option<String>,
    /// For how many seconds: as long as the longest token lives.
    for_s: u64,
}

/// How many connections or subscriptions were ended.
#[derive(ToSchema)]
struct Ended {
    count: usize,
}

/// Subscribe by Server-Sent Events
///
/// Each event's name is the `type` of the socket protocol's event, its data that event. The id of the last one resumes.
#[utoipa::path(
    get, path = "/v1/events", tag = super::openapi::READ, operation_id = "events",
    params(
        ("topic" = Vec<String>, Query, explode, description = "32 at most."),
        ("last" = Option<u32>, Query, description = "Start with this many past messages."),
        ("presence" = Option<bool>, Query, description = "Joins and leaves, too."),
        ("max_rate" = Option<f64>, Query, description = "Kind `latest`: most updates a second."),
        ("last_event_id" = Option<String>, Query, description = "The same as `Last-Event-ID`, where headers cannot be set; the header goes first. Also as `lastEventId`."),
        ("token" = Option<String>, Query, description = "A client's token, where headers cannot be set."),
        ("Last-Event-ID" = Option<String>, Header, description = "Resume after this event."),
    ),
    responses((status = 200, body = String, content_type = "text/event-stream", description = "Events without end")),
)]
fn events() {}

/// Every setting with its value in force
///
/// Secrets are hidden. Needs an API key with `admin`.
#[utoipa::path(
    get, path = "/v1/config", tag = super::openapi::WATCH, operation_id = "config",
    responses((status = 200, body = std::collections::BTreeMap<String, serde_json::Value>, description = "The settings")),
)]
fn config() {}

/// End connections
///
/// Needs an API key with `admin`.
#[utoipa::path(
    post, path = "/v1/disconnect", tag = super::openapi::CONTROL, operation_id = "disconnect",
    request_body(content = Target), responses((status = 200, body = Ended, description = "Done")),
)]
fn disconnect() {}

/// Subscribe connections to a topic
///
/// Each is told so in its own protocol. Connections that are subscribed already keep what they have, and do not count. Those
/// that cannot have more than they asked for, like event streams and editors, are `refused`. Needs an API key with `admin`.
#[utoipa::path(
    post, path = "/v1/subscribe", tag = super::openapi::CONTROL, operation_id = "subscribe",
    request_body(content = Subscribe), responses((status = 200, body = Made, description = "Done")),
)]
fn subscribe() {}

/// End subscriptions to a topic
///
/// Needs an API key with `admin`.
#[utoipa::path(
    post, path = "/v1/unsubscribe", tag = super::openapi::CONTROL, operation_id = "unsubscribe",
    request_body(content = Unsubscribe), responses((status = 200, body = Ended, description = "Done")),
)]
fn unsubscribe() {}

/// Refuse credentials, and end the connections made with them
///
/// Needs an API key with `admin`.
#[utoipa::path(
    post, path = "/v1/revoke", tag = super::openapi::CONTROL, operation_id = "revoke",
    request_body(content = Revoke), responses((status = 200, body = Ended, description = "Done")),
)]
fn revoke() {}
