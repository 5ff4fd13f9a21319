//! Every file says on top what it is for.

use std::{
    fs,
    path::{Path, PathBuf},
};

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

#[test]
fn every_file_says_what_it_is_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [
        "src",
        "proto/src",
        "proto/tests",
        "loadtest/src",
        "loadtest/tests",
        "clients/rust/src",
        "clients/rust/tests",
        "tests",
        "examples",
    ];
    let silent: Vec<_> = folders
        .iter()
        .flat_map(|folder| rust_files(&root.join(folder)))
        .filter(|path| !fs::read_to_string(path).unwrap().starts_with("//!"))
        .collect();
    assert!(silent.is_empty(), "no `//!` at the top of {silent:?}");
}
