//! Which CPU runs what: the server gets one core and the tester another, so that neither pays for the other.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::error::{Context, Result};

/// The two cores of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cores {
    /// Runs the server.
    pub server: usize,
    /// Runs the tester.
    pub tester: usize,
}

/// The first two CPUs this process may use, or `None` when there is only one.
///
/// # Errors
/// When the system does not tell.
pub fn choose() -> Result<Option<Cores>> {
    let allowed = sched_getaffinity(None).context("sched_getaffinity")?;
    let mut cpus = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
    Ok(cpus.next().zip(cpus.next()).map(|(server, tester)| Cores { server, tester }))
}

/// The CPUs for processes of the tester: all that this one may use but the server's, or that one where there is no other.
///
/// # Errors
/// When the system does not tell.
pub fn testers() -> Result<Vec<usize>> {
    let Some(cores) = choose()? else { return Ok(Vec::new()) };
    let allowed = sched_getaffinity(None).context("sched_getaffinity")?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu) && cpu != cores.server).collect())
}

/// Moves the calling thread to `cpu`. What it spawns from then on starts there too: that is how a server is pinned
/// before its first thread exists.
///
/// # Errors
/// When the system refuses.
pub fn pin(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).context("sched_setaffinity")
}
