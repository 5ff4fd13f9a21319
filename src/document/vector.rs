//! State vectors: how much of each client's content somebody has.

use rustc_hash::FxHashMap;

use super::{
    lib0::{Malformed, Reader, put_uint},
    update::{self, Visit},
};

/// By client, the first clock that is not there.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Clocks(FxHashMap<u64, u32>);

impl Clocks {
    /// Reads `encodeStateVector`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let count = reader.count(2)?;
        let mut clocks = FxHashMap::with_capacity_and_hasher(count, Default::default());
        for _ in 0..count {
            let client = reader.uint()?;
            clocks.insert(client, reader.clock()?);
        }
        reader.end()?;
        Ok(Self(clocks))
    }

    /// Writes what `decodeStateVector` reads.
    pub fn encode(&self) -> Vec<u8> {
        let mut clocks: Vec<_> = self.0.iter().filter(|(_, clock)| **clock > 0).collect();
        // As Yjs does, so that equal vectors are equal bytes.
        clocks.sort_unstable_by(|a, b| b.0.cmp(a.0));
        let mut bytes = Vec::with_capacity(2 + clocks.len() * 10);
        put_uint(&mut bytes, clocks.len() as u64);
        for (client, clock) in clocks {
            put_uint(&mut bytes, *client);
            put_uint(&mut bytes, u64::from(*clock));
        }
        bytes
    }

    /// What is there of a client.
    pub fn of(&self, client: u64) -> u32 {
        self.0.get(&client).copied().unwrap_or(0)
    }

    /// Whether nothing is.
    pub fn is_empty(&self) -> bool {
        self.0.values().all(|clock| *clock == 0)
    }

    /// Adds a piece of content; one behind a gap does not count, so whoever has it is asked for it again.
    pub fn add(&mut self, client: u64, clock: u32, length: u32) {
        let known = self.0.entry(client).or_default();
        if clock <= *known {
            *known = (*known).max(clock.saturating_add(length));
        }
    }

    /// Sets what is there of a client.
    pub fn set(&mut self, client: u64, clock: u32) {
        self.0.insert(client, clock);
    }

    /// Adds the content of an update that was checked.
    pub fn add_update(&mut self, update: &[u8]) -> Result<(), Malformed> {
        update::walk(update, self)
    }
}

impl Visit for Clocks {
    fn insert(&mut self, client: u64, clock: u32, length: u32) {
        self.add(client, clock, length);
    }
}
