//! `/yjs/{room}`: whoever speaks the protocol gets a connection, be it only to hear why there is none: a browser shows a
//! close code, but not the status of a handshake.

use std::sync::Arc;

use axum::{
    http::{HeaderValue, header},
    response::Response,
};
use fanwire_proto::TopicName;

use super::{Refused, YjsDialect, YjsDoor};
use crate::{
    auth::Grant,
    broker::Broker,
    doors::entrance::{Entrance, Guest, Opening, Visit},
    wire::{Dialects, Framing, Spoken},
};

/// The way in of y-websocket's protocol.
pub(crate) struct YjsEntrance {
    broker: Arc<Broker>,
    spoken: Spoken,
}

impl YjsEntrance {
    /// The way in to this broker.
    pub(crate) fn new(broker: Arc<Broker>, dialects: &Dialects) -> Self {
        Self { broker, spoken: dialects.register(YjsDialect, Framing::WebSocket) }
    }

    /// Who comes in to which document.
    fn entry(&self, visit: &Visit<'_>) -> Result<(Grant, TopicName), Refused> {
        visit.page.clone().map_err(|_| Refused::Forbidden)?;
        let grant = match visit.grant(&self.broker) {
            Ok(grant) => grant.ok_or(Refused::Unauthorized)?,
            Err(failure) if failure.code.retry() => return Err(Refused::NotNow),
            Err(_) => return Err(Refused::Unauthorized),
        };
        // A provider puts the name into the address as it is; a browser escapes of it what it must.
        let room = visit.uri.path().strip_prefix("/yjs/").ok_or(Refused::BadName)?;
        let room = percent_encoding::percent_decode_str(room).decode_utf8().map_err(|_| Refused::BadName)?;
        Ok((grant, TopicName::new(&room).map_err(|_| Refused::BadName)?))
    }
}

impl Entrance for YjsEntrance {
    fn name(&self) -> &'static str {
        "yjs"
    }

    fn paths(&self) -> &'static [&'static str] {
        &["/yjs/{*topic}"]
    }

    fn accept(&self, visit: &Visit<'_>) -> Result<Guest, Box<Response>> {
        let entry = self.entry(visit);
        // A browser wants one of the subprotocols that it has offered.
        let offered = visit.headers.get(header::SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.to_str().ok());
        let first = offered.and_then(|list| list.split(',').next()).map(str::trim);
        Ok(Guest {
            spoken: self.spoken.clone(),
            user: entry.as_ref().ok().and_then(|(grant, _)| grant.user.clone()),
            door: Box::new(YjsDoor::new(self.broker.clone(), entry)),
            opening: Opening::WebSocket {
                subprotocol: first.and_then(|first| HeaderValue::from_str(first).ok()),
            },
        })
    }
}
