//! Whether a path can be a data directory at all: what stands in the way, and what to do about it.

use std::{
    ffi::OsString,
    fs,
    io::{self, ErrorKind},
    os::unix::fs::{DirBuilderExt, MetadataExt},
    path::{Path, PathBuf},
};

use crate::store::StoreError;

/// What file systems put into an empty directory by themselves.
const OF_FILE_SYSTEMS: [&str; 2] = ["lost+found", ".snapshot"];

/// A refusal.
pub(super) fn unusable(what: impl Into<std::sync::Arc<str>>) -> StoreError {
    StoreError::Unusable(what.into())
}

/// Makes the directory if it is missing, with those above it.
pub(super) fn make(path: &Path) -> Result<(), StoreError> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => return Err(unusable("this is a file; name a directory, or a name that is still free")),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(path, &error)),
    }
    // What is in it was sent to those who may read it, not to everyone on this machine.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| failed(path, &error))
}

/// Something in a directory that is none of `ours`, if there is any.
pub(super) fn foreign(path: &Path, ours: &[&str]) -> Result<Option<OsString>, StoreError> {
    for entry in fs::read_dir(path).map_err(|error| failed(path, &error))? {
        let name = entry.map_err(|error| failed(path, &error))?.file_name();
        if !ours.iter().chain(&OF_FILE_SYSTEMS).any(|known| name == **known) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

/// What went wrong with a file or directory.
pub(super) fn failed(path: &Path, error: &io::Error) -> StoreError {
    let place = path.display();
    match error.kind() {
        ErrorKind::PermissionDenied => unusable(format!("{place}: {error}; {}", whose(path))),
        ErrorKind::ReadOnlyFilesystem => {
            unusable(format!("{place}: the file system is read-only; mount it writable"))
        }
        ErrorKind::NotADirectory => unusable(format!("{place}: a part of this path is a file")),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            StoreError::Full(format!("{place}: {error}").into())
        }
        _ => StoreError::Io(format!("{place}: {error}").into()),
    }
}

/// Who owns a path, or the nearest directory above it that can be looked at, and who we are.
fn whose(path: &Path) -> String {
    let us = rustix::process::geteuid().as_raw();
    let found = path.ancestors().find_map(|place| Some((place, fs::metadata(place).ok()?)));
    let Some((place, found)) = found else { return format!("the broker runs as user {us}") };
    format!(
        "{} belongs to user {} (mode {:o}), the broker runs as user {us}: give the directory and all that is in it to that \
         user (chown -R {us})",
        place.display(),
        found.uid(),
        found.mode() & 0o7777,
    )
}

/// The error itself, or the file that may not be opened, if it is that.
pub(super) fn explained(path: &Path, error: StoreError) -> StoreError {
    match error {
        StoreError::Corrupt(_) | StoreError::Io(_) => locked_away(path).unwrap_or(error),
        other => other,
    }
}

/// The first thing below a path that this process may not read and write.
fn locked_away(path: &Path) -> Option<StoreError> {
    let mut rest: Vec<PathBuf> = vec![path.to_owned()];
    while let Some(place) = rest.pop() {
        let opened = match place.is_dir() {
            true => fs::read_dir(&place)
                .map(|entries| rest.extend(entries.filter_map(Result::ok).map(|entry| entry.path()))),
            // Opened, not judged by its mode: access lists and read-only mounts say no as well.
            false => fs::File::options().read(true).write(true).open(&place).map(drop),
        };
        let of_setup = |kind| matches!(kind, ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem);
        match opened {
            Err(error) if of_setup(error.kind()) => return Some(failed(&place, &error)),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::conformance::scratch;

    fn text(error: &StoreError) -> String {
        assert!(matches!(error, StoreError::Unusable(_)), "{error:?}");
        error.to_string()
    }

    #[test]
    fn directories_are_for_their_owner_only() {
        let folder = scratch();
        let far = folder.path().join("a/b");
        make(&far).unwrap();
        make(&far).unwrap();
        assert_eq!(fs::metadata(&far).unwrap().mode() & 0o777, 0o700);
    }

    #[test]
    fn files_are_no_directories() {
        let folder = scratch();
        let path = folder.path().join("file");
        fs::write(&path, "x").unwrap();
        assert!(text(&make(&path).unwrap_err()).contains("this is a file"));
        assert!(text(&make(&path.join("data")).unwrap_err()).contains("is a file"));
    }

    #[test]
    fn what_is_none_of_ours_is_noticed() {
        let folder = scratch();
        fs::create_dir(folder.path().join("lost+found")).unwrap();
        fs::write(folder.path().join("LOCK"), "").unwrap();
        assert_eq!(foreign(folder.path(), &["LOCK"]).unwrap(), None);
        fs::write(folder.path().join("thesis.odt"), "").unwrap();
        assert_eq!(foreign(folder.path(), &["LOCK"]).unwrap(), Some("thesis.odt".into()));
    }

    #[test]
    fn refusals_say_who_may_and_what_to_do() {
        let folder = scratch();
        let refused_as = |kind: ErrorKind| text(&failed(folder.path(), &kind.into()));
        assert!(refused_as(ErrorKind::PermissionDenied).contains("chown -R"));
        assert!(refused_as(ErrorKind::ReadOnlyFilesystem).contains("mount it writable"));
    }
}
