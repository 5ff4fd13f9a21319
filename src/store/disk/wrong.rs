//! What is not as it was written: as the store tells it apart, and as people read it.

use std::{fmt, path::PathBuf};

use serde::Serialize;

/// Damage to the files as a whole, which makes opening stop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Damage {
    /// A file that must be there is not, or is not readable.
    File {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Bytes of a journal are not what was written; whole commits follow.
    Journal {
        /// Where.
        path: PathBuf,
        /// From here on.
        from: u64,
        /// Up to here.
        to: u64,
    },
    /// A journal that had acknowledged commits has none. Those before `first` are in others, some of the rest may be in tables.
    Emptied {
        /// Where.
        path: PathBuf,
        /// The first commit that may have been in it.
        first: u64,
        /// The last one.
        last: u64,
    },
    /// Acknowledged commits are not there.
    Missing {
        /// The first one.
        first: u64,
        /// The last one.
        last: u64,
        /// Where they should be.
        path: PathBuf,
        /// What is there ends here.
        end: u64,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, what } => write!(out, "{}: {what}", path.display()),
            Self::Journal { path, to: 0, .. } => write!(out, "{}: nothing is in it", path.display()),
            Self::Journal { path, from, to } => {
                write!(out, "{}: bytes {from} to {to} are not what was written", path.display())
            }
            Self::Emptied { path, last, .. } => {
                write!(out, "{}: it had acknowledged commits up to {last}, and is empty", path.display())
            }
            Self::Missing { first, last, path, end } => write!(
                out,
                "{}: commits {first} to {last} were acknowledged and are not there, the file ends at byte {end}",
                path.display()
            ),
        }
    }
}

/// Damage of any kind, for people.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Damaged {
    /// A file, or an entry.
    pub place: String,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for Damaged {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.place, self.what)
    }
}
