//! Reads the database's journals before the database does.
//!
//! The library ends a journal at the first record that it cannot read, and cuts off the rest. After a crash that is
//! right: the last record may be half written. But it looks the same when a bit has changed in the middle, and then it
//! drops what was acknowledged. So every commit carries its number ([`Stamp`]), and this reader tells the two apart: a
//! torn record has nothing after it, and numbers that were acknowledged are there.
//!
//! A journal is a sequence of records: a start (tag 1, count of items, sequence number), the items (tag 2, type,
//! compression, space, lengths, key, value; or tag 4, space) and an end (tag 3, XXH3-64 of the items, magic). Files are
//! made larger in advance, so that zeros follow the last record. Integers are in little endian.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use xxhash_rust::xxh3::Xxh3Default;

use super::stamp::{STAMP_KEY, Stamp, StoreId};

const START: u8 = 1;
const ITEM: u8 = 2;
const END: u8 = 3;
const CLEAR: u8 = 4;
const MAGIC: [u8; 4] = *b"FJL\x03";
const READ_BYTES: usize = 256 * 1024;

/// A record that is whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Record {
    /// The commit's number; `None` for what is not ours.
    pub number: Option<u64>,
    /// Where it begins.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
}

/// What follows the last whole record of a journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rest {
    /// Nothing, or zeros.
    Empty,
    /// Bytes that are no record, as a crash leaves them.
    Torn,
    /// Bytes that are no record, and after them a whole record: what lies between was changed or lost.
    Damaged {
        /// Where the next whole record begins.
        next: u64,
        /// Its number.
        number: u64,
    },
}

/// One journal, read to the first place that is no record.
#[derive(Debug)]
pub(super) struct Journal {
    /// The file.
    pub path: PathBuf,
    /// Its number: journals follow each other in the order of it.
    pub id: u64,
    /// Numbers of the first and the last commit in it.
    pub numbers: Option<(u64, u64)>,
    /// Commits that do not follow the one before: that one's number, and theirs.
    pub jumps: Vec<(u64, u64)>,
    /// Where the last whole record ends.
    pub end: u64,
    /// What follows.
    pub rest: Rest,
}

/// The journals of a database, oldest first.
pub(super) fn read_all(database: &Path, id: StoreId) -> io::Result<Vec<Journal>> {
    paths(database)?.into_iter().map(|(number, path)| Journal::read(path, number, id)).collect()
}

/// The journal files of a database, oldest first.
pub(super) fn paths(database: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(database)? {
        let path = entry?.path();
        let is_journal = path.extension().is_some_and(|extension| extension == "jnl");
        let number = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if let (true, Some(number)) = (is_journal, number) {
            found.push((number, path));
        }
    }
    found.sort();
    Ok(found)
}

impl Journal {
    fn read(path: PathBuf, id: u64, store: StoreId) -> io::Result<Self> {
        let mut journal = Self { path, id, numbers: None, jumps: Vec::new(), end: 0, rest: Rest::Empty };
        let whole = each_record(&journal.path.clone(), store, |record| journal.add(record))?;
        if !whole {
            journal.rest = journal.classify(store)?;
        }
        Ok(journal)
    }

    fn add(&mut self, record: Record) -> bool {
        self.end = record.end;
        let Some(number) = record.number else { return true };
        match &mut self.numbers {
            None => self.numbers = Some((number, number)),
            Some((_, last)) => {
                if number != *last + 1 {
                    self.jumps.push((*last, number));
                }
                *last = number;
            }
        }
        true
    }

    /// What follows the last whole record, which something does.
    fn classify(&self, store: StoreId) -> io::Result<Rest> {
        let rest = tail(&self.path, self.end)?;
        if rest.iter().all(|byte| *byte == 0) {
            return Ok(Rest::Empty);
        }
        // Only what bears the store's own number counts as a record here, so that no message can pass for one.
        let next = later_records(&rest, store).next();
        Ok(next.map_or(Rest::Torn, |(at, record)| Rest::Damaged {
            next: self.end + at as u64,
            number: record.number.unwrap_or_default(),
        }))
    }
}

/// The bytes of a file from `start` on.
fn tail(path: &Path, start: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    io::Seek::seek(&mut file, io::SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Whole records of this store among bytes, wherever they begin, with where that is.
fn later_records(bytes: &[u8], store: StoreId) -> impl Iterator<Item = (usize, Record)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < bytes.len() {
            let begin = at;
            at += 1;
            if bytes[begin] != START {
                continue;
            }
            let mut reader = Reader { from: &bytes[begin..], at: 0, left: (bytes.len() - begin) as u64 };
            if let Ok(Some(record)) = reader.record(store)
                && record.number.is_some()
            {
                at = begin + usize::try_from(record.end).unwrap_or(1);
                return Some((begin, record));
            }
        }
        None
    })
}

/// Hands every whole record to `visit`, for as long as it says to go on. Returns whether the file ended there.
fn each_record(path: &Path, store: StoreId, mut visit: impl FnMut(Record) -> bool) -> io::Result<bool> {
    let file = File::open(path)?;
    let left = file.metadata()?.len();
    let mut reader = Reader { from: BufReader::with_capacity(READ_BYTES, file), at: 0, left };
    while let Some(record) = reader.record(store)? {
        if !visit(record) {
            break;
        }
    }
    Ok(reader.left == 0)
}

/// Where the record of a commit ends; 0 if the journal has only later ones.
pub(super) fn end_of(path: &Path, store: StoreId, number: u64) -> io::Result<u64> {
    let mut end = 0;
    each_record(path, store, |record| {
        let earlier = record.number.is_none_or(|this| this <= number);
        if earlier {
            end = record.end;
        }
        earlier
    })?;
    Ok(end)
}

/// A journal without what cannot be read in it: its whole records, one after the other.
pub(super) fn without_damage(journal: &Journal, store: StoreId) -> io::Result<Vec<u8>> {
    let mut bytes = fs::read(&journal.path)?;
    let end = usize::try_from(journal.end).unwrap_or(bytes.len()).min(bytes.len());
    let rest = bytes.split_off(end);
    for (at, record) in later_records(&rest, store) {
        let length = usize::try_from(record.end).unwrap_or(0);
        bytes.extend_from_slice(&rest[at..at + length]);
    }
    Ok(bytes)
}

struct Reader<R> {
    from: R,
    /// Where the next byte is.
    at: u64,
    /// Bytes from there to the end.
    left: u64,
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
    /// The next record; `None` where there is none.
    fn record(&mut self, store: StoreId) -> io::Result<Option<Record>> {
        let start = self.at;
        if self.left == 0 {
            return Ok(None);
        }
        match self.body(store) {
            Ok(number) => Ok(Some(Record { number, start, end: self.at })),
            Err(Miss::NoRecord) => {
                // Something follows the last record.
                self.left = self.left.max(1);
                Ok(None)
            }
            Err(Miss::Io(error)) => Err(error),
        }
    }

    fn body(&mut self, store: StoreId) -> Result<Option<u64>, Miss> {
        self.expect(START)?;
        let items = u32::from_le_bytes(self.array()?);
        let _sequence: [u8; 8] = self.array()?;
        let mut sum = Xxh3Default::new();
        let mut stamp = None;
        for _ in 0..items {
            stamp = self.item(store, &mut sum)?;
        }
        self.expect(END)?;
        let expected = u64::from_le_bytes(self.array()?);
        match self.array::<4>()? == MAGIC && sum.digest() == expected {
            true => Ok(stamp.map(|stamp: Stamp| stamp.number)),
            false => Err(Miss::NoRecord),
        }
    }

    /// An item, and the stamp if it is one.
    fn item(&mut self, store: StoreId, sum: &mut Xxh3Default) -> Result<Option<Stamp>, Miss> {
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
        let [.., k0, k1, _, _, _, _, v0, v1, v2, v3] = head;
        let key = self.bytes(u64::from(u16::from_le_bytes([k0, k1])))?;
        sum.update(&key);
        let value = self.bytes(u64::from(u32::from_le_bytes([v0, v1, v2, v3])))?;
        sum.update(&value);
        let is_stamp = key == STAMP_KEY;
        Ok(is_stamp.then(|| Stamp::decode(&value)).flatten().filter(|stamp| stamp.store == store))
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

    fn bytes(&mut self, count: u64) -> Result<Vec<u8>, Miss> {
        self.take(count)?;
        let mut bytes = vec![0; usize::try_from(count).map_err(|_| Miss::NoRecord)?];
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
