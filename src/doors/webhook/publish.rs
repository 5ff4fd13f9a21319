//! Publishing what was kept: at once, again later if a topic refuses it, and at the start if an earlier run did not get
//! to it.

use std::sync::Arc;

use super::{
    Incoming, Webhooks,
    late::Unpublished,
    messages::{self, Messages},
    record::{Delivery, DeliveryId, Entry, Outcome},
};
use crate::{
    broker::PublishError,
    clock::unix_ms,
    doors::http::with_topic,
    memory::Owner,
    order::Placing,
    provider::{Fate, Naming, Outgoing, Verified},
    store::{Batch, Space, StoreError},
    topic::Draft,
};

/// Deliveries published again in one go.
const SLICE: usize = 256;

/// A message without a receipt yet.
type Waiting = (usize, Placing);

impl Webhooks {
    /// Publishes the messages of a delivery that was kept.
    pub(super) fn publish(self: &Arc<Self>, id: DeliveryId, messages: Messages) {
        if messages.is_empty() {
            return;
        }
        let (waiting, refused) = self.publish_all(&id, messages);
        if waiting.is_empty() {
            return self.settle(id, refused);
        }
        let this = self.clone();
        // The caller answers the provider meanwhile: the delivery is durable already, its messages are only on their way
        // to be.
        tokio::spawn(async move {
            let mut left = refused;
            for (index, placing) in waiting {
                if placing.outcome().await.is_err() {
                    left.push(index);
                }
            }
            this.settle(id, left);
        });
    }

    /// Message ids make this harmless to repeat.
    fn publish_all(&self, id: &DeliveryId, messages: Messages) -> (Vec<Waiting>, Vec<usize>) {
        let (mut waiting, mut refused) = (Vec::new(), Vec::new());
        for (index, Outgoing { topic, key, payload }) in messages {
            // The same at every try, also by the next process, so a topic takes each message once.
            let message_id = Some(format!("{id}:{index}"));
            let draft = Draft {
                payload,
                key,
                message_id,
                tags: None,
                from: None,
                not_to: None,
                by: Owner::Source(id.source.as_str().into()),
            };
            let publish = || self.broker.publish_and_wait(&topic, draft, None, unix_ms());
            match with_topic(&self.broker, &topic, publish) {
                Ok(Placing::Placed(_)) => {}
                Ok(pending) => waiting.push((index, pending)),
                Err(error) => {
                    told(id, &error);
                    refused.push(index);
                }
            }
        }
        (waiting, refused)
    }

    /// Notes that all of a delivery is published, or that some of it has to be once more.
    fn settle(&self, id: DeliveryId, left: Vec<usize>) {
        if left.is_empty() {
            let mut batch = Batch::default();
            // Nobody waits for this. Lost in a crash, the delivery is published again at the start, under the same
            // message ids.
            batch.delete(Space::Deliveries, Entry::Pending.key(&id));
            batch.delete(Space::Deliveries, Entry::Messages.key(&id));
            self.broker.committer().write_later(batch);
            self.retention.pending.remove(&id);
        } else {
            self.late.0.lock().push_back(Unpublished { id, events: Some(left) });
        }
    }

    /// Queues what an earlier run has left.
    pub(super) fn recover(&self) {
        let pending = self.retention.pending.all();
        if !pending.is_empty() {
            tracing::info!(count = pending.len(), "deliveries of an earlier run are to be published");
        }
        let unpublished = pending.into_iter().map(|id| Unpublished { id, events: None });
        self.late.0.lock().extend(unpublished);
    }

    /// Tries some of what could not be published once more.
    pub(super) fn publish_late(self: &Arc<Self>) -> Result<(), StoreError> {
        // Bounded by what is there now: those that are put back below have their next turn at the next tick.
        let count = self.late.0.lock().len().min(SLICE);
        for _ in 0..count {
            let Some(unpublished) = self.late.0.lock().pop_front() else { break };
            match self.messages_of(&unpublished) {
                Ok(Some(messages)) if messages.is_empty() => self.settle(unpublished.id, Vec::new()),
                Ok(Some(messages)) => self.publish(unpublished.id, messages),
                // Its source is not configured; it may be again.
                Ok(None) => self.late.0.lock().push_back(unpublished),
                Err(error) => {
                    self.late.0.lock().push_back(unpublished);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// The messages of a kept delivery as they were planned; `None` while there is nobody who could say.
    fn messages_of(&self, unpublished: &Unpublished) -> Result<Option<Messages>, StoreError> {
        let store = self.broker.committer().store();
        let planned = store.get(Space::Deliveries, &Entry::Messages.key(&unpublished.id))?;
        let Some(mut planned) = planned.and_then(|planned| messages::decode(&planned)) else {
            return self.messages_made_anew(unpublished);
        };
        if let Some(events) = &unpublished.events {
            planned.retain(|(index, _)| events.contains(index));
        }
        Ok(Some(planned))
    }

    /// The same of a delivery that was kept by an earlier version, without its messages.
    fn messages_made_anew(&self, unpublished: &Unpublished) -> Result<Option<Messages>, StoreError> {
        let Some(source) = self.source(&unpublished.id.source) else { return Ok(None) };
        let Some((delivery, body)) = self.kept(&unpublished.id)? else { return Ok(Some(Messages::new())) };
        let accepted = |index: &usize| {
            delivery.events.get(*index).is_some_and(|event| event.outcome == Outcome::Accepted)
        };
        let wanted = |index: &usize| match &unpublished.events {
            Some(events) => events.contains(index),
            None => accepted(index),
        };
        let Delivery { method, url, received_at, verified, .. } = &delivery;
        let headers = delivery.header_map();
        let incoming =
            Incoming::without_body(source.clone(), method.clone(), url.clone(), headers, *received_at);
        let Ok(incoming) = incoming.with_body(body) else { return Ok(Some(Messages::new())) };
        let max_message_bytes = self.broker.policy().limits.max_message_bytes;
        let naming = Naming { id: &delivery.id, max_message_bytes };
        let parts = source.parts(&incoming.request(), &Verified::before(*verified), naming);
        let message = |part: crate::provider::Part| match part.fate {
            Fate::Publish(outgoing) => Some((part.index, *outgoing)),
            fate => {
                tracing::error!(id = delivery.id, ?fate, "a delivery fits its source no more");
                None
            }
        };
        Ok(Some(parts.into_iter().filter(|part| wanted(&part.index)).filter_map(message).collect()))
    }
}

fn told(id: &DeliveryId, error: &PublishError) {
    match error {
        // It goes on at the next start.
        PublishError::Draining => tracing::debug!(%id, "a delivery waits for the next start"),
        error => tracing::warn!(%id, %error, "a delivery cannot be published yet"),
    }
}
