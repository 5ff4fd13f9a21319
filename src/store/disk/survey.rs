//! Looks at a database before the library opens it, and finds what the library would not notice, or would answer by
//! deleting: a changed manifest, which makes it take tables for leftovers; a missing one, which makes it take a whole
//! space for a leftover; a changed journal, which it cuts off; missing journals.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use super::{
    accepted::Accepted,
    folder::failed,
    journal::{self, Journal, Rest},
    manifest::Manifest,
    stamp::StoreId,
};
use crate::store::StoreError;

/// Something that is not as it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Damage {
    /// A file that must be there is not, or is not readable.
    File {
        /// Where.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Bytes of a journal are not what was written; whole commits follow.
    Journal {
        /// Where.
        path: PathBuf,
        /// From here on.
        from: u64,
        /// Up to here.
        to: u64,
    },
    /// Acknowledged commits are not there.
    Missing {
        /// The first one.
        first: u64,
        /// The last one.
        last: u64,
        /// Where they should be.
        path: PathBuf,
        /// What is there ends here.
        end: u64,
    },
}

impl fmt::Display for Damage {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, what } => write!(out, "{}: {what}", path.display()),
            Self::Journal { path, to: 0, .. } => write!(out, "{}: nothing is in it", path.display()),
            Self::Journal { path, from, to } => {
                write!(out, "{}: bytes {from} to {to} are not what was written", path.display())
            }
            Self::Missing { first, last, path, end } => write!(
                out,
                "{}: commits {first} to {last} were acknowledged and are not there, the file ends at byte {end}",
                path.display()
            ),
        }
    }
}

/// What was found.
#[derive(Debug)]
pub(super) struct Survey {
    /// The journals, oldest first.
    pub journals: Vec<Journal>,
    /// Everything that is wrong, but for what was accepted.
    pub damage: Vec<Damage>,
    /// The newest commit in the journals.
    pub last: Option<u64>,
    /// What the library cuts off although it may yet turn out to be more than a torn record.
    pub torn: Option<Torn>,
}

/// The end of a journal that has no whole record: whether something is missing is known only from the tables.
#[derive(Debug)]
pub(super) struct Torn {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Torn {
    fn of(journals: &[Journal]) -> io::Result<Option<Self>> {
        let newest = journals.last().filter(|journal| journal.rest == Rest::Torn);
        let none = journals.iter().all(|journal| journal.numbers.is_none());
        let Some(newest) = newest.filter(|_| none) else { return Ok(None) };
        Ok(Some(Self { path: newest.path.clone(), bytes: fs::read(&newest.path)? }))
    }

    /// Puts it back.
    pub(super) fn restore(&self) {
        if let Err(error) = fs::write(&self.path, &self.bytes) {
            tracing::warn!(%error, path = %self.path.display(), "a torn journal stays cut");
        }
    }
}

impl Survey {
    /// Looks at a database whose mark says that the commit `acknowledged` is there.
    pub(super) fn of(
        database: &Path,
        store: StoreId,
        acknowledged: u64,
        accepted: &Accepted,
    ) -> Result<Self, StoreError> {
        let mut damage = manifests(database);
        let journals = journal::read_all(database, store).map_err(|error| failed(database, &error))?;
        let last = journals.iter().rev().find_map(|journal| journal.numbers).map(|(_, last)| last);
        if journals.is_empty() {
            damage.push(Damage::File { path: database.to_owned(), what: "no journal is there".into() });
        }
        damage.extend(in_journals(&journals));
        damage.extend(between(&journals).filter(|missing| !accepted.covers(missing)));
        damage.extend(at_the_end(&journals, acknowledged).filter(|missing| !accepted.covers(missing)));
        let torn = Torn::of(&journals).map_err(|error| failed(database, &error))?;
        Ok(Self { journals, damage, last, torn })
    }

    /// The commits that are not there although journals, tables or the mark know of them, with the newest one that the
    /// tables and journals have. Tables are written after the journal, so they never know more than it, unless it is new
    /// and empty.
    pub(super) fn missing(&self, found: u64, acknowledged: u64, accepted: &Accepted) -> Option<(u64, u64)> {
        let in_journals = self.last.unwrap_or(found);
        let (least, most) = (found.min(in_journals), found.max(in_journals).max(acknowledged));
        (least < most && !accepted.has(least + 1, most)).then_some((least + 1, most))
    }

    /// The error that names all of it.
    pub(super) fn error(&self) -> Option<StoreError> {
        let list: Vec<_> = self.damage.iter().map(Damage::to_string).collect();
        let hint = "`fanwire store check` tells all, docs/storage.md what to do";
        (!list.is_empty()).then(|| StoreError::Corrupt(format!("{}; {hint}", list.join("; ")).into()))
    }
}

/// Damage within each journal. Only the newest one may end torn: the others were ended in order.
fn in_journals(journals: &[Journal]) -> impl Iterator<Item = Damage> {
    let newest = journals.last().map(|journal| journal.id);
    journals.iter().filter_map(move |journal| {
        let path = journal.path.clone();
        match journal.rest {
            Rest::Damaged { next, .. } => Some(Damage::Journal { path, from: journal.end, to: next }),
            Rest::Torn if Some(journal.id) != newest => {
                let to = fs::metadata(&path).map_or(journal.end, |meta| meta.len());
                Some(Damage::Journal { path, from: journal.end, to })
            }
            // A journal is ended when it is full.
            Rest::Empty if Some(journal.id) != newest && journal.numbers.is_none() => {
                Some(Damage::Journal { path, from: 0, to: 0 })
            }
            Rest::Torn | Rest::Empty => None,
        }
    })
}

/// Commits that are missing within a journal or between two.
fn between(journals: &[Journal]) -> impl Iterator<Item = Damage> {
    let mut before: Option<u64> = None;
    journals.iter().flat_map(move |journal| {
        let first = journal.numbers.map(|(first, _)| first);
        let gap = before.zip(first).filter(|(last, first)| *first != last + 1);
        before = journal.numbers.map(|(_, last)| last).or(before);
        gap.into_iter().chain(journal.jumps.iter().copied()).map(|(last, next)| Damage::Missing {
            first: last + 1,
            last: next.saturating_sub(1),
            path: journal.path.clone(),
            end: journal.end,
        })
    })
}

/// Commits that were acknowledged and are not in the newest journal. If there are none at all, the tables have them.
fn at_the_end(journals: &[Journal], acknowledged: u64) -> impl Iterator<Item = Damage> {
    let newest = journals.iter().rev().find_map(|journal| Some((journal, journal.numbers?.1)));
    let missing = newest.filter(|(_, last)| *last < acknowledged).map(|(journal, last)| Damage::Missing {
        first: last + 1,
        last: acknowledged,
        path: journal.path.clone(),
        end: journal.end,
    });
    missing.into_iter()
}

/// What is wrong with the files that name all others.
fn manifests(database: &Path) -> Vec<Damage> {
    let spaces = 0..super::engine::SPACES as u64;
    let mut damage: Vec<_> = spaces.filter_map(|space| Manifest::read(database, space).err()).collect();
    let version = database.join("version");
    if !matches!(fs::read(&version).as_deref(), Ok(b"FJL\x03")) {
        damage
            .push(Damage::File { path: version, what: "missing, or not of a version that is known".into() });
    }
    damage
}
