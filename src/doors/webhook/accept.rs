//! Accepting a verified delivery: recognised or kept, whatever becomes of whoever sent it meanwhile.

use std::{collections::HashSet, sync::Arc, time::Duration};

use super::{
    Incoming, NotTaken, Webhooks,
    messages::{self, Messages},
    record::{Delivery, DeliveryId, Entry, EventNote, Outcome},
    seen,
};
use crate::{
    clock::unix_ms,
    defaults,
    provider::{Fate, Hash, Naming, Part, Verified},
    store::{Batch, Space, StoreError},
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
        // What is not done in time goes on and holds its body, and the provider comes again meanwhile.
        let turn = self.accepting.take(&incoming.source.name);
        let turn =
            turn.ok_or_else(|| NotTaken::Busy("too many deliveries of this source are under way".into()))?;
        // A task of its own: a sender that hangs up must not leave a delivery half done.
        let this = self.clone();
        let accepted = tokio::spawn(async move {
            let _turn = turn;
            this.accept(incoming, verified, None).await
        });
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
        let (max_pending, sources) = {
            let settings = self.settings.load();
            (settings.max_pending, settings.sources.len())
        };
        // Who does not send again gets room that the others have to leave: what is refused is lost.
        let most = if source.preset.retries { max_pending } else { max_pending.saturating_mul(2) };
        // Looked at, not taken: as many more may come in as are under way at once, which `accepting` bounds.
        if !self.retention.pending.has_room(&source.name, sources, most) {
            let what = "too many deliveries wait to be published; `max_webhooks_pending` is the limit";
            return Err(NotTaken::Busy(what.into()));
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
        // Before it is asked what is known, and given back only once this delivery is among it: of two at the same time,
        // the second finds what the first has kept.
        let claim = self.claims.claim(names.iter().copied().collect()).await;
        let plan = plan(parts, &self.known(names, arrived_ms).await?);
        let mut delivery = Delivery::of(&id, &source, &incoming.request());
        delivery.outcome = plan.outcome();
        delivery.verified = verified.signed;
        delivery.events = plan.events;
        delivery.replay_of = replay_of;
        delivery.detail = delivery.events.iter().find_map(|event| event.detail.clone());
        if delivery.outcome == Outcome::Duplicate {
            self.count(&source.name, delivery.outcome);
            self.retention.remember(delivery.clone(), incoming.body.clone());
            return Ok(delivery);
        }
        let end_ms =
            arrived_ms.saturating_add(u64::try_from(source.dedupe_for.as_millis()).unwrap_or(u64::MAX));
        self.keep(&id, &delivery, &incoming, &plan.messages, &plan.names, end_ms).await?;
        // Kept, so it is recognised from here on; publishing needs no claim, and others may go on.
        drop(claim);
        // What could not be kept comes again, and counts then.
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
        // The delivery is safe, so the provider has its answer whether or not this works now; what fails is tried again.
        self.publish(id, plan.messages);
        Ok(delivery)
    }

    /// Which of these are known. Where that means reading a disk, it is read where nobody else waits.
    async fn known(&self, names: HashSet<Hash>, now_ms: u64) -> Result<HashSet<Hash>, NotTaken> {
        let store = self.broker.committer().store().clone();
        let look = move || -> Result<HashSet<Hash>, StoreError> {
            let mut known = HashSet::new();
            for name in names {
                if seen::is_known(&*store, &name, now_ms)? {
                    known.insert(name);
                }
            }
            Ok(known)
        };
        match self.on_disk {
            false => Ok(look()?),
            true => {
                let looked = tokio::task::spawn_blocking(look).await;
                Ok(looked.map_err(|error| NotTaken::Busy(error.to_string()))??)
            }
        }
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
            let planned = messages::encode(messages).map_err(|error| NotTaken::Busy(error.to_string()))?;
            batch.put(Space::Deliveries, Entry::Messages.key(id), planned);
            batch.put(Space::Deliveries, Entry::Pending.key(id), bytes::Bytes::new());
            // Before the batch is on its way: pruning must not take away, in between, what is still to be published.
            self.retention.pending.add(id);
        }
        for name in names {
            seen::remember(&mut batch, &id.source, name, end_ms);
        }
        let kept = self.broker.committer().keep(batch).await;
        if kept.is_err() {
            self.retention.pending.remove(id);
        } else {
            self.retention.add(id, incoming.body.len());
            // Counted once they are there; the next start counts them in the store.
            self.seen.add(&id.source, names.len());
        }
        Ok(kept?)
    }
}

/// What is known already is not published again, whether it came before or twice in one delivery.
fn plan(parts: Vec<Part>, known: &HashSet<Hash>) -> Plan {
    let mut plan = Plan { events: Vec::new(), messages: Vec::new(), names: Vec::new() };
    let mut taken = HashSet::new();
    for part in parts {
        let is_known = part.seen_as.iter().any(|name| known.contains(name) || taken.contains(name));
        let mut note = EventNote {
            index: part.index,
            event: part.event,
            outcome: Outcome::Duplicate,
            topic: None,
            detail: None,
        };
        match part.fate {
            _ if is_known => {}
            Fate::Filtered => note.outcome = Outcome::Filtered,
            Fate::Failed(why) => (note.outcome, note.detail) = (Outcome::Failed, Some(why)),
            Fate::Publish(outgoing) => {
                note.outcome = Outcome::Accepted;
                note.topic = Some(outgoing.topic.as_str().to_owned());
                plan.messages.push((part.index, *outgoing));
                taken.extend(part.seen_as.iter().copied());
                plan.names.extend(part.seen_as);
            }
        }
        plan.events.push(note);
    }
    plan
}
