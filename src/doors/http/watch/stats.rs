//! `GET /v1/stats`: the figures of the moment; `/v1/stats/stream`: every second, with rates and topics.

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::Response,
};
use fanwire_proto::Pattern;
use futures_util::stream;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use super::{
    feed::{self, Feed, LOOK_AROUND},
    figures::{Counts, Process, counts},
    ranking::{Order, Wanted},
    sampler::{Sample, Seen, Watch},
};
use crate::{
    broker::Broker,
    defaults,
    doors::http::{
        api::Api,
        caller::Admin,
        openapi,
        problem::{Problem, json},
        query::{count, query},
    },
    memory::Class,
};

/// Figures of the moment.
#[derive(Serialize, ToSchema)]
pub(super) struct Stats {
    #[schema(value_type = String)]
    version: &'static str,
    /// The broker's time, in milliseconds since 1970.
    time: u64,
    uptime_s: u64,
    /// Whether everybody may do everything, because no credential is configured.
    open: bool,
    draining: bool,
    /// WebSocket and event stream connections open now.
    connection_count: usize,
    /// Topics that exist now.
    topic_count: usize,
    /// What `/metrics` counts, without `fanwire_` and `_total`; webhooks by outcome, as `webhooks_rejected`.
    counts: Counts,
    process: Process,
    memory: MemoryUse,
}

/// What the broker may keep in memory, and keeps.
#[derive(Serialize, ToSchema)]
pub(super) struct MemoryUse {
    /// `max_memory_bytes`.
    max_bytes: usize,
    /// Its parts, by name.
    shares: BTreeMap<&'static str, ShareUse>,
}

/// A part of the memory.
#[derive(Serialize, ToSchema)]
pub(super) struct ShareUse {
    /// Bytes in use, about.
    used: usize,
    /// Bytes that may be.
    limit: usize,
}

impl MemoryUse {
    fn look(broker: &Broker) -> Self {
        let share = |class: Class| {
            let share = broker.memory().share(class);
            (class.as_str(), ShareUse { used: share.used(), limit: share.limit() })
        };
        let shares = Class::ALL.into_iter().map(share).collect();
        Self { max_bytes: broker.policy().limits.memory.max(), shares }
    }
}

/// The same with what changed since the last look.
#[derive(Serialize)]
struct Update<'a> {
    #[serde(flatten)]
    stats: Stats,
    /// Seconds since the last look, over which rates are; none at the first one.
    seconds: Option<f64>,
    /// What each count gained a second.
    rates: &'a Option<BTreeMap<String, f64>>,
    /// Processor time a second: 1 is one core.
    cpu: Option<f64>,
    /// How many topics are wanted.
    matched: usize,
    /// The first of them.
    topics: Vec<TopicRow<'a>>,
}

#[derive(Serialize)]
struct TopicRow<'a> {
    topic: &'a str,
    kind: &'static str,
    subscribers: usize,
    offset: u64,
    /// Messages a second since the last look.
    rate: Option<f64>,
    /// When the last message came.
    last_ms: Option<u64>,
}

impl Stats {
    fn read(api: &Api, watch: &Watch, time: u64, counts: Counts, process: Process) -> Self {
        let broker = &api.door.broker;
        Self {
            version: concat!("fanwire/", env!("CARGO_PKG_VERSION")),
            time,
            uptime_s: watch.started.elapsed().as_secs(),
            open: !broker.policy().authenticator.is_configured(),
            draining: broker.is_draining(),
            connection_count: broker.connection_count(),
            topic_count: broker.topic_count(),
            counts,
            process,
            memory: MemoryUse::look(broker),
        }
    }
}

impl<'a> TopicRow<'a> {
    fn of(seen: &'a Seen) -> Self {
        Self {
            topic: seen.topic.name.as_str(),
            kind: seen.topic.kind.as_str(),
            subscribers: seen.glance.subscribers,
            offset: seen.glance.position.offset.0,
            rate: seen.rate,
            last_ms: seen.glance.published_ms,
        }
    }
}

/// Figures of the moment
///
/// Needs an API key with `admin`.
#[utoipa::path(
    get, path = "/v1/stats", tag = openapi::WATCH, operation_id = "stats",
    responses((status = 200, body = Stats, description = "The figures")),
)]
pub(super) async fn stats(
    State(api): State<Api>,
    State(watch): State<Arc<Watch>>,
    Admin(caller): Admin,
    uri: Uri,
) -> Result<Response, Problem> {
    let [] = query(&uri, [])?;
    let counts = counts(&api.door.metrics.render());
    let stats = Stats::read(&api, &watch, caller.now_ms, counts, Process::look());
    Ok(json(StatusCode::OK, "application/json", &stats))
}

/// Figures, rates and topics, every second
///
/// Server-Sent Events named `stats`. Needs an API key with `admin`.
#[utoipa::path(
    get, path = "/v1/stats/stream", tag = openapi::WATCH, operation_id = "stats_stream",
    params(
        ("match" = Option<String>, Query, description = "A pattern of topics."),
        ("search" = Option<String>, Query, description = "Text that a topic's name contains."),
        ("sort" = Option<String>, Query, description = "`rate`, `subscribers`, `last` or `name`."),
        ("limit" = Option<usize>, Query, minimum = 1, description = "Most topics; 500 at most."),
    ),
    responses((status = 200, body = String, content_type = "text/event-stream", description = "Events without end")),
)]
pub(super) async fn stats_stream(
    State(api): State<Api>,
    State(watch): State<Arc<Watch>>,
    admin: Admin,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wanted = Arc::new(wanted(&uri)?);
    let feed = Feed::open(&watch, admin, headers)?;
    let samples = watch.join(&api.door.broker, &api.door.metrics);
    let viewer = Viewer { api, watch, feed, samples, wanted, ended: false };
    Ok(feed::answer(stream::unfold(viewer, async |mut viewer| {
        let bytes = viewer.next().await?;
        Some((bytes, viewer))
    })))
}

fn wanted(uri: &Uri) -> Result<Wanted, Problem> {
    let [matching, search, sort, limit] = query(uri, ["match", "search", "sort", "limit"])?;
    let pattern = matching.as_deref().map(Pattern::new).transpose();
    let order = Order::read(sort.as_deref().unwrap_or("rate"));
    let limit = limit.map_or(Ok(defaults::PAGE), |limit| count("limit", &limit))?;
    Ok(Wanted {
        pattern: pattern.map_err(|error| Problem::bad_request(format!("`match`: {error}")))?,
        search: search.map(std::borrow::Cow::into_owned),
        order: order
            .ok_or_else(|| Problem::bad_request("`sort` must be `rate`, `subscribers`, `last` or `name`"))?,
        limit: limit.min(defaults::WATCHED_TOPICS_MAX),
    })
}

struct Viewer {
    api: Api,
    watch: Arc<Watch>,
    feed: Feed,
    samples: watch::Receiver<Option<Arc<Sample>>>,
    wanted: Arc<Wanted>,
    ended: bool,
}

impl Viewer {
    /// The next event; none after the last words.
    async fn next(&mut self) -> Option<Bytes> {
        while !self.ended {
            // Never ends by itself, which would make this loop spin: the sender is in `watch`.
            let changed = tokio::time::timeout(LOOK_AROUND, self.samples.changed()).await;
            // Looked at between samples, too, as the samples may fail to come.
            if let Err(last_words) = self.feed.check(&self.api.door.broker) {
                self.ended = true;
                return Some(last_words);
            }
            let sample = self.samples.borrow_and_update().clone();
            if let (Ok(Ok(())), Some(sample)) = (changed, sample) {
                return Some(self.show(sample).await);
            }
        }
        None
    }

    /// Putting a million topics in order is no work for a thread that answers requests.
    async fn show(&self, sample: Arc<Sample>) -> Bytes {
        let (api, watch, wanted) = (self.api.clone(), self.watch.clone(), self.wanted.clone());
        let shown = tokio::task::spawn_blocking(move || {
            let stats = Stats::read(&api, &watch, sample.time, sample.counts.clone(), sample.process);
            let (topics, matched) = wanted.of(&sample.topics);
            let topics = topics.into_iter().map(TopicRow::of).collect();
            let Sample { seconds, rates, cpu, .. } = &*sample;
            let update = Update { stats, seconds: *seconds, rates, cpu: *cpu, matched, topics };
            let mut out = Vec::new();
            feed::append(&mut out, "stats", &update);
            Bytes::from(out)
        });
        // After a panic nothing is shown this once; the stream goes on with the next sample.
        shown.await.unwrap_or_default()
    }
}
