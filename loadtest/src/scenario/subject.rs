//! The server under test: started or found, and where a scenario wants it so, killed and started again.

use std::path::PathBuf;
use std::process::Command;
use std::rc::Rc;

use rustix::process::Signal;

use super::target;
use crate::adapter::Adapter;
use crate::affinity::Cores;
use crate::client::connection::Target;
use crate::error::{Context, Error, Result};
use crate::options::ServerOptions;
use crate::server::{self, Process};

/// The server under test; one that the tester started ends with this.
#[derive(Debug)]
pub struct Subject {
    process: Option<Process>,
    launch: Option<Launch>,
    /// The process whose CPU and memory are measured, where one is known.
    pub pid: Option<u32>,
    /// Where to connect.
    pub target: Rc<Target>,
    /// Its command or URL, for the report.
    pub name: String,
}

/// How the tester starts it.
#[derive(Debug)]
struct Launch {
    command: String,
    options: ServerOptions,
    adapter: Rc<dyn Adapter>,
    cores: Option<Cores>,
    /// Goes when the server has gone.
    _folder: Option<Folder>,
}

/// A folder for the server's data, as long as the run.
#[derive(Debug)]
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let name = format!("loadtest-data-{}-{:x}", std::process::id(), crate::clock::now_ns());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(path.join("data")).context("making a folder for the server's data")?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays in the temporary folder.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

impl Subject {
    /// Starts the server, or takes the one that runs.
    ///
    /// # Errors
    /// When it does not start or its address is no address.
    pub fn start(options: &ServerOptions, adapter: Rc<dyn Adapter>, cores: Option<Cores>) -> Result<Self> {
        if let (Some(url), None) = (&options.url, &options.serve) {
            let target = Rc::new(target(url, adapter, options)?);
            return Ok(Self { process: None, launch: None, pid: options.pid, target, name: url.clone() });
        }
        let launch = Launch::new(options, adapter, cores)?;
        let mut process = launch.spawn()?;
        let target = match &launch.options.url {
            Some(url) => {
                let target = target(url, Rc::clone(&launch.adapter), options)?;
                process.wait_until_accepting(target.address)?;
                target
            }
            None => {
                let url = process.wait_for("a ws:// URL", server::find_url)?;
                target(&url, Rc::clone(&launch.adapter), options)?
            }
        };
        Ok(Self {
            pid: Some(worker(&process)),
            process: Some(process),
            target: Rc::new(target),
            name: options.serve.clone().unwrap_or_else(|| launch.command.clone()),
            launch: Some(launch),
        })
    }

    /// A server that another process has started.
    #[must_use]
    pub fn elsewhere(target: Target) -> Self {
        Self { process: None, launch: None, pid: None, name: target.host.clone(), target: Rc::new(target) }
    }

    /// The process to measure.
    ///
    /// # Errors
    /// When none is known.
    pub fn measured_pid(&self) -> Result<u32> {
        self.pid.ok_or_else(|| Error::Usage("this needs --pid, the server's process id".into()))
    }

    /// Whether the tester started it, and so may kill it and start it again.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.process.is_some()
    }

    /// Sends it a signal; one that ended already gets none.
    pub fn signal(&mut self, signal: Signal) {
        if let Some(process) = &mut self.process {
            process.signal(signal);
        }
    }

    /// How it ended, when it has.
    pub fn ended(&mut self) -> Option<String> {
        self.process.as_mut().and_then(Process::ended)
    }

    /// Starts it anew; [`Subject::is_back`] tells when it can be connected to.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_again(&mut self) -> Result<()> {
        if let Some(launch) = &self.launch {
            self.process = Some(launch.spawn()?);
        }
        Ok(())
    }

    /// Whether the server that was started anew can be connected to. Does not wait.
    ///
    /// # Errors
    /// When it ended instead.
    pub fn is_back(&mut self) -> Result<bool> {
        let (Some(process), Some(launch)) = (&mut self.process, &self.launch) else { return Ok(false) };
        let back = match &launch.options.url {
            // Given an address, it need not print one; that it accepts is all there is to see.
            Some(_) => std::net::TcpStream::connect(self.target.address).is_ok(),
            None => match process.find_line(server::find_url) {
                Some(url) => {
                    self.target = Rc::new(target(&url, Rc::clone(&launch.adapter), &launch.options)?);
                    true
                }
                None => false,
            },
        };
        if back {
            // Only now: it is the worker that listens, so by now there is one to be found.
            self.pid = Some(worker(process));
            return Ok(true);
        }
        match process.ended() {
            Some(fate) => Err(Error::Setup(format!("the server did not come back: {fate}"))),
            None => Ok(false),
        }
    }
}

/// A server that only watches over one worker is measured by its worker.
fn worker(process: &Process) -> u32 {
    server::only_child(process.pid()).unwrap_or(process.pid())
}

impl Launch {
    fn new(options: &ServerOptions, adapter: Rc<dyn Adapter>, cores: Option<Cores>) -> Result<Self> {
        let mut folder = None;
        let command = match &options.serve {
            Some(command) => expand(command, options.config.as_deref(), &mut folder)?,
            None => format!("{} serve --listen 127.0.0.1:0 --shards 1", quoted_fanwire()?),
        };
        Ok(Self { command, options: options.clone(), adapter, cores, _folder: folder })
    }

    fn spawn(&self) -> Result<Process> {
        let mut command = Command::new("sh");
        // `exec`, so that the id of the child is the server's own; and where there is a setpriv, the server also
        // ends when this process is killed.
        let with_parent = "command -v setpriv >/dev/null && exec setpriv --pdeathsig TERM --";
        command.args(["-c", &format!("{with_parent} {0}; exec {0}", self.command)]);
        Process::start(command, self.cores)
    }
}

/// Puts in what a command leaves open.
fn expand(command: &str, config: Option<&str>, folder: &mut Option<Folder>) -> Result<String> {
    let mut command = command.to_owned();
    if command.contains("{fanwire}") {
        command = command.replace("{fanwire}", &quoted_fanwire()?);
    }
    if command.contains("{config}") && config.is_none() {
        return Err(Error::Usage(
            "the server's command has {config}, but the scenario has no `config`".into(),
        ));
    }
    if command.contains("{dir}") || command.contains("{config}") {
        let made = Folder::new()?;
        let (data, file) = (made.0.join("data"), made.0.join("config"));
        std::fs::write(&file, config.unwrap_or_default()).context("writing the server's configuration")?;
        command = command.replace("{dir}", &format!("'{}'", data.display()));
        command = command.replace("{config}", &format!("'{}'", file.display()));
        *folder = Some(made);
    }
    Ok(command)
}

/// The fanwire beside this program, as a shell reads it.
fn quoted_fanwire() -> Result<String> {
    let fanwire = std::env::current_exe().context("finding loadtest itself")?.with_file_name("fanwire");
    if !fanwire.exists() {
        let message =
            format!("there is no {}: build it, or name a server with --serve or --url", fanwire.display());
        return Err(Error::Usage(message));
    }
    Ok(format!("'{}'", fanwire.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_the_command_is_there_and_goes_with_it() {
        let mut folder = None;
        let command = expand("serve --data-dir {dir} --config {config}", Some("x = 1"), &mut folder).unwrap();
        let path = folder.as_ref().unwrap().0.clone();
        assert!(path.join("data").is_dir() && command.contains(path.join("data").to_str().unwrap()));
        assert_eq!(std::fs::read_to_string(path.join("config")).unwrap(), "x = 1");
        assert!(expand("serve {config}", None, &mut None).is_err());
        drop(folder);
        assert!(!path.exists());
    }
}
