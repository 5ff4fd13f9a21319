//! CPU time of a process, in nanoseconds, from `/proc`.
//!
//! `utime + stime` counts in ticks of 10 ms, too coarse for one window. `schedstat` counts nanoseconds but per thread,
//! and a thread that ends takes its figure along; so both are read, and the coarse one wins when threads got lost.

use std::collections::HashMap;
use std::fs;

use crate::clock::{MILLISECOND, SECOND};
use crate::error::{Context, Error, Result};

/// What a process had used at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sample {
    /// Nanoseconds on a CPU, and ready to run but waiting for one, by thread id.
    threads: HashMap<u32, (u64, u64)>,
    /// `utime + stime` in nanoseconds, ended threads included.
    coarse_ns: u64,
}

/// Reads the CPU time of `pid`.
///
/// # Errors
/// When there is no such process or `/proc` does not say.
pub fn sample(pid: u32) -> Result<Sample> {
    let mut threads = HashMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/task")).context("server process")? {
        let Ok(entry) = entry else { continue };
        let Some(tid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // A thread may end between the listing and the reading.
        let Ok(text) = fs::read_to_string(entry.path().join("schedstat")) else { continue };
        let mut fields = text.split(' ').map(|field| field.parse().unwrap_or(0));
        threads.insert(tid, (fields.next().unwrap_or(0), fields.next().unwrap_or(0)));
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("server process")?;
    let ticks = ticks(&stat).ok_or_else(|| Error::Setup(format!("/proc/{pid}/stat is not readable")))?;
    Ok(Sample { threads, coarse_ns: ticks * (SECOND / rustix::param::clock_ticks_per_second()) })
}

impl Sample {
    /// Nanoseconds of CPU used since `before`.
    #[must_use]
    pub fn since(&self, before: &Self) -> u64 {
        let precise = self.sum_since(before, |(running, _)| running);
        let coarse = self.coarse_ns.saturating_sub(before.coarse_ns);
        // Two ticks at either end and a twentieth of the figure are within the coarse one's error.
        let lost_threads = coarse > precise + precise / 20 + 40 * MILLISECOND;
        if lost_threads || precise == 0 { coarse } else { precise }
    }

    /// Nanoseconds its threads waited for a CPU since `before`: on a core of its own next to none, so what is here
    /// was taken by other processes.
    #[must_use]
    pub fn waited_since(&self, before: &Self) -> u64 {
        self.sum_since(before, |(_, waiting)| waiting)
    }

    fn sum_since(&self, before: &Self, pick: fn((u64, u64)) -> u64) -> u64 {
        let earlier = |tid: &u32| before.threads.get(tid).copied().unwrap_or_default();
        self.threads.iter().map(|(tid, &now)| pick(now).saturating_sub(pick(earlier(tid)))).sum()
    }
}

/// `utime + stime`: the 14th and 15th field, counted after the last `)` because the name may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat[stat.rfind(')')? + 1..].split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_blanks_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 31 11 0 0 20 0 1 0 100 0 0";
        assert_eq!(ticks(stat), Some(42));
    }

    #[test]
    fn own_work_is_seen() {
        let pid = std::process::id();
        let before = sample(pid).unwrap();
        // This thread's own time: other tests run, and end, in other threads.
        let used = || rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let begin = used();
        while (used() - begin).tv_nsec < 60_000_000 {}
        assert!(sample(pid).unwrap().since(&before) > 40 * MILLISECOND);
    }

    #[test]
    fn ended_threads_are_taken_from_the_coarse_figure() {
        let before = Sample { threads: HashMap::from([(1, (10, 5)), (2, (10, 5))]), coarse_ns: 0 };
        let after = Sample { threads: HashMap::from([(1, (20, 8))]), coarse_ns: SECOND };
        assert_eq!(after.since(&before), SECOND);
        assert_eq!(after.waited_since(&before), 3);
    }
}
