//! What places have in common whose topics are numbered in this process.

use std::sync::Arc;

use super::Submission;
use crate::{
    metrics::Metrics,
    shard::ShardHandle,
    tap::Taps,
    topic::{FeedRef, NotPublished, Taken, Topic},
};

/// When subscribers get to see a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// Once it has its number.
    AtOnce,
    /// Whoever makes it durable shows it.
    Later,
}

/// Who hears of messages here.
pub(super) struct Here {
    pub(super) shards: Arc<[ShardHandle]>,
    pub(super) taps: Arc<Taps>,
    pub(super) metrics: Metrics,
}

impl Here {
    /// Has a topic number a message, and wakes those who have to pull it.
    pub(super) fn take(
        &self,
        topic: &Topic,
        submission: Submission<'_>,
        seen: Seen,
    ) -> Result<Taken, NotPublished> {
        let Submission { draft, ack, base, asker, now_ms } = submission;
        // Copied beforehand, since the topic takes the draft.
        let tapped = match seen {
            Seen::AtOnce => self.taps.copy(&topic.name, &draft, now_ms),
            Seen::Later => None,
        };
        let notify = |feed: FeedRef| self.shards[feed.shard.0].notify(feed);
        let taken = match base {
            None => topic.publish(draft, ack, asker, now_ms, notify),
            Some(base) => topic.publish_on(base, draft, ack, asker, now_ms, notify),
        }?;
        // What came again is no new message.
        if let Some(tapped) = tapped.filter(|_| !taken.duplicate) {
            tapped.pass_on(&topic.name, taken.at, now_ms);
        }
        self.count(&taken);
        Ok(taken)
    }

    fn count(&self, taken: &Taken) {
        if !taken.duplicate {
            self.metrics.published.increment(1);
        }
        let dropped = taken.receipt.map_or(0, |receipt| receipt.dropped);
        if dropped > 0 {
            self.metrics.dropped.increment(dropped);
        }
    }
}
