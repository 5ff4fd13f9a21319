//! Reads the database's journals before the database does.
//!
//! The library ends a journal at the first record that it cannot read, and cuts off the rest. After a crash that is
//! right: the last record may be half written. But it looks the same when a bit has changed in the middle, and then it
//! drops what was acknowledged. So every commit carries its number ([`Stamp`]), and this reader tells the two apart: a
//! torn record has nothing after it, and numbers that were acknowledged are there.
//!
//! A journal is a sequence of records ([`record`](super::record)). Files are made larger in advance, so that zeros follow
//! the last one.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{
    record::{Item, Reader, Record, START},
    stamp::StoreId,
};

const READ_BYTES: usize = 256 * 1024;

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

/// Where a journal is. The one after it has the next number.
pub(super) fn path_of(database: &Path, number: u64) -> PathBuf {
    database.join(format!("{number}.jnl"))
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
    // By number: names as text would put 10 before 9.
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
        let number = record.number;
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
        // Files are made larger in advance, so zeros at the end are no sign of anything.
        let rest = tail(&self.path, self.end)?;
        if rest.iter().all(|byte| *byte == 0) {
            return Ok(Rest::Empty);
        }
        // A record bears the store's own number, so no message can pass for one.
        let next = later_records(&rest, store).next();
        Ok(next.map_or(Rest::Torn, |(at, record)| Rest::Damaged {
            next: self.end + at as u64,
            number: record.number,
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
            // Wherever one may begin: lengths within damage lead nowhere.
            let mut reader = Reader::new(&bytes[begin..], (bytes.len() - begin) as u64);
            if let Ok(Some(record)) = reader.record(store, &mut |_| {}) {
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
    let length = file.metadata()?.len();
    let mut reader = Reader::new(BufReader::with_capacity(READ_BYTES, file), length);
    while let Some(record) = reader.record(store, &mut |_| {})? {
        if !visit(record) {
            break;
        }
    }
    Ok(reader.is_at_end())
}

/// Hands the items of every whole record to `visit`, also of those behind damage.
pub(super) fn each_readable(path: &Path, store: StoreId, visit: &mut dyn FnMut(&Item<'_>)) -> io::Result<()> {
    let mut whole = Vec::new();
    let mut end = 0;
    each_record(path, store, |record| {
        whole.push((record.start, record.end - record.start));
        end = record.end;
        true
    })?;
    let rest = tail(path, end)?;
    whole.extend(later_records(&rest, store).map(|(at, record)| (end + at as u64, record.end)));
    let file = File::open(path)?;
    for (start, length) in whole {
        // Read a second time now that it is known to be whole: items are handed out before their checksum is reached.
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        file.read_exact_at(&mut bytes, start)?;
        Reader::new(&bytes[..], length).record(store, &mut |item| {
            visit(&Item { value: item.value.map(|(at, length)| (start + at, length)), ..*item });
        })?;
    }
    Ok(())
}

/// Where the record of a commit ends; 0 if the journal has only later ones.
pub(super) fn end_of(path: &Path, store: StoreId, number: u64) -> io::Result<u64> {
    let mut end = 0;
    each_record(path, store, |record| {
        let earlier = record.number <= number;
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
