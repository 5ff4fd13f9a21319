//! What is done about lost commits once the operator has said that the store is to go on without them. Nothing is
//! deleted: the files that are changed are kept aside as they were.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use super::{
    accepted::Accepted,
    folder::{Folder, sync_folder},
    journal::{self, Journal},
    mark::{Known, MARK, Mark},
    place::failed,
    survey::Survey,
    wrong::Damage,
};
use crate::{clock::unix_ms, store::StoreError};

/// Takes damaged stretches out of journals, and notes which commits are gone. Damage that this cannot help against is
/// left, and is in the survey that is returned.
pub(super) fn accept_loss(
    folder: &Folder,
    survey: Survey,
    acknowledged: Known,
    accepted: &mut Accepted,
) -> Result<Survey, StoreError> {
    let aside = folder.path().join(format!("set-aside-{}", unix_ms()));
    for journal in &survey.journals {
        let is_damaged =
            |damage: &Damage| matches!(damage, Damage::Journal { path, .. } if *path == journal.path);
        if survey.damage.iter().any(is_damaged) {
            replace(folder, journal, &aside).map_err(|error| failed(&journal.path, &error))?;
        }
    }
    sync_folder(&folder.database())?;
    // Looked at again: what is missing shows once the rest of the journals can be read.
    let survey = Survey::of(&folder.database(), folder.id, acknowledged, accepted)?;
    for damage in &survey.damage {
        if let Damage::Missing { first, last, .. } | Damage::Emptied { first, last, .. } = damage {
            tracing::warn!(first, last, "the loss of these commits was accepted");
            accepted.add(folder.path(), *first, *last)?;
        }
    }
    Survey::of(&folder.database(), folder.id, acknowledged, accepted)
}

/// Puts a journal aside, and what can be read of it in its place.
fn replace(folder: &Folder, journal: &Journal, aside: &Path) -> io::Result<()> {
    fs::create_dir_all(aside)?;
    tracing::warn!(path = %journal.path.display(), aside = %aside.display(), "a damaged journal is set aside");
    let name = journal.path.file_name().map(PathBuf::from).unwrap_or_default();
    // Linked, and then replaced by a rename: at no moment is the journal without a name.
    fs::hard_link(&journal.path, aside.join(name))?;
    let readable = journal::without_damage(journal, folder.id)?;
    // An empty one in its place would be damage again.
    if readable.is_empty() {
        return fs::remove_file(&journal.path);
    }
    let new = journal.path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(&readable)?;
    file.sync_all()?;
    fs::rename(&new, &journal.path)
}

/// Makes a mark anew that cannot be read.
pub(super) fn new_mark(folder: &Folder, known: Known) -> Result<Mark, StoreError> {
    let path = folder.path().join(MARK);
    if path.exists() {
        let aside = folder.path().join(format!("set-aside-{}", unix_ms()));
        let moved = fs::create_dir_all(&aside).and_then(|()| fs::rename(&path, aside.join(MARK)));
        moved.map_err(|error| failed(&path, &error))?;
    }
    let mark = Mark::create(folder.path(), known)?;
    sync_folder(folder.path())?;
    Ok(mark)
}
