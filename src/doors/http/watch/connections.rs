//! `GET /v1/connections`: who is connected, from where, and how they keep up.

use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};
use fanwire_proto::{ClientId, TopicName};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    defaults,
    doors::http::{
        api::Api,
        caller::Admin,
        caller::topic_name,
        openapi,
        problem::{Problem, json},
        query::{count, query},
    },
    shard::{Connection, ConnectionOrder, ConnectionQuery},
};

/// One page of a list.
#[derive(Serialize, ToSchema)]
pub(super) struct ConnectionPage {
    connections: Vec<ConnectionRow>,
    /// How many fit: of all with `sort`, otherwise on this page.
    matched: usize,
    /// How many there are in all.
    count: usize,
    /// The `cursor` of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

/// A connection.
#[derive(Serialize, ToSchema)]
struct ConnectionRow {
    #[schema(value_type = String)]
    client: ClientId,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    user: Option<std::sync::Arc<str>>,
    /// The name of the token or key it came with.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String, required = false)]
    token: Option<std::sync::Arc<str>>,
    #[schema(value_type = String, examples("native", "sse"))]
    door: &'static str,
    #[schema(value_type = String)]
    address: std::net::IpAddr,
    #[schema(value_type = String, examples("json", "msgpack"))]
    format: &'static str,
    /// When it came, in milliseconds since 1970.
    opened_ms: u64,
    subscriptions: usize,
    /// The first of the topics that it is subscribed to.
    #[schema(value_type = Vec<String>)]
    topics: Vec<TopicName>,
    /// Bytes that wait until it reads.
    outbox_bytes: usize,
    /// Some subscription has fallen behind.
    lagging: bool,
    /// What the last ping took, in milliseconds; absent before the first one, and for event streams.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    round_trip_ms: Option<f64>,
}

impl From<Connection> for ConnectionRow {
    fn from(connection: Connection) -> Self {
        Self {
            client: connection.client,
            user: connection.user,
            token: connection.credential.map(|credential| credential.name().clone()),
            door: connection.origin.door,
            address: connection.origin.address,
            format: connection.format,
            opened_ms: connection.opened_ms,
            subscriptions: connection.subscriptions,
            topics: connection.topics,
            outbox_bytes: connection.outbox_bytes,
            lagging: connection.lagging,
            round_trip_ms: connection.round_trip_us.map(|micros| f64::from(micros) / 1e3),
        }
    }
}

/// Connections
///
/// Without `sort` all of them, page by page; with it, the first ones. Needs an API key with `admin`.
#[utoipa::path(
    get, path = "/v1/connections", tag = openapi::WATCH, operation_id = "connections",
    params(
        ("search" = Option<String>, Query, description = "Text that client, user, token, address or door contain."),
        ("topic" = Option<String>, Query, description = "Those subscribed to it."),
        ("sort" = Option<String>, Query, description = "`outbox`, `round_trip`, `subscriptions` or `opened`, the highest first."),
        ("limit" = Option<usize>, Query, minimum = 1, description = "Most connections; 500 at most."),
        ("cursor" = Option<String>, Query, description = "`next` of the page before; not with `sort`."),
    ),
    responses((status = 200, body = ConnectionPage, description = "A page")),
)]
pub(super) async fn connections(
    State(api): State<Api>,
    _admin: Admin,
    uri: Uri,
) -> Result<Response, Problem> {
    let [search, topic, sort, limit, cursor] = query(&uri, ["search", "topic", "sort", "limit", "cursor"])?;
    let limit = limit.map_or(Ok(defaults::PAGE), |limit| count("limit", &limit))?;
    let order = sort.as_deref().map(order).transpose()?;
    if order.is_some() && cursor.is_some() {
        return Err(Problem::bad_request("`sort` shows the first ones; it has no `cursor`"));
    }
    let query = ConnectionQuery {
        search: search.filter(|text| !text.is_empty()).map(std::borrow::Cow::into_owned),
        topic: topic.as_deref().map(topic_name).transpose()?,
        order,
        limit: limit.min(defaults::CONNECTIONS_PAGE_MAX),
    };
    let from = cursor.as_deref().map(place).transpose()?.unwrap_or_default();
    let broker = &api.door.broker;
    let page = broker.connections(query, from).await;
    let page = ConnectionPage {
        connections: page.connections.into_iter().map(ConnectionRow::from).collect(),
        matched: page.matched,
        count: broker.connection_count(),
        next: page.next.map(|(shard, slot)| format!("{shard}.{slot}")),
    };
    Ok(json(StatusCode::OK, "application/json", &page))
}

fn order(text: &str) -> Result<ConnectionOrder, Problem> {
    match text {
        "outbox" => Ok(ConnectionOrder::Outbox),
        "round_trip" => Ok(ConnectionOrder::RoundTrip),
        "subscriptions" => Ok(ConnectionOrder::Subscriptions),
        "opened" => Ok(ConnectionOrder::Opened),
        _ => Err(Problem::bad_request("`sort` must be `outbox`, `round_trip`, `subscriptions` or `opened`")),
    }
}

/// What `next` said.
fn place(cursor: &str) -> Result<(usize, usize), Problem> {
    let read = |(shard, slot): (&str, &str)| Some((shard.parse().ok()?, slot.parse().ok()?));
    let place = cursor.split_once('.').and_then(read);
    place.ok_or_else(|| Problem::bad_request("`cursor` must be the `next` of the page before"))
}
