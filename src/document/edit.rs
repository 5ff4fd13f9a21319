//! Documents as people write them: an edit that turns one content into another.
//!
//! An edit is made on top of what is there, as any editor's is, so it converges with whatever others do meanwhile. What is
//! equal stays as it is; of text the beginning and the end that are equal, of lists likewise.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use yrs::{
    Any, Array, ArrayRef, Doc, GetString, In, Map, MapRef, Out, ReadTxn, Text, TextRef, Transact,
    TransactionMut, WriteTxn, XmlFragment, XmlFragmentRef,
    types::{AsPrelim, Delta, xml::XmlIn},
};

use super::{
    compact::{CannotMerge, caught, document},
    content::{Piece, RootKind, Run, entries, formatted, items, kind_of, nodes, roots, runs},
};

/// What a document is to be.
#[derive(Debug)]
pub enum Content<'a> {
    /// What these updates make.
    Updates(&'a [&'a [u8]]),
    /// A text, a map or a list for each name: strings, objects and arrays; null for one with nothing in it.
    Json(&'a serde_json::Map<String, Value>),
    /// This root is this text; all others stay.
    Text(&'a str, &'a str),
}

/// Why there is no edit.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CannotEdit {
    /// The document cannot be read.
    #[error(transparent)]
    Unreadable(#[from] CannotMerge),
    /// It cannot become that.
    #[error("`{0}` is neither a string, an object nor an array, nor null")]
    NotARoot(String),
}

/// The update that turns what these updates make into something else; `None` if it is that already.
pub fn edit(updates: &[&[u8]], content: &Content<'_>) -> Result<Option<Vec<u8>>, CannotEdit> {
    // A root that was emptied has no kind, and reads as null.
    let is_no_root = |value: &Value| value.is_number() || value.is_boolean();
    if let Content::Json(roots) = content
        && let Some((name, _)) = roots.iter().find(|(_, value)| is_no_root(value))
    {
        return Err(CannotEdit::NotARoot(name.clone()));
    }
    let make = || {
        let doc = document(updates)?;
        let mut transaction = doc.transact_mut();
        match content {
            Content::Updates(target) => {
                let target = document(target)?;
                become_document(&mut transaction, &target);
            }
            Content::Json(target) => become_json(&mut transaction, target),
            Content::Text(root, target) => {
                let text = transaction.get_or_insert_text(*root);
                become_text(&mut transaction, &text, target);
            }
        }
        Some(transaction.encode_update_v1())
    };
    let update = caught(make).ok_or(CannotMerge::Undecodable)?;
    Ok((update != super::update::EMPTY).then_some(update))
}

fn become_document(transaction: &mut TransactionMut<'_>, target: &Doc) {
    let wanted = target.transact();
    let all: BTreeSet<String> = roots(transaction).union(&roots(&wanted)).cloned().collect();
    for root in all {
        let Some(kind) = kind_of(&wanted, &root).or_else(|| kind_of(transaction, &root)) else { continue };
        match kind {
            RootKind::Text => {
                let text = transaction.get_or_insert_text(root.as_str());
                become_formatted(transaction, &text, wanted.get_text(root.as_str()), &wanted);
            }
            RootKind::Array => {
                let list = transaction.get_or_insert_array(root.as_str());
                let wanted =
                    wanted.get_array(root.as_str()).map(|list| items(&list, &wanted)).unwrap_or_default();
                become_list(transaction, &list, wanted);
            }
            RootKind::Map => {
                let map = transaction.get_or_insert_map(root.as_str());
                let wanted =
                    wanted.get_map(root.as_str()).map(|map| entries(&map, &wanted)).unwrap_or_default();
                become_map(transaction, &map, wanted);
            }
            RootKind::Xml => {
                let xml = transaction.get_or_insert_xml_fragment(root.as_str());
                let wanted = wanted
                    .get_xml_fragment(root.as_str())
                    .map(|xml| nodes(&xml, &wanted))
                    .unwrap_or_default();
                become_xml(transaction, &xml, wanted);
            }
        }
    }
}

fn become_json(transaction: &mut TransactionMut<'_>, target: &serde_json::Map<String, Value>) {
    let all: BTreeSet<String> = roots(transaction).into_iter().chain(target.keys().cloned()).collect();
    for root in all {
        match target.get(&root) {
            Some(Value::String(wanted)) => {
                let text = transaction.get_or_insert_text(root.as_str());
                become_text(transaction, &text, wanted);
            }
            Some(Value::Array(wanted)) => {
                let list = transaction.get_or_insert_array(root.as_str());
                let wanted = wanted.iter().map(|value| (value.clone(), In::Any(any_of(value)))).collect();
                become_list(transaction, &list, wanted);
            }
            Some(Value::Object(wanted)) => {
                let map = transaction.get_or_insert_map(root.as_str());
                let wanted =
                    wanted.iter().map(|(key, value)| (key.clone(), (value.clone(), In::Any(any_of(value)))));
                let wanted = wanted.collect();
                become_map(transaction, &map, wanted);
            }
            _ => clear(transaction, &root),
        }
    }
}

fn clear(transaction: &mut TransactionMut<'_>, root: &str) {
    match kind_of(transaction, root) {
        Some(RootKind::Text) => {
            let text = transaction.get_or_insert_text(root);
            become_text(transaction, &text, "");
        }
        Some(RootKind::Array) => {
            let list = transaction.get_or_insert_array(root);
            become_list(transaction, &list, Vec::new());
        }
        Some(RootKind::Map) => {
            let map = transaction.get_or_insert_map(root);
            become_map(transaction, &map, BTreeMap::new());
        }
        Some(RootKind::Xml) => {
            let xml = transaction.get_or_insert_xml_fragment(root);
            become_xml(transaction, &xml, Vec::new());
        }
        None => {}
    }
}

fn any_of(value: &Value) -> Any {
    serde_json::from_value(value.clone()).unwrap_or(Any::Null)
}

/// How many of the first and of the last pieces are equal.
fn common<A: PartialEq>(old: &[A], new: &[A]) -> (usize, usize) {
    let front = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let back = old[front..].iter().rev().zip(new[front..].iter().rev()).take_while(|(a, b)| a == b).count();
    (front, back)
}

fn index(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

fn become_list(transaction: &mut TransactionMut<'_>, list: &ArrayRef, wanted: Vec<Piece<In>>) {
    let old: Vec<Value> = items(list, transaction).into_iter().map(|(value, _)| value).collect();
    let new: Vec<Value> = wanted.iter().map(|(value, _)| value.clone()).collect();
    let (front, back) = common(&old, &new);
    if old.len() > front + back {
        list.remove_range(transaction, index(front), index(old.len() - front - back));
    }
    let inserted = new.len() - back;
    for (place, (_, item)) in wanted.into_iter().enumerate().take(inserted).skip(front) {
        list.insert(transaction, index(place), item);
    }
}

fn become_map(transaction: &mut TransactionMut<'_>, map: &MapRef, wanted: BTreeMap<String, Piece<In>>) {
    let old = entries(map, transaction);
    for key in old.keys().filter(|key| !wanted.contains_key(*key)) {
        map.remove(transaction, key);
    }
    for (key, (value, item)) in wanted {
        if old.get(&key).is_none_or(|(before, _)| *before != value) {
            map.insert(transaction, key, item);
        }
    }
}

fn become_xml(transaction: &mut TransactionMut<'_>, xml: &XmlFragmentRef, wanted: Vec<Piece<XmlIn>>) {
    let old: Vec<Value> = nodes(xml, transaction).into_iter().map(|(value, _)| value).collect();
    let new: Vec<Value> = wanted.iter().map(|(value, _)| value.clone()).collect();
    let (front, back) = common(&old, &new);
    if old.len() > front + back {
        xml.remove_range(transaction, index(front), index(old.len() - front - back));
    }
    let inserted = new.len() - back;
    for (place, (_, node)) in wanted.into_iter().enumerate().take(inserted).skip(front) {
        xml.insert(transaction, index(place), node);
    }
}

/// Makes a text what another one is, formatting included.
fn become_formatted(
    transaction: &mut TransactionMut<'_>,
    text: &TextRef,
    wanted: Option<TextRef>,
    of: &impl ReadTxn,
) {
    let wanted = wanted.map(|wanted| runs(&wanted, of)).unwrap_or_default();
    let old = runs(text, transaction);
    if formatted(&old) == formatted(&wanted) {
        return;
    }
    let is_plain = |runs: &[Run]| {
        let plain = |run: &Run| {
            matches!(run.insert, Out::Any(Any::String(_)))
                && run.attributes.as_ref().is_none_or(|all| all.is_empty())
        };
        runs.iter().all(plain)
    };
    if is_plain(&old) && is_plain(&wanted) {
        let whole: String = wanted.into_iter().map(|run| run.insert.to_string(of)).collect();
        return become_text(transaction, text, &whole);
    }
    let length = text.len(transaction);
    text.remove_range(transaction, 0, length);
    let insert = |Run { insert, attributes }: Run| {
        Delta::Inserted(insert.as_prelim(of), attributes.filter(|all| !all.is_empty()).map(Box::new))
    };
    text.apply_delta(transaction, wanted.into_iter().map(insert));
}

/// Makes a text these characters, changing only what lies between the first and the last difference.
fn become_text(transaction: &mut TransactionMut<'_>, text: &TextRef, wanted: &str) {
    let old: Vec<char> = text.get_string(transaction).chars().collect();
    let units = |chars: &[char]| index(chars.iter().map(|c| c.len_utf16()).sum());
    if units(&old) != text.len(transaction) {
        // Something is embedded, which is not in the string.
        let length = text.len(transaction);
        text.remove_range(transaction, 0, length);
        return text.insert(transaction, 0, wanted);
    }
    let new: Vec<char> = wanted.chars().collect();
    let (front, back) = common(&old, &new);
    let at = units(&old[..front]);
    let removed = units(&old[front..old.len() - back]);
    if removed > 0 {
        text.remove_range(transaction, at, removed);
    }
    let inserted: String = new[front..new.len() - back].iter().collect();
    if !inserted.is_empty() {
        text.insert(transaction, at, &inserted);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json as value;
    use yrs::types::Attrs;

    use super::{
        super::content::{json, text},
        *,
    };

    fn made(content: Value) -> Vec<u8> {
        let Value::Object(roots) = content else { panic!() };
        edit(&[], &Content::Json(&roots)).unwrap().unwrap()
    }

    fn read(updates: &[&[u8]]) -> Value {
        json(updates).unwrap()
    }

    #[test]
    fn json_goes_in_and_comes_out() {
        let content = value!({"text": "héllo 😀", "list": [1, "two", {"three": [null, true]}], "map": {"a": 1.5, "b": "c"}});
        let update = made(content.clone());
        assert_eq!(super::super::check(&update), Ok(()));
        assert_eq!(read(&[&update]), content);
        assert_eq!(text(&[&update], "text"), Ok(Some("héllo 😀".into())));
        assert_eq!(text(&[&update], "list"), Ok(None));
        let Value::Object(roots) = content else { panic!() };
        assert_eq!(edit(&[&update], &Content::Json(&roots)), Ok(None), "it is that already");
        let wrong = value!({"n": 1});
        assert_eq!(
            edit(&[], &Content::Json(wrong.as_object().unwrap())),
            Err(CannotEdit::NotARoot("n".into()))
        );
    }

    #[test]
    fn an_emptied_root_can_be_written_back() {
        let before = made(value!({"items": [1], "map": {"a": 1}, "text": "t"}));
        let target = value!({"items": [], "map": {}, "text": "t"});
        let emptied = edit(&[&before], &Content::Json(target.as_object().unwrap())).unwrap().unwrap();
        let read_back = read(&[&before, &emptied]);
        assert_eq!(read_back, value!({"items": null, "map": null, "text": "t"}));
        assert_eq!(edit(&[&before, &emptied], &Content::Json(read_back.as_object().unwrap())), Ok(None));
        let nothing = value!({"items": null, "map": null, "text": null});
        let update = edit(&[&before], &Content::Json(nothing.as_object().unwrap())).unwrap().unwrap();
        assert_eq!(read(&[&before, &update]), nothing);
    }

    #[test]
    fn an_edit_touches_what_differs() {
        let before = made(value!({"text": "one two three", "list": [1, 2, 3], "map": {"k": 1, "gone": 2}}));
        let target = value!({"text": "one 2 three", "list": [1, 9, 3], "map": {"k": 1, "new": 3}});
        let update = edit(&[&before], &Content::Json(target.as_object().unwrap())).unwrap().unwrap();
        assert_eq!(read(&[&before, &update]), target);
        assert!(update.len() < 120, "{}", update.len());
    }

    #[test]
    fn an_older_state_comes_back_whole() {
        let doc = Doc::new();
        {
            let mut transaction = doc.transact_mut();
            let text = transaction.get_or_insert_text("rich");
            text.insert_with_attributes(
                &mut transaction,
                0,
                "bold",
                Attrs::from([("bold".into(), true.into())]),
            );
            text.push(&mut transaction, " plain");
            let map = transaction.get_or_insert_map("map");
            map.insert(&mut transaction, "nested", yrs::MapPrelim::from([("deep", 1_i64)]));
            map.insert(&mut transaction, "note", yrs::TextPrelim::new("nested text"));
            let xml = transaction.get_or_insert_xml_fragment("xml");
            xml.push_back(&mut transaction, yrs::XmlElementPrelim::empty("p"));
        }
        let before = doc.transact().encode_state_as_update_v1(&yrs::StateVector::default());
        {
            let mut transaction = doc.transact_mut();
            transaction.get_or_insert_text("rich").remove_range(&mut transaction, 0, 6);
            transaction.get_or_insert_map("map").clear(&mut transaction);
            transaction.get_or_insert_xml_fragment("xml").remove_range(&mut transaction, 0, 1);
            transaction.get_or_insert_text("later").push(&mut transaction, "gone again");
        }
        let after = doc.transact().encode_state_as_update_v1(&yrs::StateVector::default());
        let update = edit(&[&after], &Content::Updates(&[&before])).unwrap().unwrap();
        let mut expected = read(&[&before]);
        expected["later"] = Value::Null;
        assert_eq!(read(&[&after, &update]), expected);
        let rich = |updates: &[&[u8]]| {
            let doc = document(updates).unwrap();
            let transaction = doc.transact();
            formatted(&runs(&transaction.get_text("rich").unwrap(), &transaction))
        };
        assert_eq!(rich(&[&after, &update]), rich(&[&before]));
        assert_eq!(edit(&[&after, &update], &Content::Updates(&[&before])), Ok(None));
    }

    #[test]
    fn what_others_do_meanwhile_stays() {
        let before = made(value!({"text": "ab"}));
        let ours = edit(&[&before], &Content::Text("text", "aXb")).unwrap().unwrap();
        let theirs = edit(&[&before], &Content::Text("text", "abY")).unwrap().unwrap();
        assert_eq!(read(&[&before, &ours, &theirs]), value!({"text": "aXbY"}));
    }
}
