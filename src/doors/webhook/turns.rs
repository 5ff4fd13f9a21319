//! Places of which each source has so many: what is under way for one source takes none of another's.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;

/// So many for each source.
pub(super) struct Turns {
    most: usize,
    taken: Arc<Mutex<HashMap<String, usize>>>,
}

/// One of them, given back when dropped.
pub(super) struct Turn {
    taken: Arc<Mutex<HashMap<String, usize>>>,
    source: String,
}

impl Turns {
    pub(super) fn new(most: usize) -> Self {
        Self { most, taken: Arc::default() }
    }

    /// A place, if the source has one left.
    pub(super) fn take(&self, source: &str) -> Option<Turn> {
        let mut taken = self.taken.lock();
        let own = taken.get(source).copied().unwrap_or_default();
        if own >= self.most {
            return None;
        }
        taken.insert(source.to_owned(), own + 1);
        Some(Turn { taken: self.taken.clone(), source: source.to_owned() })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        match taken.get_mut(&self.source) {
            Some(own) if *own > 1 => *own -= 1,
            _ => {
                taken.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_has_its_own() {
        let turns = Turns::new(2);
        let first = turns.take("a").unwrap();
        let _second = turns.take("a").unwrap();
        assert!(turns.take("a").is_none());
        assert!(turns.take("b").is_some(), "and it is given back at once");
        drop(first);
        let third = turns.take("a");
        assert!(third.is_some() && turns.take("a").is_none());
        assert_eq!(*turns.taken.lock(), HashMap::from([("a".to_owned(), 2)]));
    }
}
