//! Servers the tester knows how to start: a command, a configuration, and the protocol they speak.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::Overrides;
use super::scenario::Via;
use crate::adapter::Name;
use crate::error::{Context, Error, Result};
use crate::options::ServerOptions;

/// A server known by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Known {
    /// The fanwire beside this program, one shard.
    Fanwire,
    /// The same with MessagePack.
    FanwireMsgpack,
    /// The same with Server-Sent Events, published to by HTTP.
    FanwireSse,
    /// The tester's own naive broker.
    Null,
    /// nats-server with its WebSocket listener.
    Nats,
    /// nginx with the nchan module, one worker.
    Nchan,
    /// The same with Server-Sent Events.
    NchanSse,
    /// mosquitto with its WebSocket listener.
    Mosquitto,
    /// python3-socketio on aiohttp, rooms as topics.
    #[value(name = "socketio")]
    #[serde(rename = "socketio")]
    SocketIo,
    /// sockudo, a Pusher server.
    Sockudo,
    /// The tester's own peer of the Pusher protocol, on Node.js.
    PusherPeer,
    /// Centrifugo.
    Centrifugo,
    /// The tester's own peer of Centrifugo's protocol, on Node.js.
    CentrifugoPeer,
    /// A broadcast server on the `ws` module of Node.js.
    Ws,
}

/// A server to start: one that is known, or any other that prints its URL, written as `NAME=COMMAND`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// One that is known.
    Known(Known),
    /// Another one; it speaks fanwire's protocol unless `--adapter` says otherwise.
    Command {
        /// What reports call it.
        name: String,
        /// What starts it.
        command: String,
    },
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.split_once('=') {
            Some((name, command)) if !name.is_empty() && !command.is_empty() => {
                Ok(Self::Command { name: name.to_owned(), command: command.to_owned() })
            }
            Some(_) => Err("write NAME=COMMAND".into()),
            None => Known::from_str(text, false).map(Self::Known).map_err(|_| {
                let names: Vec<String> = Known::value_variants().iter().map(|known| known.name()).collect();
                format!("it is neither NAME=COMMAND nor one of {}", names.join(", "))
            }),
        }
    }
}

impl Choice {
    /// What reports call it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Known(known) => known.name(),
            Self::Command { name, .. } => name.clone(),
        }
    }

    /// Writes what the server needs, on a free port.
    ///
    /// # Errors
    /// When there is no port or the configuration cannot be written.
    pub fn prepare(&self, options: &ServerOptions) -> Result<Prepared> {
        match self {
            Self::Known(known) => known.prepare(options),
            Self::Command { command, .. } => {
                let mut prepared = Known::Fanwire.prepare(options)?;
                prepared.options.serve = Some(command.clone());
                Ok(prepared)
            }
        }
    }
}

/// A server ready to be started. Its configuration file goes with it.
#[derive(Debug)]
pub struct Prepared {
    /// How to start it and where it will be.
    pub options: ServerOptions,
    /// The protocol it speaks.
    pub adapter: Name,
    files: Vec<PathBuf>,
}

impl Known {
    /// Whether its program is installed.
    #[must_use]
    pub fn is_installed(self) -> bool {
        match self {
            Self::Fanwire | Self::FanwireMsgpack | Self::FanwireSse | Self::Null => true,
            Self::Nats => has_program("nats-server"),
            Self::Nchan | Self::NchanSse => {
                has_program("nginx") && Path::new("/usr/lib/nginx/modules/ngx_nchan_module.so").exists()
            }
            Self::Mosquitto => has_program("mosquitto"),
            Self::SocketIo => {
                let module = |name: &str| Path::new("/usr/lib/python3/dist-packages").join(name).exists();
                module("socketio") && module("aiohttp")
            }
            Self::Sockudo => has_program("sockudo"),
            Self::Centrifugo => has_program("centrifugo"),
            Self::Ws | Self::PusherPeer | Self::CentrifugoPeer => {
                has_program("node") && Path::new("/usr/share/nodejs/ws").exists()
            }
        }
    }
}

/// Whether a program is in the path, or where else servers are.
fn has_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(more_folders()).any(|folder| folder.join(name).exists())
}

/// Where Debian puts servers, and where `servers/sockudo/install` does: beside the folder that this program was built
/// in.
fn more_folders() -> Vec<PathBuf> {
    let own = std::env::current_exe().unwrap_or_default();
    let tools = own.ancestors().skip(2).take(2).map(|folder| folder.join("tools/bin"));
    [PathBuf::from("/usr/sbin")].into_iter().chain(tools).filter(|folder| folder.exists()).collect()
}

impl Drop for Prepared {
    fn drop(&mut self) {
        for file in &self.files {
            // Most are files; nginx makes folders besides.
            let _ = std::fs::remove_file(file).or_else(|_| std::fs::remove_dir_all(file));
        }
    }
}

impl Known {
    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Writes what the server needs, on a free port.
    ///
    /// # Errors
    /// When there is no port or the configuration cannot be written.
    pub fn prepare(self, options: &ServerOptions) -> Result<Prepared> {
        let mut prepared = Prepared {
            // What the command line says of a server is of another one; how to measure is kept.
            options: ServerOptions { serve: None, url: None, pid: None, ..options.clone() },
            adapter: Name::FanwireJson,
            files: Vec::new(),
        };
        match self {
            Self::Fanwire => {}
            Self::FanwireMsgpack => prepared.adapter = Name::FanwireMsgpack,
            Self::FanwireSse => prepared.adapter = Name::FanwireSse,
            Self::Null => {
                let own = std::env::current_exe().context("finding loadtest itself")?;
                prepared.options.serve = Some(format!("'{}' null", own.display()));
            }
            Self::Nats => prepared.serve(Name::Nats, "nats-server", NATS, "nats-server -c")?,
            Self::Nchan => prepared.serve(Name::Nchan, "nginx", NCHAN, "nginx -e stderr -c")?,
            Self::NchanSse => prepared.serve(Name::NchanSse, "nginx", NCHAN, "nginx -e stderr -c")?,
            Self::SocketIo => prepared.script(Name::SocketIo, "socketio.py", SOCKETIO, PYTHON)?,
            Self::Ws => prepared.script(Name::Broadcast, "broadcast.js", BROADCAST, NODE)?,
            Self::PusherPeer => prepared.script(Name::Pusher, "pusher.js", PUSHER, NODE)?,
            Self::CentrifugoPeer => {
                prepared.script(Name::Centrifugo, "centrifugo.js", CENTRIFUGO_PEER, NODE)?
            }
            Self::Sockudo => prepared.serve(Name::Pusher, "sockudo", SOCKUDO, "sockudo --config")?,
            Self::Centrifugo => {
                prepared.serve(Name::Centrifugo, "centrifugo", CENTRIFUGO, "centrifugo --config")?;
            }
            Self::Mosquitto => prepared.serve(Name::Mqtt, "mosquitto", MOSQUITTO, "mosquitto -c")?,
        }
        Ok(prepared)
    }
}

// In the configurations, PORT is the server's port and FILE the beginning of names for its files.
const NATS: &str = include_str!("../../servers/nats.conf");
/// One worker, as every other server here has one core; it may not recycle publishers' connections.
const NCHAN: &str = include_str!("../../servers/nchan.conf");
/// With no listener but a WebSocket, mosquitto 2.0.11 says that it has none and ends.
const MOSQUITTO: &str = include_str!("../../servers/mosquitto.conf");
/// The application that the adapter is unless told otherwise; nothing is limited.
const SOCKUDO: &str = include_str!("../../servers/sockudo.json");
/// Version 6: anyone may connect, subscribe and publish.
const CENTRIFUGO: &str = include_str!("../../servers/centrifugo.json");
const SOCKETIO: &str = include_str!("../../servers/socketio.py");
const BROADCAST: &str = include_str!("../../servers/broadcast.js");
const PUSHER: &str = include_str!("../../servers/pusher.js");
const CENTRIFUGO_PEER: &str = include_str!("../../servers/centrifugo.js");
/// The system's own, which has the system's packages.
const PYTHON: &str = "/usr/bin/python3";
const NODE: &str = "env NODE_PATH=/usr/share/nodejs node";

/// A port that nobody listens on at the moment.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("finding a free port")?;
    Ok(listener.local_addr().context("finding a free port")?.port())
}

impl Prepared {
    /// What the server's protocol leaves no choice in.
    pub fn adjust(&self, overrides: &mut Overrides) {
        overrides.adapter.get_or_insert(self.adapter);
        if self.adapter.only_http() {
            overrides.publish.get_or_insert(Via::Http);
        }
    }

    /// A server with a configuration file on a port of its own.
    fn serve(&mut self, adapter: Name, program: &str, text: &str, command: &str) -> Result<()> {
        if !has_program(program) {
            return Err(Error::Usage(format!(
                "{program} is not installed; README says which package has it"
            )));
        }
        let port = free_port()?;
        let file = self.write(program, text, port)?;
        self.adapter = adapter;
        // The shell that starts it must find what `has_program` has found.
        let folders: Vec<String> = more_folders().iter().map(|f| f.display().to_string()).collect();
        self.options.serve = Some(format!("env PATH=\"$PATH:{}\" {command} '{file}'", folders.join(":")));
        self.options.url = Some(format!("ws://127.0.0.1:{port}/"));
        Ok(())
    }

    /// A server that is a script with its port as argument.
    fn script(&mut self, adapter: Name, name: &str, text: &str, command: &str) -> Result<()> {
        let port = free_port()?;
        let file = self.write(name, text, port)?;
        self.adapter = adapter;
        self.options.serve = Some(format!("{command} '{file}' {port}"));
        self.options.url = Some(format!("ws://127.0.0.1:{port}/"));
        Ok(())
    }

    /// Writes a configuration file that lives as long as this; PORT and FILE in it become what they are.
    fn write(&mut self, program: &str, text: &str, port: u16) -> Result<String> {
        let name = format!("loadtest-{program}-{}-{port}.conf", std::process::id());
        let path = std::env::temp_dir().join(name);
        let shown = path.to_str().map(str::to_owned);
        let shown = shown.ok_or_else(|| Error::Setup("the temporary folder's name is not text".into()))?;
        let text = text.replace("PORT", &port.to_string()).replace("FILE", &shown);
        std::fs::write(&path, text).context("writing the server's configuration")?;
        for end in ["", ".pid", ".log", ".sock", ".body", ".proxy", ".fastcgi", ".uwsgi", ".scgi"] {
            self.files.push(PathBuf::from(format!("{shown}{end}")));
        }
        Ok(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_or_a_command() {
        assert_eq!("nats".parse(), Ok(Choice::Known(Known::Nats)));
        let command = Choice::Command { name: "old".into(), command: "./fanwire serve --x=1".into() };
        assert_eq!("old=./fanwire serve --x=1".parse(), Ok(command));
        assert!("natss".parse::<Choice>().unwrap_err().contains("mosquitto"));
        assert!("=x".parse::<Choice>().is_err());
    }
}
