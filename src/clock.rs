//! The broker's clock, as the rest of the code takes it: a number that is handed to pure rules as an argument.
//!
//! Ages are told by it (of messages, ids, answers, revocations), so it never steps, whatever is done to the clock of the
//! machine: a step of two hours would otherwise be the end of every history that is shorter. It goes with the monotonic
//! clock and makes up for what the machine's is ahead or behind, a little at a time.
//!
//! - Ahead of it by so much: it goes faster by a sixteenth, or by as much as makes it up within a day, at most eightfold.
//! - Behind it: it goes slower by a sixteenth.
//! - While the machine slept, time has passed: that is added at once.
//! - After a restart of the process it goes on by how long the machine has been up since; after one of the machine it has
//!   nothing but the machine's clock, and does not go back. By a day or more the machine's clock is taken when the process
//!   starts, since something was wrong before.
//!
//! What others wrote a time into (tokens, signatures, certificates) is compared with the clock of the machine.

use std::{
    fs,
    sync::{
        LazyLock,
        atomic::{AtomicI64, Ordering},
    },
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;

const DAY_MS: u64 = 86_400_000;

/// How much faster or slower it goes, as a part of what passes.
const SLEW: u64 = 16;

/// How many times faster it goes at most, beside its own pace.
const FASTEST: u64 = 7;

/// What the kernel's two clocks may differ by because they are read one after the other.
const SLEEP_MS: u64 = 1_000;

/// Milliseconds since 1970 by the broker's clock.
pub fn unix_ms() -> u64 {
    CLOCK.now()
}

/// Milliseconds since 1970 by the machine's clock; one before that reads as 1970. Only for what others dated.
pub fn machine_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Makes up for some of what the machine's clock is ahead or behind. To be called about once a second.
pub fn follow() {
    CLOCK.follow(machine_ms(), millis(CLOCK.origin), Boot::now().map(|boot| boot.up_ms));
}

/// Goes on from what an earlier process noted. To be called before anything is dated.
pub fn resume(note: &Note) {
    let at_ms = start(machine_ms(), note, Boot::now().as_ref());
    CLOCK.set(at_ms, millis(CLOCK.origin));
}

/// What a later process needs to go on.
pub fn note() -> Note {
    Note { at_ms: unix_ms(), boot: Boot::now() }
}

/// The clock at a moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// What it said.
    pub at_ms: u64,
    /// Which start of the machine that was in, if the system says.
    pub boot: Option<Boot>,
}

/// A start of the machine, and the time since.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Boot {
    /// Its random name.
    pub id: String,
    /// How long ago it was, sleep included.
    pub up_ms: u64,
}

impl Boot {
    fn now() -> Option<Self> {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
        let uptime = fs::read_to_string("/proc/uptime").ok()?;
        let (seconds, rest) = uptime.split_once('.')?;
        let hundredths = rest.split(' ').next()?;
        let up_ms =
            seconds.parse::<u64>().ok()?.checked_mul(1_000)? + hundredths.parse::<u64>().ok()?.min(99) * 10;
        Some(Self { id: id.trim().to_owned(), up_ms })
    }
}

/// Where the clock begins in a new process.
fn start(machine_ms: u64, note: &Note, here: Option<&Boot>) -> u64 {
    let since = note.boot.as_ref().zip(here).filter(|(then, now)| then.id == now.id);
    match since.and_then(|(then, now)| now.up_ms.checked_sub(then.up_ms)) {
        Some(passed) if machine_ms.abs_diff(note.at_ms + passed) < DAY_MS => note.at_ms + passed,
        Some(_) => machine_ms,
        None => machine_ms.max(note.at_ms),
    }
}

/// How much of a gap to the machine's clock is made up for while so much passes.
fn made_up(ahead_ms: i64, passed_ms: u64) -> i64 {
    let gap = ahead_ms.unsigned_abs();
    let slow = passed_ms / SLEW;
    let most = match ahead_ms < 0 {
        true => slow,
        false => slow.max((passed_ms.saturating_mul(gap) / DAY_MS).min(passed_ms.saturating_mul(FASTEST))),
    };
    i64::try_from(gap.min(most)).unwrap_or(i64::MAX) * ahead_ms.signum()
}

static CLOCK: LazyLock<Clock> = LazyLock::new(|| Clock::new(machine_ms()));

struct Clock {
    origin: Instant,
    /// What the clock said at the origin, corrected since.
    base_ms: AtomicI64,
    followed: Mutex<Followed>,
}

/// The kernel's clocks when the machine's was last looked at.
#[derive(Default)]
struct Followed {
    at_ms: u64,
    up_ms: Option<u64>,
}

impl Clock {
    fn new(at_ms: u64) -> Self {
        let base_ms = AtomicI64::new(i64::try_from(at_ms).unwrap_or(i64::MAX));
        Self { origin: Instant::now(), base_ms, followed: Mutex::default() }
    }

    fn now(&self) -> u64 {
        self.at(millis(self.origin))
    }

    fn at(&self, passed_ms: u64) -> u64 {
        u64::try_from(self.base_ms.load(Ordering::Relaxed)).unwrap_or(0).saturating_add(passed_ms)
    }

    fn set(&self, at_ms: u64, passed_ms: u64) {
        let base = i64::try_from(at_ms.saturating_sub(passed_ms)).unwrap_or(i64::MAX);
        self.base_ms.store(base, Ordering::Relaxed);
    }

    /// `passed_ms` since the origin, `up_ms` since the machine was started.
    fn follow(&self, machine_ms: u64, passed_ms: u64, up_ms: Option<u64>) {
        let mut followed = self.followed.lock();
        let passed = passed_ms.saturating_sub(followed.at_ms);
        let up = up_ms.zip(followed.up_ms).map(|(now, then)| now.saturating_sub(then));
        *followed = Followed { at_ms: passed_ms, up_ms };
        let slept = up.map_or(0, |up| up.saturating_sub(passed));
        if slept > SLEEP_MS {
            self.base_ms.fetch_add(i64::try_from(slept).unwrap_or(0), Ordering::Relaxed);
        }
        let (machine, here) = (i64::try_from(machine_ms), i64::try_from(self.at(passed_ms)));
        if let (Ok(machine), Ok(here)) = (machine, here) {
            self.base_ms.fetch_add(made_up(machine - here, passed), Ordering::Relaxed);
        }
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_MS: u64 = 3_600_000;
    const NOW_MS: u64 = 1_800_000_000_000;

    /// What the clock says after so many seconds in which the machine's was this much ahead, or behind.
    fn after(seconds: u64, ahead_ms: i64) -> u64 {
        let clock = Clock::new(NOW_MS);
        for second in 1..=seconds {
            let passed = second * 1_000;
            clock.follow((NOW_MS + passed).saturating_add_signed(ahead_ms), passed, Some(passed));
        }
        clock.at(seconds * 1_000) - NOW_MS
    }

    #[test]
    fn a_step_of_the_machine_s_clock_is_no_step_of_ours() {
        let two_hours = i64::try_from(2 * HOUR_MS).unwrap();
        for (ahead, right) in [(two_hours, 1_083), (-two_hours, 938), (0, 1_000), (40, 1_040)] {
            assert_eq!(after(1, ahead), right, "{ahead}");
        }
        assert_eq!(after(1, i64::try_from(400 * DAY_MS).unwrap()), 8_000);
        assert_eq!(after(1, -i64::try_from(400 * DAY_MS).unwrap()), 938);
    }

    #[test]
    fn what_it_is_behind_is_made_up_for() {
        let day = DAY_MS / 1_000;
        let two_hours = i64::try_from(2 * HOUR_MS).unwrap();
        assert_eq!(after(2 * day, two_hours), 2 * DAY_MS + 2 * HOUR_MS);
        assert_eq!(after(2 * day, -two_hours), 2 * DAY_MS - 2 * HOUR_MS);
    }

    #[test]
    fn time_passes_while_the_machine_sleeps() {
        let clock = Clock::new(NOW_MS);
        clock.follow(NOW_MS + 1_000, 1_000, Some(50_000));
        clock.follow(NOW_MS + 2_000 + HOUR_MS, 2_000, Some(51_000 + HOUR_MS));
        assert_eq!(clock.at(2_000), NOW_MS + 2_000 + HOUR_MS);
    }

    #[test]
    fn a_restart_goes_on_by_how_long_the_machine_has_been_up() {
        let boot = |id: &str, up_ms| Some(Boot { id: id.into(), up_ms });
        let note = Note { at_ms: NOW_MS, boot: boot("a", 1_000) };
        let here = |machine_ms, id, up_ms| start(machine_ms, &note, boot(id, up_ms).as_ref());
        // Two hours ahead or behind, five seconds later.
        assert_eq!(here(NOW_MS + 2 * HOUR_MS, "a", 6_000), NOW_MS + 5_000);
        assert_eq!(here(NOW_MS - 2 * HOUR_MS, "a", 6_000), NOW_MS + 5_000);
        assert_eq!(here(NOW_MS + 2 * DAY_MS, "a", 6_000), NOW_MS + 2 * DAY_MS);
        assert_eq!(here(NOW_MS + 2 * HOUR_MS, "b", 6_000), NOW_MS + 2 * HOUR_MS);
        assert_eq!(here(0, "b", 6_000), NOW_MS);
        assert_eq!(start(NOW_MS + 7, &Note { boot: None, ..note.clone() }, None), NOW_MS + 7);
    }

    #[test]
    fn the_system_says_how_long_it_has_been_up() {
        let boot = Boot::now().unwrap();
        assert!(!boot.id.is_empty() && boot.up_ms > 0, "{boot:?}");
    }
}
