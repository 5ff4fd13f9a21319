//! The `fanwire` command: arguments to configuration to a running server, signals to reload and drain.

mod cli;

use std::{
    error::Error,
    fmt,
    io::{IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
    time::Duration,
};

use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use cli::allocator::GivingBack;
use fanwire::{
    auth::{Audience, Claims, NewKey, SubClaim},
    clock::machine_ms,
    config::{Config, LogFormat, RuleSettings, Settings, Sources},
    defaults, liveness, memory,
    server::Server,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;

/// How long an idle thread of the front is kept: ten years.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 86_400);

/// How long what blocks a thread of the front may go on at the end.
const LAST_JOBS: Duration = Duration::from_secs(1);

/// Descriptors that are not client connections: listener, pollers, wakers, standard streams, files being read.
const DESCRIPTOR_RESERVE: u64 = 64;

/// A real-time WebSocket pub/sub broker.
///
/// Without a command it serves; without anything it is a development broker on 127.0.0.1:7400, in memory and open to
/// everyone on this machine.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: ServeArguments,
}

#[derive(Subcommand)]
enum Command {
    /// Run the broker
    Serve(Box<ServeArguments>),
    /// Check a configuration and print the effective one
    Check(Box<ServeArguments>),
    /// Print a client token, signed with the configured secret
    Token(Box<TokenArguments>),
    /// Make an API key for a back end, and the lines of configuration for it
    Key {
        /// A name for the key
        name: String,
    },
    /// Sources of webhooks: list them, list providers, or try a delivery
    #[command(subcommand)]
    Source(cli::SourceCommand),
    /// A data directory: check it, look into it, export it, repair it
    #[command(subcommand)]
    Store(cli::store::StoreCommand),
}

#[derive(Args, Clone)]
struct ServeArguments {
    /// Configuration file (TOML)
    #[arg(long, env = "FANWIRE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

#[derive(Args)]
struct TokenArguments {
    /// The user that the token names
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The token's own name, to revoke it by
    #[arg(long, value_name = "NAME")]
    id: Option<String>,
    /// Most updates a second of a subscription to newest values
    #[arg(long, value_name = "RATE")]
    max_rate: Option<f64>,
    /// Seconds that the token is good for; 0 for no end
    #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
    ttl_s: u64,
    /// A pattern of topics that may be subscribed to; repeatable; all of them if none is given
    #[arg(long, value_name = "PATTERN")]
    subscribe: Vec<String>,
    /// A topic that the broker subscribes the bearer to by itself; repeatable
    #[arg(long, value_name = "TOPIC")]
    subs: Vec<String>,
    /// A pattern of topics that may be published to; repeatable; all of them if none is given
    #[arg(long, value_name = "PATTERN")]
    publish: Vec<String>,
    #[command(flatten)]
    source: ServeArguments,
}

fn main() -> ExitCode {
    let mut command = Arguments::command();
    let matches = command.get_matches_mut();
    let arguments = match Arguments::read(&mut command, &matches) {
        Ok(arguments) => arguments,
        Err(error) => error.exit(),
    };
    let outcome = match arguments.command {
        None => serve(arguments.serve),
        Some(Command::Serve(serve_arguments)) => serve(*serve_arguments),
        Some(Command::Check(check_arguments)) => check(*check_arguments),
        Some(Command::Token(token_arguments)) => token(*token_arguments),
        Some(Command::Key { name }) => key(&name),
        Some(Command::Source(command)) => source(command),
        Some(Command::Store(command)) => match command.run() {
            Ok(code) => return code,
            Err(failure) => Err(failure.into()),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error may be closed; there is nobody left to tell then.
            let _ = writeln!(std::io::stderr(), "fanwire: {error}");
            ExitCode::FAILURE
        }
    }
}

type Outcome = Result<(), Box<dyn Error>>;

impl Arguments {
    /// What was given, flags before the command included.
    fn read(command: &mut clap::Command, matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut arguments = Self::from_arg_matches(matches)?;
        let before = arguments.serve.clone();
        match arguments.command.as_mut().map(Command::settings) {
            Some(Some(own)) => *own = cli::flags::joined(&before, own, matches),
            Some(None) => cli::flags::refuse(command, matches)?,
            None => {}
        }
        Ok(arguments)
    }
}

impl Command {
    /// The settings that it takes, if it takes any.
    fn settings(&mut self) -> Option<&mut ServeArguments> {
        match self {
            Self::Serve(own) | Self::Check(own) => Some(own),
            Self::Token(own) => Some(&mut own.source),
            Self::Source(command) => command.settings(),
            Self::Key { .. } | Self::Store(_) => None,
        }
    }
}

impl ServeArguments {
    fn sources(self) -> Sources {
        Sources { given: self.settings, file: self.config }
    }
}

fn print(text: impl fmt::Display) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    write!(out, "{text}")?;
    out.flush()
}

fn check(arguments: ServeArguments) -> Outcome {
    let config = arguments.sources().load()?;
    print(config.to_toml()?)?;
    Ok(())
}

fn token(arguments: TokenArguments) -> Outcome {
    let config = arguments.source.sources().load()?;
    let secret = config.secret.ok_or("`auth_hmac_secret` is not configured")?;
    let some = |patterns: Vec<String>| (!patterns.is_empty()).then_some(patterns);
    let now_ms = machine_ms();
    let claims = Claims {
        sub: arguments.user,
        exp: (arguments.ttl_s > 0).then(|| now_ms / 1_000 + arguments.ttl_s),
        jti: arguments.id,
        aud: config.authenticator.expect.audience.clone().map(Audience::One),
        iss: config.authenticator.expect.issuer.clone(),
        max_rate: arguments.max_rate,
        subscribe: some(arguments.subscribe),
        publish: some(arguments.publish),
        subs: (!arguments.subs.is_empty())
            .then(|| arguments.subs.into_iter().map(|topic| (topic, SubClaim::default())).collect()),
        ..Claims::default()
    };
    let token = secret.mint(&claims)?;
    // A token that we would refuse is no use to anyone.
    config.authenticator.verify(&token, now_ms)?;
    print(format_args!("{token}\n"))?;
    Ok(())
}

fn key(name: &str) -> Outcome {
    let NewKey { key, hash } = NewKey::generate()?;
    print(format_args!(
        "# Give this key to the back end; it cannot be shown again:\n\
         #   {key}\n\
         # Put these lines into the configuration, and send SIGHUP:\n\
         [[key]]\nname = {name:?}\nhash = \"{hash}\"\npublish = [\"**\"]\nsubscribe = [\"**\"]\nadmin = false\n"
    ))?;
    Ok(())
}

fn source(command: cli::SourceCommand) -> Outcome {
    let report = command.run()?;
    print(&report.text)?;
    if report.passed { Ok(()) } else { Err("it would not be published".into()) }
}

fn serve(arguments: ServeArguments) -> Outcome {
    let sources = arguments.sources();
    let mut config = sources.load()?;
    start_logging(&config)?;
    config.door.max_connections = config.door.max_connections.min(descriptors_for_connections());
    let workers = config.shards.clamp(1, 4);
    liveness::can_start(workers + defaults::FRONT_BLOCKING_MIN, defaults::STACK_BYTES)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name("front")
        .thread_stack_size(defaults::STACK_BYTES)
        .max_blocking_threads(defaults::FRONT_BLOCKING_MAX)
        // Those that are there are kept: more may not be had when they are needed.
        .thread_keep_alive(FOR_EVER)
        .on_thread_park(memory::relieve)
        .enable_all()
        .build()?;
    let outcome = runtime.block_on(run(&sources, &config));
    // What blocks a thread still is not waited for.
    runtime.shutdown_timeout(LAST_JOBS);
    outcome
}

async fn run(sources: &Sources, config: &Config) -> Outcome {
    let mut reload = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let server = Server::start(config)?;
    print(banner(&server, config))?;
    let mut giving_back = GivingBack::new(config.limits.memory.max());
    let mut every_second = tokio::time::interval(Duration::from_secs(1));
    every_second.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = every_second.tick() => look(&mut giving_back),
            _ = reload.recv() => {
                if let Some(max) = reload_from(sources, config, &server) {
                    giving_back = GivingBack::new(max);
                }
            }
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        }
    }
    tracing::info!("draining; a second signal ends at once");
    tokio::select! {
        () = server.drain() => Ok(()),
        () = again(terminate, interrupt) => Err("ended before everything was delivered".into()),
    }
}

/// Has what is free given back if that is much, by threads that only work now and then, too.
fn look(giving_back: &mut GivingBack) {
    if giving_back.look() {
        for _ in 0..defaults::FRONT_BLOCKING_MIN {
            // Whichever of them rests takes one; a second one costs nothing.
            drop(tokio::task::spawn_blocking(memory::relieve));
        }
    }
}

/// The next signal to end.
async fn again(mut terminate: Signal, mut interrupt: Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// What can only change with a restart, as it reads and as it read at the start.
fn fixed_settings(settings: &Settings) -> [(&'static str, String); 10] {
    [
        ("data_dir", format!("{:?}", settings.data_dir)),
        ("commit_delay_ms", format!("{:?}", settings.commit_delay_ms)),
        ("commit_messages", format!("{:?}", settings.commit_messages)),
        ("disk_reserve_bytes", format!("{:?}", settings.disk_reserve_bytes)),
        ("listen", format!("{:?}", settings.listen)),
        ("shards", format!("{:?}", settings.shards)),
        ("log_format", format!("{:?}", settings.log_format)),
        ("log_level", format!("{:?}", settings.log_level)),
        ("drain_ms", format!("{:?}", settings.drain_ms)),
        ("TLS on or off", format!("{:?}", settings.tls_cert.is_some())),
    ]
}

/// Returns how many bytes of memory there may be from now on, if the configuration could be reloaded.
fn reload_from(sources: &Sources, started_with: &Config, server: &Server) -> Option<usize> {
    let outcome = sources.load().map_err(|error| error.to_string()).and_then(|mut config| {
        let (old, new) = (fixed_settings(&started_with.effective), fixed_settings(&config.effective));
        for ((setting, _), _) in old.iter().zip(&new).filter(|(old, new)| old != new) {
            tracing::warn!(setting, "has changed, which takes a restart");
        }
        config.door.max_connections = config.door.max_connections.min(descriptors_for_connections());
        server.reload(&config).map_err(|error| error.to_string())?;
        Ok(config.limits.memory.max())
    });
    match outcome {
        Ok(max) => {
            tracing::info!("configuration reloaded");
            Some(max)
        }
        Err(error) => {
            tracing::error!(%error, "configuration not reloaded; nothing has changed");
            None
        }
    }
}

/// Raises the soft limit of file descriptors to the hard one; returns how many connections fit.
fn descriptors_for_connections() -> usize {
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limits.maximum, maximum: limits.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::warn!(%error, "the limit of file descriptors stays as it is");
    }
    let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    usize::try_from(descriptors.saturating_sub(DESCRIPTOR_RESERVE)).unwrap_or(usize::MAX).max(1)
}

fn start_logging(config: &Config) -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_new(&config.log_level).map_err(|error| format!("`log_level`: {error}"))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Human => lines.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => lines.json().init(),
    }
    Ok(())
}

/// What a newcomer needs to see the first message, and what an operator wants to be sure of.
fn banner(server: &Server, config: &Config) -> String {
    let (ws, http) = if server.speaks_tls() { ("wss", "https") } else { ("ws", "http") };
    let address = server.address();
    let mut text = format!(
        "fanwire {} on {address}, {} shard{}\n\
         \x20 socket   {ws}://{address}/ws\n\
         \x20 publish  curl -d '{{\"text\":\"hello\"}}' {http}://{address}/v1/topics/chat:lobby/messages\n\
         \x20 console  {http}://{address}/\n\
         \x20 data     {}\n",
        env!("CARGO_PKG_VERSION"),
        config.shards,
        if config.shards == 1 { "" } else { "s" },
        where_data_is(server, config),
    );
    for rule in config.effective.rule.iter().flatten() {
        text.push_str(&kind_line(rule, rule.pattern.as_deref().unwrap_or_default()));
    }
    text.push_str(&kind_line(&config.effective.default.clone().unwrap_or_default(), "every other topic"));
    text
}

fn where_data_is(server: &Server, config: &Config) -> String {
    let path = config.store.data_dir.as_deref().map(std::path::Path::display);
    match (path, server.has_new_data()) {
        (Some(path), Some(true)) => format!("{path} (new)"),
        (Some(path), _) => path.to_string(),
        (None, _) => "in memory, gone with this process (--data-dir DIR keeps it)".to_owned(),
    }
}

fn kind_line(rule: &RuleSettings, topics: &str) -> String {
    let kind = format!("{:?}", rule.kind).to_lowercase();
    let durable = if rule.durable == Some(true) { ", durable" } else { "" };
    format!("  kind     {kind:<9} {topics}{durable}\n")
}
