//! The lead: starts the followers, tells them what they cannot know, and adds up what they measured.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

use super::message::{Back, Endpoint, Fates, Order, Progress, Ready, Report, Task, Word};
use super::part;
use crate::affinity;
use crate::client::connection::Target;
use crate::clock::{self, SECOND};
use crate::error::{Context, Error, Result};
use crate::latency::Latency;
use crate::options::ServerOptions;
use crate::run::scenario::Scenario;

/// A follower that says nothing new for this long while the lead waits for it has failed.
const PATIENCE_NS: u64 = 120 * SECOND;

/// All followers of a run.
#[derive(Debug)]
pub(in crate::run) struct Lead {
    followers: Vec<Line>,
    stopped: bool,
    /// How many have said that the server may be killed.
    braced: usize,
}

/// The lead's end of the line to one follower.
#[derive(Debug)]
struct Line {
    child: Child,
    orders: Option<ChildStdin>,
    words: Receiver<Word>,
    /// Heard, but not what was listened for.
    kept: VecDeque<Word>,
    progress: Progress,
}

impl Drop for Line {
    fn drop(&mut self) {
        // Without orders it ends by itself; one that is stuck does not.
        self.orders = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Lead {
    /// Starts the followers of a run by `count` processes; also the lead's own part.
    pub(in crate::run) fn start(
        scenario: &Scenario,
        run: u32,
        count: usize,
        target: &Target,
        options: &ServerOptions,
    ) -> Result<(Self, Scenario)> {
        let cpus = affinity::testers()?;
        let mut followers = Vec::new();
        for nth in 1..count {
            let (scenario, first) = part(scenario, nth, count);
            let cpu = cpus.get(nth % cpus.len().max(1)).copied().filter(|_| !options.no_pin);
            let task = Task {
                scenario,
                first,
                run,
                endpoint: Endpoint::of(target),
                tls: target.tls.is_some(),
                ca: options.ca.clone(),
                insecure_tls: options.insecure_tls,
                source: own_address(target, run, nth),
                cpu,
                at_once: options.at_once,
                connect_rate: options.connect_rate.map(|rate| rate / count as f64),
            };
            let mut line = Line::start()?;
            line.tell(&Order::Task(Box::new(task)))?;
            followers.push(line);
        }
        let (own, _) = part(scenario, 0, count);
        Ok((Self { followers, stopped: false, braced: 0 }, own))
    }

    /// Waits until all are ready, then says when the first message is due, which it returns; `idle` is called meanwhile.
    pub(in crate::run) fn begin(
        &mut self,
        lead_ns: u64,
        idle: impl FnMut() -> Result<()>,
    ) -> Result<(u64, Vec<Ready>)> {
        let ready = self.gather(idle, |word| match word {
            Word::Ready(ready) => Some(ready),
            _ => None,
        })?;
        let start_ns = clock::now_ns() + lead_ns;
        self.tell_all(&Order::Go(start_ns))?;
        Ok((start_ns, ready))
    }

    /// How the followers were when they last said so, all together; `interval` gets the latencies they had meanwhile.
    pub(in crate::run) fn look(&mut self, interval: &mut Latency) -> Result<Progress> {
        let mut sum = Progress::default();
        for line in &mut self.followers {
            while let Some(word) = line.hear()? {
                match word {
                    Word::Progress(progress) => {
                        interval.add_record(&progress.interval);
                        line.progress = progress;
                    }
                    Word::Braced => self.braced += 1,
                    word => line.kept.push_back(word),
                }
            }
            sum.deliveries += line.progress.deliveries;
            sum.faults += line.progress.faults;
            sum.not_arrived += line.progress.not_arrived;
            sum.connected += line.progress.connected;
        }
        Ok(sum)
    }

    /// No more is published.
    pub(in crate::run) fn stop(&mut self) -> Result<()> {
        if !std::mem::replace(&mut self.stopped, true) {
            self.tell_all(&Order::Stop)?;
        }
        Ok(())
    }

    /// Says that the server is about to be killed, or to stand still; [`Lead::is_braced`] tells when all have heard.
    pub(in crate::run) fn brace(&mut self, deadly: bool) -> Result<()> {
        self.braced = 0;
        self.tell_all(&Order::Brace { deadly })
    }

    /// Whether all have heard that the server is about to be killed.
    pub(in crate::run) fn is_braced(&self) -> bool {
        self.braced == self.followers.len()
    }

    /// Says that the server is back.
    pub(in crate::run) fn back(&mut self, back: Back) -> Result<()> {
        self.tell_all(&Order::Back(back))
    }

    /// Says that it will not come back.
    pub(in crate::run) fn lost(&mut self) -> Result<()> {
        self.tell_all(&Order::Lost)
    }

    /// Waits until everyone has what there is; `idle` is called meanwhile.
    pub(in crate::run) fn wait_for_the_last(&mut self, idle: impl FnMut() -> Result<()>) -> Result<()> {
        let drained = |word| matches!(word, Word::Drained).then_some(());
        self.gather(idle, drained).map(drop)
    }

    /// Tells everyone what became of the messages, and takes what they measured.
    pub(in crate::run) fn settle(
        &mut self,
        fates: Fates,
        idle: impl FnMut() -> Result<()>,
    ) -> Result<Vec<Report>> {
        self.tell_all(&Order::Fates(fates))?;
        self.gather(idle, |word| match word {
            Word::Report(report) => Some(*report),
            _ => None,
        })
    }

    fn tell_all(&mut self, order: &Order) -> Result<()> {
        self.followers.iter_mut().try_for_each(|line| line.tell(order))
    }

    /// Waits for one word of a kind from everyone.
    fn gather<T>(
        &mut self,
        mut idle: impl FnMut() -> Result<()>,
        pick: impl Fn(Word) -> Option<T>,
    ) -> Result<Vec<T>> {
        let mut found = Vec::new();
        // One after the other: what the others say meanwhile waits in their channels.
        for (at, line) in self.followers.iter_mut().enumerate() {
            let mut heard_ns = clock::now_ns();
            while found.len() == at {
                let word = match line.kept.pop_front() {
                    Some(word) => Some(word),
                    None => line.hear()?,
                };
                match word {
                    Some(word) => {
                        heard_ns = clock::now_ns();
                        found.extend(pick(word));
                    }
                    None if clock::now_ns() > heard_ns + PATIENCE_NS => {
                        return Err(Error::Setup(format!("follower {} is stuck", at + 1)));
                    }
                    None => idle()?,
                }
            }
        }
        Ok(found)
    }
}

impl Line {
    fn start() -> Result<Self> {
        let own = std::env::current_exe().context("finding loadtest itself")?;
        let mut command = Command::new(own);
        command.arg("follow").stdin(Stdio::piped()).stdout(Stdio::piped());
        // An interrupt at the terminal is the lead's to handle.
        command.process_group(0);
        let mut child = command.spawn().context("starting another process of the tester")?;
        let (orders, out) = (child.stdin.take(), child.stdout.take());
        let (sender, words) = sync_channel(64);
        if let Some(out) = out {
            std::thread::spawn(move || {
                for line in BufReader::new(out).lines().map_while(std::result::Result::ok) {
                    let word = serde_json::from_str(&line).unwrap_or_else(|error| {
                        Word::Failed(format!("it says what nobody understands: {error}"))
                    });
                    // Waits for room: a follower whose words are not heard is held up by its full pipe, and none of them
                    // is lost.
                    if sender.send(word).is_err() {
                        return;
                    }
                }
            });
        }
        Ok(Self { child, orders, words, kept: VecDeque::new(), progress: Progress::default() })
    }

    fn tell(&mut self, order: &Order) -> Result<()> {
        let text = serde_json::to_string(order).map_err(|error| Error::Encode(error.to_string()))?;
        let Some(orders) = &mut self.orders else { return Ok(()) };
        writeln!(orders, "{text}")
            .and_then(|()| orders.flush())
            .context("telling another process of the tester")
    }

    fn hear(&mut self) -> Result<Option<Word>> {
        match self.words.try_recv() {
            Ok(Word::Failed(why)) => Err(Error::Setup(format!("another process of the tester: {why}"))),
            Ok(word) => Ok(Some(word)),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => {
                Err(Error::Setup("another process of the tester has ended".into()))
            }
        }
    }
}

/// On loopback each process connects from an address of its own in 127.0.0.0/8, and so has ports of its own: between
/// two addresses and one port there are some 28 000 connections. They are other addresses in each run, as the system
/// keeps the ports of the last one for a minute. Elsewhere the system chooses.
fn own_address(target: &Target, run: u32, nth: usize) -> Option<IpAddr> {
    let last = u8::try_from(nth + 1).ok().filter(|&last| last < 255)?;
    // The run's number in the middle, so that two testers at the same time do not share ports either.
    let [low, high, ..] = run.to_le_bytes();
    match target.address.ip() {
        IpAddr::V4(ip) if ip.is_loopback() => Some(Ipv4Addr::new(127, high, low, last).into()),
        _ => None,
    }
}
