//! All sources, and what is known of what came in through them.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use axum::http::{HeaderMap, Uri};
use ipnet::IpNet;
use tokio::sync::Semaphore;

use super::{
    Delivery, DeliveryId, Incoming, Outcome, Peer, address, certificates::Fetched, claims::Claims,
    late::Late, record, retention::Retention, seen::Seen, turns::Turns,
};
use crate::{broker::Broker, provider::Source};

/// What is configured; it can be reloaded.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Where webhooks come in.
    pub sources: Vec<Source>,
    /// Proxies whose word about the public address of a request is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// Most deliveries that wait to be published; twice as many of providers that do not send again.
    pub max_pending: usize,
}

/// The same, to look things up in.
#[derive(Default)]
pub(super) struct Configured {
    pub(super) sources: HashMap<String, Arc<Source>>,
    pub(super) trusted_proxies: Vec<IpNet>,
    pub(super) max_pending: usize,
}

/// All sources with what came in through them.
pub struct Webhooks {
    pub(super) broker: Arc<Broker>,
    pub(super) settings: ArcSwap<Configured>,
    pub(super) claims: Claims,
    pub(super) retention: Retention,
    pub(super) certificates: Fetched,
    pub(super) late: Late,
    /// Deliveries that are being accepted, whether or not somebody still waits for the answer.
    pub(super) accepting: Turns,
    /// Places for bodies that come compressed.
    pub(super) decompressing: Arc<Semaphore>,
    /// How many names of deliveries are known.
    pub(super) seen: Seen,
    /// Whether reading from the store may wait for a disk.
    pub(super) on_disk: bool,
    /// The number of the last delivery. It starts at random, so that no delivery of two processes has the same name.
    pub(super) sequence: AtomicU64,
}

impl Webhooks {
    /// Replaces the sources.
    pub fn reload(&self, settings: Settings) {
        for source in &settings.sources {
            for outcome in Outcome::ALL {
                // So that each series is there from the start: a rate of one that first appears at 1 would miss its first
                // event.
                self.broker.metrics.webhooks(&source.name, outcome.as_str()).increment(0);
            }
        }
        let by_name = |source: Source| (source.name.clone(), Arc::new(source));
        self.settings.store(Arc::new(Configured {
            sources: settings.sources.into_iter().map(by_name).collect(),
            trusted_proxies: settings.trusted_proxies,
            max_pending: settings.max_pending,
        }));
    }

    /// The source with a name, if the address has its secret.
    pub fn open(&self, name: &str, token: Option<&str>) -> Option<Arc<Source>> {
        let settings = self.settings.load();
        let source = settings.sources.get(name)?;
        source.opens(token).then(|| source.clone())
    }

    /// The source with a name.
    pub(super) fn source(&self, name: &str) -> Option<Arc<Source>> {
        self.settings.load().sources.get(name).cloned()
    }

    /// The public address of a request to a source.
    pub fn public_address(&self, source: &Source, uri: &Uri, headers: &HeaderMap, peer: Peer) -> String {
        address::public(source, uri, headers, peer, &self.settings.load().trusted_proxies)
    }

    pub(super) fn next_id(&self, source: &Source, received_ms: u64) -> DeliveryId {
        // Relaxed: only that no two have the same number matters.
        DeliveryId::new(&source.name, received_ms, self.sequence.fetch_add(1, Ordering::Relaxed))
    }

    pub(super) fn count(&self, source: &str, outcome: Outcome) {
        self.broker.metrics.webhooks(source, outcome.as_str()).increment(1);
    }

    /// Remembers a request whose body was not read: it was too large, too slow or compressed.
    pub fn note_unread(&self, incoming: &Incoming, why: &str) {
        self.note(incoming, Outcome::Rejected, Some(record::NOT_READ), why);
    }

    /// Remembers what is not kept.
    pub(super) fn note(&self, incoming: &Incoming, outcome: Outcome, cause: Option<&str>, detail: &str) {
        let source = &incoming.source;
        let id = self.next_id(source, incoming.received_ms);
        tracing::debug!(source = source.name, outcome = outcome.as_str(), detail, "a webhook");
        let delivery = Delivery {
            outcome,
            cause: cause.map(str::to_owned),
            detail: Some(detail.to_owned()),
            ..Delivery::of(&id, source, &incoming.request())
        };
        self.count(&source.name, outcome);
        self.retention.remember(delivery, incoming.body.clone());
    }
}
