//! Control over connections of others, for back ends whose API key has `admin`: `POST /v1/disconnect`,
//! `/v1/unsubscribe` and `/v1/revoke`.

use axum::{
    extract::{Request, State},
    http::StatusCode,
    response::Response,
    routing::post,
};
use fanwire_proto::ClientId;
use serde::{Deserialize, Serialize};
use utoipa_axum::router::OpenApiRouter;

use super::http::{Admin, Api, HasBroker, Problem, json, read_body, topic_name};
use crate::{auth::Credential, clock::unix_ms, defaults, shard::Who};

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

/// The routes, which [`http`](super::http) describes.
pub fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::new()
        .route("/v1/disconnect", post(disconnect))
        .route("/v1/unsubscribe", post(unsubscribe))
        .route("/v1/revoke", post(revoke))
}

async fn disconnect(State(api): State<Api>, _: Admin, request: Request) -> Result<Response, Problem> {
    let Disconnect { target } = read_order(&api, request).await?;
    Ok(answer(api.broker().disconnect(target.who()?).await))
}

async fn unsubscribe(State(api): State<Api>, _: Admin, request: Request) -> Result<Response, Problem> {
    let Unsubscribe { target, topic } = read_order(&api, request).await?;
    let topic = topic_name(&topic)?;
    Ok(answer(api.broker().unsubscribe(target.who()?, &topic).await))
}

async fn revoke(State(api): State<Api>, _: Admin, request: Request) -> Result<Response, Problem> {
    let Revoke { target, for_s } = read_order(&api, request).await?;
    let who = target.who()?;
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
