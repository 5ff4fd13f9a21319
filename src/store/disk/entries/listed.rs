//! Which tables a space has, and what the newest of them knows.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::merged::Entries;
use crate::store::{
    Space,
    disk::{
        engine,
        manifest::{Manifest, folder_of},
        stamp::{STAMP_KEY, Stamp, StoreId},
    },
};

/// The newest commit that tables know of.
pub(in crate::store::disk) fn newest_in_tables(database: &Path, store: StoreId) -> Option<u64> {
    let (tables, _) = tables_of(database, engine::STAMPS);
    let stamp = Entries::new(Space::Store, tables, Vec::new(), false).raw(STAMP_KEY)?;
    Stamp::decode(&stamp).filter(|stamp| stamp.store == store).map(|stamp| stamp.number)
}

/// The tables of a space, and whether its manifest lists them; else it is all that lie there.
pub(in crate::store::disk) fn tables_of(database: &Path, number: u64) -> (Vec<PathBuf>, bool) {
    match Manifest::read(database, number) {
        Ok(manifest) => (manifest.tables.into_iter().map(|table| table.path).collect(), true),
        Err(_) => (all_tables(&folder_of(database, number)), false),
    }
}

fn all_tables(folder: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(folder.join("tables")).into_iter().flatten().flatten();
    let mut paths: Vec<_> = files.map(|file| file.path()).collect();
    paths.sort();
    paths
}
