//! The course of a run: samples at even intervals, for the charts, and for those who watch.

mod view;

pub(super) use self::view::Show;
use self::view::{State, View};
use super::account::Account;
use super::counts::Counts;
use super::crew::Progress;
use super::result::Sample;
use super::scenario::Scenario;
use crate::clock::{self, MILLISECOND};
use crate::cpu;
use crate::error::Result;
use crate::latency::Latency;
use crate::memory;

/// Points of a chart at most; long runs get longer intervals.
const POINTS: f64 = 120.0;
const SHORTEST_NS: u64 = 250 * MILLISECOND;

/// The recorder.
pub(super) struct Course {
    pid: Option<u32>,
    interval_ns: u64,
    start_ns: u64,
    next_ns: u64,
    last_ns: u64,
    last_counts: Counts,
    last_cpu: Option<cpu::Sample>,
    first_cpu: Option<cpu::Sample>,
    /// CPU time of servers that were killed.
    earlier_cpu_ns: u64,
    /// When the server was killed, in seconds from the start.
    pub(super) kills_s: Vec<f64>,
    last_arrival_ns: u64,
    lag: Latency,
    first_due_ns: u64,
    pub(super) silence_ns: u64,
    pub(super) samples: Vec<Sample>,
    pub(super) peak_rss: u64,
    /// What the server held at the end, clients still there.
    pub(super) after: Option<memory::Holding>,
    view: View,
    /// How the other processes of the tester are.
    pub(super) elsewhere: Progress,
    last_elsewhere: u64,
}

impl Course {
    pub(super) fn new(pid: Option<u32>, scenario: &Scenario, show: Show) -> Result<Self> {
        Ok(Self {
            pid,
            interval_ns: clock::span_ns(scenario.seconds() / POINTS).max(SHORTEST_NS),
            start_ns: 0,
            next_ns: 0,
            last_ns: 0,
            last_counts: Counts::default(),
            last_cpu: None,
            first_cpu: None,
            earlier_cpu_ns: 0,
            kills_s: Vec::new(),
            last_arrival_ns: 0,
            lag: Latency::new()?,
            first_due_ns: 0,
            silence_ns: 0,
            samples: Vec::new(),
            peak_rss: 0,
            after: None,
            view: View::new(scenario, show),
            elsewhere: Progress::default(),
            last_elsewhere: 0,
        })
    }

    pub(super) fn connected(&mut self, connections: usize, per_second: f64) {
        self.view.connected(connections, per_second);
    }

    /// The first message is due at `start_ns`.
    pub(super) fn start(&mut self, start_ns: u64) -> Result<()> {
        (self.start_ns, self.last_ns) = (start_ns, start_ns);
        self.next_ns = start_ns + self.interval_ns;
        self.view.start(start_ns);
        self.last_arrival_ns = start_ns;
        self.last_cpu = self.pid.map(cpu::sample).transpose()?;
        self.first_cpu = self.last_cpu.clone();
        Ok(())
    }

    /// CPU time of the server since the start, in nanoseconds.
    pub(super) fn server_cpu_ns(&self) -> Option<u64> {
        Some(self.earlier_cpu_ns + self.last_cpu.as_ref()?.since(self.first_cpu.as_ref()?))
    }

    /// The server is about to be killed.
    pub(super) fn mark_kill(&mut self, now_ns: u64) {
        let at_s = now_ns.saturating_sub(self.start_ns) as f64 / 1e9;
        self.kills_s.push(at_s);
        self.view.killed(at_s);
        // The last moment at which it can be asked.
        if let Some(cpu) = self.pid.and_then(|pid| cpu::sample(pid).ok()) {
            self.last_cpu = Some(cpu);
        }
    }

    /// Another process is the server now.
    pub(super) fn restarted(&mut self, pid: Option<u32>) -> Result<()> {
        self.earlier_cpu_ns = self.server_cpu_ns().unwrap_or(0);
        self.pid = pid;
        self.last_cpu = pid.map(cpu::sample).transpose()?;
        self.first_cpu = self.last_cpu.clone();
        Ok(())
    }

    /// When it wants its next turn.
    pub(super) fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// A message was sent.
    pub(super) fn sent(&mut self, due_ns: u64, now_ns: u64) {
        self.lag.enter(due_ns, now_ns);
        if self.first_due_ns == 0 {
            self.first_due_ns = due_ns;
        }
    }

    /// Takes a sample when it is time.
    pub(super) fn turn(&mut self, now_ns: u64, account: &mut Account) {
        self.watch_silence(now_ns, account);
        if now_ns < self.next_ns {
            return;
        }
        self.sample(now_ns, account);
        // Intervals that were missed are left out; a sample in their place would be of no time at all.
        while self.next_ns <= now_ns {
            self.next_ns += self.interval_ns;
        }
        let state = self.state(account);
        self.view.turn(now_ns, &self.samples, state);
    }

    fn state(&self, account: &Account) -> State {
        State {
            faults: account.faults_so_far() + self.elsewhere.faults,
            not_arrived: account.not_arrived() + self.elsewhere.not_arrived,
            measured: self.pid.is_some(),
        }
    }

    /// The longest time without a delivery, counted from when the first message that did not come was due.
    fn watch_silence(&mut self, now_ns: u64, account: &Account) {
        if account.is_disturbed() {
            // Whoever is away gets nothing, and that is what was asked for.
            (self.last_arrival_ns, self.first_due_ns) = (now_ns, 0);
        } else if account.last_arrival_ns > self.last_arrival_ns {
            self.last_arrival_ns = account.last_arrival_ns;
            self.first_due_ns = 0;
        } else if self.first_due_ns > 0 && account.accepted < account.counts.expected {
            let since_ns = self.first_due_ns.max(self.last_arrival_ns);
            self.silence_ns = self.silence_ns.max(now_ns.saturating_sub(since_ns));
        }
    }

    /// The last sample.
    pub(super) fn finish(&mut self, account: &Account) {
        if let Some(pid) = self.pid {
            // A server that ended leaves what was last seen of it.
            self.last_cpu = cpu::sample(pid).ok().or(self.last_cpu.take());
            self.after = memory::holding(pid).ok();
        }
        let state = self.state(account);
        self.view.finish(&self.samples, state);
    }

    fn sample(&mut self, now_ns: u64, account: &mut Account) {
        let span_ns = now_ns.saturating_sub(self.last_ns).max(1);
        let per_second = |count: u64| count as f64 * 1e9 / span_ns as f64;
        let latency = account.interval.figures();
        let mut sample = Sample {
            at_s: now_ns.saturating_sub(self.start_ns) as f64 / 1e9,
            sent_per_second: per_second(account.counts.sent - self.last_counts.sent),
            deliveries_per_second: per_second(
                account.counts.deliveries - self.last_counts.deliveries + self.elsewhere.deliveries
                    - self.last_elsewhere,
            ),
            p50_ms: latency.p50_ms,
            p99_ms: latency.p99_ms,
            max_ms: latency.max_ms,
            lag_ms: self.lag.figures().p99_ms,
            connected: account.connected() + self.elsewhere.connected,
            ..Sample::default()
        };
        let seen = self.pid.and_then(|pid| cpu::sample(pid).ok().zip(memory::rss_anon(pid).ok()));
        if let Some((cpu, rss)) = seen {
            let used = self.last_cpu.as_ref().map_or(0, |before| cpu.since(before));
            self.peak_rss = self.peak_rss.max(rss);
            sample.server_cpu_percent = used as f64 * 100.0 / span_ns as f64;
            sample.server_mib = rss as f64 / (1024.0 * 1024.0);
            self.last_cpu = Some(cpu);
        }
        account.interval.clear();
        self.lag.clear();
        (self.last_ns, self.last_counts) = (now_ns, account.counts);
        self.last_elsewhere = self.elsewhere.deliveries;
        self.samples.push(sample);
    }

    /// Marks the intervals in which lost messages were due.
    pub(super) fn mark_losses(&mut self, start_ns: u64, lost_due_ns: &[u64]) {
        for &due_ns in lost_due_ns {
            let at_s = due_ns.saturating_sub(start_ns) as f64 / 1e9;
            if let Some(sample) = self.samples.iter_mut().find(|sample| sample.at_s >= at_s) {
                sample.lost += 1;
            }
        }
    }
}
