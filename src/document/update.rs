//! One pass over an update in Yjs's first encoding (`UpdateEncoderV1`), without decoding it into anything.
//!
//! What passes here is safe to keep, to hand to every client and to decode: every count is borne out by bytes, text is
//! UTF-8, JSON is JSON, nesting of values is bounded, clocks fit. What an update *means* is not judged: anyone who may
//! write to a document may write nonsense into it.

use rustc_hash::FxHashSet;

use super::{
    item::{Body, Id, Item, Parent, Struct, not_empty},
    lib0::{CLOCK_MAX, Malformed, Reader},
};

/// The update that changes nothing: no client, nothing deleted.
pub const EMPTY: &[u8] = &[0, 0];

/// Learns what is in an update.
pub trait Visit {
    /// `length` pieces of content of a client, from `clock` on.
    fn insert(&mut self, _client: u64, _clock: u32, _length: u32) {}

    /// Something that this piece of another update must be there for.
    fn need(&mut self, _client: u64, _clock: u32) {}

    /// Pieces of content that were deleted.
    fn delete(&mut self, _client: u64, _clock: u32, _length: u32) {}
}

struct Nothing;

impl Visit for Nothing {}

/// Whether the bytes are an update.
pub fn check(update: &[u8]) -> Result<(), Malformed> {
    walk(update, &mut Nothing)
}

/// Passes over an update, telling what is in it.
pub fn walk(update: &[u8], visit: &mut impl Visit) -> Result<(), Malformed> {
    let mut reader = Reader::new(update);
    structs(&mut reader, |client, found| {
        let neighbours = match &found.body {
            Body::Gap => return,
            Body::Gone => [None; 3],
            Body::Item(Item { left, right, parent: Parent::Item(parent), .. }) => {
                [*left, *right, Some(*parent)]
            }
            Body::Item(Item { left, right, .. }) => [*left, *right, None],
        };
        neighbours.into_iter().flatten().for_each(|Id { client, clock }| visit.need(client, clock));
        visit.insert(client, found.clock, found.length);
    })?;
    deletions(&mut reader, visit)?;
    reader.end()
}

/// Reads the structs of all clients, which come first in an update.
pub(super) fn structs<'a>(
    reader: &mut Reader<'a>,
    mut each: impl FnMut(u64, Struct<'a>),
) -> Result<(), Malformed> {
    // Count, client, clock and one struct of two bytes.
    let clients = reader.count(5)?;
    let mut seen = FxHashSet::default();
    for _ in 0..clients {
        let count = reader.count(2)?;
        let client = reader.uint()?;
        // One alone cannot be there twice, and most updates have one: nothing is allocated for them.
        if clients > 1 && !seen.insert(client) {
            return Err(reader.wrong("a client for the second time"));
        }
        let mut clock = reader.clock()?;
        for _ in 0..count {
            let found = Struct::read(reader, clock)?;
            clock = end(reader, clock, found.length)?;
            each(client, found);
        }
    }
    Ok(())
}

fn end(reader: &Reader<'_>, clock: u32, length: u32) -> Result<u32, Malformed> {
    let end = clock.checked_add(length).filter(|&end| end <= CLOCK_MAX);
    end.ok_or_else(|| reader.wrong("a clock over 2^31 - 1"))
}

/// Reads the deletions, which come behind the structs.
pub(super) fn deletions(reader: &mut Reader<'_>, visit: &mut impl Visit) -> Result<(), Malformed> {
    let clients = reader.count(2)?;
    let mut seen = FxHashSet::default();
    for _ in 0..clients {
        let client = reader.uint()?;
        if clients > 1 && !seen.insert(client) {
            return Err(reader.wrong("a client for the second time"));
        }
        for _ in 0..reader.count(2)? {
            let (clock, length) = (reader.clock()?, not_empty(reader)?);
            end(reader, clock, length)?;
            visit.delete(client, clock, length);
        }
    }
    Ok(())
}
