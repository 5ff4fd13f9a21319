//! Losses that the operator has accepted: commits that are not there, and of which the store says so no more.
//!
//! A text file with one line for each: `commits FIRST LAST accepted at MILLISECONDS`.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write},
    path::Path,
};

use super::{place::failed, wrong::Damage};
use crate::{clock::unix_ms, store::StoreError};

const ACCEPTED: &str = "ACCEPTED";

/// Ranges of commits.
#[derive(Default, Debug)]
pub(super) struct Accepted {
    ranges: Vec<(u64, u64)>,
}

impl Accepted {
    /// Reads the list of a data directory. A line that cannot be read accepts nothing.
    pub(super) fn read(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(ACCEPTED);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(Self::default()),
            Err(error) => return Err(failed(&path, &error)),
        };
        let range = |line: &str| {
            let mut words = line.strip_prefix("commits ")?.split(' ');
            Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
        };
        Ok(Self { ranges: text.lines().filter_map(range).collect() })
    }

    /// Whether this is one of them.
    pub(super) fn covers(&self, damage: &Damage) -> bool {
        match damage {
            Damage::Missing { first, last, .. } | Damage::Emptied { first, last, .. } => {
                self.has(*first, *last)
            }
            Damage::File { .. } | Damage::Journal { .. } => false,
        }
    }

    /// Whether the loss of these commits was accepted.
    pub(super) fn has(&self, first: u64, last: u64) -> bool {
        self.ranges.iter().any(|(from, to)| *from <= first && last <= *to)
    }

    /// How many commits that are.
    pub(super) fn count(&self) -> u64 {
        self.ranges.iter().map(|(first, last)| last.saturating_sub(*first).saturating_add(1)).sum()
    }

    /// The highest number in the list: those of lost commits are not used again.
    pub(super) fn highest(&self) -> u64 {
        self.ranges.iter().map(|(_, last)| *last).max().unwrap_or(0)
    }

    /// Adds one, durably.
    pub(super) fn add(&mut self, folder: &Path, first: u64, last: u64) -> Result<(), StoreError> {
        let path = folder.join(ACCEPTED);
        let append = || {
            let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
            writeln!(file, "commits {first} {last} accepted at {}", unix_ms())?;
            // Before the store opens without them: what an operator has accepted is not asked again after a crash.
            file.sync_all()
        };
        append().map_err(|error| failed(&path, &error))?;
        self.ranges.push((first, last));
        Ok(())
    }
}
