//! Files that name each other in a circle: to understand one of them is to understand all.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{ModulePath, Tree};

#[test]
fn no_files_name_each_other_in_a_circle() {
    let tree = Tree::read();
    let named: BTreeMap<_, BTreeSet<_>> =
        tree.0.keys().map(|path| (path.clone(), tree.named_by(path).into_keys().collect())).collect();
    let file = |path: &ModulePath| tree.0[path].file.clone();
    let found: Vec<Vec<String>> =
        circles(&named).iter().map(|circle| circle.iter().map(file).collect()).collect();
    assert!(found.is_empty(), "files that name each other in a circle: {found:#?}");
}

/// Sets of more than one node that can all reach each other.
fn circles(named: &BTreeMap<ModulePath, BTreeSet<ModulePath>>) -> Vec<BTreeSet<ModulePath>> {
    let reach: BTreeMap<&ModulePath, BTreeSet<&ModulePath>> =
        named.keys().map(|from| (from, reached(named, from))).collect();
    let mut circles = BTreeSet::new();
    for (from, to) in &reach {
        let circle: BTreeSet<ModulePath> =
            to.iter().filter(|other| reach[**other].contains(from)).map(|&other| other.clone()).collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

/// What can be reached from a node, in one step or more.
fn reached<'a>(
    named: &'a BTreeMap<ModulePath, BTreeSet<ModulePath>>,
    from: &ModulePath,
) -> BTreeSet<&'a ModulePath> {
    let mut seen = BTreeSet::new();
    let mut next: Vec<&ModulePath> = named[from].iter().collect();
    while let Some(path) = next.pop() {
        if seen.insert(path) {
            next.extend(&named[path]);
        }
    }
    seen
}

#[test]
fn circles_are_found() {
    let node = |name: &str| vec![name.to_owned()];
    let edges = [("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("d", "e"), ("f", "a")];
    let mut named: BTreeMap<ModulePath, BTreeSet<ModulePath>> =
        ["a", "b", "c", "d", "e", "f"].iter().map(|name| (node(name), BTreeSet::new())).collect();
    for (from, to) in edges {
        named.get_mut(&node(from)).unwrap().insert(node(to));
    }
    let expected: BTreeSet<ModulePath> = ["a", "b", "c"].into_iter().map(node).collect();
    assert_eq!(circles(&named), [expected]);
}
