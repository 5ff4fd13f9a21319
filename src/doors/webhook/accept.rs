//! Accepting a verified delivery: recognised or kept, whatever becomes of whoever sent it meanwhile.

use std::{collections::HashSet, sync::Arc, sync::atomic::Ordering, time::Duration};

use super::{
    Incoming, NotTaken, Webhooks,
    publish::Messages,
    record::{Delivery, DeliveryId, Entry, EventNote, Outcome},
    seen,
};
use crate::{
    clock::unix_ms,
    defaults,
    store::{Batch, Space},
    webhook::{Fate, Hash, Naming, Part, Verified},
};

/// What is to become of a delivery, before it is kept.
struct Plan {
    events: Vec<EventNote>,
    messages: Messages,
    /// What its events will be known by.
    names: Vec<Hash>,
}

impl Plan {
    /// Of a delivery with several events the best outcome counts.
    fn outcome(&self) -> Outcome {
        let any = |wanted: Outcome| self.events.iter().any(|event| event.outcome == wanted);
        let order = [Outcome::Accepted, Outcome::Failed, Outcome::Filtered];
        order.into_iter().find(|outcome| any(*outcome)).unwrap_or(Outcome::Duplicate)
    }
}

impl Webhooks {
    /// Accepts a delivery within the time there is. What takes longer goes on, and the provider's next attempt finds it
    /// done.
    pub(super) async fn accept_in_time(
        self: &Arc<Self>,
        incoming: Incoming,
        verified: Verified,
    ) -> Result<(), NotTaken> {
        let deadline = Duration::from_millis(defaults::WEBHOOK_DEADLINE_MS);
        // A task of its own: a sender that hangs up must not leave a delivery half done.
        let accepted = tokio::spawn(self.clone().accept(incoming, verified, None));
        match tokio::time::timeout(deadline, accepted).await {
            Ok(Ok(outcome)) => outcome.map(|_| ()),
            Ok(Err(error)) => {
                tracing::error!(%error, "a webhook delivery ended with a panic");
                Err(NotTaken::Busy("it could not be handled".into()))
            }
            Err(_) => Err(NotTaken::Busy("keeping it takes too long".into())),
        }
    }

    /// Accepts a delivery, or a replay of one, which is not recognised as what came before.
    pub(super) async fn accept(
        self: Arc<Self>,
        incoming: Incoming,
        verified: Verified,
        replay_of: Option<String>,
    ) -> Result<Delivery, NotTaken> {
        let source = incoming.source.clone();
        if self.broker.is_draining() {
            return Err(NotTaken::Busy("the broker is draining".into()));
        }
        let max_pending = self.settings.load().max_pending;
        let limit = if source.preset.retries { max_pending } else { max_pending.saturating_mul(2) };
        if self.shelves.pending_count() >= limit {
            return Err(NotTaken::Busy("too many deliveries wait to be published".into()));
        }
        // A replay has come now, but is judged as of when it came first.
        let arrived_ms = if replay_of.is_some() { unix_ms() } else { incoming.received_ms };
        let id = self.next_id(&source, arrived_ms);
        let name = id.to_string();
        let max_message_bytes = self.broker.policy().limits.max_message_bytes;
        let naming = Naming { id: &name, max_message_bytes };
        let mut parts = source.parts(&incoming.request(), &verified, naming);
        if replay_of.is_some() {
            parts.iter_mut().for_each(|part| part.seen_as.clear());
        }
        let names: HashSet<Hash> = parts.iter().flat_map(|part| part.seen_as.iter().copied()).collect();
        let claim = self.claims.claim(names.into_iter().collect()).await;
        let plan = self.plan(parts, arrived_ms)?;
        let mut delivery = Delivery::of(&id, &source, &incoming.request());
        delivery.outcome = plan.outcome();
        delivery.verified = verified.signed;
        delivery.events = plan.events;
        delivery.replay_of = replay_of;
        delivery.detail = delivery.events.iter().find_map(|event| event.detail.clone());
        self.count(&source.name, delivery.outcome);
        for event in delivery.events.iter().filter(|event| event.outcome == Outcome::Failed) {
            let (index, why) = (event.index, event.detail.as_deref().unwrap_or_default());
            tracing::warn!(
                source = source.name,
                delivery = name,
                index,
                why,
                "a webhook delivery cannot become a message"
            );
        }
        if delivery.outcome == Outcome::Duplicate {
            self.shelves.remember(delivery.clone(), incoming.body.clone());
            return Ok(delivery);
        }
        let end_ms =
            arrived_ms.saturating_add(u64::try_from(source.dedupe_for.as_millis()).unwrap_or(u64::MAX));
        self.keep(&id, &delivery, &incoming, &plan.messages, &plan.names, end_ms).await?;
        drop(claim);
        self.publish(id, plan.messages);
        Ok(delivery)
    }

    /// What is known already is not published again, whether it came before or twice in one delivery.
    fn plan(&self, parts: Vec<Part>, now_ms: u64) -> Result<Plan, NotTaken> {
        let store = self.broker.committer().store();
        let mut plan = Plan { events: Vec::new(), messages: Vec::new(), names: Vec::new() };
        for part in parts {
            let mut known = part.seen_as.iter().any(|name| plan.names.contains(name));
            for name in &part.seen_as {
                known = known || seen::is_known(&**store, name, now_ms)?;
            }
            let mut note = EventNote {
                index: part.index,
                event: part.event,
                outcome: Outcome::Duplicate,
                topic: None,
                detail: None,
            };
            match part.fate {
                _ if known => {}
                Fate::Filtered => note.outcome = Outcome::Filtered,
                Fate::Failed(why) => (note.outcome, note.detail) = (Outcome::Failed, Some(why)),
                Fate::Publish(outgoing) => {
                    note.outcome = Outcome::Accepted;
                    note.topic = Some(outgoing.topic.as_str().to_owned());
                    plan.messages.push((part.index, *outgoing));
                    plan.names.extend(part.seen_as);
                }
            }
            plan.events.push(note);
        }
        Ok(plan)
    }

    /// All of it in one batch: the record, that it waits, and what it is known by.
    async fn keep(
        &self,
        id: &DeliveryId,
        delivery: &Delivery,
        incoming: &Incoming,
        messages: &Messages,
        names: &[Hash],
        end_ms: u64,
    ) -> Result<(), NotTaken> {
        let head = serde_json::to_vec(delivery).map_err(|error| NotTaken::Busy(error.to_string()))?;
        let mut batch = Batch::default();
        batch.put(Space::Deliveries, Entry::Head.key(id), head);
        batch.put(Space::Deliveries, Entry::Body.key(id), incoming.body.clone());
        if !messages.is_empty() {
            batch.put(Space::Deliveries, Entry::Pending.key(id), bytes::Bytes::new());
            self.shelves.mark_pending(id);
        }
        for name in names {
            seen::remember(&mut batch, name, end_ms);
        }
        let kept = self.broker.committer().keep(batch).await;
        if kept.is_err() {
            self.shelves.unmark_pending(id);
        } else {
            self.shelves.add(id, incoming.body.len());
            self.seen.fetch_add(names.len(), Ordering::Relaxed);
        }
        Ok(kept?)
    }
}
