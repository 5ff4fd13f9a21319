//! Looks at a database before the library opens it, and finds what the library would not notice, or would answer by
//! deleting: a changed manifest, which makes it take tables for leftovers; a missing one, which makes it take a whole
//! space for a leftover; a changed journal, which it cuts off; missing journals.

use std::{fs, path::Path};

use super::{
    accepted::Accepted,
    entries,
    journal::{self, Journal, Rest},
    manifest::Manifest,
    mark::Known,
    place::failed,
    stamp::StoreId,
    wrong::Damage,
};
use crate::store::StoreError;

/// What was found.
#[derive(Debug)]
pub(super) struct Survey {
    /// The journals, oldest first.
    pub journals: Vec<Journal>,
    /// Everything that is wrong, but for what was accepted.
    pub damage: Vec<Damage>,
    /// The newest commit in the journals.
    pub last: Option<u64>,
    /// The newest commit in the tables.
    in_tables: u64,
}

impl Survey {
    /// Looks at a database whose mark says what is there.
    pub(super) fn of(
        database: &Path,
        store: StoreId,
        acknowledged: Known,
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
        let in_tables = entries::newest_in_tables(database, store).unwrap_or(0);
        let missing = at_the_end(database, &journals, in_tables, acknowledged.number);
        damage.extend(missing.into_iter().filter(|missing| !accepted.covers(missing)));
        damage.extend(emptied(&journals, acknowledged).filter(|missing| !accepted.covers(missing)));
        Ok(Self { journals, damage, last, in_tables })
    }

    /// The newest commit that is there.
    pub(super) fn newest(&self) -> u64 {
        self.last.unwrap_or(0).max(self.in_tables)
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
            // A crash tears the journal that is written to, which is the newest.
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
        // One without commits says nothing: the next one is held against the last that has some.
        before = journal.numbers.map(|(_, last)| last).or(before);
        gap.into_iter().chain(journal.jumps.iter().copied()).map(|(last, next)| Damage::Missing {
            first: last + 1,
            last: next.saturating_sub(1),
            path: journal.path.clone(),
            end: journal.end,
        })
    })
}

/// Commits that are not there although the mark or the tables know of them. Tables are written after the journal, so
/// they never know more than it, unless it is new and empty.
fn at_the_end(database: &Path, journals: &[Journal], in_tables: u64, acknowledged: u64) -> Option<Damage> {
    let newest = journals.iter().rev().find_map(|journal| Some((journal, journal.numbers?.1)));
    let last = newest.map_or(in_tables, |(_, last)| last);
    let known = in_tables.max(acknowledged);
    (last < known).then(|| Damage::Missing {
        first: last + 1,
        last: known,
        path: newest.map_or(database, |(journal, _)| &journal.path).to_owned(),
        end: newest.map_or(0, |(journal, _)| journal.end),
    })
}

/// A journal that had commits has none. Which ones those were only it knew; the last of them was the newest one, unless an
/// older journal says that it was.
fn emptied(journals: &[Journal], acknowledged: Known) -> impl Iterator<Item = Damage> {
    let journal = journals.iter().find(|journal| Some(journal.id) == acknowledged.journal);
    let before =
        journals.iter().filter_map(|journal| journal.numbers).map(|(_, last)| last).max().unwrap_or(0);
    let journal = journal.filter(|journal| journal.numbers.is_none() && before < acknowledged.number);
    journal.into_iter().map(move |journal| Damage::Emptied {
        path: journal.path.clone(),
        first: before + 1,
        last: acknowledged.number,
    })
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

#[cfg(test)]
mod tests {
    /// A minor release of the library may change formats that are read here without it.
    #[test]
    fn the_library_whose_files_are_read_is_pinned() {
        let manifest = include_str!("../../../Cargo.toml");
        let lock = include_str!("../../../Cargo.lock");
        for name in ["fjall", "lsm-tree"] {
            let line = manifest.lines().find(|line| line.starts_with(&format!("{name} = "))).unwrap();
            let (_, rest) = line.split_once("version = \"=").unwrap_or_else(|| panic!("not pinned: {line}"));
            let version = rest.split('"').next().unwrap();
            assert!(
                lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")),
                "{name} {version}"
            );
        }
    }
}
