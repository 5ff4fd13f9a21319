//! What connections on their way in share, and what may come in.

use std::{sync::Arc, time::Instant};

use arc_swap::ArcSwap;
use axum::extract::Request;
use fanwire_proto::ErrorCode;
use ipnet::IpNet;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::{
    gate::Gate,
    origin::{self, Foreign, Pages},
    seldom::Seldom,
    throttle::Throttle,
};
use crate::{broker::Broker, config::DoorLimits, doors::errors::Failure, wire::websocket::Deflation};

/// The part of the front's settings that can be reloaded.
pub(super) struct FrontSettings {
    pub(super) pages: Pages,
    pub(super) trusted_proxies: Vec<IpNet>,
    pub(super) limits: DoorLimits,
    pub(super) tls: Option<TlsAcceptor>,
    pub(super) throttle: Throttle,
    pub(super) ping_s: u64,
    /// How connections that offer it are compressed, if at all.
    pub(super) deflate: Option<Deflation>,
    /// Every setting with its value in force, without secrets.
    pub(super) effective: serde_json::Value,
}

/// What connections on their way in share.
pub(super) struct Front {
    pub(super) broker: Arc<Broker>,
    pub(super) settings: ArcSwap<FrontSettings>,
    pub(super) gate: Arc<Gate>,
    /// What strangers can fill the log with.
    pub(super) noise: Noise,
    /// True once HTTP connections are to end after the request at hand.
    pub(super) ending: watch::Sender<bool>,
}

/// Counts of what is logged now and then only.
#[derive(Default)]
pub(super) struct Noise {
    pub(super) foreign: Seldom,
    pub(super) turned_away: Seldom,
    pub(super) not_accepted: Seldom,
}

impl Front {
    /// Refuses a page to connect, subscribe or do anything else with an effect.
    pub(super) fn may_act(&self, request: &Request) -> Result<(), Failure> {
        let facts = facts(request);
        self.settings.load().pages.may_act(&facts).map_err(|foreign| self.refuse_page(&foreign))
    }

    /// Whether there is a shard for a new connection.
    pub(super) fn takes_sockets(&self) -> Result<(), Failure> {
        if self.broker.is_draining() {
            return Err(Failure::new(ErrorCode::Draining, "the broker is draining"));
        }
        // Asked before the handshake is answered: afterwards there is no status left to refuse with.
        match self.broker.least_loaded_shard() {
            Some(_) => Ok(()),
            None => Err(Failure::new(ErrorCode::Overloaded, "no shard is at work, see `/readyz`")),
        }
    }

    /// Says why, to the page and now and then to the log: the one is seen by whoever wrote the page, the other by whoever
    /// can change the setting.
    pub(super) fn refuse_page(&self, foreign: &Foreign) -> Failure {
        if let Some(count) = self.noise.foreign.count(Instant::now()) {
            tracing::warn!(count, "a page was refused: {foreign}");
        }
        Failure::new(ErrorCode::Forbidden, foreign.to_string())
    }
}

/// What tells of a request which page it is from.
pub(super) fn facts(request: &Request) -> origin::Request<'_> {
    origin::Request { headers: request.headers(), method: request.method(), path: request.uri().path() }
}
