//! Looks at all topics and counts once a second while somebody watches, and at nothing while nobody does.
//!
//! A topic's rate is how far its offset moved between two looks. All who watch share one look.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use fanwire_proto::Epoch;
use metrics_exporter_prometheus::PrometheusHandle;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use rustix::time::{ClockId, clock_gettime};
use tokio::sync::{Semaphore, watch};

use super::figures::{Counts, Process, counts, per_second, rates};
use crate::{broker::Broker, clock::unix_ms, defaults, topic::Glance, topic::Topic};

/// What one look saw.
pub(super) struct Sample {
    /// When, in milliseconds since 1970.
    pub(super) time: u64,
    /// Seconds since the look before; none at the first one.
    pub(super) seconds: Option<f64>,
    pub(super) counts: Counts,
    /// What each count gained a second since the look before.
    pub(super) rates: Option<BTreeMap<String, f64>>,
    pub(super) process: Process,
    /// Processor time a second since the look before: 1 is one core.
    pub(super) cpu: Option<f64>,
    pub(super) topics: Vec<Seen>,
}

/// A topic as one look saw it.
#[derive(Clone)]
pub(super) struct Seen {
    pub(super) topic: Arc<Topic>,
    pub(super) glance: Glance,
    /// Messages a second since the look before; none for a topic that was not there then.
    pub(super) rate: Option<f64>,
}

/// Where those who watch get the samples from.
pub(in crate::doors::http) struct Watch {
    newest: watch::Sender<Option<Arc<Sample>>>,
    /// Whether somebody looks. The lock is held while the first one comes and while the last one goes.
    running: Mutex<bool>,
    pub(super) started: Instant,
    /// For streams; each keeps one.
    pub(super) places: Arc<Semaphore>,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            newest: watch::Sender::new(None),
            running: Mutex::new(false),
            started: Instant::now(),
            places: Arc::new(Semaphore::new(defaults::WATCHERS)),
        }
    }
}

impl Watch {
    /// The samples from now on.
    pub(super) fn join(
        self: &Arc<Self>,
        broker: &Arc<Broker>,
        metrics: &PrometheusHandle,
    ) -> watch::Receiver<Option<Arc<Sample>>> {
        // Held over both steps, or the sampler could find between them that nobody is left, and end.
        let mut running = self.running.lock();
        let mut samples = self.newest.subscribe();
        // Whoever comes shows the last look at once, instead of nothing for a second.
        samples.mark_changed();
        if !std::mem::replace(&mut *running, true) {
            let sampler = Sampler { broker: broker.clone(), metrics: metrics.clone(), last: None };
            tokio::spawn(run(self.clone(), sampler));
        }
        samples
    }

    /// Passes a sample on; false when nobody is left to see it.
    fn pass_on(&self, sample: Sample) -> bool {
        let mut running = self.running.lock();
        *running = self.newest.receiver_count() > 0;
        // Whoever comes later shall not take an old sample for a new one.
        self.newest.send_replace(running.then(|| Arc::new(sample)));
        *running
    }
}

async fn run(watch: Arc<Watch>, mut sampler: Sampler) {
    loop {
        let looked = tokio::task::spawn_blocking(move || {
            let before = thread_cpu();
            let sample = sampler.look();
            (sampler, sample, thread_cpu().saturating_sub(before))
        });
        let (sample, took);
        (sampler, sample, took) = match looked.await {
            Ok(looked) => looked,
            Err(error) => {
                // Whoever watches next starts another one; those who watch now are told nothing more until then.
                *watch.running.lock() = false;
                return tracing::error!(%error, "the topics could not be looked at");
            }
        };
        if !watch.pass_on(sample) {
            return;
        }
        // A look at many topics takes long and reads under their locks; pausing in proportion keeps it to a small part of
        // one core.
        let pause = Duration::from_millis(defaults::SAMPLE_MS).max(took * defaults::SAMPLE_SHARE);
        tokio::time::sleep(pause.saturating_sub(took)).await;
    }
}

/// Processor time of this thread: on a busy machine a look lasts longer, but costs no more.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).unwrap_or_default()
}

struct Sampler {
    broker: Arc<Broker>,
    metrics: PrometheusHandle,
    last: Option<Look>,
}

/// What a look leaves for the next one.
struct Look {
    at: Instant,
    counts: Counts,
    cpu_s: f64,
    /// By the topics' addresses, which are theirs for as long as they are held here.
    topics: FxHashMap<usize, (Arc<Topic>, Epoch, u64)>,
}

impl Sampler {
    fn look(&mut self) -> Sample {
        let (at, time) = (Instant::now(), unix_ms());
        let (counts, process) = (counts(&self.metrics.render()), Process::look());
        let last = self.last.take();
        let seconds = last.as_ref().map(|last| (at - last.at).as_secs_f64());
        let mut topics = Vec::new();
        let mut positions = FxHashMap::default();
        self.broker.each_topic(|topic| {
            let glance = topic.glance();
            let (epoch, offset) = (glance.position.epoch, glance.position.offset.0);
            let address = Arc::as_ptr(topic) as usize;
            let before = last.as_ref().and_then(|last| last.topics.get(&address));
            // In another epoch offsets begin anew, and the difference would be none.
            let before = before.filter(|(_, known, _)| *known == epoch).map(|(.., offset)| *offset);
            let rate = before.zip(seconds).map(|(before, seconds)| per_second(offset - before, seconds));
            positions.insert(address, (topic.clone(), epoch, offset));
            topics.push(Seen { topic: topic.clone(), glance, rate });
        });
        let since = last.as_ref().zip(seconds);
        let sample = Sample {
            time,
            seconds,
            rates: since.map(|(last, seconds)| rates(&last.counts, &counts, seconds)),
            cpu: since.map(|(last, seconds)| (process.cpu_s - last.cpu_s) / seconds),
            counts: counts.clone(),
            process,
            topics,
        };
        self.last = Some(Look { at, counts, cpu_s: process.cpu_s, topics: positions });
        sample
    }
}
