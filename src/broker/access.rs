//! Who may come in, who must go: checking credentials, revoking them, ending connections and subscriptions of others.

use std::{net::IpAddr, sync::Arc};

use fanwire_proto::TopicName;
use tokio::{
    sync::oneshot,
    time::{Duration, Instant},
};

use super::{Broker, RevokeError};
use crate::{
    auth::{Grant, InvalidToken},
    clock, defaults,
    shard::{Order, Who},
    store::StoreError,
};

impl Broker {
    /// What a credential that comes from this address allows at this time.
    pub fn authenticate(&self, credential: &str, from: IpAddr, now_ms: u64) -> Result<Grant, InvalidToken> {
        // Whoever dated it has no other clock than the machine's; from here on it is told by ours.
        let machine_ms = clock::machine_ms();
        let policy = self.policy.load();
        let verify = || policy.authenticator.verify(credential, machine_ms);
        let per_second = policy.limits.max_false_tokens_per_second;
        let grant = self.attempts.check(credential, from, per_second, now_ms, verify)?;
        let grant = grant.redated(machine_ms, now_ms);
        if self.is_revoked(&grant, now_ms) { Err(InvalidToken::Revoked) } else { Ok(grant) }
    }

    /// What somebody without a credential may do; `None` if nothing.
    pub fn anonymous(&self) -> Option<Grant> {
        self.policy.load().authenticator.anonymous()
    }

    /// Whether the user or token of a grant was revoked.
    pub fn is_revoked(&self, grant: &Grant, now_ms: u64) -> bool {
        let in_force = |who: Who| self.revoked.is_in_force(&who, now_ms);
        let by_user = grant.user.clone().map(Who::User);
        let by_credential = grant.credential.clone().map(Who::Credential);
        [by_user, by_credential].into_iter().flatten().any(in_force)
    }

    /// Refuses the credentials of a user, or one credential, until a time, and ends the connections made with them.
    /// Returns how many that were, once the store has it.
    pub async fn revoke(&self, who: Who, until_ms: u64) -> Result<usize, RevokeError> {
        // In force in memory first: whoever authenticates from here on is refused, so that the connections ended below
        // cannot come straight back. The disk is last, as a slow one must not keep anybody in.
        let batch = self.revoked.add(&who, until_ms)?;
        let count = self.disconnect(who).await;
        self.committer().keep(batch).await.map_err(RevokeError::NotKept)?;
        Ok(count)
    }

    /// Takes over the revocations that the store has, before anybody may come in. Returns how many.
    pub fn restore_revocations(&self) -> Result<usize, StoreError> {
        self.revoked.restore(&**self.committer().store())
    }

    /// Ends connections; returns how many.
    pub async fn disconnect(&self, who: Who) -> usize {
        self.order_all(|done| Order::Disconnect { who: who.clone(), done }).await
    }

    /// Ends subscriptions to a topic; returns how many.
    pub async fn unsubscribe(&self, who: Who, topic: &TopicName) -> usize {
        let topic: Arc<str> = topic.as_str().into();
        self.order_all(|done| Order::Unsubscribe { who: who.clone(), topic: topic.clone(), done }).await
    }

    /// Gives every shard an order and adds up what they report.
    ///
    /// One that stands still carries it out when it is back, if ever, and is not waited for.
    pub(super) async fn order_all(&self, make: impl Fn(oneshot::Sender<usize>) -> Order) -> usize {
        let ask = |shard: &crate::shard::ShardHandle| {
            let (done, report) = oneshot::channel();
            shard.order(make(done));
            report
        };
        // All orders go out before the first report is awaited, so the shards work at the same time and share one
        // deadline.
        let reports: Vec<_> = self.shards.iter().map(ask).collect();
        let deadline = Instant::now() + Duration::from_millis(defaults::ORDER_MS);
        let mut count = 0;
        for report in reports {
            match tokio::time::timeout_at(deadline, report).await {
                // A shard that has ended has no connections.
                Ok(report) => count += report.unwrap_or(0),
                Err(_) => tracing::warn!("a shard has not carried out an order yet"),
            }
        }
        count
    }

    /// Forgets revocations whose time is over.
    pub(super) fn expire_revocations(&self, now_ms: u64) {
        // Nobody waits for this one: were it lost, the revocation would be read again at the start and expire again.
        self.revoked.expire(now_ms, |batch| self.committer().write_later(batch));
    }
}
