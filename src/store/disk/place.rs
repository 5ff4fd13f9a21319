//! Whether a path can be a data directory at all: what stands in the way, and what to do about it.

use std::{
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

/// Makes the directory if only it is missing; whether it was. A missing parent is more likely a typing error or a disk
/// that is not mounted, and then an empty store in its place would look like everything was lost.
pub(super) fn make(path: &Path) -> Result<bool, StoreError> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Ok(false),
        Ok(_) => return Err(unusable("this is a file; name a directory, or a name that is still free")),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(path, &error)),
    }
    let parent = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => path,
    };
    if !parent.is_dir() {
        let what = format!(
            "{} does not exist; make it first, or mount the disk that it is on (only the last part of the path is made \
             if it is missing)",
            parent.display()
        );
        return Err(unusable(what));
    }
    // What is in it was sent to those who may read it, not to everyone on this machine.
    fs::DirBuilder::new().mode(0o700).create(path).map_err(|error| failed(path, &error))?;
    Ok(true)
}

/// Refuses a directory in which something lies that is none of `ours`.
pub(super) fn check_empty(path: &Path, ours: &[&str]) -> Result<(), StoreError> {
    for entry in fs::read_dir(path).map_err(|error| failed(path, &error))? {
        let name = entry.map_err(|error| failed(path, &error))?.file_name();
        let known = |known: &&str| name == **known;
        if !ours.iter().chain(&OF_FILE_SYSTEMS).any(known) {
            let what = format!(
                "there is no store in it, but something else (`{}`); name a directory that is empty or still to be made",
                name.display()
            );
            return Err(unusable(what));
        }
    }
    Ok(())
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
    fn only_the_last_part_of_a_path_is_made() {
        let folder = scratch();
        let path = folder.path().join("a");
        assert!(make(&path).unwrap());
        assert!(!make(&path).unwrap());
        let far = folder.path().join("b/c");
        assert!(text(&make(&far).unwrap_err()).contains("b does not exist"));
        assert!(!folder.path().join("b").exists());
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
    fn what_belongs_to_somebody_else_is_left_alone() {
        let folder = scratch();
        fs::create_dir(folder.path().join("lost+found")).unwrap();
        fs::write(folder.path().join("LOCK"), "").unwrap();
        check_empty(folder.path(), &["LOCK"]).unwrap();
        fs::write(folder.path().join("thesis.odt"), "").unwrap();
        assert!(text(&check_empty(folder.path(), &["LOCK"]).unwrap_err()).contains("`thesis.odt`"));
    }

    #[test]
    fn refusals_say_who_may_and_what_to_do() {
        let folder = scratch();
        let refused_as = |kind: ErrorKind| text(&failed(folder.path(), &kind.into()));
        assert!(refused_as(ErrorKind::PermissionDenied).contains("chown -R"));
        assert!(refused_as(ErrorKind::ReadOnlyFilesystem).contains("mount it writable"));
    }
}
