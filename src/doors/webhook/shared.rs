//! What the addresses of webhooks share.

use std::sync::Arc;

use super::Webhooks;
use crate::{
    broker::Broker,
    doors::http::{Api, Bodies, HasBroker},
};

/// The API's state, and the sources.
#[derive(Clone)]
pub(super) struct Shared {
    pub(super) api: Api,
    pub(super) webhooks: Arc<Webhooks>,
}

impl HasBroker for Shared {
    fn broker(&self) -> &Broker {
        self.api.broker()
    }

    fn bodies(&self) -> Option<&Bodies> {
        self.api.bodies()
    }
}
