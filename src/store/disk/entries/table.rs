//! Reads a table file from front to end, around what is damaged in it.
//!
//! A table begins with its entries in blocks, in key order, newest version of a key first. A block is a header (magic,
//! type, XXH3-128 and length of what follows, length, low half of the low half of XXH3-128 of the header so far) and its
//! content: entries and a trailer. Every so many entries one has its whole key, those that follow only what differs from
//! it. Integers are in little endian, those within entries are LEB128.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek, SeekFrom},
    path::Path,
};

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_128;

const MAGIC: [u8; 4] = *b"LSM\x03";
const HEADER_BYTES: usize = 33;
const TRAILER_BYTES: usize = 31;
const DATA: u8 = 0;
const READ_BYTES: usize = 256 * 1024;

/// Types of entries.
const VALUE: u8 = 0;
const DELETED: u8 = 1;

/// One version of a key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::store::disk) struct Version {
    pub key: Bytes,
    /// Of two versions the higher one counts.
    pub sequence: u64,
    /// `None` if the key was deleted.
    pub value: Option<Bytes>,
}

/// What a table has next.
#[derive(PartialEq, Eq, Debug)]
pub(in crate::store::disk) enum Next {
    Version(Version),
    /// Entries that cannot be read lie between these bytes.
    Gap(u64, u64),
    End,
}

/// Reads a table.
pub(in crate::store::disk) struct TableReader {
    file: BufReader<File>,
    length: u64,
    at: u64,
    /// Of the last block, in reverse.
    read: Vec<Version>,
    ended: bool,
}

struct Header {
    kind: u8,
    sum: u128,
    length: u32,
}

impl Header {
    fn decode(bytes: &[u8; HEADER_BYTES]) -> Option<Self> {
        let (head, own_sum) = bytes.split_last_chunk::<4>()?;
        let [m0, m1, m2, m3, kind, rest @ ..] = head else { return None };
        let (sum, lengths) = rest.split_first_chunk::<16>()?;
        let length = lengths.first_chunk::<4>()?;
        let right = [*m0, *m1, *m2, *m3] == MAGIC && xxh3_128(head).to_le_bytes().starts_with(own_sum);
        right.then(|| Self {
            kind: *kind,
            sum: u128::from_le_bytes(*sum),
            length: u32::from_le_bytes(*length),
        })
    }
}

impl TableReader {
    pub(in crate::store::disk) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let file = BufReader::with_capacity(READ_BYTES, file);
        Ok(Self { file, length, at: 0, read: Vec::new(), ended: false })
    }

    /// What comes next.
    pub(in crate::store::disk) fn next(&mut self) -> io::Result<Next> {
        loop {
            if let Some(version) = self.read.pop() {
                return Ok(Next::Version(version));
            }
            if self.ended {
                return Ok(Next::End);
            }
            if let Some(gap) = self.block()? {
                return Ok(gap);
            }
        }
    }

    /// Reads a block; returns the gap if there is none.
    fn block(&mut self) -> io::Result<Option<Next>> {
        let start = self.at;
        let Some(header) = self.header()? else { return self.skip(start).map(Some) };
        // Indexes and filters come behind the last entry.
        if header.kind != DATA {
            self.ended = true;
            return Ok(None);
        }
        let end = start + HEADER_BYTES as u64 + u64::from(header.length);
        if end > self.length {
            return self.skip(start).map(Some);
        }
        let mut content = vec![0; header.length as usize];
        self.file.read_exact(&mut content)?;
        self.at = end;
        // The header was whole, so its length can be believed, and reading goes on behind the block.
        if xxh3_128(&content) != header.sum {
            return Ok(Some(Next::Gap(start, end)));
        }
        match decode(&content.into()) {
            Some(mut versions) => {
                versions.reverse();
                self.read = versions;
                Ok(None)
            }
            None => Ok(Some(Next::Gap(start, end))),
        }
    }

    /// The header at the current place, if there is one.
    fn header(&mut self) -> io::Result<Option<Header>> {
        if self.length.saturating_sub(self.at) < HEADER_BYTES as u64 {
            return Ok(None);
        }
        let mut bytes = [0; HEADER_BYTES];
        self.file.read_exact(&mut bytes)?;
        Ok(Header::decode(&bytes))
    }

    /// Goes to the next header after a place.
    fn skip(&mut self, start: u64) -> io::Result<Next> {
        self.file.seek(SeekFrom::Start(start))?;
        let mut rest = Vec::new();
        self.file.read_to_end(&mut rest)?;
        // With its checksum: the magic alone may be part of a value.
        let next = rest.windows(HEADER_BYTES).skip(1).position(|window| {
            window
                .first_chunk()
                .is_some_and(|bytes| bytes.starts_with(&MAGIC) && Header::decode(bytes).is_some())
        });
        self.at = next.map_or(self.length, |next| start + 1 + next as u64);
        self.ended = next.is_none();
        self.file.seek(SeekFrom::Start(self.at))?;
        Ok(Next::Gap(start, self.at))
    }
}

/// The entries of a block.
fn decode(block: &Bytes) -> Option<Vec<Version>> {
    let trailer = block.len().checked_sub(TRAILER_BYTES)?;
    let whole_every = usize::from(*block.get(trailer)?).max(1);
    let count = u32::from_le_bytes(*block.last_chunk()?) as usize;
    let mut reader = Entry { block, at: 0 };
    let mut versions: Vec<Version> = Vec::new();
    let mut whole = Bytes::new();
    for number in 0..count {
        let kind = *block.get(reader.at)?;
        reader.at += 1;
        let sequence = reader.varint()?;
        let shared = if number % whole_every == 0 { 0 } else { usize::try_from(reader.varint()?).ok()? };
        let own = reader.bytes()?;
        let key = match shared {
            0 => own,
            shared => [whole.get(..shared)?, &own].concat().into(),
        };
        if number % whole_every == 0 {
            whole = key.clone();
        }
        let value = match kind {
            VALUE => Some(reader.bytes()?),
            DELETED => None,
            _ => return None,
        };
        versions.push(Version { key, sequence, value });
    }
    Some(versions)
}

struct Entry<'a> {
    block: &'a Bytes,
    at: usize,
}

impl Entry<'_> {
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        // More bytes than a number can have are damage.
        for shift in (0..64).step_by(7) {
            let byte = *self.block.get(self.at)?;
            self.at += 1;
            number |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    /// A length and so many bytes.
    fn bytes(&mut self) -> Option<Bytes> {
        let length = usize::try_from(self.varint()?).ok()?;
        let end = self.at.checked_add(length).filter(|end| *end <= self.block.len())?;
        let bytes = self.block.slice(self.at..end);
        self.at = end;
        Some(bytes)
    }
}
