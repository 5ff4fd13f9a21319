//! What is in a document, as people read it: JSON and text.
//!
//! The root types of a document have no type of their own in its updates; it is told from what is in them.

use std::{collections::BTreeMap, fmt::Write};

use serde_json::{Map, Value};

use super::{
    any,
    budget::{Budget, CannotRead},
    item::{Content, Type},
    lib0::Reader,
    places::Holder,
    tree::Tree,
};

/// The content by root: text as strings, maps as objects, lists as arrays, XML as a string.
pub fn json(updates: &[&[u8]]) -> Result<Value, CannotRead> {
    let mut budget = Budget::full();
    let tree = Tree::of(updates, &mut budget)?;
    let mut roots = Map::new();
    for &name in tree.roots() {
        roots.insert(name.to_owned(), root(&tree, name, &mut budget)?);
    }
    Ok(roots.into())
}

/// The text of a root; `None` if there is no such root, or no text in it.
pub fn text(updates: &[&[u8]], root: &str) -> Result<Option<String>, CannotRead> {
    let mut budget = Budget::full();
    let tree = Tree::of(updates, &mut budget)?;
    let Some(holder) = tree.root(root) else { return Ok(None) };
    match kind_of(&tree, root) {
        Some(kind @ (RootKind::Text | RootKind::Xml)) => {
            let mut text = String::new();
            write_text(&tree, holder, kind == RootKind::Xml, &mut text, &mut budget)?;
            Ok(Some(text))
        }
        _ => Ok(None),
    }
}

/// What a root is used as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RootKind {
    Text,
    Map,
    Array,
    Xml,
}

/// `None` for a root with nothing in it.
pub(super) fn kind_of(tree: &Tree<'_>, root: &str) -> Option<RootKind> {
    let holder = tree.root(root)?;
    match tree.items(holder).next().map(|first| tree.content(first)) {
        Some(Content::Text(_) | Content::Embed(_) | Content::Format(..)) => Some(RootKind::Text),
        Some(Content::Type(Type::Element(_) | Type::Fragment | Type::Hook(_) | Type::XmlText)) => {
            Some(RootKind::Xml)
        }
        Some(_) => Some(RootKind::Array),
        None => tree.entries(holder).next().map(|_| RootKind::Map),
    }
}

fn root(tree: &Tree<'_>, name: &str, budget: &mut Budget) -> Result<Value, CannotRead> {
    let Some(holder) = tree.root(name) else { return Ok(Value::Null) };
    match kind_of(tree, name) {
        Some(RootKind::Text) => string(tree, holder, false, budget),
        Some(RootKind::Xml) => string(tree, holder, true, budget),
        Some(RootKind::Array) => array(tree, holder, budget),
        Some(RootKind::Map) => map(tree, holder, budget),
        None => Ok(Value::Null),
    }
}

fn string(tree: &Tree<'_>, holder: Holder<'_>, xml: bool, budget: &mut Budget) -> Result<Value, CannotRead> {
    let mut text = String::new();
    write_text(tree, holder, xml, &mut text, budget)?;
    Ok(text.into())
}

fn array(tree: &Tree<'_>, holder: Holder<'_>, budget: &mut Budget) -> Result<Value, CannotRead> {
    let mut list = Vec::new();
    for at in tree.items(holder) {
        values(tree, at, budget, |value| list.push(value))?;
    }
    Ok(list.into())
}

fn map(tree: &Tree<'_>, holder: Holder<'_>, budget: &mut Budget) -> Result<Value, CannotRead> {
    let mut map = Map::new();
    for (key, at) in tree.entries(holder) {
        map.insert(key.to_owned(), value(tree, at, budget)?);
    }
    Ok(map.into())
}

/// The value of a key: the last one, if an item has several.
fn value(tree: &Tree<'_>, at: usize, budget: &mut Budget) -> Result<Value, CannotRead> {
    let mut last = Value::Null;
    values(tree, at, budget, |value| last = value)?;
    Ok(last)
}

/// The values of an item.
pub(super) fn values(
    tree: &Tree<'_>,
    at: usize,
    budget: &mut Budget,
    mut each: impl FnMut(Value),
) -> Result<(), CannotRead> {
    let of_type = Holder::Struct(at);
    each(match tree.content(at) {
        Content::Values(bytes) => {
            let mut reader = Reader::new(bytes);
            for _ in 0..tree.length(at) {
                budget.spend(1)?;
                each(any::read(&mut reader)?);
            }
            return Ok(());
        }
        Content::Deleted | Content::Format(..) => return Ok(()),
        Content::Binary(bytes) => data_encoding::BASE64.encode(bytes).into(),
        Content::Text(text) => text.as_ref().into(),
        // It was checked when it came.
        Content::Embed(json) => serde_json::from_str(json).unwrap_or(Value::Null),
        Content::Document(bytes) => {
            serde_json::json!({ "guid": Reader::new(bytes).text()? })
        }
        Content::Type(Type::Array) => array(tree, of_type, budget)?,
        Content::Type(Type::Map) => map(tree, of_type, budget)?,
        Content::Type(Type::Text) => string(tree, of_type, false, budget)?,
        Content::Type(kind) => {
            let mut text = String::new();
            write_xml(tree, at, *kind, &mut text, budget)?;
            text.into()
        }
    });
    Ok(())
}

/// Appends the text in a type: bare, or with everything that XML has.
fn write_text(
    tree: &Tree<'_>,
    holder: Holder<'_>,
    xml: bool,
    text: &mut String,
    budget: &mut Budget,
) -> Result<(), CannotRead> {
    for at in tree.items(holder) {
        budget.spend(1)?;
        match tree.content(at) {
            Content::Text(part) => text.push_str(part),
            Content::Type(kind) if xml => write_xml(tree, at, *kind, text, budget)?,
            _ => {}
        }
    }
    Ok(())
}

fn write_xml(
    tree: &Tree<'_>,
    at: usize,
    kind: Type<'_>,
    text: &mut String,
    budget: &mut Budget,
) -> Result<(), CannotRead> {
    let holder = Holder::Struct(at);
    match kind {
        Type::Element(name) | Type::Hook(name) => {
            text.push('<');
            text.push_str(name);
            for (key, at) in tree.entries(holder) {
                let value = value(tree, at, budget)?;
                write_attribute(key, &value, text);
            }
            text.push('>');
            write_text(tree, holder, true, text, budget)?;
            close(name, text);
        }
        Type::XmlText => {
            for run in runs(tree, holder, budget)? {
                let Run { insert: Inserted::Text(part), attributes } = &run else { continue };
                budget.spend(attributes.values().map(|json| json.len()).sum())?;
                // As Yjs's `YXmlText.toString` has it: formatting is elements around the text.
                for (name, json) in attributes {
                    text.push('<');
                    text.push_str(name);
                    if let Ok(Value::Object(all)) = serde_json::from_str(json) {
                        all.iter().for_each(|(key, value)| write_attribute(key, value, text));
                    }
                    text.push('>');
                }
                text.push_str(part);
                attributes.keys().rev().for_each(|name| close(name, text));
            }
        }
        Type::Fragment | Type::Array | Type::Map | Type::Text => {
            write_text(tree, holder, true, text, budget)?;
        }
    }
    Ok(())
}

fn write_attribute(key: &str, value: &Value, text: &mut String) {
    // Writing to a string does not fail.
    // Not escaped, as in Yjs's own `toString`.
    let _ = match value {
        Value::String(value) => write!(text, " {key}=\"{value}\""),
        other => write!(text, " {key}=\"{other}\""),
    };
}

fn close(name: &str, text: &mut String) {
    text.push_str("</");
    text.push_str(name);
    text.push('>');
}

/// What a run of text has in it.
#[derive(Clone, PartialEq, Debug)]
pub(super) enum Inserted {
    Text(String),
    /// Something else than text, as JSON.
    Other(Value),
}

/// A run of text, or something embedded, with its formatting: JSON by name.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Run<'a> {
    pub(super) insert: Inserted,
    pub(super) attributes: BTreeMap<&'a str, &'a str>,
}

/// Bytes of an attribute of a run, which count as steps: every run has its own.
const ATTRIBUTE: usize = 64;

/// The runs of a text. Each costs as much as it has attributes.
pub(super) fn runs<'a>(
    tree: &Tree<'a>,
    holder: Holder<'a>,
    budget: &mut Budget,
) -> Result<Vec<Run<'a>>, CannotRead> {
    let mut runs: Vec<Run<'a>> = Vec::new();
    let mut attributes = BTreeMap::new();
    let mut changed = false;
    for at in tree.items(holder) {
        budget.spend(1)?;
        match tree.content(at) {
            Content::Format(name, json) => {
                changed = true;
                match *json {
                    "null" => drop(attributes.remove(name)),
                    json => drop(attributes.insert(*name, json)),
                }
            }
            Content::Text(part) => match runs.last_mut() {
                Some(Run { insert: Inserted::Text(text), attributes: before })
                    // Compared only where formatting was spoken of since: most pieces just go on.
                    if !changed || *before == attributes =>
                {
                    text.push_str(part);
                    changed = false;
                }
                _ => {
                    budget.spend(attributes.len() * ATTRIBUTE)?;
                    let insert = Inserted::Text(part.to_string());
                    runs.push(Run { insert, attributes: attributes.clone() });
                    changed = false;
                }
            },
            _ => {
                let mut all = Vec::new();
                values(tree, at, budget, |value| all.push(value))?;
                budget.spend(attributes.len() * all.len() * ATTRIBUTE)?;
                runs.extend(
                    all.into_iter()
                        .map(|value| Run { insert: Inserted::Other(value), attributes: attributes.clone() }),
                );
                changed = true;
            }
        }
    }
    Ok(runs)
}
