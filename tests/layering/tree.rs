//! The crate's files as modules: what each defines, what it brings in from where, and what it names.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use syn::{Attribute, Item, UseTree, visit::Visit};

/// Segments from the root of the crate; the root itself is empty.
pub(crate) type ModulePath = Vec<String>;

/// One file.
#[derive(Default)]
pub(crate) struct Module {
    /// Within `src`, as it is written in reports.
    pub(crate) file: String,
    /// Without its tests.
    pub(crate) syntax: Vec<Item>,
    /// Types, functions, constants, macros, and modules written within the file.
    defines: BTreeSet<String>,
    children: BTreeSet<String>,
    /// What a name that was brought in stands for, as it was written.
    imports: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
}

/// The library.
pub(crate) struct Tree(pub(crate) BTreeMap<ModulePath, Module>);

impl Tree {
    /// Reads the library of this package.
    pub(crate) fn read() -> Self {
        let source = source();
        let mut tree = Self(BTreeMap::new());
        tree.add(&source, &source.join("lib.rs"), &source, Vec::new());
        tree
    }

    /// Adds a module and those below it, which lie in `folder`.
    fn add(&mut self, source: &Path, file: &Path, folder: &Path, path: ModulePath) {
        let text = fs::read_to_string(file).unwrap();
        let syntax = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut module =
            Module { file: file.strip_prefix(source).unwrap().display().to_string(), ..Module::default() };
        for item in syntax.items.into_iter().filter(|item| !is_test(attributes(item))) {
            match &item {
                Item::Use(item) => module.bring_in(&item.tree, &mut Vec::new()),
                Item::Mod(item) if item.content.is_none() => {
                    let name = item.ident.to_string();
                    let flat = folder.join(format!("{name}.rs"));
                    let below = folder.join(&name);
                    let file = if flat.exists() { flat } else { below.join("mod.rs") };
                    self.add(source, &file, &below, [path.clone(), vec![name.clone()]].concat());
                    module.children.insert(name);
                }
                other => module.defines.extend(name_of(other)),
            }
            module.syntax.push(item);
        }
        self.0.insert(path, module);
    }

    /// The files that a module names something of, itself left out, with the name as it was written.
    pub(crate) fn named_by(&self, path: &ModulePath) -> BTreeMap<ModulePath, String> {
        let mut named = Names::default();
        self.0[path].syntax.iter().for_each(|item| named.visit_item(item));
        let mut found = BTreeMap::new();
        for name in named.0 {
            for target in self.resolve(path, &name) {
                if target != *path {
                    found.insert(target, name.join("::"));
                }
            }
        }
        found
    }

    /// The modules in which what a name stands for at some place is defined: none for what other crates define, more than
    /// one where a name stands for several things.
    fn resolve(&self, from: &ModulePath, name: &[String]) -> BTreeSet<ModulePath> {
        let mut search = Search { tree: self, seen: BTreeSet::new(), found: BTreeSet::new() };
        search.follow(from, name, Sure::No);
        search.found
    }
}

/// Whether a name must be this crate's, because the path to it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sure {
    Yes,
    No,
}

struct Search<'a> {
    tree: &'a Tree,
    seen: BTreeSet<(ModulePath, Vec<String>)>,
    found: BTreeSet<ModulePath>,
}

impl Search<'_> {
    fn follow(&mut self, from: &ModulePath, name: &[String], sure: Sure) {
        let Some((first, rest)) = name.split_first() else {
            self.found.insert(from.clone());
            return;
        };
        if !self.seen.insert((from.clone(), name.to_vec())) {
            return;
        }
        let module = &self.tree.0[from];
        let above = from[..from.len().saturating_sub(1)].to_vec();
        match first.as_str() {
            "crate" => self.follow(&Vec::new(), rest, Sure::Yes),
            "self" => self.follow(from, rest, Sure::Yes),
            "super" => self.follow(&above, rest, Sure::Yes),
            child if module.children.contains(child) => {
                self.follow(&[from.clone(), vec![first.clone()]].concat(), rest, Sure::Yes);
            }
            own if module.defines.contains(own) => _ = self.found.insert(from.clone()),
            other => match module.imports.get(other) {
                Some(import) => self.follow(from, &[import, rest].concat(), Sure::No),
                None => {
                    let before = self.found.len();
                    for glob in &module.globs {
                        self.follow(from, &[glob, name].concat(), Sure::No);
                    }
                    // Made by a macro.
                    if sure == Sure::Yes && self.found.len() == before {
                        self.found.insert(from.clone());
                    }
                }
            },
        }
    }
}

impl Module {
    fn bring_in(&mut self, tree: &UseTree, before: &mut Vec<String>) {
        match tree {
            UseTree::Path(path) => {
                before.push(path.ident.to_string());
                self.bring_in(&path.tree, before);
                before.pop();
            }
            UseTree::Name(name) if name.ident == "self" => {
                self.imports.insert(before.last().unwrap().clone(), before.clone());
            }
            UseTree::Name(name) => {
                let name = name.ident.to_string();
                self.imports.insert(name.clone(), [before.clone(), vec![name]].concat());
            }
            UseTree::Rename(rename) => {
                let mut path = before.clone();
                if rename.ident != "self" {
                    path.push(rename.ident.to_string());
                }
                // What has no name is brought in all the same.
                let name = match rename.rename.to_string() {
                    underscore if underscore == "_" => path.join("::"),
                    name => name,
                };
                self.imports.insert(name, path);
            }
            UseTree::Glob(_) => self.globs.push(before.clone()),
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.bring_in(tree, before)),
        }
    }
}

/// Paths of more than one segment, also those in macros' arguments. Single names are defined in the file, brought in by
/// `use`, or of another crate.
#[derive(Default)]
struct Names(BTreeSet<Vec<String>>);

impl<'ast> Visit<'ast> for Names {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() && path.segments.len() > 1 {
            self.0.insert(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut module = Module::default();
        module.bring_in(&item.tree, &mut Vec::new());
        self.0.extend(module.imports.into_values().chain(module.globs));
    }

    // `pub(in crate::somewhere)` names nobody.
    fn visit_vis_restricted(&mut self, _: &'ast syn::VisRestricted) {}

    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        self.0.extend(paths_in(&item.tokens.to_string()));
        syn::visit::visit_macro(self, item);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            syn::visit::visit_item_mod(self, item);
        }
    }
}

/// Paths in tokens, which are written with spaces between them: `crate :: defaults :: X`.
fn paths_in(tokens: &str) -> Vec<Vec<String>> {
    let words: Vec<&str> = tokens.split_whitespace().collect();
    let mut paths = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let mut path = vec![words[at].to_owned()];
        while words.get(at + 1) == Some(&"::") && at + 2 < words.len() {
            path.push(words[at + 2].to_owned());
            at += 2;
        }
        if path.len() > 1 {
            paths.push(path);
        }
        at += 1;
    }
    paths
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// `#[cfg(test)]`, or anything else that is there for tests only.
fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute
                .meta
                .require_list()
                .is_ok_and(|list| list.tokens.clone().into_iter().any(|token| token.to_string() == "test"))
    })
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Const(item) => &item.attrs,
        _ => &[],
    }
}

fn name_of(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Mod(item) => &item.ident,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}

#[test]
fn names_are_followed_to_where_they_are_defined() {
    let mut tree = Tree(BTreeMap::new());
    let mut add = |path: &[&str], children: &[&str], text: &str| {
        let mut module =
            Module { children: children.iter().map(|&name| name.to_owned()).collect(), ..Module::default() };
        for item in syn::parse_file(text).unwrap().items {
            match &item {
                Item::Use(item) => module.bring_in(&item.tree, &mut Vec::new()),
                other => module.defines.extend(name_of(other)),
            }
            module.syntax.push(item);
        }
        tree.0.insert(path.iter().map(|&name| name.to_owned()).collect(), module);
    };
    add(&[], &["a", "b", "c", "d", "e"], "");
    add(&["a"], &[], "pub struct Deep; pub fn f() {} pub mod inner { pub struct Inside; }");
    add(&["b"], &[], "pub use crate::a::{self as hidden, Deep as Renamed}; pub use crate::a::*;");
    add(&["c"], &["below"], "use crate::b::{Renamed, hidden}; use std::fmt; fn g() { hidden::f(); }");
    add(&["c", "below"], &[], "use super::super::b; fn h() { println!(\"{}\", b::hidden::inner::Inside); }");
    add(&["d"], &[], "fn i() { crate::b::f(); fmt::x(); } #[cfg(test)] mod tests { use crate::c; }");
    add(&["e"], &[], "use crate::a::MadeByAMacro; use std::a::{self, b};");
    let named = |path: &[&str]| {
        let path: ModulePath = path.iter().map(|&name| name.to_owned()).collect();
        tree.named_by(&path).into_keys().map(|path| path.join("::")).collect::<Vec<_>>()
    };
    assert_eq!(named(&["b"]), ["a"]);
    assert_eq!(named(&["c"]), ["a"], "renamed, re-exported, and a module by another name");
    assert_eq!(named(&["c", "below"]), ["a", "b"], "in a macro");
    assert_eq!(named(&["d"]), ["a"], "through a glob");
    assert_eq!(named(&["e"]), ["a"], "and nothing of another crate");
}
