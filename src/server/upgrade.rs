//! From an HTTP request to a connection that a shard owns: whichever the protocol, in one way.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use fanwire_proto::Member;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::server::create_response;

use super::{Front, gate::Permit, patience::Patient, stream::Stream};
use crate::{
    doors::{
        Entrance, Guest, Visit,
        http::{Code, Problem},
    },
    shard::{Newcomer, Origin},
    wire::{Framing, Spoken, websocket::negotiate},
};

/// Answers a request for a WebSocket.
pub(super) fn upgrade(front: &Arc<Front>, entrance: &dyn Entrance, request: Request) -> Response {
    match accept(front, entrance, request) {
        Ok(response) => response,
        Err(refused) => *refused,
    }
}

fn accept(
    front: &Arc<Front>,
    entrance: &dyn Entrance,
    mut request: Request,
) -> Result<Response, Box<Response>> {
    front.takes_sockets().map_err(|failure| Box::new(failure.into_response()))?;
    let Some(permit) = request.extensions_mut().remove::<Arc<Permit>>() else {
        return Err(Box::new(StatusCode::INTERNAL_SERVER_ERROR.into_response()));
    };
    let ping_s = front.settings.load().ping_s;
    let mut guest = entrance.accept(&Visit {
        uri: request.uri(),
        headers: request.headers(),
        address: permit.address(),
        page: front.may_act(&request),
        ping_s,
    })?;
    let mut response = handshake(&request)?;
    if let Some(chosen) = guest.subprotocol.take() {
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, chosen);
    }
    let origin = Origin { door: entrance.name(), address: permit.address() };
    guest.spoken = agree_on_deflate(front, &request, &mut response, guest.spoken);
    let switched = hyper::upgrade::on(&mut request);
    tokio::spawn(hand_over(front.clone(), switched, guest, origin, permit));
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

/// Waits for the answer to be written, then gives the socket to the shard with the fewest connections.
async fn hand_over(
    front: Arc<Front>,
    switched: OnUpgrade,
    guest: Guest,
    origin: Origin,
    permit: Arc<Permit>,
) {
    let upgraded = match switched.await {
        Ok(upgraded) => upgraded,
        Err(error) => return tracing::debug!(%error, "a client left during its handshake"),
    };
    if let Err(error) = adopt(&front, upgraded, guest, origin, permit) {
        tracing::warn!(%error, "a connection could not be handed to a shard");
    }
}

fn adopt(
    front: &Front,
    upgraded: Upgraded,
    guest: Guest,
    origin: Origin,
    permit: Arc<Permit>,
) -> std::io::Result<()> {
    let parts = upgraded
        .downcast::<TokioIo<Patient<Stream>>>()
        .map_err(|_| std::io::Error::other("not a connection of this server"))?;
    let Guest { spoken, user, door, .. } = guest;
    let newcomer = Newcomer {
        socket: parts.io.into_inner().into_inner().into_socket()?,
        spoken,
        member: Member { client: front.broker.new_client(), user, info: None },
        origin,
        door,
        input: parts.read_buf.to_vec(),
        permit: Some(permit),
    };
    match front.broker.least_loaded_shard() {
        Some(shard) => shard.adopt(newcomer),
        None => tracing::error!("there is no shard"),
    }
    Ok(())
}
