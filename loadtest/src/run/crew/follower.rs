//! A follower: does what the lead says on its standard input, and answers on its standard output.

use std::io::{BufRead, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError, sync_channel};
use std::time::Duration;

use super::Company;
use super::message::{Endpoint, Fates, Order, Progress, Ready, Report, Task, Word};
use crate::affinity;
use crate::client::connection::Target;
use crate::clock::MILLISECOND;
use crate::error::{Context, Error, Result};
use crate::memory;
use crate::options::ServerOptions;
use crate::run::account::Account;
use crate::run::course::{Course, Show};
use crate::run::engine::{Ended, Engine, Means};
use crate::scenario::{Subject, tls};

/// How often the lead hears of progress.
const PROGRESS_NS: u64 = 250 * MILLISECOND;
/// How often the follower looks whether the lead says anything.
const LISTEN_NS: u64 = 10 * MILLISECOND;

/// The follower's end of the line to the lead.
#[derive(Debug)]
pub(in crate::run) struct Follower {
    orders: Receiver<Order>,
    next_ns: u64,
    progress_ns: u64,
}

/// Follows until the lead has everything, and returns the exit code.
///
/// # Errors
/// When the lead is gone or the run cannot be made.
pub fn follow() -> Result<u8> {
    let outcome = work();
    if let Err(error) = &outcome {
        // The lead may be what is gone.
        let _ = say(&Word::Failed(error.to_string()));
    }
    outcome.map(|()| 0)
}

fn work() -> Result<()> {
    memory::raise_descriptor_limit()?;
    let line = Follower { orders: listen(), next_ns: 0, progress_ns: 0 };
    let task = match line.orders.recv_timeout(Duration::from_secs(10)) {
        Ok(Order::Task(task)) => task,
        _ => return Err(Error::Setup("a follower is started by a run, not by hand".into())),
    };
    if let Some(cpu) = task.cpu {
        affinity::pin(cpu)?;
    }
    let target = target(&task)?;
    let means = Means {
        scenario: &task.scenario,
        run: task.run,
        first: task.first,
        at_once: task.at_once,
        connect_rate: task.connect_rate,
        stop: Arc::default(),
    };
    let course = Course::new(None, &task.scenario, Show::Nothing)?;
    let mut company = Company::Follower(line);
    let ended = Engine::new(&means, Subject::elsewhere(target), course)?.run(&mut company)?;
    say(&Word::Report(Box::new(report(ended))))
}

fn target(task: &Task) -> Result<Target> {
    let options =
        ServerOptions { ca: task.ca.clone(), insecure_tls: task.insecure_tls, ..ServerOptions::default() };
    let Endpoint { address, host, path } = &task.endpoint;
    let tls = if task.tls { Some(tls(host, &options)?) } else { None };
    let target = Target::new(*address, host, path, task.scenario.adapter.adapter());
    Ok(Target { source: task.source, tls, ..target })
}

fn report(ended: Ended) -> Report {
    let arrivals = ended.account.arrivals();
    Report {
        ledger: ended.closed.ledger,
        counts: ended.account.counts,
        response: ended.account.response.record(),
        service: ended.account.service.record(),
        reconnect: ended.reconnect.record(),
        recovery: ended.recovery.record(),
        arrivals,
        typical_ns: ended.account.typical_ns(),
        lost_due_ns: ended.closed.lost_due_ns,
        last_measured_ns: ended.account.last_measured_ns,
        cpu_percent: ended.own_cpu_percent,
        behind_percent: ended.behind_percent,
        notes: ended.account.notes,
    }
}

/// Reads the lead's orders on a thread of their own; the receiver is cut off when the lead is gone.
fn listen() -> Receiver<Order> {
    let (sender, orders) = sync_channel(4);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
            // Cuts the receiver off: a lead that is not understood is as good as none.
            let Ok(order) = serde_json::from_str(&line) else { return };
            if sender.send(order).is_err() {
                return;
            }
        }
    });
    orders
}

fn say(word: &Word) -> Result<()> {
    let line = serde_json::to_string(word).map_err(|error| Error::Encode(error.to_string()))?;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).context("telling the lead")
}

fn gone() -> Error {
    Error::Setup("the process that leads the run is gone".into())
}

impl Follower {
    /// Says that all connections are there; `idle` is called until the lead says when to begin.
    pub(in crate::run) fn begin(&self, ready: Ready, mut idle: impl FnMut() -> Result<()>) -> Result<u64> {
        say(&Word::Ready(ready))?;
        loop {
            // Without waiting, which is left to `idle`: the connections have to be served meanwhile.
            match self.orders.try_recv() {
                Ok(Order::Go(start_ns)) => return Ok(start_ns),
                Ok(_) | Err(TryRecvError::Empty) => idle()?,
                Err(TryRecvError::Disconnected) => return Err(gone()),
            }
        }
    }

    /// What the lead has said, if anything.
    pub(in crate::run) fn hear(&self) -> Result<Option<Order>> {
        match self.orders.try_recv() {
            Ok(order) => Ok(Some(order)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(gone()),
        }
    }

    /// Answers that the server may be killed.
    pub(in crate::run) fn braced(&self) -> Result<()> {
        say(&Word::Braced)
    }

    /// Tells of progress when it is time.
    pub(in crate::run) fn tell(&mut self, now_ns: u64, account: &mut Account) -> Result<()> {
        self.next_ns = now_ns + LISTEN_NS;
        if now_ns < self.progress_ns {
            return Ok(());
        }
        self.progress_ns = now_ns + PROGRESS_NS;
        let interval = account.interval.record();
        account.interval.clear();
        say(&Word::Progress(Progress {
            deliveries: account.counts.deliveries,
            faults: account.faults_so_far(),
            not_arrived: account.not_arrived(),
            connected: account.connected(),
            interval,
        }))
    }

    /// When it wants to listen again.
    pub(in crate::run) fn next_ns(&self) -> u64 {
        self.next_ns
    }

    /// Says that nothing more is expected, and waits for the fates; `idle` is called meanwhile.
    pub(in crate::run) fn settle(&self, mut idle: impl FnMut() -> Result<()>) -> Result<Fates> {
        say(&Word::Drained)?;
        loop {
            match self.orders.recv_timeout(Duration::from_millis(1)) {
                Ok(Order::Fates(fates)) => return Ok(fates),
                Ok(_) | Err(RecvTimeoutError::Timeout) => idle()?,
                Err(RecvTimeoutError::Disconnected) => return Err(gone()),
            }
        }
    }
}
