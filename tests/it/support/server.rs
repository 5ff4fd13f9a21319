//! The real binary as a child process on a port of its own choice.

use std::{
    env, fs,
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::{PATIENCE, eventually};

/// How to start a broker. Without [`config`](Self::config) it is the development broker.
#[derive(Default)]
pub(crate) struct Launch {
    config: Option<String>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    listen: Option<String>,
    files: Vec<(String, String)>,
    descriptors: Option<u32>,
}

impl Launch {
    /// A file where the command runs.
    pub(crate) fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.into(), text.into()));
        self
    }

    /// A configuration file with this text.
    pub(crate) fn config(mut self, toml: &str) -> Self {
        self.config = Some(toml.into());
        self
    }

    /// A command line flag with its value.
    pub(crate) fn flag(mut self, name: &str, value: &str) -> Self {
        self.arguments.extend([name.into(), value.into()]);
        self
    }

    /// A command line flag that stands alone.
    pub(crate) fn switch(mut self, name: &str) -> Self {
        self.arguments.push(name.into());
        self
    }

    /// An environment variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The most file descriptors that the process may have.
    pub(crate) fn descriptors(mut self, most: u32) -> Self {
        self.descriptors = Some(most);
        self
    }

    /// Another address than a free port on loopback.
    pub(crate) fn listen(mut self, address: &str) -> Self {
        self.listen = Some(address.into());
        self
    }

    /// Starts `fanwire serve` and waits until it says where it listens.
    pub(crate) fn start(self) -> Server {
        let scratch = Scratch::new();
        let mut child = self.command("serve", &scratch).spawn().unwrap();
        let output = Arc::new(Mutex::new(String::new()));
        let (found, url) = mpsc::channel();
        collect(child.stdout.take().unwrap(), Arc::clone(&output), Some(found));
        collect(child.stderr.take().unwrap(), Arc::clone(&output), None);
        let Ok(url) = url.recv_timeout(PATIENCE) else {
            child.kill().ok();
            child.wait().ok();
            panic!("the broker printed no URL, but:\n{}", output.lock().unwrap());
        };
        let address = url.split('/').nth(2).unwrap().parse().unwrap();
        Server { child, url, address, scratch, output }
    }

    /// Runs `fanwire VERB` to its end: whether it succeeded, its stdout and its stderr.
    pub(crate) fn run(self, verb: &str) -> (bool, String, String) {
        let scratch = Scratch::new();
        let mut child = self.command(verb, &scratch).spawn().unwrap();
        let stdout = read_all(child.stdout.take().unwrap());
        let stderr = read_all(child.stderr.take().unwrap());
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if Instant::now() > deadline => break None,
                None => thread::sleep(Duration::from_millis(5)),
            }
        };
        child.kill().ok();
        child.wait().ok();
        let (stdout, stderr) = (stdout.join().unwrap(), stderr.join().unwrap());
        let Some(status) = status else { panic!("`fanwire {verb}` goes on and on: {stdout}{stderr}") };
        (status.success(), stdout, stderr)
    }

    fn command(&self, verb: &str, scratch: &Scratch) -> Command {
        let mut command = match self.descriptors {
            None => Command::new(env!("CARGO_BIN_EXE_fanwire")),
            Some(most) => {
                let mut shell = Command::new("sh");
                let limited = format!("ulimit -n {most} && exec \"$0\" \"$@\"");
                shell.args(["-c", &limited, env!("CARGO_BIN_EXE_fanwire")]);
                shell
            }
        };
        command.arg(verb).current_dir(scratch.path());
        for (name, _) in env::vars().filter(|(name, _)| name.starts_with("FANWIRE_")) {
            command.env_remove(name);
        }
        if verb == "serve" {
            command.args(["--listen", self.listen.as_deref().unwrap_or("127.0.0.1:0")]);
        }
        for (name, text) in &self.files {
            scratch.write(name, text);
        }
        if let Some(toml) = &self.config {
            // A command with commands of its own takes no flags before them.
            command.env("FANWIRE_CONFIG", scratch.write("fanwire.toml", toml));
        }
        command.args(&self.arguments).envs(self.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

fn read_all(mut pipe: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut text = String::new();
        pipe.read_to_string(&mut text).unwrap();
        text
    })
}

/// Reads a pipe to its end, so that the child never blocks on it; sends on the first WebSocket URL in it.
fn collect(
    pipe: impl Read + Send + 'static,
    output: Arc<Mutex<String>>,
    found: Option<mpsc::Sender<String>>,
) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            if let (Some(found), Some(url)) = (&found, websocket_url(&line)) {
                found.send(url).ok();
            }
            let mut output = output.lock().unwrap();
            output.push_str(&line);
            output.push('\n');
        }
    });
}

fn websocket_url(line: &str) -> Option<String> {
    let start = line.find("wss://").or_else(|| line.find("ws://"))?;
    let end = line[start..].find("/ws")? + start + "/ws".len();
    // "ws://" itself has no "/ws" in it, so the end is that of the path.
    Some(line[start..end].into())
}

/// A running broker. It is killed when dropped.
pub(crate) struct Server {
    child: Child,
    /// What it printed: `ws://HOST:PORT/ws`.
    pub(crate) url: String,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    scratch: Scratch,
    output: Arc<Mutex<String>>,
}

impl Server {
    /// The development broker: no configuration at all.
    pub(crate) fn development() -> Self {
        Launch::default().start()
    }

    /// A broker with this configuration file.
    pub(crate) fn start(toml: &str) -> Self {
        Launch::default().config(toml).start()
    }

    /// The same for tests with clients that read nothing for a while and so answer no pings: it does not mind.
    pub(crate) fn start_patient(toml: &str) -> Self {
        Self::start(&format!("ping_s = 600\npong_timeout_s = 600\n{toml}"))
    }

    /// Sends a signal by its name, `TERM` or `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        let command = format!("kill -{name} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success(), "{command}");
    }

    /// Waits for the process to end.
    pub(crate) async fn exit(&mut self) -> ExitStatus {
        eventually(async || self.child.try_wait().unwrap()).await
    }

    /// The process's number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the process still runs.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Lets this process, which is all the clients, open as many sockets as the system allows.
    pub(crate) fn expect_many_clients() {
        let limits = getrlimit(Resource::Nofile);
        setrlimit(Resource::Nofile, Rlimit { current: limits.maximum, maximum: limits.maximum }).unwrap();
    }

    /// Memory that the process holds (Linux: `VmRSS`).
    pub(crate) fn resident_bytes(&self) -> u64 {
        self.status_bytes("VmRSS:")
    }

    /// The most that it ever had in memory.
    pub(crate) fn peak_bytes(&self) -> u64 {
        self.status_bytes("VmHWM:")
    }

    fn status_bytes(&self, field: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Processor time of all its threads (Linux: `schedstat`).
    pub(crate) fn cpu_seconds(&self) -> f64 {
        let threads = fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        let nanoseconds = |thread: &Path| -> f64 {
            let schedstat = fs::read_to_string(thread.join("schedstat")).unwrap();
            schedstat.split(' ').next().unwrap().parse().unwrap()
        };
        threads.map(|thread| nanoseconds(&thread.unwrap().path())).sum::<f64>() / 1e9
    }

    /// Everything it printed so far.
    pub(crate) fn output(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// Replaces the configuration file.
    pub(crate) fn write_config(&self, toml: &str) {
        self.scratch.write("fanwire.toml", toml);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        let output = self.output();
        if thread::panicking() {
            eprintln!("the broker's output:\n{output}");
        } else {
            assert!(!output.contains("panicked at"), "the broker panicked:\n{output}");
        }
    }
}

/// A directory that goes away with its owner.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("fanwire-it-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file and says where it is.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}
