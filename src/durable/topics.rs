//! What leads durable topics to the disk and back: the committer, who is told of commits, and which run this is.

use std::sync::Arc;

use super::Run;
use crate::{shard::ShardHandle, store::Committer, tap::Taps};

/// Durable topics' way to the disk and back.
pub struct Durable {
    pub(super) committer: Committer,
    pub(super) shards: Arc<[ShardHandle]>,
    pub(super) run: Run,
    pub(super) taps: Arc<Taps>,
}

impl Durable {
    /// Topics whose content goes through this committer, and whose subscribers are on these shards or at these taps.
    pub fn new(committer: Committer, shards: Arc<[ShardHandle]>, run: Run, taps: Arc<Taps>) -> Self {
        Self { committer, shards, run, taps }
    }

    /// What everything is written through.
    pub fn committer(&self) -> &Committer {
        &self.committer
    }
}
