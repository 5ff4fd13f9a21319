//! Tables and journals as one list: in key order, of each key the newest version, around what cannot be read.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
    vec::IntoIter,
};

use bytes::Bytes;

use super::table::{Next, TableReader};
use crate::store::{
    Space,
    disk::{seal::unseal, wrong::Damaged},
};

/// What there is next in a space.
#[derive(PartialEq, Eq, Debug)]
pub enum Found {
    /// An entry.
    Entry {
        /// Its key.
        key: Bytes,
        /// Its value, as it was written.
        value: Bytes,
        /// Whether it is the newest version for sure: none that is newer can have been in what is damaged.
        certain: bool,
    },
    /// Something that cannot be read.
    Damage(Damaged),
}

/// A version of a key in a journal, whose value is read when it is wanted.
#[derive(Clone, Debug)]
pub(in crate::store::disk) struct Journaled {
    pub key: Bytes,
    pub sequence: u64,
    pub value: Option<(Arc<File>, u64, u32)>,
}

enum Value {
    Deleted,
    Here(Bytes),
    In(Arc<File>, u64, u32),
}

impl Value {
    /// The bytes on disk; `None` if the key was deleted.
    fn read(&self) -> io::Result<Option<Bytes>> {
        match self {
            Self::Deleted => Ok(None),
            Self::Here(bytes) => Ok(Some(bytes.clone())),
            Self::In(file, at, length) => {
                let mut bytes = vec![0; *length as usize];
                file.read_exact_at(&mut bytes, *at)?;
                Ok(Some(bytes.into()))
            }
        }
    }
}

/// The next version that a source has.
struct Head {
    key: Bytes,
    sequence: u64,
    value: Value,
}

enum From {
    Table(PathBuf, Box<TableReader>),
    Journal(IntoIter<Journaled>),
}

struct Source {
    from: From,
    head: Option<Head>,
    /// Whether something between the last head and this one could not be read.
    after_gap: bool,
}

/// Reads a space in key order.
pub struct Entries {
    space: Space,
    sources: Vec<Source>,
    /// What was found on the way and not told yet.
    damage: Vec<Damaged>,
    /// Nothing read is certain.
    doubtful: bool,
}

impl Entries {
    pub(in crate::store::disk) fn new(
        space: Space,
        tables: Vec<PathBuf>,
        journaled: Vec<Journaled>,
        doubtful: bool,
    ) -> Self {
        let mut entries = Self { space, sources: Vec::new(), damage: Vec::new(), doubtful };
        for path in tables {
            match TableReader::open(&path) {
                Ok(reader) => entries.add(From::Table(path, Box::new(reader))),
                Err(error) => {
                    entries.damage.push(Damaged::new(&path, error));
                    entries.doubtful = true;
                }
            }
        }
        entries.add(From::Journal(journaled.into_iter()));
        entries
    }

    fn add(&mut self, from: From) {
        let mut source = Source { from, head: None, after_gap: false };
        source.advance(self.space, &mut self.damage);
        self.sources.push(source);
    }

    /// The newest version of the next key, and whether it may be older than what cannot be read.
    fn newest(&mut self) -> Option<(Head, bool)> {
        let key = self.sources.iter().filter_map(|source| Some(&source.head.as_ref()?.key)).min()?.clone();
        // Before any source goes on, which may pass a gap that lies behind this key.
        let certain = !self.doubtful && !self.sources.iter().any(|source| source.after_gap);
        let mut newest: Option<Head> = None;
        for source in &mut self.sources {
            // One table may have several versions of a key, the newest first.
            while let Some(head) = source.head.take_if(|head| head.key == key) {
                if newest.as_ref().is_none_or(|newest| newest.sequence < head.sequence) {
                    newest = Some(head);
                }
                source.advance(self.space, &mut self.damage);
            }
        }
        newest.map(|newest| (newest, certain))
    }

    fn found(&self, head: Head, certain: bool) -> Option<Found> {
        let damaged = |what: String| {
            let place = format!("{} {}", self.space.name(), head.key.escape_ascii());
            Some(Found::Damage(Damaged { place, what }))
        };
        match head.value.read().transpose()?.map(|sealed| unseal(self.space, &head.key, &sealed)) {
            Ok(Some(value)) => Some(Found::Entry { key: head.key, value, certain }),
            Ok(None) => damaged("wrong checksum".into()),
            Err(error) => damaged(error.to_string()),
        }
    }

    /// The newest version of a key, as it is on disk.
    pub(in crate::store::disk) fn raw(mut self, key: &[u8]) -> Option<Bytes> {
        while let Some((head, _)) = self.newest() {
            if head.key == key {
                return head.value.read().ok().flatten();
            }
        }
        None
    }
}

impl Iterator for Entries {
    type Item = Found;

    fn next(&mut self) -> Option<Found> {
        loop {
            if let Some(damage) = self.damage.pop() {
                return Some(Found::Damage(damage));
            }
            let Some((head, certain)) = self.newest() else {
                return self.damage.pop().map(Found::Damage);
            };
            if let Some(found) = self.found(head, certain) {
                return Some(found);
            }
        }
    }
}

impl Source {
    fn advance(&mut self, space: Space, damage: &mut Vec<Damaged>) {
        self.after_gap = false;
        self.head = match &mut self.from {
            From::Journal(journaled) => journaled.next().map(|next| Head {
                key: next.key,
                sequence: next.sequence,
                value: next.value.map_or(Value::Deleted, |(file, at, length)| Value::In(file, at, length)),
            }),
            From::Table(path, reader) => loop {
                match reader.next() {
                    Ok(Next::End) => break None,
                    Ok(Next::Version(version)) => {
                        let value = version.value.map_or(Value::Deleted, Value::Here);
                        break Some(Head { key: version.key, sequence: version.sequence, value });
                    }
                    Ok(Next::Gap(from, to)) => {
                        self.after_gap = true;
                        let what = format!("{}: bytes {from} to {to} are not what was written", space.name());
                        damage.push(Damaged::new(path, what));
                    }
                    Err(error) => {
                        self.after_gap = true;
                        damage.push(Damaged::new(path, error));
                        break None;
                    }
                }
            },
        };
    }
}

/// Sorts what journals have as tables have it.
pub(in crate::store::disk) fn sort(journaled: &mut [Journaled]) {
    journaled.sort_by(|a, b| a.key.cmp(&b.key).then(b.sequence.cmp(&a.sequence)));
}

impl Damaged {
    fn new(path: &Path, what: impl ToString) -> Self {
        Self { place: path.display().to_string(), what: what.to_string() }
    }
}
