//! One pass over an update in Yjs's first encoding (`UpdateEncoderV1`), without decoding it into anything.
//!
//! What passes here is safe to keep, to hand to every client and to decode: every count is borne out by bytes, text is
//! UTF-8, JSON is JSON, nesting is bounded, clocks fit. What an update *means* is not judged: anyone who may write to a
//! document may write nonsense into it.

use rustc_hash::FxHashSet;

use super::lib0::{CLOCK_MAX, Malformed, Reader};

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
    // Count, client, clock and one struct of two bytes.
    let clients = reader.count(5)?;
    let mut seen = FxHashSet::default();
    for _ in 0..clients {
        let structs = reader.count(2)?;
        let client = reader.uint()?;
        if clients > 1 && !seen.insert(client) {
            return Err(reader.wrong("a client for the second time"));
        }
        let mut clock = reader.clock()?;
        for _ in 0..structs {
            let (length, is_there) = one_struct(&mut reader, visit)?;
            if is_there {
                visit.insert(client, clock, length);
            }
            clock = end(&reader, clock, length)?;
        }
    }
    deletions(&mut reader, visit)?;
    reader.end()
}

fn end(reader: &Reader<'_>, clock: u32, length: u32) -> Result<u32, Malformed> {
    let end = clock.checked_add(length).filter(|&end| end <= CLOCK_MAX);
    end.ok_or_else(|| reader.wrong("a clock over 2^31 - 1"))
}

fn deletions(reader: &mut Reader<'_>, visit: &mut impl Visit) -> Result<(), Malformed> {
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

/// Bits of a struct's first byte.
const CONTENT: u8 = 0b1_1111;
const HAS_LEFT: u8 = 0x80;
const HAS_RIGHT: u8 = 0x40;
const HAS_KEY: u8 = 0x20;

/// Returns its length, and whether it is there: a gap (`Skip`) is not.
fn one_struct(reader: &mut Reader<'_>, visit: &mut impl Visit) -> Result<(u32, bool), Malformed> {
    let info = reader.byte()?;
    match info & CONTENT {
        0 => return Ok((not_empty(reader)?, true)),
        10 => return Ok((not_empty(reader)?, false)),
        _ => {}
    }
    for flag in [HAS_LEFT, HAS_RIGHT] {
        if info & flag != 0 {
            id(reader, visit)?;
        }
    }
    if info & (HAS_LEFT | HAS_RIGHT) == 0 {
        match reader.uint()? {
            1 => drop(reader.text()?),
            0 => id(reader, visit)?,
            _ => return Err(reader.wrong("a parent that is neither a name nor an item")),
        }
        if info & HAS_KEY != 0 {
            reader.text()?;
        }
    }
    Ok((content(info & CONTENT, reader)?, true))
}

fn id(reader: &mut Reader<'_>, visit: &mut impl Visit) -> Result<(), Malformed> {
    let (client, clock) = (reader.uint()?, reader.clock()?);
    visit.need(client, clock);
    Ok(())
}

/// Passes over content; returns its length.
fn content(kind: u8, reader: &mut Reader<'_>) -> Result<u32, Malformed> {
    match kind {
        // Deleted.
        1 => return not_empty(reader),
        // Binary.
        3 => drop(reader.bytes()?),
        // Text counts in UTF-16 units, as JavaScript has it.
        4 => {
            let units = reader.text()?.chars().map(char::len_utf16).sum::<usize>();
            return u32::try_from(units).map_err(|_| reader.wrong("text that is too long"));
        }
        // Embedded value.
        5 => drop(reader.json()?),
        // Formatting.
        6 => {
            reader.text()?;
            reader.json()?;
        }
        7 => shared_type(reader)?,
        // Values.
        8 => {
            let count = reader.count(1)?;
            for _ in 0..count {
                reader.skip_any(0)?;
            }
            return match u32::try_from(count) {
                Ok(count @ 1..) => Ok(count),
                _ => Err(reader.wrong("content without length")),
            };
        }
        // A document within the document.
        9 => {
            reader.text()?;
            reader.skip_any(0)?;
        }
        // 2 is what Yjs before version 13 wrote.
        _ => return Err(reader.wrong("content of no known kind")),
    }
    Ok(1)
}

/// Array, map, text, XML element, fragment, hook and text; the element and the hook have a name.
fn shared_type(reader: &mut Reader<'_>) -> Result<(), Malformed> {
    match reader.uint()? {
        0..=2 | 4 | 6 => Ok(()),
        3 | 5 => reader.text().map(drop),
        _ => Err(reader.wrong("a shared type of no known kind")),
    }
}

/// A length of nothing: Yjs cannot write such a deletion again, and throws where it has to.
fn not_empty(reader: &mut Reader<'_>) -> Result<u32, Malformed> {
    match reader.clock()? {
        0 => Err(reader.wrong("content without length")),
        length => Ok(length),
    }
}
