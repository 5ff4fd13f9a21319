//! `/ws` and `/yjs/{topic}`: from an HTTP request to a connection that a shard owns.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use fanwire_proto::{ErrorCode, Format, Member, TopicName};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::server::create_response;

use super::{Front, gate::Permit, patience::Patient, stream::Stream};
use crate::{
    auth::{Grant, KEY_PREFIX},
    clock::unix_ms,
    doors::{
        errors::Failure,
        http::{Code, Problem, bearer},
        native::NativeDoor,
        yjs::{Refused, YjsDoor},
    },
    shard::{Door, Newcomer, Origin},
    wire::{Framing, Spoken, websocket::negotiate},
};

/// Answers a request for a WebSocket.
pub(super) async fn upgrade(State(front): State<Arc<Front>>, request: Request) -> Response {
    match accept(&front, request) {
        Ok(response) => response,
        Err(refused) => *refused,
    }
}

fn accept(front: &Arc<Front>, mut request: Request) -> Result<Response, Box<Response>> {
    front.takes_sockets().map_err(refuse)?;
    front.may_act(&request).map_err(refuse)?;
    let format = choose_format(request.headers())?;
    let grant = grant_of(front, &request).map_err(refuse)?;
    let Some(permit) = request.extensions_mut().remove::<Arc<Permit>>() else {
        return Err(Box::new(StatusCode::INTERNAL_SERVER_ERROR.into_response()));
    };
    let mut response = handshake(&request)?;
    if let Some(format) = format {
        let chosen = HeaderValue::from_static(format.subprotocol());
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, chosen);
    }
    let user = grant.as_ref().and_then(|grant| grant.user.clone());
    let origin = Origin { door: "native", address: permit.address() };
    let format = format.unwrap_or(Format::Json);
    let door = NativeDoor::new(front.broker.clone(), format, grant, front.settings.load().ping_s, permit);
    let spoken = agree_on_deflate(front, &request, &mut response, front.protocols.native(format));
    let switched = hyper::upgrade::on(&mut request);
    tokio::spawn(hand_over(front.clone(), switched, Guest { spoken, user, origin, door: Box::new(door) }));
    Ok(response)
}

/// Answers a request of an editor for a document.
pub(super) async fn upgrade_yjs(State(front): State<Arc<Front>>, request: Request) -> Response {
    match accept_yjs(&front, request) {
        Ok(response) => response,
        Err(refused) => *refused,
    }
}

/// Whoever speaks the protocol gets a connection, be it only to hear why there is none: a browser shows a close code,
/// but not the status of a handshake.
fn accept_yjs(front: &Arc<Front>, mut request: Request) -> Result<Response, Box<Response>> {
    front.takes_sockets().map_err(refuse)?;
    let entry = entry_of(front, &request);
    let mut response = handshake(&request)?;
    // A browser wants one of those that it has offered.
    let offered = request.headers().get(header::SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok());
    let first = offered.and_then(|list| list.split(',').next()).map(str::trim);
    if let Some(Ok(first)) = first.map(HeaderValue::from_str) {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, first);
    }
    let Some(permit) = request.extensions_mut().remove::<Arc<Permit>>() else {
        return Err(Box::new(StatusCode::INTERNAL_SERVER_ERROR.into_response()));
    };
    let user = entry.as_ref().ok().and_then(|(grant, _)| grant.user.clone());
    let origin = Origin { door: "yjs", address: permit.address() };
    let door = Box::new(YjsDoor::new(front.broker.clone(), entry, permit));
    let spoken = agree_on_deflate(front, &request, &mut response, front.protocols.yjs.clone());
    let switched = hyper::upgrade::on(&mut request);
    tokio::spawn(hand_over(front.clone(), switched, Guest { spoken, user, origin, door }));
    Ok(response)
}

/// Who comes in to which document.
fn entry_of(front: &Front, request: &Request) -> Result<(Grant, TopicName), Refused> {
    front.may_act(request).map_err(|_| Refused::Forbidden)?;
    let grant = grant_of(front, request).ok().flatten().ok_or(Refused::Unauthorized)?;
    // A provider puts the name into the address as it is; a browser escapes of it what it must.
    let room = request.uri().path().strip_prefix("/yjs/").ok_or(Refused::BadName)?;
    let room = percent_encoding::percent_decode_str(room).decode_utf8().map_err(|_| Refused::BadName)?;
    Ok((grant, TopicName::new(&room).map_err(|_| Refused::BadName)?))
}

fn refuse(failure: Failure) -> Box<Response> {
    Box::new(failure.into_response())
}

/// The first subprotocol of the client's list that we speak; JSON when there is no list.
fn choose_format(headers: &HeaderMap) -> Result<Option<Format>, Box<Response>> {
    let offered: Vec<&str> = headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .collect();
    let spoken = |name: &&str| Format::ALL.into_iter().find(|format| format.subprotocol() == *name);
    match offered.iter().find_map(spoken) {
        Some(format) => Ok(Some(format)),
        None if offered.is_empty() => Ok(None),
        None => {
            let names = Format::ALL.map(Format::subprotocol).join(", ");
            Err(refuse(Failure::new(ErrorCode::BadRequest, format!("the subprotocols here are {names}"))))
        }
    }
}

/// The grant of the token, if one came along; a stranger may present one later.
fn grant_of(front: &Front, request: &Request) -> Result<Option<Grant>, Failure> {
    let in_query = request.uri().query().and_then(|query| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        // Tokens consist of characters that need no escaping (RFC 7515 §3.1).
        pairs.filter(|(name, _)| *name == "token").map(|(_, token)| token).next()
    });
    if in_query.is_some_and(|token| token.starts_with(KEY_PREFIX)) {
        return Err(Failure::key_in_address());
    }
    match bearer(request.headers()).or(in_query) {
        Some(token) => Ok(Some(front.broker.authenticate(token, unix_ms())?)),
        None => Ok(front.broker.anonymous()),
    }
}

/// Checks the handshake (RFC 6455 §4.2.1) and writes the answer.
fn handshake(request: &Request) -> Result<Response, Box<Response>> {
    let mut plain = axum::http::Request::new(());
    *plain.method_mut() = request.method().clone();
    *plain.uri_mut() = request.uri().clone();
    *plain.version_mut() = request.version();
    *plain.headers_mut() = request.headers().clone();
    match create_response(&plain) {
        Ok(response) => Ok(response.map(|()| Body::empty())),
        Err(error) => {
            let detail = format!("this address speaks WebSocket version 13: {error}");
            let mut response = Problem::new(Code::NotAWebSocket, detail).into_response();
            let headers = response.headers_mut();
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            Err(Box::new(response))
        }
    }
}

/// Takes an offer of compression, if it is on, there is an offer, and we can keep to it.
fn agree_on_deflate(front: &Front, request: &Request, response: &mut Response, spoken: Spoken) -> Spoken {
    let offers = request.headers().get_all(header::SEC_WEBSOCKET_EXTENSIONS).iter();
    let agreement = negotiate(offers.filter_map(|value| value.to_str().ok()));
    let (Some(wanted), Some(agreement)) = (front.settings.load().deflate, agreement) else { return spoken };
    let Ok(answer) = HeaderValue::try_from(agreement.header()) else { return spoken };
    response.headers_mut().insert(header::SEC_WEBSOCKET_EXTENSIONS, answer);
    spoken.framed(Framing::Deflated(agreement.apply(wanted)))
}

/// Who comes in, and what is spoken.
struct Guest {
    spoken: Spoken,
    user: Option<Arc<str>>,
    origin: Origin,
    door: Box<dyn Door>,
}

/// Waits for the answer to be written, then gives the socket to the shard with the fewest connections.
async fn hand_over(front: Arc<Front>, switched: OnUpgrade, guest: Guest) {
    let upgraded = match switched.await {
        Ok(upgraded) => upgraded,
        Err(error) => return tracing::debug!(%error, "a client left during its handshake"),
    };
    if let Err(error) = adopt(&front, upgraded, guest) {
        tracing::warn!(%error, "a connection could not be handed to a shard");
    }
}

fn adopt(front: &Front, upgraded: Upgraded, guest: Guest) -> std::io::Result<()> {
    let parts = upgraded
        .downcast::<TokioIo<Patient<Stream>>>()
        .map_err(|_| std::io::Error::other("not a connection of this server"))?;
    let Guest { spoken, user, origin, door } = guest;
    let newcomer = Newcomer {
        socket: parts.io.into_inner().into_inner().into_socket()?,
        spoken,
        member: Member { client: front.broker.new_client(), user, info: None },
        origin,
        door,
        input: parts.read_buf.to_vec(),
    };
    match front.broker.least_loaded_shard() {
        Some(shard) => shard.adopt(newcomer),
        None => tracing::error!("there is no shard"),
    }
    Ok(())
}
