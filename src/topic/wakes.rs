//! Whom to wake, gathered while a topic's lock is held and told once it is released: waking a shard may be a system call, and
//! nobody else should wait for it.

/// How many there is room for without an allocation: most topics have subscribers on few shards.
const INLINE: usize = 4;

/// Those to wake, in order.
#[derive(Debug)]
pub(super) struct Wakes<T> {
    first: [Option<T>; INLINE],
    count: usize,
    more: Vec<T>,
}

impl<T> Default for Wakes<T> {
    fn default() -> Self {
        Self { first: [const { None }; INLINE], count: 0, more: Vec::new() }
    }
}

impl<T> Wakes<T> {
    pub(super) fn push(&mut self, one: T) {
        match self.first.get_mut(self.count) {
            Some(place) => {
                *place = Some(one);
                self.count += 1;
            }
            None => self.more.push(one),
        }
    }

    /// Tells all of them.
    pub(super) fn fire(self, notify: impl FnMut(T)) {
        self.first.into_iter().flatten().chain(self.more).for_each(notify);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_told_once_and_in_order() {
        for count in [0, 1, 4, 5, 9] {
            let all: Vec<u32> = (0..count).collect();
            let mut wakes = Wakes::default();
            all.iter().for_each(|one| wakes.push(*one));
            let mut told = Vec::new();
            wakes.fire(|one| told.push(one));
            assert_eq!(told, all);
        }
    }
}
