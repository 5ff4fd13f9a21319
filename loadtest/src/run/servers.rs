//! Servers the tester knows how to start: a command, a configuration, and the protocol they speak.

use std::net::TcpListener;
use std::path::PathBuf;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::adapter::Name;
use crate::cli::ServerOptions;
use crate::error::{Context, Error, Result};

/// A server known by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Known {
    /// The fanwire beside this program, one shard.
    Fanwire,
    /// The same with MessagePack.
    FanwireMsgpack,
    /// The tester's own naive broker.
    Null,
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

impl Drop for Prepared {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = std::fs::remove_file(file);
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
            options: ServerOptions { serve: None, url: None, pid: None, ..options.clone() },
            adapter: Name::FanwireJson,
            files: Vec::new(),
        };
        match self {
            Self::Fanwire => {}
            Self::FanwireMsgpack => prepared.adapter = Name::FanwireMsgpack,
            Self::Null => {
                let own = std::env::current_exe().context("finding loadtest itself")?;
                prepared.options.serve = Some(format!("'{}' null", own.display()));
            }
        }
        Ok(prepared)
    }
}

/// A port that nobody listens on at the moment.
///
/// # Errors
/// When there is none.
pub fn free_port() -> Result<u16> {
    let listener = TcpListener::bind("127.0.0.1:0").context("finding a free port")?;
    Ok(listener.local_addr().context("finding a free port")?.port())
}

impl Prepared {
    /// Writes a configuration file that lives as long as this.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&mut self, name: &str, text: &str) -> Result<String> {
        let path =
            std::env::temp_dir().join(format!("loadtest-{}-{}-{name}", std::process::id(), free_port()?));
        std::fs::write(&path, text).context("writing the server's configuration")?;
        let shown = path.to_str().map(str::to_owned);
        self.files.push(path);
        shown.ok_or_else(|| Error::Setup("the temporary directory's name is not text".into()))
    }
}
