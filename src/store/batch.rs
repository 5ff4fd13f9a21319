//! Changes that happen together or not at all.

use bytes::Bytes;

use super::{Space, StoreError};

/// Bytes of a key, at most; a key has at least one.
pub const KEY_BYTES_MAX: usize = 16 * 1024;

/// Bytes of a value, at most.
pub const VALUE_BYTES_MAX: usize = 256 * 1024 * 1024;

/// One change. Keys are 1 to [`KEY_BYTES_MAX`] bytes, values up to [`VALUE_BYTES_MAX`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Write {
    /// Sets a value.
    Put(Space, Bytes, Bytes),
    /// Removes a key; one that is not there is no error.
    Delete(Space, Bytes),
}

/// Changes that happen together or not at all.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Batch {
    /// In order; later ones win.
    pub writes: Vec<Write>,
}

impl Batch {
    /// Sets a value.
    pub fn put(&mut self, space: Space, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.writes.push(Write::Put(space, key.into(), value.into()));
    }

    /// Removes a key.
    pub fn delete(&mut self, space: Space, key: impl Into<Bytes>) {
        self.writes.push(Write::Delete(space, key.into()));
    }

    /// Whether every key and value can be kept.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        for write in &self.writes {
            let (space, key, value) = match write {
                Write::Put(space, key, value) => (space, key, value.len()),
                Write::Delete(space, key) => (space, key, 0),
            };
            // Here, for all implementations alike: what one store takes must not fail on another.
            if key.is_empty() || key.len() > KEY_BYTES_MAX || value > VALUE_BYTES_MAX {
                let problem = format!("{}: a key of {} bytes, a value of {value}", space.name(), key.len());
                return Err(StoreError::Invalid(problem.into()));
            }
        }
        Ok(())
    }

    /// Bytes of keys and values.
    pub fn bytes(&self) -> usize {
        let size = |write: &Write| match write {
            Write::Put(_, key, value) => key.len() + value.len(),
            Write::Delete(_, key) => key.len(),
        };
        self.writes.iter().map(size).sum()
    }
}
