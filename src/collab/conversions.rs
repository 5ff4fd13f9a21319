//! How many requests about the content of documents are under way: in all, for each document, so that one that takes long
//! does not keep the others waiting, and for each caller, so that nobody takes the places of all others.

use std::{hash::Hash, sync::Arc};

use fanwire_proto::TopicName;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::{defaults, memory::Owner};

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    /// Of documents with any.
    of: FxHashMap<TopicName, usize>,
    /// Of callers with any.
    by: FxHashMap<Owner, usize>,
}

/// Which bound refuses a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Busy {
    /// All of them together.
    #[error(
        "{0} requests about the content of documents are under way, the most there may be; try again in a second"
    )]
    All(usize),
    /// Those about the document.
    #[error("{0} requests about this document are under way, the most there may be; try again in a second")]
    Document(usize),
    /// The caller's own.
    #[error(
        "{0} has {1} requests about the content of documents under way, one caller's share; wait for them"
    )]
    Caller(&'static str, usize),
}

/// The places there are.
#[derive(Clone, Debug, Default)]
pub struct Conversions(Arc<Mutex<Counts>>);

impl Conversions {
    /// A place for a request, unless all are taken, or those of the document or the caller.
    pub fn enter(&self, document: &TopicName, caller: &Owner) -> Result<Conversion, Busy> {
        let mut counts = self.0.lock();
        let of = counts.of.get(document).copied().unwrap_or(0);
        let by = counts.by.get(caller).copied().unwrap_or(0);
        if counts.all >= defaults::CONVERSIONS {
            return Err(Busy::All(counts.all));
        }
        if of >= defaults::CONVERSIONS_PER_DOCUMENT {
            return Err(Busy::Document(of));
        }
        if by >= defaults::CONVERSIONS_PER_CALLER {
            return Err(Busy::Caller(caller.as_str(), by));
        }
        // Under the lock of the looks above, so nobody gets in between.
        counts.all += 1;
        counts.of.insert(document.clone(), of + 1);
        counts.by.insert(caller.clone(), by + 1);
        Ok(Conversion { counts: self.0.clone(), document: document.clone(), caller: caller.clone() })
    }
}

/// A place that is taken for as long as this exists.
#[derive(Debug)]
pub struct Conversion {
    counts: Arc<Mutex<Counts>>,
    document: TopicName,
    caller: Owner,
}

impl Drop for Conversion {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        counts.all -= 1;
        count_down(&mut counts.of, &self.document);
        count_down(&mut counts.by, &self.caller);
    }
}

/// One less; whoever has none is forgotten.
fn count_down<K: Hash + Eq>(counts: &mut FxHashMap<K, usize>, of: &K) {
    let Some(count) = counts.get_mut(of) else { return };
    *count = count.saturating_sub(1);
    if *count == 0 {
        counts.remove(of);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(number: usize) -> TopicName {
        format!("doc:{number}").parse().unwrap()
    }

    fn user(number: usize) -> Owner {
        Owner::User(number.to_string().into())
    }

    #[test]
    fn one_document_leaves_room_for_others() {
        let conversions = Conversions::default();
        let mine: Vec<_> = (0..).map_while(|by| conversions.enter(&document(0), &user(by)).ok()).collect();
        assert_eq!(mine.len(), defaults::CONVERSIONS_PER_DOCUMENT);
        assert_eq!(conversions.enter(&document(0), &user(99)).unwrap_err(), Busy::Document(mine.len()));
        let others: Vec<_> =
            (1..).map_while(|number| conversions.enter(&document(number), &user(number)).ok()).collect();
        assert_eq!(mine.len() + others.len(), defaults::CONVERSIONS);
        assert_eq!(
            conversions.enter(&document(99), &user(99)).unwrap_err(),
            Busy::All(defaults::CONVERSIONS)
        );
        drop((mine, others));
        let counts = conversions.0.lock();
        assert!(counts.of.is_empty() && counts.by.is_empty());
    }

    #[test]
    fn one_caller_leaves_room_for_others() {
        let conversions = Conversions::default();
        let mine: Vec<_> = (0..).map_while(|of| conversions.enter(&document(of), &user(0)).ok()).collect();
        assert_eq!(mine.len(), defaults::CONVERSIONS_PER_CALLER);
        let refused = conversions.enter(&document(99), &user(0)).unwrap_err();
        assert_eq!(refused, Busy::Caller("this user", mine.len()));
        assert!(conversions.enter(&document(0), &user(1)).is_ok());
    }
}
