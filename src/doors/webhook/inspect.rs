//! Looking at what came in, and taking it once more.

use std::{ops::Bound, sync::Arc};

use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    Incoming, NotTaken, Webhooks,
    record::{Delivery, DeliveryId, Entry, NOT_READ, Outcome},
};
use crate::{
    provider::{Unverified, Verified},
    store::{Scan, Space, StoreError},
};

/// Records looked at for one page, where few are of the outcome that is asked for.
const LOOKED_AT_MAX: usize = 5_000;

/// Records read in one go.
const SLICE: usize = 256;

/// Which deliveries.
#[derive(Clone, Debug, Default)]
pub struct DeliveryQuery {
    /// Of one source.
    pub source: Option<String>,
    /// With one outcome.
    pub outcome: Option<Outcome>,
    /// Older than this one.
    pub before: Option<DeliveryId>,
    /// Most of them.
    pub limit: usize,
}

/// A page of deliveries, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeliveryPage {
    /// The deliveries.
    pub deliveries: Vec<Delivery>,
    /// The `cursor` of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next: Option<String>,
}

/// Why a delivery is not replayed.
#[derive(Debug, thiserror::Error)]
pub enum NotReplayed {
    /// It is not kept, or not any more.
    #[error("there is no such delivery")]
    Unknown,
    /// Its source is gone or switched off.
    #[error("its source is not configured or not enabled")]
    NoSource,
    /// Its body was too large, too slow or compressed.
    #[error("its body was not read")]
    NotRead,
    /// It was a question.
    #[error("it was a handshake")]
    Handshake,
    /// It was rejected, and still is; or it cannot be taken now.
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
}

/// Newest first; of two at the same time the names decide.
fn newer(a: &DeliveryId, b: &DeliveryId) -> std::cmp::Ordering {
    (b.number, &b.source).cmp(&(a.number, &a.source))
}

impl Webhooks {
    /// A page of deliveries. Blocks on the store.
    pub fn deliveries(&self, query: &DeliveryQuery) -> Result<DeliveryPage, StoreError> {
        let sources = match &query.source {
            Some(source) => vec![source.clone()],
            None => self.retention.sources(),
        };
        let mut found: Vec<(DeliveryId, Delivery)> = Vec::new();
        for source in &sources {
            found.extend(self.kept_of(source, query)?);
            let remembered = self.retention.all_remembered(source).into_iter();
            // One more than fits of each source: all of the page may be of one, and one more shows that there is a next
            // page.
            found.extend(remembered.filter_map(|delivery| wanted(query, delivery)).take(query.limit + 1));
        }
        found.sort_by(|(a, _), (b, _)| newer(a, b));
        let more = found.len() > query.limit;
        found.truncate(query.limit);
        let next = found.last().filter(|_| more).map(|(id, _)| id.to_string());
        let shown = |(id, mut delivery): (DeliveryId, Delivery)| {
            delivery.pending = self.retention.pending.contains(&id);
            delivery
        };
        Ok(DeliveryPage { deliveries: found.into_iter().map(shown).collect(), next })
    }

    fn kept_of(
        &self,
        source: &str,
        query: &DeliveryQuery,
    ) -> Result<Vec<(DeliveryId, Delivery)>, StoreError> {
        let store = self.broker.committer().store();
        let prefix = Entry::Head.prefix(source);
        let mut scan = Scan { reverse: true, limit: SLICE, ..Scan::prefix(Space::Deliveries, prefix) };
        if let Some(before) = &query.before {
            let same_time = DeliveryId { source: source.to_owned(), number: before.number };
            // Not excluded: of two with one number the one whose name comes later is older.
            scan.to = Bound::Included(Entry::Head.key(&same_time));
        }
        let (mut found, mut looked_at) = (Vec::new(), 0);
        loop {
            let entries = store.scan(&scan)?;
            looked_at += entries.len();
            let read = |(_, value): &(Bytes, Bytes)| wanted(query, serde_json::from_slice(value).ok()?);
            found.extend(entries.iter().filter_map(read));
            let Some((last, _)) = entries.last() else { return Ok(found) };
            // Bounded by what is looked at: with a rare outcome, a page may end early, and `next` goes on from there.
            if found.len() > query.limit || entries.len() < SLICE || looked_at >= LOOKED_AT_MAX {
                return Ok(found);
            }
            scan.to = Bound::Excluded(last.clone());
        }
    }

    /// A delivery that the store has.
    pub(super) fn kept(&self, id: &DeliveryId) -> Result<Option<(Delivery, Bytes)>, StoreError> {
        let store = self.broker.committer().store();
        let head = store.get(Space::Deliveries, &Entry::Head.key(id))?;
        let Some(delivery) = head.and_then(|head| serde_json::from_slice(&head).ok()) else {
            return Ok(None);
        };
        let body = store.get(Space::Deliveries, &Entry::Body.key(id))?.unwrap_or_default();
        Ok(Some((delivery, body)))
    }

    /// A delivery with its body. Blocks on the store.
    pub fn delivery(&self, id: &DeliveryId) -> Result<Option<(Delivery, Bytes)>, StoreError> {
        let found = match self.retention.remembered(id) {
            Some(remembered) => Some(remembered),
            None => self.kept(id)?,
        };
        Ok(found.map(|(delivery, body)| {
            (Delivery { pending: self.retention.pending.contains(id), ..delivery }, body)
        }))
    }

    /// Takes a delivery once more, under a new name, with the source as it is now. One that was verified is not verified
    /// again, since secrets may have changed; one that was rejected is, as of when it came.
    pub async fn replay(self: &Arc<Self>, id: DeliveryId) -> Result<Delivery, NotReplayed> {
        let this = self.clone();
        let sought = id.clone();
        // The store blocks.
        let read = tokio::task::spawn_blocking(move || this.delivery(&sought)).await;
        let found = read.map_err(|error| NotTaken::Busy(error.to_string()))?.map_err(NotTaken::from)?;
        let (delivery, body) = found.ok_or(NotReplayed::Unknown)?;
        let source = self.source(&id.source).filter(|source| source.enabled).ok_or(NotReplayed::NoSource)?;
        let incoming = Incoming::without_body(
            source.clone(),
            delivery.method.clone(),
            delivery.url.clone(),
            delivery.header_map(),
            delivery.received_at,
        );
        let incoming = incoming.with_body(body).map_err(NotTaken::Body)?;
        let verified = match delivery.outcome {
            Outcome::Handshake => return Err(NotReplayed::Handshake),
            Outcome::Rejected if delivery.cause.as_deref() == Some(NOT_READ) => {
                return Err(NotReplayed::NotRead);
            }
            Outcome::Rejected => self.verify_again(&incoming).map_err(NotTaken::Unverified)?,
            _ => Verified::before(delivery.verified),
        };
        Ok(self.clone().accept(incoming, verified, Some(delivery.id)).await?)
    }

    /// The record has the address without its secret, which the provider may have signed.
    fn verify_again(&self, incoming: &Incoming) -> Result<Verified, Unverified> {
        let source = &incoming.source;
        let verify = |url| {
            let certificates = self.certificates.of(source);
            source.verify(&Incoming { url, ..incoming.clone() }.request(), &certificates)
        };
        let mut outcomes = source.with_path_tokens(&incoming.url).into_iter().map(verify);
        let first = outcomes.next().unwrap_or(Err(Unverified::Mismatch));
        // Says why the first does not fit if none does: with one secret, as mostly, that is the reason.
        first.or_else(|told| outcomes.find_map(Result::ok).ok_or(told))
    }
}

fn wanted(query: &DeliveryQuery, delivery: Delivery) -> Option<(DeliveryId, Delivery)> {
    let id = DeliveryId::read(&delivery.id)?;
    let of_outcome = query.outcome.is_none_or(|outcome| outcome == delivery.outcome);
    let is_older = query.before.as_ref().is_none_or(|before| newer(before, &id).is_lt());
    (of_outcome && is_older).then_some((id, delivery))
}
