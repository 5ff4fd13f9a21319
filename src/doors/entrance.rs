//! How connections come in: what a folder here has to offer so that the server finds the way to it.

use std::{net::IpAddr, sync::Arc};

use axum::{
    http::{HeaderMap, HeaderValue, Uri, Version},
    response::{IntoResponse, Response},
};

use tokio::sync::oneshot;

use super::{errors::Failure, http::bearer};
use crate::{
    auth::{Grant, KEY_PREFIX},
    broker::Broker,
    clock::unix_ms,
    shard::{Awaited, Door},
    wire::Spoken,
};

/// One protocol's way in.
pub trait Entrance: Send + Sync {
    /// The name of the door, for those who look after the broker.
    fn name(&self) -> &'static str;

    /// The paths that lead here, as the router writes them.
    fn paths(&self) -> &'static [&'static str];

    /// Lets somebody in, or answers why not. Called on the front's runtime; must not wait.
    fn accept(&self, visit: &Visit<'_>) -> Result<Guest, Box<Response>>;
}

/// A request that wants to become a connection.
pub struct Visit<'a> {
    /// The request's target.
    pub uri: &'a Uri,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Where it comes from.
    pub address: IpAddr,
    /// Whether the page it comes from, if any, may connect, and why not.
    pub page: Result<(), Failure>,
    /// Of HTTP.
    pub version: Version,
    /// Seconds between pings.
    pub ping_s: u64,
}

/// Whoever was let in.
pub struct Guest {
    /// What will be spoken.
    pub spoken: Spoken,
    /// Who it is, if its credential says so.
    pub user: Option<Arc<str>>,
    /// The protocol on this connection.
    pub door: Box<dyn Door>,
    /// How it comes to be.
    pub opening: Opening,
}

/// How a request becomes a connection.
pub enum Opening {
    /// By the handshake of RFC 6455.
    WebSocket {
        /// The subprotocol to confirm.
        subprotocol: Option<HeaderValue>,
    },
    /// By a response without end, once the door has said that there is one.
    Response {
        /// Headers of the response.
        headers: HeaderMap,
        /// What the door says.
        outcome: oneshot::Receiver<Result<Awaited, Failure>>,
    },
}

impl Visit<'_> {
    /// The grant of the credential that came along; without one, what anybody may, if anybody may something.
    pub(super) fn grant(&self, broker: &Broker) -> Result<Option<Grant>, Failure> {
        let in_query = self.uri.query().and_then(|query| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            // Tokens consist of characters that need no escaping (RFC 7515 §3.1).
            pairs.filter(|(name, _)| *name == "token").map(|(_, token)| token).next()
        });
        self.grant_of(broker, in_query)
    }

    /// The same where the door has read the address itself.
    pub(super) fn grant_of(&self, broker: &Broker, in_query: Option<&str>) -> Result<Option<Grant>, Failure> {
        // Refused even where a header comes along: the key is in the logs of every proxy on the way by now, and its owner
        // is to notice.
        if in_query.is_some_and(|token| token.starts_with(KEY_PREFIX)) {
            return Err(Failure::key_in_address());
        }
        match bearer(self.headers).or(in_query) {
            Some(token) => Ok(Some(broker.authenticate(token, self.address, unix_ms())?)),
            None => Ok(broker.anonymous()),
        }
    }
}

/// The answer to whoever is not let in.
pub(super) fn refuse(failure: Failure) -> Box<Response> {
    Box::new(failure.into_response())
}
