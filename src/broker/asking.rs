//! Asking one shard at a time.

use std::time::Duration;

use tokio::sync::oneshot;

use crate::{
    defaults,
    shard::{Order, ShardHandle},
};

/// Gives a shard an order and waits for what it reports: nothing from one that has ended, which has no connections, or stands
/// still.
pub(super) async fn ask<T>(
    shard: &ShardHandle,
    order: impl FnOnce(oneshot::Sender<T>) -> Order,
) -> Option<T> {
    let (done, report) = oneshot::channel();
    shard.order(order(done));
    // The order stays in its inbox either way; a listing over many shards must not wait the full time for each that
    // stands still.
    let patience = match shard.pulse().is_stalled() {
        true => Duration::ZERO,
        false => Duration::from_millis(defaults::ORDER_MS),
    };
    tokio::time::timeout(patience, report).await.ok()?.ok()
}
