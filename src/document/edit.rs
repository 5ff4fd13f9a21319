//! Documents as people write them: an edit that turns one content into another.
//!
//! An edit is made on top of what is there, as any editor's is, so it converges with whatever others do meanwhile. What is
//! equal stays as it is; of text the beginning and the end that are equal, of lists likewise.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    any,
    budget::{Budget, CannotRead},
    content::{Inserted, RootKind, Run, kind_of, runs, values},
    item::{Content as Inside, Type},
    lib0::Reader,
    places::Holder,
    tree::Tree,
    write::{Edit, Piece, Spot, counts},
};

/// What a document is to be.
#[derive(Clone, Copy, Debug)]
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
    Unreadable(#[from] CannotRead),
    /// It cannot become that.
    #[error("`{0}` is neither a string, an object nor an array, nor null")]
    NotARoot(String),
}

/// The update that turns what these updates make into something else; `None` if it is that already. `client` is whose edit it
/// is: a number below 2^53 that no editor has; if one has it after all, the next one is taken.
pub fn edit<'a>(
    updates: &[&'a [u8]],
    content: &Content<'a>,
    client: u64,
) -> Result<Option<Vec<u8>>, CannotEdit> {
    // A root that was emptied has no kind, and reads as null.
    let is_no_root = |value: &Value| value.is_number() || value.is_boolean();
    if let Content::Json(roots) = content
        && let Some((name, _)) = roots.iter().find(|(_, value)| is_no_root(value))
    {
        return Err(CannotEdit::NotARoot(name.clone()));
    }
    let mut budget = Budget::full();
    let tree = Tree::of(updates, &mut budget)?;
    // An edit's structs begin at clock 0, which has to be free.
    let client = (client..).find(|client| !tree.knows(*client)).unwrap_or(client);
    let mut change = Change { tree: &tree, edit: Edit::new(client), budget };
    match *content {
        Content::Updates(target) => {
            let target = Tree::of(target, &mut change.budget)?;
            change.become_document(&target)?;
        }
        Content::Json(target) => change.become_json(target)?,
        Content::Text(root, target) => change.become_text(root, target),
    }
    Ok(change.edit.finish())
}

/// A piece, and what it is compared by.
type Compared<'a, 't> = (Value, Piece<'a, 't>);

/// An edit of a document.
struct Change<'a, 't> {
    tree: &'t Tree<'a>,
    edit: Edit<'a>,
    budget: Budget,
}

impl<'a, 't> Change<'a, 't> {
    fn become_document(&mut self, target: &Tree<'a>) -> Result<(), CannotRead> {
        let all = self.tree.roots().union(target.roots()).copied().collect::<Vec<_>>();
        for root in all {
            let holder = Holder::Root(root);
            // A root that is to be empty has no kind there; what it is here says how it is emptied.
            match kind_of(target, root).or_else(|| kind_of(self.tree, root)) {
                Some(RootKind::Text) => self.become_formatted(root, target)?,
                Some(RootKind::Array | RootKind::Xml) => {
                    let wanted = list(target, holder, &mut self.budget)?;
                    self.become_list(root, wanted)?;
                }
                Some(RootKind::Map) => {
                    let mut wanted = BTreeMap::new();
                    for (key, at) in target.entries(holder) {
                        let compared = fingerprint(target, at, &mut self.budget)?;
                        wanted.insert(key, (compared, Piece::Copy(target, at)));
                    }
                    self.become_map(root, wanted)?;
                }
                None => {}
            }
        }
        Ok(())
    }

    fn become_json(&mut self, target: &'a serde_json::Map<String, Value>) -> Result<(), CannotRead> {
        let there = self.tree.roots();
        for root in there.iter().copied().filter(|root| !target.contains_key(*root)) {
            self.clear(root)?;
        }
        for (root, wanted) in target {
            match wanted {
                Value::String(wanted) => self.become_text(root, wanted),
                Value::Array(wanted) => {
                    self.budget.spend(wanted.len())?;
                    let wanted = wanted.iter().map(|value| (normal(value), Piece::Json(value))).collect();
                    self.become_list(root, wanted)?;
                }
                Value::Object(wanted) => {
                    let wanted = wanted.iter();
                    let wanted =
                        wanted.map(|(key, value)| (key.as_str(), (normal(value), Piece::Json(value))));
                    self.become_map(root, wanted.collect())?;
                }
                _ => self.clear(root)?,
            }
        }
        Ok(())
    }

    fn clear(&mut self, root: &'a str) -> Result<(), CannotRead> {
        match kind_of(self.tree, root) {
            Some(RootKind::Text | RootKind::Array | RootKind::Xml) => {
                self.edit.delete_all(self.tree, Holder::Root(root));
                Ok(())
            }
            Some(RootKind::Map) => self.become_map(root, BTreeMap::new()),
            None => Ok(()),
        }
    }

    fn become_list(&mut self, root: &'a str, wanted: Vec<Compared<'a, '_>>) -> Result<(), CannotRead> {
        let holder = Holder::Root(root);
        let old = list(self.tree, holder, &mut self.budget)?;
        let (front, back) = common(&old, &wanted, |a, b| a.0 == b.0);
        // Its neighbours may be deleted by this very edit: they keep their place, and others find it by them.
        let spot = &mut Spot::behind(self.tree, root, index(front));
        self.edit.delete_range(self.tree, holder, index(front), index(old.len() - front - back));
        let pieces: Vec<_> = wanted[front..wanted.len() - back].iter().map(|(_, piece)| *piece).collect();
        self.edit.insert_all(spot, &pieces, &mut self.budget)
    }

    fn become_map(
        &mut self,
        root: &'a str,
        wanted: BTreeMap<&'a str, Compared<'a, '_>>,
    ) -> Result<(), CannotRead> {
        let mut kept = Vec::new();
        for (key, at) in self.tree.entries(Holder::Root(root)) {
            let is_it = match wanted.get(key) {
                Some((wanted, _)) => fingerprint(self.tree, at, &mut self.budget)? == *wanted,
                None => false,
            };
            if is_it {
                kept.push(key);
            } else {
                self.edit.delete(self.tree, at);
            }
        }
        for (key, (_, piece)) in wanted {
            // In order, as the entries of a type are.
            if kept.binary_search(&key).is_err() {
                self.edit.insert_one(&mut Spot::key(self.tree, root, key), piece, &mut self.budget)?;
            }
        }
        Ok(())
    }

    /// Makes a text what another one is, formatting included.
    fn become_formatted(&mut self, root: &'a str, target: &Tree<'a>) -> Result<(), CannotRead> {
        let holder = Holder::Root(root);
        let wanted = runs(target, holder, &mut self.budget)?;
        let old = runs(self.tree, holder, &mut self.budget)?;
        if old == wanted {
            return Ok(());
        }
        let is_plain = |runs: &[Run<'_>]| {
            let mut runs = runs.iter();
            runs.all(|run| matches!(run.insert, Inserted::Text(_)) && run.attributes.is_empty())
        };
        if is_plain(&old) && is_plain(&wanted) {
            let (old, wanted) = (plain(&old), plain(&wanted));
            self.change_text(root, &old, &wanted);
            return Ok(());
        }
        self.edit.delete_all(self.tree, holder);
        let spot = &mut Spot::behind(self.tree, root, 0);
        for at in target.items(holder) {
            self.edit.insert_one(spot, Piece::Copy(target, at), &mut self.budget)?;
        }
        Ok(())
    }

    /// Makes a text these characters, changing only what lies between the first and the last difference.
    fn become_text(&mut self, root: &'a str, wanted: &str) {
        let holder = Holder::Root(root);
        let mut old = String::new();
        for at in self.tree.items(holder) {
            match self.tree.content(at) {
                Inside::Text(part) => old.push_str(part),
                content if counts(content) => {
                    // Something is embedded, which is not in the string.
                    self.edit.delete_all(self.tree, holder);
                    old.clear();
                    return self.insert_text(&mut Spot::behind(self.tree, root, 0), wanted);
                }
                _ => {}
            }
        }
        self.change_text(root, &old, wanted);
    }

    fn change_text(&mut self, root: &'a str, old: &str, wanted: &str) {
        // By characters, though places count UTF-16 units: no pair is cut in two.
        let old: Vec<char> = old.chars().collect();
        let new: Vec<char> = wanted.chars().collect();
        let (front, back) = common(&old, &new, |a, b| a == b);
        let units = |chars: &[char]| index(chars.iter().map(|c| c.len_utf16()).sum());
        let (at, removed) = (units(&old[..front]), units(&old[front..old.len() - back]));
        let spot = &mut Spot::behind(self.tree, root, at);
        if removed > 0 {
            self.edit.delete_range(self.tree, Holder::Root(root), at, removed);
        }
        let inserted: String = new[front..new.len() - back].iter().collect();
        self.insert_text(spot, &inserted);
    }

    fn insert_text(&mut self, spot: &mut Spot<'a>, text: &str) {
        let length = index(text.chars().map(char::len_utf16).sum());
        if length > 0 {
            self.edit.insert(spot, length, Inside::Text(text.to_owned().into()));
        }
    }
}

fn plain(runs: &[Run<'_>]) -> String {
    let text = |run: &Run<'_>| match &run.insert {
        Inserted::Text(text) => text.clone(),
        Inserted::Other(_) => String::new(),
    };
    runs.iter().map(text).collect()
}

/// What is in a list, each value for itself.
fn list<'a, 't>(
    tree: &'t Tree<'a>,
    holder: Holder<'a>,
    budget: &mut Budget,
) -> Result<Vec<Compared<'a, 't>>, CannotRead> {
    let mut list = Vec::new();
    for at in tree.items(holder).filter(|at| counts(tree.content(*at))) {
        match tree.content(at) {
            Inside::Values(bytes) => {
                budget.spend(index_of(tree.length(at)))?;
                let mut reader = Reader::new(bytes);
                for _ in 0..tree.length(at) {
                    let before = reader.rest();
                    let value = any::read(&mut reader).map_err(CannotRead::Malformed)?;
                    list.push((value, Piece::Value(&before[..before.len() - reader.left()])));
                }
            }
            _ => list.push((fingerprint(tree, at, budget)?, Piece::Copy(tree, at))),
        }
    }
    Ok(list)
}

/// What an item is compared by. The kind is part of it, so that a text never counts as equal to a string.
fn fingerprint(tree: &Tree<'_>, at: usize, budget: &mut Budget) -> Result<Value, CannotRead> {
    let mut last = Value::Null;
    values(tree, at, budget, |value| last = value)?;
    Ok(match tree.content(at) {
        Inside::Type(Type::Text | Type::XmlText) => {
            let runs = runs(tree, Holder::Struct(at), budget)?;
            let run = |run: &Run<'_>| match &run.insert {
                Inserted::Text(text) => json!([text, run.attributes]),
                Inserted::Other(other) => json!([[other], run.attributes]),
            };
            json!({ "text": runs.iter().map(run).collect::<Vec<_>>() })
        }
        Inside::Type(Type::Array) => json!({ "array": last }),
        Inside::Type(Type::Map) => json!({ "map": last }),
        Inside::Type(_) => json!({ "xml": last }),
        Inside::Binary(_) => json!({ "bytes": last }),
        _ => last,
    })
}

/// A value as it reads once it was written: 1.0 is 1.
fn normal(value: &Value) -> Value {
    match value {
        Value::Number(number) => any::normal(number),
        Value::Array(list) => list.iter().map(normal).collect(),
        Value::Object(map) => map.iter().map(|(key, value)| (key.clone(), normal(value))).collect(),
        other => other.clone(),
    }
}

/// How many of the first and of the last pieces are equal.
fn common<A, B>(old: &[A], new: &[B], is_equal: impl Fn(&A, &B) -> bool) -> (usize, usize) {
    let front = old.iter().zip(new).take_while(|(a, b)| is_equal(a, b)).count();
    let rest = old[front..].iter().rev().zip(new[front..].iter().rev());
    (front, rest.take_while(|(a, b)| is_equal(a, b)).count())
}

fn index_of(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

fn index(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json as value;
    use yrs::{Doc, Map, ReadTxn, Text, Transact, WriteTxn, XmlFragment, types::Attrs};

    use super::{
        super::content::{json, text},
        *,
    };

    /// Another client each time, as the broker has it.
    fn edit<'a>(updates: &[&'a [u8]], content: &Content<'a>) -> Result<Option<Vec<u8>>, CannotEdit> {
        super::edit(updates, content, 7)
    }

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
            let tree = Tree::of(updates, &mut Budget::full()).unwrap();
            let runs = runs(&tree, Holder::Root("rich"), &mut Budget::full()).unwrap();
            runs.iter().map(|run| format!("{run:?}")).collect::<Vec<_>>()
        };
        assert_eq!(rich(&[&after, &update]), rich(&[&before]));
        assert_eq!(edit(&[&after, &update], &Content::Updates(&[&before])), Ok(None));
    }

    #[test]
    fn what_others_do_meanwhile_stays() {
        let before = made(value!({"text": "ab"}));
        let ours = super::edit(&[&before], &Content::Text("text", "aXb"), 3).unwrap().unwrap();
        let theirs = super::edit(&[&before], &Content::Text("text", "abY"), 2).unwrap().unwrap();
        assert_eq!(read(&[&before, &ours, &theirs]), value!({"text": "aXbY"}));
    }
}
