//! `/in/{source}`: webhooks of others. What is done with them is in [`doors::webhook`](crate::doors::webhook).

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{Path, Request, State},
    http::{HeaderValue, Method, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use fanwire_proto::ErrorCode;

use super::{
    Api,
    body::read_body,
    not_found,
    problem::{Code, Problem},
};
use crate::{
    clock::unix_ms,
    doors::webhook::{Incoming, NotTaken, Peer},
    webhook::{Answer, Source},
};

/// A request to `/in/{source}`.
pub(super) async fn receive(State(api): State<Api>, Path(name): Path<String>, request: Request) -> Response {
    answer(&api, &name, None, request).await
}

/// A request to `/in/{source}/{token}`.
pub(super) async fn receive_with_token(
    State(api): State<Api>,
    Path((name, token)): Path<(String, String)>,
    request: Request,
) -> Response {
    answer(&api, &name, Some(&token), request).await
}

async fn answer(api: &Api, name: &str, token: Option<&str>, request: Request) -> Response {
    // Whether the source or its secret is wrong is nobody's business.
    let Some(source) = api.door.webhooks.open(name, token) else {
        return not_found(&Uri::from_static("/in/")).into_response();
    };
    if !source.enabled {
        return Problem::new(Code::SourceDisabled, "this source is switched off").into_response();
    }
    if !source.methods.iter().any(|method| method == request.method().as_str()) {
        return wrong_method(&source, request.method());
    }
    match take(api, source.clone(), request).await {
        Ok(answer) => spoken(answer),
        Err(problem) => problem.into_response(),
    }
}

fn wrong_method(source: &Source, method: &Method) -> Response {
    let problem = Problem::new(Code::MethodNotAllowed, format!("this source does not take {method}"));
    let mut response = problem.into_response();
    if let Ok(allowed) = HeaderValue::try_from(source.methods.join(", ")) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

async fn take(api: &Api, source: Arc<Source>, request: Request) -> Result<Answer, Problem> {
    let (parts, body) = request.into_parts();
    let received_ms = unix_ms();
    let webhooks = &api.door.webhooks;
    let Parts { method, uri, headers, extensions, .. } = parts;
    let lost = || Problem::internal("the connection's address is not known");
    let peer = extensions.get::<Peer>().copied().ok_or_else(lost)?;
    let url = webhooks.public_address(&source, &uri, &headers, peer);
    let mut incoming = Incoming {
        source: source.clone(),
        method: method.as_str().to_owned(),
        url,
        headers,
        body: Bytes::new(),
        received_ms,
    };
    let read = match read_body(api, &incoming.headers, body, source.max_body_bytes).await {
        Ok(read) => read,
        Err(problem) => {
            webhooks.note_unread(&incoming, &problem.detail);
            return Err(problem);
        }
    };
    incoming.body = read.bytes.clone();
    let rejected = match source.preset.rejected_status {
        406 => Code::NotAcceptable,
        _ => Code::BadSignature,
    };
    webhooks.take(incoming).await.map_err(|not| match not {
        NotTaken::Unverified(unverified) => Problem::new(rejected, unverified.to_string()),
        NotTaken::Refused(refused) => Problem::new(rejected, refused.to_string()),
        NotTaken::Busy(why) => Problem::new(Code::Protocol(ErrorCode::Overloaded), why),
    })
}

fn spoken(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = (status, answer.body).into_response();
    response.headers_mut().remove(header::CONTENT_TYPE);
    response.headers_mut().extend(answer.headers);
    response
}
