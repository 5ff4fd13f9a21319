//! A data directory read without the library and without writing to it: for checking, and for saving what can be saved
//! from a damaged one.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3Default;

use super::{
    accepted::Accepted,
    engine,
    entries::{self, Entries, Journaled, tables_of},
    folder::Folder,
    journal,
    manifest::{Manifest, Table},
    mark::{Known, Mark},
    place::failed,
    survey::Survey,
    wrong::Damaged,
};
use crate::store::{Space, StoreError};

/// A data directory that no broker has open.
pub struct Inspection {
    folder: Folder,
    survey: Survey,
    /// What is wrong with the files as a whole, but for the journals.
    damage: Vec<Damaged>,
    acknowledged: Option<Known>,
    /// What journals have, with the number of the space.
    journaled: Vec<(u64, Journaled)>,
}

impl Inspection {
    /// Looks at a data directory.
    ///
    /// # Errors
    /// [`StoreError::Locked`] while a broker has it open, [`StoreError::Unusable`] if it is none, or of another version,
    /// [`StoreError::Corrupt`] if its `FORMAT` says nothing that makes sense.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let folder = Folder::open_existing(path)?;
        let (acknowledged, damage) = match Mark::peek(path) {
            Ok(known) => (Some(known), Vec::new()),
            Err(error) => {
                let place = path.display().to_string();
                (None, vec![Damaged { place, what: error.to_string() }])
            }
        };
        let accepted = Accepted::read(path)?;
        // Without a mark, too: it is only less that can be found missing.
        let survey = Survey::of(&folder.database(), folder.id, acknowledged.unwrap_or_default(), &accepted)?;
        let journaled = journaled(&folder).map_err(|error| failed(path, &error))?;
        Ok(Self { folder, survey, damage, acknowledged, journaled })
    }

    /// The newest commit that was acknowledged; `None` if that cannot be read.
    pub fn acknowledged(&self) -> Option<u64> {
        self.acknowledged.map(|known| known.number)
    }

    /// The newest commit that is there.
    pub fn last_commit(&self) -> u64 {
        self.survey.newest()
    }

    /// What is wrong with manifests, journals and the mark.
    pub fn damage(&self) -> Vec<Damaged> {
        let places = self.survey.damage.iter().map(|damage| {
            let text = damage.to_string();
            let (place, what) = text.split_once(": ").unwrap_or((&text, "damaged"));
            Damaged { place: place.into(), what: what.into() }
        });
        self.damage.iter().cloned().chain(places).collect()
    }

    /// Compares every table with its checksum. Reads all of them.
    pub fn wrong_tables(&self) -> Vec<Damaged> {
        let spaces = 0..engine::SPACES as u64;
        let manifests = spaces.filter_map(|space| Manifest::read(&self.folder.database(), space).ok());
        let tables = manifests.flat_map(|manifest| manifest.tables);
        tables.filter_map(|table| wrong(&table)).collect()
    }

    /// The entries of a space. While commits are missing nothing in it is certain. Where its manifest cannot be read,
    /// every table that lies there is read, so that what was deleted may come back.
    pub fn entries(&self, space: Space) -> Entries {
        let number = engine::number_of(space);
        let (tables, listed) = tables_of(&self.folder.database(), number);
        let doubtful = !listed || !self.damage.is_empty() || !self.survey.damage.is_empty();
        let own = self.journaled.iter().filter(|(of, _)| *of == number);
        let mut journaled: Vec<_> = own.map(|(_, item)| item.clone()).collect();
        // In the order that tables have, so that both can be merged in one pass.
        entries::sort(&mut journaled);
        Entries::new(space, tables, journaled, doubtful)
    }
}

/// What is wrong with a table file.
fn wrong(table: &Table) -> Option<Damaged> {
    let what = match sum(&table.path) {
        Ok(sum) if sum == table.sum => return None,
        Ok(_) => "does not have the checksum that the manifest has for it".into(),
        Err(error) => error.to_string(),
    };
    Some(Damaged { place: table.path.display().to_string(), what })
}

fn sum(path: &Path) -> io::Result<u128> {
    let mut file = File::open(path)?;
    let mut sum = Xxh3Default::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(sum.digest128()),
            count => sum.update(&buffer[..count]),
        }
    }
}

/// What the whole records of all journals change, with the number of the space.
fn journaled(folder: &Folder) -> io::Result<Vec<(u64, Journaled)>> {
    let mut found = Vec::new();
    for (_, path) in journal::paths(&folder.database())? {
        let file = Arc::new(File::open(&path)?);
        journal::each_readable(&path, folder.id, &mut |item| {
            let value = item.value.map(|(at, length)| (file.clone(), at, length));
            let key = Bytes::copy_from_slice(item.key);
            found.push((item.space, Journaled { key, sequence: item.sequence, value }));
        })?;
    }
    Ok(found)
}
