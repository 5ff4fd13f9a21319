//! How many requests about the content of documents are under way: in all, and for each document, so that one that takes long
//! does not keep the others waiting.

use std::sync::Arc;

use fanwire_proto::TopicName;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::defaults;

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    /// Of documents with any.
    of: FxHashMap<TopicName, usize>,
}

/// The places there are.
#[derive(Clone, Debug, Default)]
pub struct Conversions(Arc<Mutex<Counts>>);

impl Conversions {
    /// A place for a request; `None` if all are taken, or those of the document.
    pub fn enter(&self, document: &TopicName) -> Option<Conversion> {
        let mut counts = self.0.lock();
        let mine = counts.of.get(document).copied().unwrap_or(0);
        if counts.all >= defaults::CONVERSIONS || mine >= defaults::CONVERSIONS_PER_DOCUMENT {
            return None;
        }
        counts.all += 1;
        counts.of.insert(document.clone(), mine + 1);
        Some(Conversion { counts: self.0.clone(), document: document.clone() })
    }
}

/// A place that is taken for as long as this exists.
#[derive(Debug)]
pub struct Conversion {
    counts: Arc<Mutex<Counts>>,
    document: TopicName,
}

impl Drop for Conversion {
    fn drop(&mut self) {
        let mut counts = self.counts.lock();
        counts.all -= 1;
        let left = counts.of.get(&self.document).map_or(0, |count| count.saturating_sub(1));
        match left {
            0 => counts.of.remove(&self.document),
            left => counts.of.insert(self.document.clone(), left),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_document_leaves_room_for_others() {
        let conversions = Conversions::default();
        let name = |number: usize| format!("doc:{number}").parse::<TopicName>().unwrap();
        let mine: Vec<_> = std::iter::from_fn(|| conversions.enter(&name(0))).collect();
        assert_eq!(mine.len(), defaults::CONVERSIONS_PER_DOCUMENT);
        let others: Vec<_> = (1..).map_while(|number| conversions.enter(&name(number))).collect();
        assert_eq!(mine.len() + others.len(), defaults::CONVERSIONS);
        drop((mine, others));
        assert!(conversions.0.lock().of.is_empty());
        assert!(conversions.enter(&name(0)).is_some());
    }
}
