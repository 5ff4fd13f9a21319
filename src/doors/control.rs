//! Control over connections of others, for back ends whose API key has `admin`: `POST /v1/disconnect`, `/v1/subscribe`,
//! `/v1/unsubscribe` and `/v1/revoke`.

use std::num::NonZeroU64;

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
    routing::post,
};
use fanwire_proto::{ClientId, ErrorCode};
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;

use super::{
    errors::Failure,
    http::{Admin, Api, HasBroker, Problem, json, read_body, topic_name, with_topic},
};
use crate::{
    auth::{Credential, SubOptions},
    broker::{Missing, ServerSubscribed, SubscribeError},
    clock::unix_ms,
    defaults,
    shard::Who,
};

/// Whose connections are meant; exactly one of these.
#[derive(Deserialize)]
struct Target {
    client: Option<String>,
    user: Option<String>,
    /// A token, by its `jti`.
    token: Option<String>,
    /// An API key, by its name.
    key: Option<String>,
}

#[derive(Deserialize)]
struct Disconnect {
    #[serde(flatten)]
    target: Target,
}

#[derive(Deserialize)]
struct Subscribe {
    #[serde(flatten)]
    target: Target,
    topic: String,
    #[serde(flatten)]
    options: SubOptions,
    /// For how many seconds; without it, for as long as the connection lasts.
    expires_in_s: Option<NonZeroU64>,
}

#[derive(Deserialize)]
struct Unsubscribe {
    #[serde(flatten)]
    target: Target,
    topic: String,
}

#[derive(Deserialize)]
struct Revoke {
    #[serde(flatten)]
    target: Target,
    /// Until when, in seconds from now: at least as long as the longest token lives.
    for_s: u64,
}

/// How many connections or subscriptions were ended.
#[derive(Serialize)]
struct Ended {
    count: usize,
}

/// How many subscriptions there are that were not before.
#[derive(Serialize)]
struct Made {
    count: usize,
    /// Why connections that were meant do not have theirs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    refused: Vec<Refusals>,
}

/// Connections that do not have theirs for the same reason.
#[derive(Serialize)]
struct Refusals {
    code: ErrorCode,
    count: usize,
}

/// The routes, which [`http`](super::http) describes.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .route("/v1/disconnect", post(disconnect))
        .route("/v1/subscribe", post(subscribe))
        .route("/v1/unsubscribe", post(unsubscribe))
        .route("/v1/revoke", post(revoke))
}

async fn disconnect(State(api): State<Api>, _: Admin, request: Request) -> Result<Response, Problem> {
    let Disconnect { target } = read_order(&api, request).await?;
    Ok(answer(api.broker().disconnect(target.who()?).await))
}

async fn subscribe(State(api): State<Api>, admin: Admin, request: Request) -> Result<Response, Problem> {
    let Subscribe { target, topic, options, expires_in_s } = read_order(&api, request).await?;
    let (who, name, now_ms) = (target.who()?, topic_name(&topic)?, unix_ms());
    let expires_ms = expires_in_s.map(|seconds| now_ms.saturating_add(seconds.get().saturating_mul(1_000)));
    let sub =
        options.of(name.clone(), expires_ms).map_err(|error| Problem::bad_request(error.to_string()))?;
    // The back end that asks is charged with a topic that there was not, not those whom it subscribes.
    let (broker, missing) = (api.broker(), Missing::Make(admin.owner()));
    let topic = with_topic(broker, &name, || broker.bring(&name, missing, now_ms));
    let made = match topic.map_err(SubscribeError::from).map_err(Failure::from)? {
        Some(topic) => broker.subscribe_others(&who, topic, sub).await.map_err(Failure::from)?,
        None => ServerSubscribed::default(),
    };
    let refused = made.refused.into_iter().map(|(code, count)| Refusals { code, count }).collect();
    Ok(json(StatusCode::OK, "application/json", &Made { count: made.count, refused }))
}

async fn unsubscribe(State(api): State<Api>, _: Admin, request: Request) -> Result<Response, Problem> {
    let Unsubscribe { target, topic } = read_order(&api, request).await?;
    let topic = topic_name(&topic)?;
    Ok(answer(api.broker().unsubscribe(target.who()?, &topic).await))
}

async fn revoke(State(api): State<Api>, _: Admin, request: Request) -> Result<Response, Problem> {
    let Revoke { target, for_s } = read_order(&api, request).await?;
    let who = target.who()?;
    // A connection's name is never used again, so there is nothing that could come back with it; it is disconnected.
    if matches!(who, Who::Client(_)) {
        return Err(Problem::bad_request("what is revoked is a `user`, a `token` or a `key`"));
    }
    let until_ms = unix_ms().saturating_add(for_s.saturating_mul(1_000));
    Ok(answer(api.broker().revoke(who, until_ms).await?))
}

async fn read_order<T: for<'a> Deserialize<'a>>(api: &Api, request: Request) -> Result<T, Problem> {
    let (parts, body) = request.into_parts();
    let body = read_body(api, &parts, body, defaults::CONTROL_BODY_BYTES).await?;
    serde_json::from_slice(&body.bytes).map_err(|error| Problem::bad_request(format!("the body: {error}")))
}

fn answer(count: usize) -> Response {
    json(StatusCode::OK, "application/json", &Ended { count })
}

impl Target {
    fn who(&self) -> Result<Who, Problem> {
        let bad = Problem::bad_request;
        match (&self.client, &self.user, &self.token, &self.key) {
            (None, Some(user), None, None) => Ok(Who::User(user.as_str().into())),
            (None, None, Some(id), None) => Ok(Who::Credential(Credential::Token(id.as_str().into()))),
            (None, None, None, Some(name)) => Ok(Who::Credential(Credential::Key(name.as_str().into()))),
            (Some(client), None, None, None) => {
                let read = ClientId::read(client);
                Ok(Who::Client(read.ok_or_else(|| bad("`client` is not a client's name"))?))
            }
            _ => Err(bad("exactly one of `client`, `user`, `token` and `key` says who is meant")),
        }
    }
}
