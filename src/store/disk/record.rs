//! Records of the database's journal, one commit each.
//!
//! A record is a start (tag 1, count of items, sequence number), its items (tag 2, type, compression, space, lengths,
//! key, value; or tag 4, space) and an end (tag 3, XXH3-64 of the items, magic). Integers are in little endian.

use std::io::{self, Read};

use xxhash_rust::xxh3::Xxh3Default;

use super::stamp::{STAMP_KEY, Stamp, StoreId};

/// What every record begins with.
pub(super) const START: u8 = 1;

const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const MAGIC: [u8; 4] = *b"FJL\x03";

/// Types of items.
const VALUE: u8 = 0;
const DELETED: u8 = 1;

/// A record that is whole, and a commit of this store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Record {
    /// The commit's number.
    pub number: u64,
    /// Where it begins.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
}

/// One change of a record.
#[derive(Debug)]
pub(super) struct Item<'a> {
    /// The library's sequence number: of two entries with the same key the higher one counts.
    pub sequence: u64,
    /// The library's number of the space.
    pub space: u64,
    /// The key.
    pub key: &'a [u8],
    /// Where the value is, and how long; `None` if the key was deleted.
    pub value: Option<(u64, u32)>,
}

/// Reads records.
pub(super) struct Reader<R> {
    from: R,
    /// Where the next byte is.
    at: u64,
    /// Bytes from there to the end.
    left: u64,
    key: Vec<u8>,
    value: Vec<u8>,
}

/// Why there is no record.
enum Miss {
    /// The bytes are none.
    NoRecord,
    Io(io::Error),
}

impl From<io::Error> for Miss {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl<R: Read> Reader<R> {
    /// Reads what has this length.
    pub(super) fn new(from: R, length: u64) -> Self {
        Self { from, at: 0, left: length, key: Vec::new(), value: Vec::new() }
    }

    /// Whether the last record was the end.
    pub(super) fn is_at_end(&self) -> bool {
        self.left == 0
    }

    /// The next record, its items first; `None` where there is none.
    pub(super) fn record(
        &mut self,
        store: StoreId,
        items: &mut dyn FnMut(&Item<'_>),
    ) -> io::Result<Option<Record>> {
        let start = self.at;
        if self.left == 0 {
            return Ok(None);
        }
        match self.body(store, items) {
            Ok(number) => Ok(Some(Record { number, start, end: self.at })),
            Err(Miss::NoRecord) => {
                // Something follows the last record.
                self.left = self.left.max(1);
                Ok(None)
            }
            Err(Miss::Io(error)) => Err(error),
        }
    }

    fn body(&mut self, store: StoreId, items: &mut dyn FnMut(&Item<'_>)) -> Result<u64, Miss> {
        self.expect(START)?;
        let count = u32::from_le_bytes(self.array()?);
        let sequence = u64::from_le_bytes(self.array()?);
        let mut sum = Xxh3Default::new();
        let mut stamp = None;
        for _ in 0..count {
            stamp = self.item(sequence, &mut sum, items)?.filter(|stamp| stamp.store == store);
        }
        self.expect(END)?;
        let expected = u64::from_le_bytes(self.array()?);
        let whole = self.array::<4>()? == MAGIC && sum.digest() == expected;
        // Nobody else writes here: a record without our stamp has come from elsewhere.
        stamp.filter(|_| whole).map(|stamp| stamp.number).ok_or(Miss::NoRecord)
    }

    /// An item, and the stamp if it is one.
    fn item(
        &mut self,
        sequence: u64,
        sum: &mut Xxh3Default,
        items: &mut dyn FnMut(&Item<'_>),
    ) -> Result<Option<Stamp>, Miss> {
        let [tag] = self.array()?;
        sum.update(&[tag]);
        match tag {
            CLEAR => {
                sum.update(&self.array::<8>()?);
                return Ok(None);
            }
            ITEM => {}
            _ => return Err(Miss::NoRecord),
        }
        // Type, compression, space; lengths of key, value, and value as it is here.
        let head: [u8; 20] = self.array()?;
        sum.update(&head);
        let [kind, _, space @ .., k0, k1, _, _, _, _, v0, v1, v2, v3] = head;
        let length = u32::from_le_bytes([v0, v1, v2, v3]);
        // Held against what is left before a buffer grows: in damage a length may be anything.
        self.take(u64::from(u16::from_le_bytes([k0, k1])) + u64::from(length))?;
        read_into(&mut self.from, &mut self.key, usize::from(u16::from_le_bytes([k0, k1])))?;
        read_into(&mut self.from, &mut self.value, length as usize)?;
        sum.update(&self.key);
        sum.update(&self.value);
        let value = match kind {
            VALUE => Some((self.at - u64::from(length), length)),
            DELETED => None,
            _ => return Err(Miss::NoRecord),
        };
        // Before the checksum is known: whoever keeps items reads whole records only.
        items(&Item { sequence, space: u64::from_le_bytes(space), key: &self.key, value });
        Ok((self.key == STAMP_KEY).then(|| Stamp::decode(&self.value)).flatten())
    }

    fn expect(&mut self, tag: u8) -> Result<(), Miss> {
        match self.array()? {
            [found] if found == tag => Ok(()),
            _ => Err(Miss::NoRecord),
        }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Miss> {
        self.take(N as u64)?;
        let mut bytes = [0; N];
        self.from.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    /// Counts bytes as read, if there are so many.
    fn take(&mut self, count: u64) -> Result<(), Miss> {
        self.left = self.left.checked_sub(count).ok_or(Miss::NoRecord)?;
        self.at += count;
        Ok(())
    }
}

fn read_into(from: &mut impl Read, buffer: &mut Vec<u8>, length: usize) -> io::Result<()> {
    buffer.resize(length, 0);
    from.read_exact(buffer)
}
