//! User memory and descriptors of a process, from `/proc`, and this process's own descriptor limit.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

use crate::error::{Context, Result};

/// What a process holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// Resident anonymous memory in bytes (`RssAnon`): heap and stacks.
    pub rss_anon: u64,
    /// The same as the share of this process (`Pss_Anon`).
    pub pss_anon: u64,
    /// Open descriptors.
    pub descriptors: u64,
}

/// Reads what `pid` holds.
///
/// # Errors
/// When there is no such process.
pub fn holding(pid: u32) -> Result<Holding> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("server process")?;
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).context("server descriptors")?.count();
    Ok(Holding {
        rss_anon: kib_field(&status, "RssAnon:") * 1024,
        pss_anon: kib_field(&rollup, "Pss_Anon:") * 1024,
        descriptors: descriptors as u64,
    })
}

/// Resident anonymous memory of `pid` in bytes: the cheap part of [`holding`].
///
/// # Errors
/// When there is no such process.
pub fn rss_anon(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("server process")?;
    Ok(kib_field(&status, "RssAnon:") * 1024)
}

/// Raises this process's soft descriptor limit to the hard one and returns it; children inherit it.
///
/// # Errors
/// When the system refuses.
pub fn raise_descriptor_limit() -> Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum })
        .context("raising the descriptor limit")?;
    Ok(limit.maximum.unwrap_or(u64::MAX))
}

fn kib_field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_in_kibibytes() {
        assert_eq!(kib_field("VmRSS:\t 10 kB\nRssAnon:\t    123 kB\n", "RssAnon:"), 123);
        assert_eq!(kib_field("", "RssAnon:"), 0);
    }

    #[test]
    fn own_holding_is_not_nothing() {
        let own = holding(std::process::id()).unwrap();
        assert!(own.rss_anon > 0 && own.descriptors > 2, "{own:?}");
    }
}
