//! Control over connections of others, for back ends whose API key has `admin`: `POST /v1/disconnect`,
//! `/v1/unsubscribe` and `/v1/revoke`.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{State, rejection::JsonRejection},
    http::HeaderMap,
    response::{IntoResponse, Response},
    routing::post,
};
use fanwire_proto::{ClientId, ErrorCode, TopicName};
use serde::{Deserialize, Serialize};

use super::Front;
use crate::{
    auth::Credential,
    clock::unix_ms,
    doors::{errors::Failure, http::authorize},
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

type Body<T> = Result<Json<T>, JsonRejection>;

pub(super) fn routes() -> Router<Arc<Front>> {
    Router::new()
        .route("/v1/disconnect", post(disconnect))
        .route("/v1/unsubscribe", post(unsubscribe))
        .route("/v1/revoke", post(revoke))
}

async fn disconnect(State(front): State<Arc<Front>>, headers: HeaderMap, body: Body<Disconnect>) -> Response {
    let outcome = async {
        let Disconnect { target } = admit(&front, &headers, body)?;
        Ok(front.broker.disconnect(target.who()?).await)
    };
    answer(outcome.await)
}

async fn unsubscribe(
    State(front): State<Arc<Front>>,
    headers: HeaderMap,
    body: Body<Unsubscribe>,
) -> Response {
    let outcome = async {
        let Unsubscribe { target, topic } = admit(&front, &headers, body)?;
        let topic = TopicName::new(&topic);
        let topic = topic.map_err(|error| Failure::new(ErrorCode::BadTopic, error.to_string()))?;
        Ok(front.broker.unsubscribe(target.who()?, &topic).await)
    };
    answer(outcome.await)
}

async fn revoke(State(front): State<Arc<Front>>, headers: HeaderMap, body: Body<Revoke>) -> Response {
    let outcome = async {
        let Revoke { target, for_s } = admit(&front, &headers, body)?;
        let who = target.who()?;
        if matches!(who, Who::Client(_)) {
            return Err(Failure::new(
                ErrorCode::BadRequest,
                "what is revoked is a `user`, a `token` or a `key`",
            ));
        }
        let until_ms = unix_ms().saturating_add(for_s.saturating_mul(1_000));
        front.broker.revoke(who, until_ms).await.map_err(Failure::from)
    };
    answer(outcome.await)
}

fn admit<T>(front: &Front, headers: &HeaderMap, body: Body<T>) -> Result<T, Failure> {
    if !authorize(&front.broker, headers, unix_ms())?.admin {
        return Err(Failure::not_admin());
    }
    match body {
        Ok(Json(body)) => Ok(body),
        Err(error) => Err(Failure::new(ErrorCode::BadRequest, error.body_text())),
    }
}

impl Target {
    fn who(&self) -> Result<Who, Failure> {
        let bad = |what: &str| Failure::new(ErrorCode::BadRequest, what);
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

fn answer(outcome: Result<usize, Failure>) -> Response {
    match outcome {
        Ok(count) => Json(Ended { count }).into_response(),
        Err(failure) => failure.into_response(),
    }
}
