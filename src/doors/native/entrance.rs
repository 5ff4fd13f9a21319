//! `/ws`: who may come in, and in which format.

use std::sync::Arc;

use axum::{
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use fanwire_proto::{ErrorCode, Format};

use super::{NativeDialect, NativeDoor};
use crate::{
    broker::Broker,
    doors::{
        entrance::{Entrance, Guest, Opening, Visit, refuse},
        errors::Failure,
    },
    wire::{Dialects, Framing, Spoken},
};

/// The way in of the native protocol.
pub(crate) struct NativeEntrance {
    broker: Arc<Broker>,
    /// By [`Format::index`].
    spoken: [Spoken; Format::ALL.len()],
}

impl NativeEntrance {
    /// The way in to this broker.
    pub(crate) fn new(broker: Arc<Broker>, dialects: &Dialects) -> Self {
        let register = |format| dialects.register(NativeDialect::new(format), Framing::WebSocket);
        Self { broker, spoken: Format::ALL.map(register) }
    }
}

impl Entrance for NativeEntrance {
    fn name(&self) -> &'static str {
        "native"
    }

    fn paths(&self) -> &'static [&'static str] {
        &["/ws"]
    }

    fn accept(&self, visit: &Visit<'_>) -> Result<Guest, Box<Response>> {
        // The page before the credential: checking that one costs a signature.
        visit.page.clone().map_err(refuse)?;
        let chosen = choose_format(visit.headers).map_err(refuse)?;
        let grant = visit.grant(&self.broker).map_err(refuse)?;
        let format = chosen.unwrap_or(Format::Json);
        Ok(Guest {
            spoken: self.spoken[format.index()].clone(),
            user: grant.as_ref().and_then(|grant| grant.user.clone()),
            door: Box::new(NativeDoor::new(self.broker.clone(), format, grant, visit.ping_s)),
            opening: Opening::WebSocket {
                // RFC 6455 §4.2.2: a subprotocol that the client has not offered must not be confirmed, so there is none
                // without a list.
                subprotocol: chosen.map(|format| HeaderValue::from_static(format.subprotocol())),
            },
        })
    }
}

/// The first subprotocol of the client's list that we speak; JSON when there is no list.
fn choose_format(headers: &HeaderMap) -> Result<Option<Format>, Failure> {
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
            Err(Failure::new(ErrorCode::BadRequest, format!("the subprotocols here are {names}")))
        }
    }
}
