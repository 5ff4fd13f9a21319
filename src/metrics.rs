//! Everything fanwire counts: one struct, one documented field per metric.

use std::sync::Arc;

use metrics::{Counter, Gauge, counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::shard::{Tally, TallySink};

/// Webhook deliveries, labelled with `source` and `outcome`.
const WEBHOOKS: &str = "fanwire_webhooks_total";

macro_rules! metrics {
    ($($(#[doc = $doc:literal])+ $kind:ident $describe:ident $field:ident: $type:ident = $name:literal;)*) => {
        /// Handles of all metrics.
        #[derive(Clone)]
        pub struct Metrics {
            $($(#[doc = $doc])+ pub $field: $type,)*
            /// Those with labels, which are not known beforehand.
            labelled: Option<Arc<PrometheusRecorder>>,
        }

        impl Metrics {
            fn register() -> Self {
                $($describe!($name, concat!($($doc),+).trim());)*
                describe_counter!(WEBHOOKS, "Webhook deliveries by source and what became of them.");
                Self { $($field: $kind!($name),)* labelled: None }
            }

            /// The names on `/metrics`.
            pub const NAMES: &[&str] = &[$($name),*];
        }
    };
}

metrics! {
    /// Messages taken and numbered, whatever door they came through.
    counter describe_counter published: Counter = "fanwire_messages_published_total";
    /// Publishes that were refused.
    counter describe_counter refused: Counter = "fanwire_publishes_refused_total";
    /// Messages handed to subscribers, one per message and subscriber.
    counter describe_counter deliveries: Counter = "fanwire_deliveries_total";
    /// Messages that volatile subscribers missed because they were too slow.
    counter describe_counter dropped: Counter = "fanwire_deliveries_dropped_total";
    /// Values left out for subscribers of the newest.
    counter describe_counter conflated: Counter = "fanwire_deliveries_conflated_total";
    /// Gaps signalled to log subscribers.
    counter describe_counter gaps: Counter = "fanwire_gaps_total";
    /// Writes to sockets; deliveries per write is what coalescing brings.
    counter describe_counter writes: Counter = "fanwire_socket_writes_total";
    /// Times a socket took less than it was given.
    counter describe_counter blocked: Counter = "fanwire_socket_blocked_total";
    /// Bytes sent to WebSocket clients.
    counter describe_counter bytes_out: Counter = "fanwire_sent_bytes_total";
    /// Bytes received from WebSocket clients.
    counter describe_counter bytes_in: Counter = "fanwire_received_bytes_total";
    /// WebSocket messages received.
    counter describe_counter frames_in: Counter = "fanwire_received_frames_total";
    /// WebSocket connections opened.
    counter describe_counter opened: Counter = "fanwire_connections_opened_total";
    /// WebSocket connections closed, for any reason.
    counter describe_counter closed: Counter = "fanwire_connections_closed_total";
    /// WebSocket connections closed because a ping was not answered.
    counter describe_counter closed_ping: Counter = "fanwire_connections_closed_ping_total";
    /// WebSocket connections closed because replies were not read.
    counter describe_counter closed_outbox: Counter = "fanwire_connections_closed_outbox_total";
    /// WebSocket connections closed for breaking the protocol.
    counter describe_counter closed_violation: Counter = "fanwire_connections_closed_violation_total";
    /// Connections turned away by a limit.
    counter describe_counter turned_away: Counter = "fanwire_connections_turned_away_total";
    /// HTTP requests answered.
    counter describe_counter http_requests: Counter = "fanwire_http_requests_total";
    /// Commits to the store, each of them one fsync.
    counter describe_counter commits: Counter = "fanwire_store_commits_total";
    /// Commits that failed; each is tried again.
    counter describe_counter commit_failures: Counter = "fanwire_store_commit_failures_total";
    /// Messages in those that succeeded.
    counter describe_counter kept: Counter = "fanwire_store_messages_total";
    /// Microseconds spent in commits.
    counter describe_counter commit_micros: Counter = "fanwire_store_commit_microseconds_total";
    /// Whether the store takes nothing at the moment: 1 if so.
    gauge describe_gauge store_failing: Gauge = "fanwire_store_failing";
    /// Bytes that the store takes, about.
    gauge describe_gauge store_bytes: Gauge = "fanwire_store_bytes";
    /// Bytes that the store can still take before durable publishes are refused; 0 without a data directory, too.
    gauge describe_gauge store_room: Gauge = "fanwire_store_room_bytes";
    /// Bytes of memory that the broker may take, `max_memory_bytes`.
    gauge describe_gauge memory_limit: Gauge = "fanwire_memory_limit_bytes";
    /// Bytes that topics take, about: histories, values, members, message ids.
    gauge describe_gauge topic_bytes: Gauge = "fanwire_topic_bytes";
    /// Bytes of request bodies that are held.
    gauge describe_gauge body_bytes: Gauge = "fanwire_body_bytes";
    /// Bytes that wait for connections that read slowly.
    gauge describe_gauge outbox_bytes: Gauge = "fanwire_outbox_bytes";
    /// Bytes of answers kept for requests with an `Idempotency-Key`.
    gauge describe_gauge idempotency_bytes: Gauge = "fanwire_idempotency_bytes";
    /// Bytes of all documents in memory.
    gauge describe_gauge document_bytes: Gauge = "fanwire_document_bytes";
    /// Bytes that merging, reading and comparing documents takes, about.
    gauge describe_gauge merging_bytes: Gauge = "fanwire_merging_bytes";
    /// Documents that could not be merged and are served update by update; the log names them.
    gauge describe_gauge documents_set_aside: Gauge = "fanwire_documents_set_aside";
    /// WebSocket connections open now.
    gauge describe_gauge connections: Gauge = "fanwire_connections";
    /// Topics that exist now.
    gauge describe_gauge topics: Gauge = "fanwire_topics";
}

impl Metrics {
    /// Creates the metrics together with what renders them as Prometheus text.
    pub fn new() -> (Self, PrometheusHandle) {
        let recorder = Arc::new(PrometheusBuilder::new().build_recorder());
        // A recorder of our own, not the process's: tests run several brokers side by side, each with its own counts.
        let metrics = metrics::with_local_recorder(&*recorder, Self::register);
        let handle = recorder.handle();
        (Self { labelled: Some(recorder), ..metrics }, handle)
    }

    /// The count of a source's deliveries with this outcome.
    pub fn webhooks(&self, source: &str, outcome: &'static str) -> Counter {
        let register = || counter!(WEBHOOKS, "source" => source.to_owned(), "outcome" => outcome);
        self.labelled
            .as_ref()
            .map_or_else(Counter::noop, |recorder| metrics::with_local_recorder(&**recorder, register))
    }
}

impl TallySink for Metrics {
    fn add(&mut self, tally: &Tally) {
        let counts = [
            (&self.deliveries, tally.deliveries),
            (&self.dropped, tally.dropped),
            (&self.conflated, tally.conflated),
            (&self.gaps, tally.gaps),
            (&self.writes, tally.writes),
            (&self.blocked, tally.blocked),
            (&self.bytes_out, tally.bytes_out),
            (&self.bytes_in, tally.bytes_in),
            (&self.frames_in, tally.frames_in),
            (&self.opened, tally.opened),
            (&self.closed, tally.closed),
            (&self.closed_ping, tally.closed_ping),
            (&self.closed_outbox, tally.closed_outbox),
            (&self.closed_violation, tally.closed_violation),
        ];
        for (counter, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
            counter.increment(count);
        }
    }
}
