//! What the routes of this door share.

use std::{sync::Arc, time::Duration};

use axum::{extract::FromRef, http::request::Parts};
use metrics_exporter_prometheus::PrometheusHandle;

use super::{
    bodies::{Bodies, Payer},
    caller::HasBroker,
    places::Places,
    publish::Answers,
    watch::Watch,
};
use crate::{broker::Broker, defaults, liveness::Watchdog, memory::Class};

/// What the server hands to the routes.
#[derive(Clone)]
pub struct HttpDoor {
    /// The broker.
    pub broker: Arc<Broker>,
    /// Renders `/metrics`.
    pub metrics: PrometheusHandle,
    /// Time to read a request's body.
    pub body_timeout: Duration,
    /// Knows which threads stand still.
    pub watchdog: Arc<Watchdog>,
    /// Memory for request bodies.
    pub bodies: Arc<Bodies>,
}

/// What the routes share, and those of other doors that read requests as these do.
#[derive(Clone)]
pub struct Api {
    pub(super) door: HttpDoor,
    pub(super) answers: Arc<Answers>,
    pub(super) watch: Arc<Watch>,
    /// Each listing looks at every topic, so more at a time would only slow down publishing.
    pub(super) listings: Arc<Places>,
}

impl FromRef<Api> for HttpDoor {
    fn from_ref(api: &Api) -> Self {
        api.door.clone()
    }
}

impl FromRef<Api> for Arc<Watch> {
    fn from_ref(api: &Api) -> Self {
        api.watch.clone()
    }
}

impl HasBroker for Api {
    fn broker(&self) -> &Broker {
        &self.door.broker
    }

    fn bodies(&self) -> Option<&Bodies> {
        Some(&self.door.bodies)
    }
}

impl Api {
    /// At whose expense a request's body is read.
    pub(in crate::doors) fn payer_of(&self, parts: &Parts) -> Payer {
        self.door.bodies.payer_of(parts)
    }

    /// What routes of this door need.
    pub fn new(door: HttpDoor) -> Self {
        let answers = Arc::new(Answers::open(
            door.broker.committer().clone(),
            door.broker.memory().share(Class::Idempotency).clone(),
        ));
        let listings = Arc::new(Places::new(defaults::LISTINGS));
        Self { door, answers, watch: Arc::default(), listings }
    }
}
