//! How a whole is divided among the classes.

use super::class::Class;

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
            // Divided first, so that no whole is too large for it.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::defaults;

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
}
