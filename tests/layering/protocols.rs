//! No protocol's name outside its own folder under `doors/`, the configuration, and the list of doors: what is shared
//! serves all of them.

use std::collections::BTreeSet;

use crate::{
    names::{split, words_of},
    tree::Tree,
};

/// What protocols are called in names and texts; the native one is nobody's special case either.
const PROTOCOLS: &[(&str, &[&str])] = &[
    ("native", &["native"]),
    ("yjs", &["yjs", "hocuspocus"]),
    ("sse", &["sse", "eventsource"]),
    ("pusher", &["pusher"]),
    ("centrifuge", &["centrifuge", "centrifugo"]),
    ("socketio", &["socketio", "engineio"]),
    ("mqtt", &["mqtt"]),
];

/// What other crates call their functions.
const FOREIGN: &[&str] = &["with_native_roots"];

/// Where a name may stand: its own folder or file, the list of doors, the settings and the command's help.
fn may_name(file: &str, protocol: &str) -> bool {
    let doors = [format!("doors/{protocol}/"), format!("doors/{protocol}.rs")];
    doors.iter().any(|door| file.starts_with(door))
        || ["doors/mod.rs", "lib.rs"].contains(&file)
        || ["config/", "defaults.rs", "cli"].iter().any(|place| file.starts_with(place))
}

/// What is not yet so. Each line has to be true: take it out when the name is gone. Nothing is added.
const EXCEPTIONS: &[(&str, &str)] = &[("doors/http/documents.rs", "yjs")];

#[test]
fn no_protocol_is_named_outside_its_door() {
    let mut found = BTreeSet::new();
    for module in Tree::read().0.values() {
        let words = words_of(&module.syntax);
        let words: BTreeSet<String> = words
            .identifiers
            .iter()
            .filter(|name| !FOREIGN.contains(&name.as_str()))
            .chain(&words.texts)
            .flat_map(|name| split(name))
            .collect();
        for (protocol, names) in PROTOCOLS {
            if !may_name(&module.file, protocol) && names.iter().any(|name| words.contains(*name)) {
                found.insert((module.file.clone(), (*protocol).to_owned()));
            }
        }
    }
    let excused: BTreeSet<_> =
        EXCEPTIONS.iter().map(|&(file, protocol)| (file.to_owned(), protocol.to_owned())).collect();
    let new: Vec<_> = found.difference(&excused).collect();
    assert!(new.is_empty(), "a protocol's name outside its door:\n{new:#?}");
    let gone: Vec<_> = excused.difference(&found).collect();
    assert!(gone.is_empty(), "no exception any more, take it out of tests/layering/protocols.rs:\n{gone:#?}");
}
