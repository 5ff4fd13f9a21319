//! Publishers that pipeline: how many messages a second a server takes and acknowledges, and what each costs it.
//!
//! A closed loop, unlike everything else here: each publisher keeps so many messages unanswered and sends the next ones
//! as soon as answers come. So it finds the ceiling, and its latencies are those at the ceiling.

use std::rc::Rc;
use std::time::Duration;

use serde::Serialize;

use super::{Subject, prepare, write_json};
use crate::adapter::Publication;
use crate::client::Sink;
use crate::client::pool::Pool;
use crate::clock::{self, MILLISECOND};
use crate::error::{Error, Result};
use crate::latency::{Figures, Latency};
use crate::options::PublishOptions;
use crate::stamp::{Corrupt, Stamp};
use crate::verdict::{self, Check, Verdict};
use crate::wire::Reply;
use crate::{cpu, report};

/// Answers that a publisher waits for before it sends the next messages together.
const BATCHES_PER_WINDOW: usize = 4;
/// Reasons that are shown.
const NOTES: usize = 5;

/// What a run measured.
#[derive(Debug, Serialize)]
pub struct Summary {
    /// Of this JSON.
    pub schema_version: u32,
    /// The verdict over all checks.
    pub verdict: Verdict,
    /// The server's command or URL.
    pub server: String,
    /// Connections that publish.
    pub publishers: usize,
    /// Unanswered messages of each, at most.
    pub window: usize,
    /// Whether the answers mean durable.
    pub durable: bool,
    /// Bytes of payload.
    pub payload: usize,
    /// Acknowledged messages.
    pub acknowledged: u64,
    /// Per second.
    pub acknowledged_per_second: f64,
    /// Messages that were refused.
    pub refused: u64,
    /// The first reasons of what went wrong.
    pub notes: Vec<String>,
    /// From sending to the answer.
    pub ack: Figures,
    /// Server CPU per acknowledged message, in microseconds.
    pub cpu_us: f64,
    /// Share of its core the server used, in percent; of more than one core if it has more threads that are not pinned.
    pub server_cpu_percent: f64,
    /// Share of its core the tester used, in percent.
    pub tester_cpu_percent: f64,
    /// The thresholds.
    pub checks: Vec<Check>,
}

/// Runs the scenario, prints its report and returns the exit code.
///
/// # Errors
/// When the server cannot be started or measured.
pub fn run(options: &PublishOptions) -> Result<u8> {
    if options.publishers == 0 || options.window == 0 || options.topics == 0 {
        return Err(Error::Usage("--publishers, --window and --topics must not be 0".into()));
    }
    let cores = prepare(&options.server, options.publishers)?;
    let subject = Subject::start(&options.server, Rc::new(options.encoding), cores)?;
    let summary = measure(options, &subject)?;
    print!("{}", report::publish(&summary));
    write_json(&options.server, &summary)?;
    Ok(summary.verdict.exit_code())
}

fn measure(options: &PublishOptions, subject: &Subject) -> Result<Summary> {
    let pid = subject.measured_pid()?;
    let mut pool = Pool::new()?;
    pool.open(&subject.target, vec![Vec::new(); options.publishers], options.server.at_once)?;
    let mut publishers = Publishers::new(options)?;
    publishers.work(&mut pool, clock::span_ns(options.warmup))?;
    // What is still unanswered stays in the window and counts when it is answered: as much of it is carried in here as is
    // left over at the end.
    publishers.answers.forget();
    let (cpu_before, own_before, start_ns) = (cpu::sample(pid)?, clock::own_cpu_ns(), clock::now_ns());
    publishers.work(&mut pool, clock::span_ns(options.seconds))?;
    let span_ns = (clock::now_ns() - start_ns).max(1) as f64;
    let own_ns = (clock::own_cpu_ns() - own_before) as f64;
    let cpu_ns = cpu::sample(pid)?.since(&cpu_before) as f64;
    let answers = publishers.answers;
    let ack = answers.latency.figures();
    let acknowledged = ack.samples;
    let checks = vec![
        Check::server("messages that were refused", answers.refused as f64, 0.0),
        Check::server("connections that ended", pool.ended() as f64, 0.0),
    ];
    Ok(Summary {
        schema_version: 1,
        verdict: verdict::over(&checks),
        server: subject.name.clone(),
        publishers: options.publishers,
        window: options.window,
        durable: options.durable,
        payload: options.payload,
        acknowledged,
        acknowledged_per_second: acknowledged as f64 * 1e9 / span_ns,
        refused: answers.refused,
        notes: answers.notes,
        ack,
        cpu_us: cpu_ns / 1e3 / (acknowledged.max(1)) as f64,
        server_cpu_percent: cpu_ns * 100.0 / span_ns,
        tester_cpu_percent: own_ns * 100.0 / span_ns,
        checks,
    })
}

struct Publishers {
    window: usize,
    durable: bool,
    /// What each publisher publishes to.
    topics: Vec<String>,
    data: String,
    answers: Answers,
}

impl Publishers {
    fn new(options: &PublishOptions) -> Result<Self> {
        let topic = |at: usize| format!("{}:{}", options.topic, at % options.topics);
        Ok(Self {
            window: options.window,
            durable: options.durable,
            topics: (0..options.publishers).map(topic).collect(),
            // A JSON string of so many bytes.
            data: format!("\"{}\"", "x".repeat(options.payload.saturating_sub(2))),
            answers: Answers::new(options.publishers)?,
        })
    }

    fn work(&mut self, pool: &mut Pool, span_ns: u64) -> Result<()> {
        let end_ns = clock::now_ns() + span_ns;
        loop {
            let now_ns = clock::now_ns();
            if now_ns >= end_ns {
                return Ok(());
            }
            for at in 0..self.topics.len() {
                self.refill(pool, at, now_ns)?;
            }
            pool.turn(
                Some(Duration::from_nanos((end_ns - now_ns).min(10 * MILLISECOND))),
                &mut self.answers,
            )?;
        }
    }

    /// Sends together what a quarter of the window or more has room for.
    fn refill(&mut self, pool: &mut Pool, at: usize, now_ns: u64) -> Result<()> {
        let publisher = &mut self.answers.publishers[at];
        let room = self.window - publisher.sent_ns.len();
        // Message by message would measure the system calls of both sides rather than the server.
        if room * BATCHES_PER_WINDOW < self.window {
            return Ok(());
        }
        let first = publisher.next_id;
        publisher.next_id += room as u64;
        publisher.sent_ns.extend((first..publisher.next_id).map(|id| (id, now_ns)));
        let publication = |id| Publication {
            id,
            topic: &self.topics[at],
            key: None,
            message_id: None,
            update: None,
            webhook: false,
            durable: self.durable,
            data: &self.data,
        };
        pool.publish_all(at, (first..publisher.next_id).map(publication))
    }
}

#[derive(Default)]
struct Publisher {
    next_id: u64,
    /// When each unanswered message was sent, in the order of their numbers.
    sent_ns: std::collections::VecDeque<(u64, u64)>,
}

struct Answers {
    publishers: Vec<Publisher>,
    latency: Latency,
    refused: u64,
    notes: Vec<String>,
}

impl Answers {
    fn new(publishers: usize) -> Result<Self> {
        let publishers = (0..publishers).map(|_| Publisher { next_id: 1, ..Publisher::default() });
        let (latency, notes) = (Latency::new()?, Vec::new());
        Ok(Self { publishers: publishers.collect(), latency, refused: 0, notes })
    }

    fn note(&mut self, what: String) {
        if self.notes.len() < NOTES {
            self.notes.push(what);
        }
    }

    /// What came before the measurement does not count.
    fn forget(&mut self) {
        self.latency.clear();
        self.refused = 0;
    }
}

impl Sink for Answers {
    fn stamped(&mut self, _: usize, _: &Stamp, _: u64) -> bool {
        true
    }
    fn damaged(&mut self, _: usize, _: Corrupt) {}
    fn reply(&mut self, at: usize, reply: &Reply) {
        let Some(id) = reply.id else { return };
        let sent = &mut self.publishers[at].sent_ns;
        // Answers of a server with several shards need not come in the order of the messages.
        let Ok(index) = sent.binary_search_by_key(&id, |(id, _)| *id) else { return };
        let Some((_, sent_ns)) = sent.remove(index) else { return };
        if reply.kind == "ok" {
            self.latency.enter(sent_ns, clock::now_ns());
        } else {
            self.refused += 1;
            self.note(format!("refused: {}", reply.message.as_deref().unwrap_or("without a reason")));
        }
    }
    fn read(&mut self, _: usize, _: usize) {}
    fn ended(&mut self, at: usize, reason: &str) {
        self.note(format!("connection {at} ended: {reason}"));
        self.publishers[at].sent_ns.clear();
    }
}
