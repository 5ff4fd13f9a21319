//! What is in a document, as people read it: JSON and text; and in pieces that can be compared and put elsewhere.
//!
//! The root types of a document have no type of their own in its updates; it is told from what is in them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use yrs::{
    Any, Array, ArrayRef, GetString, In, Map, MapRef, Out, ReadTxn, Text, TextRef, Transact, XmlFragment,
    XmlFragmentRef, XmlOut,
    types::{AsPrelim, Attrs, ToJson, text::YChange, xml::XmlIn},
};

use super::compact::{CannotMerge, caught, document};

/// The content by root: text as strings, maps as objects, lists as arrays, XML as a string.
pub fn json(updates: &[&[u8]]) -> Result<Value, CannotMerge> {
    let read = || {
        let doc = document(updates)?;
        let transaction = doc.transact();
        let roots: BTreeMap<String, Value> = roots(&transaction)
            .into_iter()
            .map(|name| (name.clone(), root_json(&transaction, &name)))
            .collect();
        serde_json::to_value(roots).ok()
    };
    caught(read).ok_or(CannotMerge::Undecodable)
}

/// The text of a root; `None` if there is no such root, or no text in it.
pub fn text(updates: &[&[u8]], root: &str) -> Result<Option<String>, CannotMerge> {
    let read = || {
        let doc = document(updates)?;
        let transaction = doc.transact();
        Some(match kind_of(&transaction, root) {
            Some(RootKind::Text) => transaction.get_text(root).map(|text| text.get_string(&transaction)),
            Some(RootKind::Xml) => transaction.get_xml_fragment(root).map(|xml| xml.get_string(&transaction)),
            _ => None,
        })
    };
    caught(read).ok_or(CannotMerge::Undecodable)
}

/// What a root is used as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum RootKind {
    Text,
    Map,
    Array,
    Xml,
}

pub(super) fn roots(transaction: &impl ReadTxn) -> BTreeSet<String> {
    transaction.root_refs().map(|(name, _)| name.to_owned()).collect()
}

/// `None` for a root with nothing in it.
pub(super) fn kind_of(transaction: &impl ReadTxn, root: &str) -> Option<RootKind> {
    let found = transaction.root_refs().find(|(name, _)| *name == root).map(|(_, found)| found)?;
    match found.as_prelim(transaction) {
        In::Text(_) | In::XmlText(_) => Some(RootKind::Text),
        In::XmlFragment(_) | In::XmlElement(_) => Some(RootKind::Xml),
        In::Map(map) if map.is_empty() => None,
        In::Map(_) => Some(RootKind::Map),
        In::Array(list) => {
            let is_xml = |item: &In| matches!(item, In::XmlElement(_) | In::XmlText(_) | In::XmlFragment(_));
            match list.first() {
                None => None,
                Some(first) if is_xml(first) => Some(RootKind::Xml),
                Some(_) => Some(RootKind::Array),
            }
        }
        _ => None,
    }
}

fn root_json(transaction: &impl ReadTxn, root: &str) -> Value {
    let any = match kind_of(transaction, root) {
        Some(RootKind::Text) => {
            transaction.get_text(root).map(|text| Any::from(text.get_string(transaction)))
        }
        Some(RootKind::Xml) => {
            transaction.get_xml_fragment(root).map(|xml| Any::from(xml.get_string(transaction)))
        }
        Some(RootKind::Array) => transaction.get_array(root).map(|list| list.to_json(transaction)),
        Some(RootKind::Map) => transaction.get_map(root).map(|map| map.to_json(transaction)),
        None => None,
    };
    any.map_or(Value::Null, |any| value_of(&any))
}

/// Bytes, which JSON does not have, as base64.
pub(super) fn value_of(any: &Any) -> Value {
    match any {
        Any::Buffer(bytes) => Value::String(data_encoding::BASE64.encode(bytes)),
        Any::Array(items) => items.iter().map(value_of).collect(),
        Any::Map(entries) => entries.iter().map(|(key, value)| (key.clone(), value_of(value))).collect(),
        other => serde_json::to_value(other).unwrap_or(Value::Null),
    }
}

/// Something to be inserted, and what it is compared by.
pub(super) type Piece<T> = (Value, T);

fn piece(out: &Out, transaction: &impl ReadTxn) -> Piece<In> {
    // The kind is part of what is compared, so that a text never counts as equal to a string.
    let kind = match out {
        Out::Any(_) => return (value_of(&out.to_json(transaction)), out.as_prelim(transaction)),
        Out::YText(text) => return (formatted(&runs(text, transaction)), out.as_prelim(transaction)),
        Out::YArray(_) => "array",
        Out::YMap(_) => "map",
        _ => "xml",
    };
    (serde_json::json!({ kind: value_of(&out.to_json(transaction)) }), out.as_prelim(transaction))
}

pub(super) fn items(list: &ArrayRef, transaction: &impl ReadTxn) -> Vec<Piece<In>> {
    list.iter(transaction).map(|item| piece(&item, transaction)).collect()
}

pub(super) fn entries(map: &MapRef, transaction: &impl ReadTxn) -> BTreeMap<String, Piece<In>> {
    map.iter(transaction).map(|(key, value)| (key.to_owned(), piece(&value, transaction))).collect()
}

pub(super) fn nodes(xml: &XmlFragmentRef, transaction: &impl ReadTxn) -> Vec<Piece<XmlIn>> {
    let node = |node: XmlOut| match node {
        XmlOut::Element(node) => {
            (Value::String(node.get_string(transaction)), node.as_prelim(transaction).into())
        }
        XmlOut::Fragment(node) => {
            (Value::String(node.get_string(transaction)), node.as_prelim(transaction).into())
        }
        XmlOut::Text(node) => {
            (Value::String(node.get_string(transaction)), node.as_prelim(transaction).into())
        }
    };
    xml.children(transaction).map(node).collect()
}

/// A run of text, or something embedded, with its formatting.
pub(super) struct Run {
    pub(super) insert: Out,
    pub(super) attributes: Option<Attrs>,
}

pub(super) fn runs(text: &TextRef, transaction: &impl ReadTxn) -> Vec<Run> {
    let parts = text.diff(transaction, YChange::identity).into_iter();
    parts
        .map(|part| Run { insert: part.insert, attributes: part.attributes.map(|attributes| *attributes) })
        .collect()
}

pub(super) fn formatted(runs: &[Run]) -> Value {
    let run = |run: &Run| {
        let attributes: BTreeMap<String, Value> = run
            .attributes
            .iter()
            .flatten()
            .map(|(name, value)| (name.to_string(), value_of(value)))
            .collect();
        let insert = match &run.insert {
            Out::Any(any) => value_of(any),
            other => Value::String(other.to_string()),
        };
        serde_json::json!([insert, attributes])
    };
    runs.iter().map(run).collect()
}
