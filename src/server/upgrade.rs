//! From an HTTP request to a connection that a shard owns: whichever the protocol, in one way.

use std::{io, sync::Arc};

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use fanwire_proto::{ErrorCode, Member};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::handshake::server::create_response;

use super::{
    front::Front,
    gate::Permit,
    patience::Patient,
    stream::Stream,
    takeover::{self, Takeover},
};
use crate::{
    doors::{
        Entrance, Guest, Opening, Visit,
        errors::Failure,
        http::{Code, Problem},
    },
    shard::{Awaited, Door, Newcomer, Origin, Socket},
    wire::{Framing, Spoken, websocket::negotiate},
};

/// Answers a request that wants to become a connection.
pub(super) async fn enter(front: &Arc<Front>, entrance: &dyn Entrance, request: Request) -> Response {
    let entered = async {
        let (guest, entry) = admit(front, entrance, &request)?;
        match guest.opening {
            Opening::WebSocket { subprotocol } => {
                let (spoken, user, door) = (guest.spoken, guest.user, guest.door);
                upgrade(front, request, subprotocol, Newly { spoken, user, door, entry })
            }
            Opening::Response { headers, outcome } => {
                let (spoken, user, door) = (guest.spoken, guest.user, guest.door);
                let takeover = request.extensions().get::<Arc<Takeover>>().cloned();
                drop(request);
                respond(front, takeover, headers, outcome, Newly { spoken, user, door, entry }).await
            }
        }
    };
    entered.await.unwrap_or_else(|refused| *refused)
}

/// Whoever was let in, without a socket yet.
struct Newly {
    spoken: Spoken,
    user: Option<Arc<str>>,
    door: Box<dyn Door>,
    entry: Entry,
}

/// How somebody came, and their place among the connections.
struct Entry {
    origin: Origin,
    permit: Arc<Permit>,
}

fn admit(front: &Front, entrance: &dyn Entrance, request: &Request) -> Result<(Guest, Entry), Box<Response>> {
    front.takes_sockets().map_err(|failure| Box::new(failure.into_response()))?;
    let permit = request.extensions().get::<Arc<Permit>>().cloned();
    let permit = permit.ok_or_else(|| refuse(ErrorCode::Internal, "the connection was not counted"))?;
    let ping_s = front.settings.load().ping_s;
    let guest = entrance.accept(&Visit {
        uri: request.uri(),
        headers: request.headers(),
        version: request.version(),
        address: permit.address(),
        page: front.may_act(request),
        ping_s,
    })?;
    let origin = Origin { door: entrance.name(), address: permit.address() };
    Ok((guest, Entry { origin, permit }))
}

fn refuse(code: ErrorCode, what: &str) -> Box<Response> {
    Box::new(Failure::new(code, what).into_response())
}

fn upgrade(
    front: &Arc<Front>,
    mut request: Request,
    subprotocol: Option<HeaderValue>,
    mut newly: Newly,
) -> Result<Response, Box<Response>> {
    let mut response = handshake(&request)?;
    if let Some(chosen) = subprotocol {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, chosen);
    }
    newly.spoken = agree_on_deflate(front, &request, &mut response, newly.spoken);
    // Before the response is returned: hyper gives the connection to whoever has asked for it by then.
    let switched = hyper::upgrade::on(&mut request);
    tokio::spawn(hand_over(front.clone(), switched, newly));
    Ok(response)
}

/// Has a shard begin, and answers once its door says how that went; the socket follows the head of the response.
async fn respond(
    front: &Front,
    takeover: Option<Arc<Takeover>>,
    headers: HeaderMap,
    outcome: oneshot::Receiver<Result<Awaited, Failure>>,
    newly: Newly,
) -> Result<Response, Box<Response>> {
    let takeover =
        takeover.ok_or_else(|| refuse(ErrorCode::Internal, "the connection cannot be handed over"))?;
    // The shard begins without a socket, so that a refusal can still be an answer with a status.
    adopt(front, Socket::Awaited, Vec::new(), newly);
    let timeout = front.settings.load().limits.handshake_timeout;
    let awaited = match tokio::time::timeout(timeout, outcome).await {
        Ok(Ok(outcome)) => outcome.map_err(|failure| Box::new(failure.into_response()))?,
        Ok(Err(_)) => return Err(refuse(ErrorCode::Internal, "the shard is gone")),
        // The receiver is dropped with this, from which the door learns that nobody waits, and ends the connection.
        Err(_) => return Err(refuse(ErrorCode::Overloaded, "subscribing took too long")),
    };
    let mut response = Response::new(takeover::body(takeover, awaited));
    *response.headers_mut() = headers;
    Ok(response)
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

/// Waits for the answer to be written, then gives the socket to a shard.
async fn hand_over(front: Arc<Front>, switched: OnUpgrade, newly: Newly) {
    let upgraded = match switched.await {
        Ok(upgraded) => upgraded,
        Err(error) => return tracing::debug!(%error, "a client left during its handshake"),
    };
    match parts_of(upgraded) {
        Ok((socket, input)) => adopt(&front, socket, input, newly),
        Err(error) => tracing::warn!(%error, "a connection could not be handed to a shard"),
    }
}

fn parts_of(upgraded: Upgraded) -> io::Result<(Socket, Vec<u8>)> {
    let parts = upgraded
        .downcast::<TokioIo<Patient<Stream>>>()
        .map_err(|_| io::Error::other("not a connection of this server"))?;
    // `read_buf` has what the client sent right behind its handshake, without waiting for the answer.
    Ok((parts.io.into_inner().into_inner().into_socket()?, parts.read_buf.to_vec()))
}

/// Gives a connection to the shard with the fewest.
fn adopt(front: &Front, socket: Socket, input: Vec<u8>, newly: Newly) {
    let Newly { spoken, user, door, entry: Entry { origin, permit } } = newly;
    let member = Member { client: front.broker.new_client(), user, info: None };
    let permit: Option<crate::shard::Permit> = Some(permit);
    let newcomer = Newcomer { socket, spoken, member, origin, door, input, permit };
    // Chosen now rather than at the handshake, which may have been a while ago.
    match front.broker.least_loaded_shard() {
        Some(shard) => shard.adopt(newcomer),
        None => tracing::error!("there is no shard"),
    }
}
