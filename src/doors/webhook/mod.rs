//! Webhooks on their way in: judged by their source, recognised, kept, then published. What is kept is published, also
//! by the process after this one.
//!
//! ```text
//! take ─► judge (pure: greet · verify · reply · parts) ─► claim ─► seen before? ─► keep (durable) ─► publish ─► 2xx
//!                                                                      │              │                │
//!                                                                  duplicate: 2xx   full: 503   refused: again later
//! ```
//! The record of a delivery, what it is known by, and the note that it waits to be published are one batch. The note goes
//! once every message is published, on a durable topic once it is durable. A crash leaves either nothing, and the
//! provider comes again, or all of it, and it is published at the next start under the same message ids.

mod accept;
mod address;
mod certificates;
mod claims;
mod deliveries;
mod inspect;
mod messages;
mod pending;
mod publish;
mod receive;
mod recent;
mod record;
mod retention;
mod routes;
mod seen;
mod turns;
mod upkeep;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

pub use address::Peer;
use arc_swap::ArcSwap;
use axum::http::{HeaderMap, Uri, header};
use bytes::Bytes;
pub use inspect::{DeliveryPage, DeliveryQuery, NotReplayed};
use ipnet::IpNet;
pub use record::{Delivery, DeliveryId, EventNote, Header, Outcome};
pub use routes::{router, watching};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::{
    certificates::Fetched, claims::Claims, publish::Late, retention::Retention, seen::Seen, turns::Turns,
};
use crate::{
    broker::Broker,
    defaults,
    provider::{Answer, Certificates, Refused, Request, Source, Uncodable, Unverified, Verified, decode},
    store::StoreError,
};

/// What is configured; it can be reloaded.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Where webhooks come in.
    pub sources: Vec<Source>,
    /// Proxies whose word about the public address of a request is taken.
    pub trusted_proxies: Vec<IpNet>,
    /// Most deliveries that wait to be published; twice as many of providers that do not send again.
    pub max_pending: usize,
}

/// The same, to look things up in.
#[derive(Default)]
struct Configured {
    sources: HashMap<String, Arc<Source>>,
    trusted_proxies: Vec<IpNet>,
    max_pending: usize,
}

/// All sources with what came in through them.
pub struct Webhooks {
    broker: Arc<Broker>,
    settings: ArcSwap<Configured>,
    claims: Claims,
    retention: Retention,
    certificates: Fetched,
    late: Late,
    /// Deliveries that are being accepted, whether or not somebody still waits for the answer.
    accepting: Turns,
    /// Places for bodies that come compressed.
    decompressing: Arc<Semaphore>,
    /// How many names of deliveries are known.
    seen: Seen,
    /// Whether reading from the store may wait for a disk.
    on_disk: bool,
    /// The number of the last delivery. It starts at random, so that no delivery of two processes has the same name.
    sequence: AtomicU64,
}

/// A request that came in at a source.
#[derive(Clone)]
pub struct Incoming {
    /// Which one.
    pub source: Arc<Source>,
    /// The method, in upper case.
    pub method: String,
    /// The public address.
    pub url: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub body: Bytes,
    /// What it says, where it came compressed.
    content: Option<Bytes>,
    /// When it came.
    pub received_ms: u64,
}

impl Incoming {
    /// A request whose body has yet to be read.
    fn without_body(
        source: Arc<Source>,
        method: String,
        url: String,
        headers: HeaderMap,
        received_ms: u64,
    ) -> Self {
        Self { source, method, url, headers, body: Bytes::new(), content: None, received_ms }
    }

    /// The same with its body, decompressed within the source's bound.
    fn with_body(mut self, body: Bytes) -> Result<Self, Uncodable> {
        let encoding = self.headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes());
        self.content = decode(encoding, &body, self.source.max_body_bytes)?.map(Bytes::from);
        self.body = body;
        Ok(self)
    }

    fn request(&self) -> Request<'_> {
        let content = self.content.as_ref().unwrap_or(&self.body);
        let compressed = self.content.is_some().then_some(&self.body[..]);
        Request::new(&self.method, &self.url, &self.headers, content, self.received_ms)
            .compressed_as(compressed)
    }
}

/// Why a request is not taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotTaken {
    /// It does not come from the provider.
    #[error("{0}")]
    Unverified(Unverified),
    /// A question that has no answer.
    #[error("{0}")]
    Refused(Refused),
    /// What was sent cannot be decompressed.
    #[error("{0}")]
    Body(Uncodable),
    /// It may be taken later.
    #[error("{0}")]
    Busy(String),
}

impl From<StoreError> for NotTaken {
    fn from(error: StoreError) -> Self {
        Self::Busy(format!("it cannot be kept: {error}"))
    }
}

/// What a request turned out to be.
enum Judged {
    Answer(Answer),
    Delivery(Verified),
    NeedsCertificate(String),
    Not(NotTaken),
}

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

    /// Replaces the sources.
    pub fn reload(&self, settings: Settings) {
        for source in &settings.sources {
            for outcome in Outcome::ALL {
                self.broker.metrics.webhooks(&source.name, outcome.as_str()).increment(0);
            }
        }
        let by_name = |source: Source| (source.name.clone(), Arc::new(source));
        self.settings.store(Arc::new(Configured {
            sources: settings.sources.into_iter().map(by_name).collect(),
            trusted_proxies: settings.trusted_proxies,
            max_pending: settings.max_pending,
        }));
    }

    /// The source with a name, if the address has its secret.
    pub fn open(&self, name: &str, token: Option<&str>) -> Option<Arc<Source>> {
        let settings = self.settings.load();
        let source = settings.sources.get(name)?;
        source.opens(token).then(|| source.clone())
    }

    /// The source with a name.
    fn source(&self, name: &str) -> Option<Arc<Source>> {
        self.settings.load().sources.get(name).cloned()
    }

    /// The public address of a request to a source.
    pub fn public_address(&self, source: &Source, uri: &Uri, headers: &HeaderMap, peer: Peer) -> String {
        address::public(source, uri, headers, peer, &self.settings.load().trusted_proxies)
    }

    /// Takes a request: the answer, once everything it says is kept.
    pub async fn take(self: &Arc<Self>, incoming: Incoming) -> Result<Answer, NotTaken> {
        let judged = self.judge_fetching(&incoming).await;
        match judged {
            Judged::Answer(answer) => {
                let detail = match &answer.fetch {
                    Some(address) => {
                        let confirmed = certificates::confirm(&incoming.source, address).await;
                        confirmed.map_err(|error| NotTaken::Busy(format!("not confirmed: {error}")))?;
                        "confirmed".to_owned()
                    }
                    None => answer.text(),
                };
                self.note(&incoming, Outcome::Handshake, None, &detail);
                Ok(answer)
            }
            Judged::Delivery(verified) => {
                let answer = incoming.source.answer.clone();
                self.accept_in_time(incoming, verified).await?;
                Ok(answer)
            }
            Judged::Not(not) => {
                let cause = match &not {
                    NotTaken::Unverified(unverified) => unverified.code(),
                    NotTaken::Refused(_) => "handshake",
                    NotTaken::Body(_) => record::NOT_READ,
                    NotTaken::Busy(_) => "busy",
                };
                self.note(&incoming, Outcome::Rejected, Some(cause), &not.to_string());
                Err(not)
            }
            Judged::NeedsCertificate(_) => Err(NotTaken::Busy("the certificate is gone again".into())),
        }
    }

    /// Judges a request, and once more if the certificate it names was not at hand or has been replaced.
    async fn judge_fetching(&self, incoming: &Incoming) -> Judged {
        let certificates = self.certificates.of(&incoming.source);
        let judged = self.judge(incoming, &certificates);
        let wanted = match &judged {
            Judged::NeedsCertificate(address) => Some(address.clone()),
            Judged::Not(NotTaken::Unverified(Unverified::Mismatch | Unverified::CertificateDates)) => {
                certificates.outdated()
            }
            _ => None,
        };
        let Some(address) = wanted else { return judged };
        match (self.certificates.fetch(&incoming.source, &address).await, judged) {
            (Ok(()), _) => self.judge(incoming, &self.certificates.of(&incoming.source)),
            (Err(error), Judged::NeedsCertificate(_)) => {
                Judged::Not(NotTaken::Busy(format!("the certificate could not be fetched: {error}")))
            }
            (Err(_), judged) => judged,
        }
    }

    fn judge(&self, incoming: &Incoming, certificates: &dyn Certificates) -> Judged {
        let (source, request) = (&incoming.source, incoming.request());
        let answered = |answer: Result<Answer, Refused>| match answer {
            Ok(answer) => Judged::Answer(answer),
            Err(refused) => Judged::Not(NotTaken::Refused(refused)),
        };
        if let Some(answer) = source.greet(&request) {
            return answered(answer);
        }
        let verified = match source.verify(&request, certificates) {
            Ok(verified) => verified,
            Err(Unverified::NeedsCertificate(address)) => return Judged::NeedsCertificate(address),
            Err(unverified) => return Judged::Not(NotTaken::Unverified(unverified)),
        };
        match source.reply(&request) {
            Some(answer) => answered(answer),
            None => Judged::Delivery(verified),
        }
    }

    /// Decompresses a body where that is needed, a few at a time and not where others wait.
    async fn decompress(
        &self,
        incoming: &Incoming,
    ) -> Result<Option<(Bytes, OwnedSemaphorePermit)>, NotTaken> {
        let Some(encoding) = incoming.headers.get(header::CONTENT_ENCODING).cloned() else {
            return Ok(None);
        };
        let turn = self.decompressing.clone().acquire_owned().await;
        let turn = turn.map_err(|error| NotTaken::Busy(error.to_string()))?;
        let (body, limit) = (incoming.body.clone(), incoming.source.max_body_bytes);
        let done = tokio::task::spawn_blocking(move || decode(Some(encoding.as_bytes()), &body, limit)).await;
        let content = done.map_err(|error| NotTaken::Busy(error.to_string()))?.map_err(NotTaken::Body)?;
        Ok(content.map(|content| (Bytes::from(content), turn)))
    }

    fn next_id(&self, source: &Source, received_ms: u64) -> DeliveryId {
        DeliveryId::new(&source.name, received_ms, self.sequence.fetch_add(1, Ordering::Relaxed))
    }

    fn count(&self, source: &str, outcome: Outcome) {
        self.broker.metrics.webhooks(source, outcome.as_str()).increment(1);
    }

    /// Remembers a request whose body was not read: it was too large, too slow or compressed.
    pub fn note_unread(&self, incoming: &Incoming, why: &str) {
        self.note(incoming, Outcome::Rejected, Some(record::NOT_READ), why);
    }

    /// Remembers what is not kept.
    fn note(&self, incoming: &Incoming, outcome: Outcome, cause: Option<&str>, detail: &str) {
        let source = &incoming.source;
        let id = self.next_id(source, incoming.received_ms);
        tracing::debug!(source = source.name, outcome = outcome.as_str(), detail, "a webhook");
        let delivery = Delivery {
            outcome,
            cause: cause.map(str::to_owned),
            detail: Some(detail.to_owned()),
            ..Delivery::of(&id, source, &incoming.request())
        };
        self.count(&source.name, outcome);
        self.retention.remember(delivery, incoming.body.clone());
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
