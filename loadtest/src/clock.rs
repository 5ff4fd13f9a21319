//! The monotonic clock that every process of one machine shares, and an alarm on it that mio can wait for.

use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};

use crate::error::{Context, Result};

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;
/// Nanoseconds in a millisecond.
pub const MILLISECOND: u64 = 1_000_000;

/// Nanoseconds of `CLOCK_MONOTONIC`.
#[must_use]
pub fn now_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::Monotonic))
}

/// CPU time this process has used so far, all threads, in nanoseconds.
#[must_use]
pub fn own_cpu_ns() -> u64 {
    nanoseconds(clock_gettime(ClockId::ProcessCPUTime))
}

/// Sleeps until the monotonic clock shows `deadline_ns`.
pub fn sleep_until(deadline_ns: u64) {
    let now = now_ns();
    if deadline_ns > now {
        std::thread::sleep(Duration::from_nanos(deadline_ns - now));
    }
}

/// A span of seconds in nanoseconds; negative and absurd spans become 0 and about 584 years.
#[must_use]
pub fn span_ns(seconds: f64) -> u64 {
    whole(seconds * 1e9)
}

/// The nearest whole number from 0.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "float to integer casts saturate"
)]
pub fn whole(value: f64) -> u64 {
    value.round() as u64
}

fn nanoseconds(time: Timespec) -> u64 {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds * SECOND + u64::try_from(time.tv_nsec).unwrap_or(0)
}

fn timespec(ns: u64) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(ns / SECOND).unwrap_or(i64::MAX),
        tv_nsec: i64::try_from(ns % SECOND).unwrap_or(0),
    }
}

/// A timer descriptor. epoll's own timeout is rounded up to a millisecond, which would be the tester's lag.
#[derive(Debug)]
pub struct Alarm {
    fd: OwnedFd,
}

impl Alarm {
    /// Makes an alarm that is not set.
    ///
    /// # Errors
    /// When the system gives no timer.
    pub fn new() -> Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags).context("timerfd_create")?;
        Ok(Self { fd })
    }

    /// Makes the descriptor readable at `deadline_ns`; setting it again takes back an earlier ring.
    ///
    /// # Errors
    /// When the system refuses the time.
    pub fn set(&self, deadline_ns: u64) -> Result<()> {
        let value = Itimerspec { it_interval: timespec(0), it_value: timespec(deadline_ns.max(1)) };
        timerfd_settime(&self.fd, TimerfdTimerFlags::ABSTIME, &value).context("timerfd_settime")?;
        Ok(())
    }

    /// The descriptor to register.
    #[must_use]
    pub fn raw_fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }
}
