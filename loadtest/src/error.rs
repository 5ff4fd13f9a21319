//! Why a measurement could not be made at all (exit code 2); a bad measurement is a [`crate::verdict`], not an error.

use std::io;

/// A failure to set up or carry out a run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The options contradict each other or name something that does not exist.
    #[error("{0}")]
    Usage(String),
    /// The server could not be started, reached or talked to.
    #[error("{0}")]
    Setup(String),
    /// A system call failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being attempted.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody interrupted it before there was anything to report.
    #[error("interrupted")]
    Interrupted,
    /// An object could not be encoded.
    #[error("encoding failed: {0}")]
    Encode(String),
}

impl Error {
    /// The exit code of a command that failed so.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Interrupted => INTERRUPTED,
            Self::Usage(_) | Self::Setup(_) | Self::Io { .. } | Self::Encode(_) => 2,
        }
    }
}

/// The exit code of a run that was interrupted.
pub const INTERRUPTED: u8 = 130;

/// The crate's result.
pub type Result<T> = std::result::Result<T, Error>;

/// Names what an I/O error interrupted.
pub trait Context<T> {
    /// Turns an I/O error into [`Error::Io`] with `what` in front.
    ///
    /// # Errors
    /// Passes the error on.
    fn context(self, what: &'static str) -> Result<T>;
}

impl<T, E: Into<io::Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, what: &'static str) -> Result<T> {
        self.map_err(|source| Error::Io { what, source: source.into() })
    }
}
