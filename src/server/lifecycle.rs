//! A server from start to end: start, reload, drain.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, mpsc},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use fanwire_proto::TopicName;
use parking_lot::RwLock;
use tokio::{sync::watch, task::AbortHandle};

use super::{
    accept::accept_all,
    front::{Front, FrontSettings, Noise},
    gate::Gate,
    jwks,
    listen::bind,
    origin::Pages,
    routes::routes,
    throttle::Throttle,
    tls,
};
use crate::{
    auth::KeySet,
    broker::Broker,
    clock::unix_ms,
    config::{Config, StoreSettings},
    defaults,
    doors::{
        self, control,
        http::{self, Bodies, HttpDoor},
        webhook::{self, Webhooks},
    },
    durable::Run,
    liveness::{Pulse, Watchdog},
    memory::Class,
    metrics::Metrics,
    shard::{ShardHandle, Shards},
    store::{Committer, Disk, DiskOptions, Memory, Store, StoreError},
    worker::Workers,
};

/// How often old messages and unused topics are looked for.
const SWEEP: Duration = Duration::from_secs(1);

/// How long the threads of the front may take to begin.
const THREADS_MADE: Duration = Duration::from_secs(5);

/// How often the front gives a sign of life.
const BEAT: Duration = Duration::from_millis(250);

/// How long a shard may take to finish a turn while draining.
const SYNC: Duration = Duration::from_secs(2);

/// How long HTTP answers and event streams may take to be written out once the shards have ended.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Topics that are named in one line of the log.
const STUCK_NAMED: usize = 20;

/// How often is looked whether they are.
const POLL: Duration = Duration::from_millis(5);

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Reloading would let everybody in from everywhere.
    #[error("others can reach {0}, but the new configuration has no authentication")]
    Exposed(SocketAddr),
    /// Certificate files.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    /// The configuration has something that cannot be shown.
    #[error("cannot show the configuration: {0}")]
    Settings(#[from] serde_json::Error),
    /// Pollers or wakers cannot be had.
    #[error("cannot start the shards: {0}")]
    Shards(#[source] io::Error),
    /// The system gives no threads.
    #[error("cannot start: {0}")]
    Threads(#[source] io::Error),
    /// The data directory.
    #[error("data directory {path}: {source}{}", advice(.source))]
    Store {
        /// Where it is.
        path: String,
        /// What is wrong.
        source: StoreError,
    },
    /// Which credentials are refused.
    #[error("revocations cannot be read: {0}; restore a backup, or see `fanwire store check`")]
    Revocations(#[source] StoreError),
    /// What came in by webhooks before.
    #[error(transparent)]
    Webhooks(#[from] webhook::StartError),
    /// The system's source of randomness.
    #[error("no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

/// Names topics that do not follow their new rules yet, the first few of them.
fn report_stuck(topics: &[TopicName]) {
    if topics.is_empty() {
        return;
    }
    let first: Vec<&str> = topics.iter().take(STUCK_NAMED).map(TopicName::as_str).collect();
    tracing::warn!(
        count = topics.len(),
        topics = first.join(" "),
        "topics in use keep their kind, durability, presence and tick until they are unused for a while, or the broker \
         restarts; `pending` in /v1/topics says which"
    );
}

/// What an operator can do about it, where the error does not say so itself.
fn advice(error: &StoreError) -> &'static str {
    match error {
        StoreError::Corrupt(_) => {
            "; restore a backup, or see `fanwire store check` and `fanwire store repair`"
        }
        _ => "",
    }
}

/// A running server.
pub struct Server {
    front: Arc<Front>,
    webhooks: Arc<Webhooks>,
    address: SocketAddr,
    shards: Vec<JoinHandle<()>>,
    keeper: Keeper,
    accepting: AbortHandle,
    sweeping: AbortHandle,
    drain: Duration,
    tls: bool,
}

impl Server {
    /// Starts shards and front. Must be called on a tokio runtime, which then serves the front.
    pub fn start(config: &Config) -> Result<Self, StartError> {
        have_blocking_threads().map_err(StartError::Threads)?;
        let settings = front_settings(config, config.listen.ip().is_loopback())?;
        let tls = settings.tls.is_some();
        let listen_error = |source| StartError::Listen { address: config.listen, source };
        // Before the store is opened: a broker whose address is taken has changed nothing on the disk.
        let listener = bind(config.listen).map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        let (metrics, rendered) = Metrics::new();
        let keeper = Keeper::open(&config.store)?;
        let shards = Shards::prepare(config.shards).map_err(StartError::Shards)?;
        let workers = Workers::start().map_err(StartError::Threads)?;
        let watchdog = Arc::new(Watchdog::default());
        watchdog.watch(workers.pulses());
        watchdog.watch(shards.handles().iter().map(|shard| shard.pulse().clone()));
        watchdog.watch([keeper.committer.pulse().clone(), beating()]);
        let broker = Arc::new(Broker::new(
            shards.handles(),
            config.policy(),
            keeper.committer.clone(),
            keeper.run,
            metrics.clone(),
            workers,
        )?);
        // Before the first connection: otherwise a revoked token would be good for a moment after every restart.
        broker.restore_revocations().map_err(StartError::Revocations)?;
        let shards = shards.start(&config.shard, || metrics.clone()).map_err(StartError::Threads)?;
        let front = Arc::new(Front {
            broker: broker.clone(),
            settings: ArcSwap::from_pointee(settings),
            gate: Arc::new(Gate::default()),
            noise: Noise::default(),
            ending: watch::Sender::new(false),
        });
        let ways_in = doors::all(&broker);
        let webhooks = Webhooks::start(broker.clone(), webhook_settings(config))?;
        let api = http::Api::new(HttpDoor {
            broker: broker.clone(),
            metrics: rendered,
            body_timeout: config.door.handshake_timeout,
            watchdog: watchdog.clone(),
            bodies: Arc::new(Bodies::new(broker.memory().share(Class::Bodies).clone())),
        });
        let coming_in = webhook::router(api.clone(), webhooks.clone());
        let beside = webhook::watching(api.clone(), webhooks.clone()).merge(control::routes());
        let http = http::router(api, beside);
        watchdog.start(config.max_stall).map_err(StartError::Threads)?;
        // Last of what clients can see: everything that a request may come across is there by now.
        let accepting =
            tokio::spawn(accept_all(front.clone(), listener, routes(&front, ways_in, http, coming_in)))
                .abort_handle();
        fetch_keys(config);
        let unserved = broker.clone();
        // Looks through all names on the disk, which may take seconds; nobody waits for the line in the log.
        tokio::task::spawn_blocking(move || unserved.report_unserved());
        let sweeping = tokio::spawn(sweep(front.clone())).abort_handle();
        Ok(Self { front, webhooks, address, shards, keeper, accepting, sweeping, drain: config.drain, tls })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Whether its data directory was made just now; `None` if everything is in memory.
    pub fn has_new_data(&self) -> Option<bool> {
        self.keeper.is_new
    }

    /// Whether it speaks TLS.
    pub fn speaks_tls(&self) -> bool {
        self.tls
    }

    /// Takes over what can change while running: rules, limits, authentication, origins, certificates. All or
    /// nothing.
    pub fn reload(&self, config: &Config) -> Result<(), StartError> {
        let open = !config.authenticator.is_configured() && config.effective.insecure != Some(true);
        if open && !self.address.ip().is_loopback() {
            return Err(StartError::Exposed(self.address));
        }
        // The only step that can fail, so it comes before anything is replaced.
        let settings = front_settings(config, self.address.ip().is_loopback())?;
        for shard in self.front.broker.shards() {
            shard.limit(config.shard.clone());
        }
        self.front.settings.store(Arc::new(settings));
        // Before the policy is replaced below: with the new one in force and no keys in it, every token would be refused
        // until they come.
        self.keep_fetched_keys(config);
        self.webhooks.reload(webhook_settings(config));
        report_stuck(&self.front.broker.reload(config.policy()));
        Ok(())
    }

    /// Keys that were fetched stay in use until they are fetched again; not those of another address.
    fn keep_fetched_keys(&self, config: &Config) {
        let policy = self.front.broker.policy();
        let same = policy.authenticator.published_at == config.authenticator.published_at;
        let old = policy.authenticator.published.clone().filter(|_| same);
        if let (Some(old), Some(new)) = (old, &config.authenticator.published) {
            new.replace(KeySet::clone(&old.keys()));
        }
        fetch_keys(config);
    }

    /// Ends in order: no more publishes, what was accepted is delivered, everyone hears goodbye.
    ///
    /// The shards go on reading until they are told to finish, so a command that comes in meanwhile is answered with
    /// `draining`.
    pub async fn drain(self) {
        let started = Instant::now();
        // Drops the listener with its task: whoever connects from here on is refused, and goes elsewhere.
        self.accepting.abort();
        self.sweeping.abort();
        let broker = self.front.broker.clone();
        let (shards, keeper, limit) = (self.shards, self.keeper, self.drain);
        let ended = tokio::task::spawn_blocking(move || {
            // The order of these matters: after the first no publish begins any more; after the second all that were
            // accepted are durable, and so shown to the shards; after the third each shard has come round since.
            broker.start_draining();
            keeper.flush(started + SYNC.min(limit));
            if !sync_all(broker.shards(), started + SYNC.min(limit)) {
                tracing::warn!("a shard is busy; draining goes on");
            }
            let left = limit.saturating_sub(started.elapsed());
            // All are told before the first is waited for: they write out what is left at the same time.
            for shard in broker.shards() {
                shard.finish(left);
            }
            shards.into_iter().for_each(|shard| drop(shard.join()));
            keeper.close();
        });
        // A thread that stands still is not waited for.
        let left = limit.saturating_sub(started.elapsed()) + SYNC;
        match tokio::time::timeout(left, ended).await {
            Ok(Ok(())) => tracing::info!(took = ?started.elapsed(), "drained"),
            Ok(Err(error)) => tracing::error!(%error, "draining failed"),
            Err(_) => tracing::error!(took = ?started.elapsed(), "not drained: a thread does not end"),
        }
        // After the shards have ended: an event stream's HTTP connection is not to be closed under its last events.
        self.front.ending.send_replace(true);
        let answered = async {
            while self.front.gate.open() > 0 {
                tokio::time::sleep(POLL).await;
            }
        };
        let left = limit.saturating_sub(started.elapsed()).min(LAST_ANSWERS);
        if tokio::time::timeout(left, answered).await.is_err() {
            tracing::warn!(open = self.front.gate.open(), "connections were cut off");
        }
    }
}

/// The store with its thread.
struct Keeper {
    committer: Committer,
    run: Run,
    /// Of the data directory, if there is one.
    is_new: Option<bool>,
    thread: JoinHandle<()>,
}

impl Keeper {
    fn open(settings: &StoreSettings) -> Result<Self, StartError> {
        let path = || settings.data_dir.as_ref().map_or(String::new(), |path| path.display().to_string());
        let failed = |source| StartError::Store { path: path(), source };
        let (store, is_new): (Arc<dyn Store>, _) = match &settings.data_dir {
            None => (Arc::new(Memory::default()), None),
            Some(path) => {
                let reserve_bytes = settings.disk_reserve_bytes;
                let options = DiskOptions { reserve_bytes, ..DiskOptions::default() };
                let disk = Disk::open(path, options).map_err(failed)?;
                let is_new = disk.is_new();
                (Arc::new(disk), Some(is_new))
            }
        };
        let (run, begun) = Run::begin(&*store).map_err(failed)?;
        let (committer, thread) = Committer::start(store, settings.pace, begun).map_err(failed)?;
        if let Some(error) = committer.trouble() {
            tracing::error!(%error, "nothing durable is taken until there is room; reading goes on");
        }
        Ok(Self { committer, run, is_new, thread })
    }

    /// Waits until what was accepted is durable, or cannot be.
    fn flush(&self, deadline: Instant) {
        let left = deadline.saturating_duration_since(Instant::now());
        if self.committer.flush().recv_timeout(left).is_err() {
            tracing::error!("not everything that was accepted could be made durable");
        }
    }

    fn close(self) {
        self.committer.close();
        if self.thread.join().is_err() {
            return tracing::error!("the store's thread ended with a panic");
        }
        let store = self.committer.store();
        // Without this note the next start takes it for a crash, and durable topics that were shown early begin another
        // epoch. That is right where not everything could be written.
        if self.committer.trouble().is_none()
            && let Err(error) = self.run.end(&**store)
        {
            tracing::error!(%error, "the end could not be noted");
        }
    }
}

/// Makes threads of the front for what blocks. Without them, such work would wait for ever, and nobody would hear of it,
/// where the system gives none when it is needed.
fn have_blocking_threads() -> io::Result<()> {
    let (here, arrived) = mpsc::sync_channel(defaults::FRONT_BLOCKING_MIN);
    // Until it is let go, however this ends, none of them does the work of two.
    let gate = Arc::new(RwLock::new(()));
    let _closed = gate.write();
    for _ in 0..defaults::FRONT_BLOCKING_MIN {
        let (here, gate) = (here.clone(), gate.clone());
        tokio::task::spawn_blocking(move || {
            // Whoever waits for it may have given up.
            let _ = here.try_send(());
            drop(gate.read());
        });
    }
    for _ in 0..defaults::FRONT_BLOCKING_MIN {
        arrived.recv_timeout(THREADS_MADE).map_err(|_| {
            let what = "the system gives no more threads; see `ulimit -u` and the limit of tasks";
            io::Error::new(io::ErrorKind::WouldBlock, what)
        })?;
    }
    Ok(())
}

/// The front's sign of life: as long as it beats, one of its threads takes up what is to be done.
fn beating() -> Pulse {
    let pulse = Pulse::of_loop("front");
    let front = pulse.clone();
    tokio::spawn(async move {
        loop {
            front.beat();
            tokio::time::sleep(BEAT).await;
        }
    });
    pulse
}

/// Waits until every shard has finished what it was doing; false when one does not by the deadline.
fn sync_all(shards: &[ShardHandle], deadline: Instant) -> bool {
    let waits: Vec<_> = shards.iter().map(ShardHandle::sync).collect();
    let left = || deadline.saturating_duration_since(Instant::now());
    waits.into_iter().all(|wait| wait.recv_timeout(left()).is_ok())
}

fn fetch_keys(config: &Config) {
    if let (Some(url), Some(published)) = (&config.effective.auth_jwks_url, &config.authenticator.published) {
        jwks::keep_fetched(url, published);
    }
}

fn webhook_settings(config: &Config) -> webhook::Settings {
    webhook::Settings {
        sources: config.webhooks.clone(),
        trusted_proxies: config.trusted_proxies.clone(),
        max_pending: config.max_webhooks_pending,
    }
}

fn front_settings(config: &Config, on_loopback: bool) -> Result<FrontSettings, StartError> {
    let authenticator = &config.authenticator;
    let pages = Pages {
        allowed: config.allowed_origins.clone(),
        on_loopback,
        anonymous: authenticator.anonymous,
        open: on_loopback && !authenticator.is_configured(),
    };
    Ok(FrontSettings {
        pages,
        trusted_proxies: config.trusted_proxies.clone(),
        limits: config.door,
        tls: config.tls.as_ref().map(tls::acceptor).transpose()?,
        throttle: Throttle::new(config.door.max_requests_per_second, &config.authenticator.api_keys),
        ping_s: config.shard.ping.as_secs(),
        deflate: config.deflate,
        effective: config.to_json()?,
    })
}

async fn sweep(front: Arc<Front>) {
    let mut ticks = tokio::time::interval(SWEEP);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        // If the tick wins, what `pressed` has noted meanwhile is lost; but the sweep makes room as well, before anything
        // else.
        let in_time = tokio::select! {
            _ = ticks.tick() => true,
            () = front.broker.pressed() => false,
        };
        if !in_time {
            let broker = front.broker.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || broker.make_room(unix_ms())).await {
                tracing::error!(%error, "looking for room in memory failed");
            }
            continue;
        }
        // Before the sweep, which tells ages by it.
        crate::clock::follow();
        // It may read topics from the disk.
        let broker = front.broker.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || broker.sweep(unix_ms())).await {
            tracing::error!(%error, "looking for old messages failed");
        }
        front.settings.load().throttle.forget_idle();
    }
}

const _: () = assert!(SWEEP.as_secs() <= defaults::IDLE_TOPIC_S, "idle topics are looked for often enough");
