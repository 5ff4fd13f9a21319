//! Subscriptions that a back end makes for connections of others.

use std::sync::Arc;

use fanwire_proto::ErrorCode;

use super::{Broker, SubscribeError, asking::ask};
use crate::{
    auth::ServerSub,
    shard::{Order, ServerSubs, Who},
    topic::Topic,
};

/// How many connections have a subscription that they had not before, and why others do not.
#[derive(Debug, Default)]
pub struct ServerSubscribed {
    /// How many.
    pub count: usize,
    /// Reasons, each with how many connections it kept from it.
    pub refused: Vec<(ErrorCode, usize)>,
}

impl ServerSubscribed {
    fn add(&mut self, subs: &ServerSubs) {
        self.count += subs.made;
        for code in &subs.refused {
            match self.refused.iter_mut().find(|(known, _)| known == code) {
                Some((_, count)) => *count += 1,
                None => self.refused.push((*code, 1)),
            }
        }
    }
}

impl Broker {
    /// Subscribes connections to a topic that has been [brought](Self::bring). Each shard is asked again and again for a
    /// few, so none is kept from its work; who connects meanwhile may be left out.
    pub async fn subscribe_others(
        &self,
        who: &Who,
        topic: Arc<Topic>,
        sub: ServerSub,
    ) -> Result<ServerSubscribed, SubscribeError> {
        if self.is_draining() {
            return Err(SubscribeError::Draining);
        }
        if sub.presence && !topic.keeps_presence() {
            return Err(SubscribeError::PresenceOff);
        }
        let (sub, mut outcome) = (Arc::new(sub), ServerSubscribed::default());
        for shard in self.shards.iter() {
            let mut next = Some(0);
            while let Some(from) = next {
                let order = |done| Order::Subscribe { who: who.clone(), sub: sub.clone(), from, done };
                // A shard that gives no answer in time reports no `next` either, so it is passed over rather than asked
                // for ever.
                let subs = ask(shard, order).await.unwrap_or_default();
                outcome.add(&subs);
                next = subs.next;
            }
        }
        Ok(outcome)
    }
}
