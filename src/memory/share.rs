//! What somebody uses and may use, and the bytes that are taken out of it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

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

    /// Replaces the limit. What is in use beyond it stays until it is given back.
    pub(super) fn set_limit(&self, bytes: usize) {
        self.limit.store(bytes, Ordering::Relaxed);
    }

    /// Whether so many bytes more would be within the share.
    pub fn has_room(&self, bytes: usize) -> bool {
        self.used().saturating_add(bytes) <= self.limit()
    }

    /// Whether it is time to make room: from three quarters on.
    pub fn is_tight(&self) -> bool {
        // Divided first: without a limit the product would not fit.
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
        // It may have become tight since they were counted: of nobody no level can be told.
        if self.is_tight()
            && let Some(most) = each.iter().copied().max()
        {
            level = most;
            // Halved until it fits: a few passes, and near enough for what is a rough measure anyway.
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
        // In one step with taking it, so that two cannot have the same room; `has_room` only advises.
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
            // They are this one's from here on, and not given back with `more`.
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

#[cfg(test)]
mod tests {
    use super::*;

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
        share.find_level(&[]);
        assert_eq!(share.level(), usize::MAX, "it became tight since they were counted");
        share.find_level(&[800, 50, 50]);
        assert_eq!(share.level(), 400, "the small ones keep what they have");
        share.find_level(&[300, 300, 300]);
        assert_eq!(share.level(), 150);
    }
}
