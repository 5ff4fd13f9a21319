//! How much memory the broker may take, and what for: a bound of the whole, a share of it for each class of what is kept, and
//! how much of each share is in use.
//!
//! Each class counts what it keeps where it keeps it, once per publish, request or turn and never per delivery. When a share is
//! used up, nothing else is touched:
//!
//! | class | at three quarters of its share | when it is used up |
//! |---|---|---|
//! | topics | unused durable topics are unloaded; of the histories in memory the largest lose their oldest messages (a `gap` says so) | publishes and new topics are refused as `overloaded` |
//! | documents | unused ones that a store has are unloaded; the largest take no more updates | updates are refused as `overloaded` |
//! | merging | | merging waits; reading, changing and comparing is refused as `overloaded`. A document too large for it by itself is set aside: it is served update by update |
//! | bodies | | requests are refused as `overloaded` |
//! | outboxes | | connections that do not read are closed with 4101, those first for which most waits; each shard has its part of the share, and looks once a second |
//! | idempotency | | the oldest answers are forgotten |
//!
//! What no class counts (code, connections, indexes, what the allocator holds back) has the rest, a tenth. With a data directory the store's own memory comes on top: its cache, and
//! what is in its journal and in no table yet.

mod machine;
mod owner;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

pub use machine::of_this_machine;
pub use owner::{Account, Accounts, Charge, Owner, scope_of, unscoped};

use crate::defaults;

/// What memory is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Messages, values, members and message ids of all topics but documents.
    Topics,
    /// Content of documents.
    Documents,
    /// Merging, reading and comparing documents, while it goes on.
    Merging,
    /// Bodies of HTTP requests.
    Bodies,
    /// What waits for connections that read slower than they are written to.
    Outboxes,
    /// Answers kept for requests with an `Idempotency-Key`.
    Idempotency,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Topics, Self::Documents, Self::Merging, Self::Bodies, Self::Outboxes, Self::Idempotency];

    /// Its name for people and programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Topics => "topics",
            Self::Documents => "documents",
            Self::Merging => "merging",
            Self::Bodies => "bodies",
            Self::Outboxes => "outboxes",
            Self::Idempotency => "idempotency",
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Topics => 0,
            Self::Documents => 1,
            Self::Merging => 2,
            Self::Bodies => 3,
            Self::Outboxes => 4,
            Self::Idempotency => 5,
        }
    }

    /// Hundredths of the whole, and the most bytes that are of use.
    const fn part(self) -> (usize, usize) {
        match self {
            Self::Topics => (defaults::MEMORY_FOR_TOPICS, usize::MAX),
            Self::Documents => (defaults::MEMORY_FOR_DOCUMENTS, usize::MAX),
            Self::Merging => (defaults::MEMORY_FOR_MERGING, usize::MAX),
            Self::Bodies => (defaults::MEMORY_FOR_BODIES, defaults::HTTP_BODIES_BYTES),
            Self::Outboxes => (defaults::MEMORY_FOR_OUTBOXES, usize::MAX),
            Self::Idempotency => (defaults::MEMORY_FOR_IDEMPOTENCY, defaults::IDEMPOTENCY_BYTES),
        }
    }
}

/// How much each class may use, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    max: usize,
    of: [usize; Class::ALL.len()],
}

impl Plan {
    /// Shares of a whole of so many bytes.
    pub fn of(max: usize) -> Self {
        let share = |class: Class| {
            let (hundredths, most) = class.part();
            (max / 100 * hundredths).min(most)
        };
        Self { max, of: Class::ALL.map(share) }
    }

    /// The same with another share for one class.
    pub const fn with(mut self, class: Class, bytes: usize) -> Self {
        self.of[class.index()] = bytes;
        self
    }

    /// The whole.
    pub const fn max(&self) -> usize {
        self.max
    }

    /// The share of a class.
    pub const fn share(&self, class: Class) -> usize {
        self.of[class.index()]
    }
}

/// What one class, or one owner, uses and may use, in bytes.
#[derive(Debug)]
pub struct Share {
    used: AtomicUsize,
    limit: AtomicUsize,
    /// The most that each of those who use it may keep while it is tight; everything at other times.
    level: AtomicUsize,
}

impl Default for Share {
    /// Without a limit.
    fn default() -> Self {
        Self::new(usize::MAX)
    }
}

impl Share {
    /// Nothing of so many bytes.
    pub const fn new(limit: usize) -> Self {
        let (used, level) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        Self { used, limit: AtomicUsize::new(limit), level }
    }

    /// How much is in use.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// How much may be.
    pub fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Whether so many bytes more would be within the share.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.used().saturating_add(bytes) <= self.limit()
    }

    /// Whether it is time to make room: from three quarters on.
    pub fn is_tight(&self) -> bool {
        self.used() >= self.limit() / 4 * 3
    }

    /// The most that each of those who use it may keep: what makes all of them together half of the share while it is tight,
    /// everything at other times.
    pub fn level(&self) -> usize {
        self.level.load(Ordering::Relaxed)
    }

    /// Finds the [level](Self::level) anew, given what each of them keeps.
    pub fn find_level(&self, each: &[usize]) {
        let target = self.limit() / 2;
        let mut level = usize::MAX;
        if self.is_tight() {
            level = each.iter().copied().max().unwrap_or(0);
            while level > 0 && each.iter().map(|bytes| bytes.min(&level)).sum::<usize>() > target {
                level /= 2;
            }
        }
        self.level.store(level, Ordering::Relaxed);
    }

    /// So many bytes less are in use than before, or more.
    pub fn change(&self, before: usize, after: usize) {
        if after > before {
            self.used.fetch_add(after - before, Ordering::Relaxed);
        } else if before > after {
            self.used.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    /// So many are in use, as counted elsewhere.
    pub fn set(&self, bytes: usize) {
        self.used.store(bytes, Ordering::Relaxed);
    }

    /// Takes bytes for as long as what is returned lives; `None` if they are not there.
    pub fn take(self: &Arc<Self>, bytes: usize) -> Option<Held> {
        let more = |used: usize| used.checked_add(bytes).filter(|&used| used <= self.limit());
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        Some(Held { share: self.clone(), bytes })
    }
}

/// Bytes of a share, given back when this is dropped.
#[derive(Debug)]
pub struct Held {
    share: Arc<Share>,
    bytes: usize,
}

impl Held {
    /// Takes more, or gives some back; false, and nothing is changed, if they are not there.
    pub fn resize(&mut self, bytes: usize) -> bool {
        if bytes > self.bytes {
            let Some(mut more) = self.share.take(bytes - self.bytes) else { return false };
            more.bytes = 0;
        } else {
            self.share.change(self.bytes, bytes);
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.share.change(self.bytes, 0);
    }
}

/// The shares of all classes.
#[derive(Clone, Debug, Default)]
pub struct Memory([Arc<Share>; Class::ALL.len()]);

impl Memory {
    /// Nothing in use.
    pub fn new(plan: &Plan) -> Self {
        let memory = Self::default();
        memory.resize(plan);
        memory
    }

    /// Replaces the bounds. What is in use beyond them stays until it is given back.
    pub fn resize(&self, plan: &Plan) {
        for class in Class::ALL {
            self.share(class).limit.store(plan.share(class), Ordering::Relaxed);
        }
    }

    /// The share of a class.
    pub const fn share(&self, class: Class) -> &Arc<Share> {
        &self.0[class.index()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_parts_of_the_whole_and_leave_something() {
        for max in [64 << 20, 1 << 30, 64 << 30] {
            let plan = Plan::of(max);
            // With its frames a document takes twice what it counts for; what merging takes counts by itself.
            let all: usize = Class::ALL.iter().map(|class| plan.share(*class)).sum();
            assert!(all + plan.share(Class::Documents) <= max / 100 * 90, "{plan:?}");
        }
        assert_eq!(Plan::of(64 << 30).share(Class::Bodies), defaults::HTTP_BODIES_BYTES);
        assert!(Plan::of(defaults::MEMORY_BYTES_MIN).share(Class::Bodies) >= defaults::BATCH_BYTES);
    }

    #[test]
    fn what_is_taken_comes_back() {
        let share = Arc::new(Share::new(100));
        let mut held = share.take(60).unwrap();
        assert!(share.take(41).is_none());
        assert!(share.has_room(40) && !share.has_room(41));
        assert!(!share.is_tight());
        assert!(held.resize(100) && share.is_tight());
        assert!(!held.resize(101));
        assert!(held.resize(10));
        assert_eq!(share.used(), 10);
        drop(held);
        assert_eq!(share.used(), 0);
    }

    #[test]
    fn the_largest_give_way_first() {
        let share = Share::new(1_000);
        share.change(0, 700);
        share.find_level(&[600, 50, 50]);
        assert_eq!(share.level(), usize::MAX, "there is room");
        share.change(700, 900);
        share.find_level(&[800, 50, 50]);
        assert_eq!(share.level(), 400, "the small ones keep what they have");
        share.find_level(&[300, 300, 300]);
        assert_eq!(share.level(), 150);
    }

    #[test]
    fn a_smaller_plan_takes_nothing_away() {
        let memory = Memory::new(&Plan::of(1 << 30));
        let held = memory.share(Class::Topics).take(1 << 20).unwrap();
        memory.resize(&Plan::of(1 << 30).with(Class::Topics, 10));
        assert_eq!(memory.share(Class::Topics).used(), 1 << 20);
        assert!(memory.share(Class::Topics).take(1).is_none());
        drop(held);
        assert!(memory.share(Class::Topics).take(10).is_some());
    }
}
