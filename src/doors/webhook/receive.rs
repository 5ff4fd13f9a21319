//! `/in/{source}`: a request, read within its bounds and handed on; what is done with it becomes the answer.

use std::{borrow::Cow, sync::Arc};

use axum::{
    body::Bytes,
    extract::{Path, Request, State},
    http::{HeaderValue, Method, StatusCode, Uri, header, request::Parts},
    response::{IntoResponse, Response},
};
use fanwire_proto::ErrorCode;

use super::{Incoming, NotTaken, Peer, shared::Shared};
use crate::{
    clock::machine_ms,
    doors::http::{Code, Problem, not_found, read_body_for},
    provider::{Answer, Source, Uncodable},
};

/// A request to `/in/{source}`.
pub(super) async fn receive(
    State(shared): State<Shared>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    answer(&shared, &name, None, request).await
}

/// A request to `/in/{source}/{token}`.
pub(super) async fn receive_with_token(
    State(shared): State<Shared>,
    Path((name, token)): Path<(String, String)>,
    request: Request,
) -> Response {
    answer(&shared, &name, Some(&token), request).await
}

async fn answer(shared: &Shared, name: &str, token: Option<&str>, request: Request) -> Response {
    // Whether the source or its secret is wrong is nobody's business.
    let Some(source) = shared.webhooks.open(name, token) else {
        return not_found(&Uri::from_static("/in/")).into_response();
    };
    // After the secret was found right, so only the provider learns that there is such a source.
    if !source.enabled {
        return Problem::new(Code::SourceDisabled, "this source is switched off").into_response();
    }
    // Intercom and others ask so whether somebody is there before they take an address. It says nothing, so anybody may.
    if request.method() == Method::HEAD {
        return with_methods(&source, StatusCode::OK.into_response());
    }
    if !source.methods.iter().any(|method| method == request.method().as_str()) {
        return wrong_method(&source, request.method());
    }
    match take(shared, source.clone(), request).await {
        Ok(answer) => spoken(answer),
        Err(problem) => problem.into_response(),
    }
}

fn wrong_method(source: &Source, method: &Method) -> Response {
    let problem = Problem::new(Code::MethodNotAllowed, format!("this source does not take {method}"));
    with_methods(source, problem.into_response())
}

fn with_methods(source: &Source, mut response: Response) -> Response {
    if let Ok(allowed) = HeaderValue::try_from(source.methods.join(", ")) {
        response.headers_mut().insert(header::ALLOW, allowed);
    }
    response
}

async fn take(shared: &Shared, source: Arc<Source>, request: Request) -> Result<Answer, Problem> {
    let (parts, body) = request.into_parts();
    // Compared with what the sender dated.
    let received_ms = machine_ms();
    let webhooks = &shared.webhooks;
    // Until its signature is checked, it is a stranger's.
    let payer = shared.api.payer_of(&parts);
    let Parts { method, uri, headers, extensions, .. } = parts;
    let lost = || Problem::internal("the connection's address is not known");
    let peer = extensions.get::<Peer>().copied().ok_or_else(lost)?;
    let url = webhooks.public_address(&source, &uri, &headers, peer);
    let mut incoming =
        Incoming::without_body(source.clone(), method.as_str().to_owned(), url, headers, received_ms);
    // What it is compressed with is this door's own business.
    let mut uncoded = Cow::Borrowed(&incoming.headers);
    if uncoded.contains_key(header::CONTENT_ENCODING) {
        uncoded.to_mut().remove(header::CONTENT_ENCODING);
    }
    let read = match read_body_for(&shared.api, payer, &uncoded, body, source.max_body_bytes).await {
        Ok(read) => read,
        Err(problem) => {
            webhooks.note_unread(&incoming, &problem.detail);
            return Err(problem);
        }
    };
    incoming.body = read.bytes.clone();
    let decompressed = match webhooks.decompress(&incoming).await {
        Ok(decompressed) => decompressed,
        Err(not) => {
            incoming.body = Bytes::new();
            webhooks.note_unread(&incoming, &not.to_string());
            return Err(problem_of(&source, not));
        }
    };
    // For as long as what was decompressed is held.
    let _turn = decompressed.map(|(content, turn)| {
        incoming.content = Some(content);
        turn
    });
    webhooks.take(incoming).await.map_err(|not| problem_of(&source, not))
}

fn problem_of(source: &Source, not: NotTaken) -> Problem {
    let rejected = match source.preset.rejected_status {
        406 => Code::NotAcceptable,
        _ => Code::BadSignature,
    };
    let why = not.to_string();
    match not {
        NotTaken::Unverified(_) | NotTaken::Refused(_) => Problem::new(rejected, why),
        // RFC 9110 §15.5.16: "as a result of inspecting the data", too.
        NotTaken::Body(Uncodable::Unknown | Uncodable::Malformed) => {
            Problem::new(Code::UnsupportedMediaType, why)
        }
        NotTaken::Body(Uncodable::TooLarge(_) | Uncodable::Bomb) => Problem::too_large(why),
        NotTaken::Busy(_) => Problem::new(Code::Protocol(ErrorCode::Overloaded), why),
    }
}

fn spoken(answer: Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = (status, answer.body).into_response();
    // The body brings a type of its own; what the provider expects is among the answer's headers, if anything.
    response.headers_mut().remove(header::CONTENT_TYPE);
    response.headers_mut().extend(answer.headers);
    response
}
