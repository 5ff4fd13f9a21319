//! The process under test: started pinned to its core, asked for its address by reading its output, stopped by its id.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::affinity::{self, Cores};
use crate::error::{Context, Error, Result};

/// A server that has not said its address by then has failed to start.
const START_PATIENCE: Duration = Duration::from_secs(15);
/// A server that has closed its output has this long to end, and so to say how.
const ENDING_PATIENCE: Duration = Duration::from_secs(1);
/// A server that has not ended this long after SIGTERM is killed.
const STOP_PATIENCE: Duration = Duration::from_secs(10);

/// A running child process. It is stopped when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Process {
    /// Starts `command` on the server's core.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(mut command: Command, cores: Option<Cores>) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        // An interrupt at the terminal is the tester's to handle: it still has to drain.
        command.process_group(0);
        // A child inherits the affinity of the thread that spawns it: no thread of it ever runs elsewhere.
        if let Some(cores) = cores {
            affinity::pin(cores.server)?;
        }
        let spawned = command.spawn().context("starting the server");
        // Before the error is looked at: the tester must not stay on the server's core.
        if let Some(cores) = cores {
            affinity::pin(cores.tester)?;
        }
        let mut child = spawned?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (sender, lines) = mpsc::sync_channel(64);
        if let Some(stdout) = stdout {
            // Reads to the end even when nobody listens any more, or the server would block on a full pipe.
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(std::result::Result::ok) {
                    // Never waits for a reader: lines that nobody looks at are dropped.
                    let _ = sender.try_send(line);
                }
            });
        }
        Ok(Self { child, stdin, lines })
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for an output line in which `pick` finds something.
    ///
    /// # Errors
    /// When the process ends or stays silent instead.
    pub fn wait_for<T>(&mut self, what: &str, pick: impl Fn(&str) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + START_PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = match self.lines.recv_timeout(left) {
                Ok(line) => line,
                Err(end) => {
                    // One that closed its output is most likely about to end.
                    let grace =
                        if end == RecvTimeoutError::Disconnected { ENDING_PATIENCE } else { Duration::ZERO };
                    let fate = self.fate(grace);
                    return Err(Error::Setup(format!("the server never printed {what}; it {fate}")));
                }
            };
            if let Some(found) = pick(&line) {
                return Ok(found);
            }
        }
    }

    /// What became of it, waiting for its end so long.
    fn fate(&mut self, grace: Duration) -> String {
        let deadline = Instant::now() + grace;
        loop {
            match self.child.try_wait().ok().flatten() {
                Some(status) => return format!("ended with {status}"),
                None if Instant::now() >= deadline => return "is silent".into(),
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Waits until something listens at `address`, for servers that do not say when they are ready.
    ///
    /// # Errors
    /// When the process ends or does not listen in time.
    pub fn wait_until_accepting(&mut self, address: std::net::SocketAddr) -> Result<()> {
        let deadline = Instant::now() + START_PATIENCE;
        while std::net::TcpStream::connect(address).is_err() {
            let ended = self.child.try_wait().ok().flatten();
            if ended.is_some() || Instant::now() > deadline {
                let fate = ended.map_or_else(String::new, |status| format!("; it ended with {status}"));
                return Err(Error::Setup(format!("the server never listened at {address}{fate}")));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Looks through the lines it printed since the last look, without waiting.
    pub fn find_line<T>(&mut self, pick: impl Fn(&str) -> Option<T>) -> Option<T> {
        self.lines.try_iter().find_map(|line| pick(&line))
    }

    /// How it ended, when it has.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(format!("it ended with {status}"))
    }

    /// Sends it, and everything it started, a signal; one that ended already gets none.
    pub fn signal(&mut self, signal: Signal) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        // Only while it has not been waited for is the id certainly its own.
        if let (Some(group), Ok(None)) = (group, self.child.try_wait()) {
            let _ = kill_process_group(group, signal);
        }
    }

    /// Writes a line to its standard input.
    ///
    /// # Errors
    /// When the process does not take it.
    pub fn tell(&mut self, line: &str) -> Result<()> {
        let Some(stdin) = &mut self.stdin else { return Err(Error::Setup("the server has no input".into())) };
        writeln!(stdin, "{line}").context("writing to the server")?;
        stdin.flush().context("writing to the server")
    }

    fn stop(&mut self) {
        self.signal(Signal::TERM);
        // One that was stopped has to go on to notice.
        self.signal(Signal::CONT);
        let deadline = Instant::now() + STOP_PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                eprintln!("the server did not end within {STOP_PATIENCE:?} of SIGTERM and is killed");
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The child of a process that has exactly one.
#[must_use]
pub fn only_child(pid: u32) -> Option<u32> {
    let mut children = std::fs::read_dir("/proc").ok()?.filter_map(|entry| {
        let child = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).ok()?;
        // The fields after the name, which may hold anything and ends with the last bracket: state, parent.
        let parent: u32 = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().nth(1)?.parse().ok()?;
        (parent == pid).then_some(child)
    });
    match (children.next(), children.next()) {
        (Some(child), None) => Some(child),
        _ => None,
    }
}

/// The first `ws://HOST:PORT/ws` or `wss://HOST:PORT/ws` in a line of output.
#[must_use]
pub fn find_url(line: &str) -> Option<String> {
    let url = &line[line.find("wss://").or_else(|| line.find("ws://"))?..];
    let end = url.find("/ws").map(|at| at + 3)?;
    let url = &url[..end];
    url.bytes().all(|b| b.is_ascii_graphic()).then(|| url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_in_decorated_output() {
        let url = Some("ws://127.0.0.1:7400/ws".to_owned());
        assert_eq!(find_url("  WebSocket   ws://127.0.0.1:7400/ws  (native)"), url);
        assert_eq!(find_url("{\"url\":\"ws://127.0.0.1:7400/ws\"}"), url);
        assert_eq!(find_url("http://127.0.0.1:7400/"), None);
        assert_eq!(find_url("see ws:// and /ws"), None);
        assert_eq!(find_url("at wss://127.0.0.1:1/ws"), Some("wss://127.0.0.1:1/ws".to_owned()));
    }

    #[test]
    fn a_server_that_ends_at_once_is_reported() {
        let mut process = Process::start(Command::new("true"), None).unwrap();
        let error = process.wait_for("its address", find_url).unwrap_err();
        assert!(error.to_string().contains("never printed its address; it ended with exit"), "{error}");
    }
}
