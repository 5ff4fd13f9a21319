//! The beginning: what an earlier run has left is read, and published where that is due.

use std::sync::{Arc, atomic::AtomicU64};

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

use super::{
    Settings, Webhooks, certificates::Fetched, claims::Claims, late::Late, retention::Retention, seen::Seen,
    turns::Turns, upkeep,
};
use crate::{broker::Broker, defaults, store::StoreError};

impl Webhooks {
    /// Sources over a broker and its store; reads what an earlier run has left.
    pub fn start(broker: Arc<Broker>, settings: Settings) -> Result<Arc<Self>, StartError> {
        let on_disk = broker.committer().store().room().is_some();
        let webhooks = Self {
            broker,
            settings: ArcSwap::default(),
            claims: Claims::default(),
            retention: Retention::default(),
            certificates: Fetched::default(),
            late: Late::default(),
            accepting: Turns::new(defaults::WEBHOOKS_ACCEPTED_AT_ONCE),
            decompressing: Arc::new(Semaphore::new(defaults::WEBHOOKS_DECOMPRESSED)),
            seen: Seen::default(),
            on_disk,
            // The topmost bit is left free, so that counting on never wraps round, which would put newer deliveries
            // before older ones.
            sequence: AtomicU64::new(getrandom::u64()? >> 1),
        };
        webhooks.reload(settings);
        let store = webhooks.broker.committer().store();
        webhooks.retention.load(&**store)?;
        webhooks.seen.load(&**store)?;
        webhooks.recover();
        let webhooks = Arc::new(webhooks);
        upkeep::start(&webhooks);
        Ok(webhooks)
    }
}

/// Why webhooks cannot be taken at all.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What an earlier run has left cannot be read.
    #[error("webhook deliveries: {0}")]
    Store(#[from] StoreError),
    /// The system's source of randomness.
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}
