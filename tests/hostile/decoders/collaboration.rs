//! Documents: what editors send, what is made of it, and what back ends put in their place.

use std::fs;

use fanwire::document::{
    self, awareness,
    compact::{compact, diff},
    content,
    edit::{Content, edit},
    message::Message,
    vector::Clocks,
};

use super::{Decode, root};
use crate::{documents, json, random::Random};

/// Who changes documents here.
const EDITOR: u64 = 7_777_777;

pub(super) fn contents() -> Vec<Vec<u8>> {
    vec![br#"{"a":"text","b":[1,{"c":null}],"d":{"e":2.5}}"#.into()]
}

pub(super) fn yjs_messages() -> Vec<Vec<u8>> {
    let text = fs::read_to_string(root().join("tests/data/yjs-messages.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| data_encoding::HEXLOWER.decode(line.trim().as_bytes()).unwrap()).collect()
}

pub(super) fn yjs_updates() -> Vec<Vec<u8>> {
    let messages = yjs_messages();
    let update = |message: &Vec<u8>| match Message::decode(message) {
        Ok(Message::Step2(update) | Message::Update(update)) => Some(update.to_vec()),
        _ => None,
    };
    messages.iter().filter_map(update).collect()
}

pub(super) fn awareness_messages() -> Vec<Vec<u8>> {
    let messages = yjs_messages();
    messages
        .into_iter()
        .filter(|message| matches!(Message::decode(message), Ok(Message::Awareness(_))))
        .collect()
}

pub(super) fn sync_message(random: &mut Random) -> Vec<u8> {
    let update = documents::update(random);
    let mut message = vec![0, *random.of(&[1, 2])];
    document::lib0::put_bytes(&mut message, &update);
    message
}

/// As a connection reads it: never more than a look.
pub(super) fn yjs_sync() -> Decode {
    Box::new(|bytes| match Message::decode(bytes) {
        Ok(Message::Step1(vector)) => drop(Clocks::decode(vector)),
        Ok(Message::Step2(update) | Message::Update(update)) => drop(document::check(update)),
        _ => {}
    })
}

/// What passes the look is kept, merged, compared, read and edited.
pub(super) fn yjs_merge() -> Decode {
    let seeds = yjs_updates();
    let value = serde_json::from_str(r#"{"a":{"k":[1,2,{"b":"c"}]},"text":"other"}"#).unwrap();
    Box::new(move |bytes| {
        if document::check(bytes).is_err() {
            return;
        }
        let updates = [&seeds[0][..], bytes];
        if let Ok(merged) = compact(&updates) {
            let _ = diff(&merged.state, &[0]);
        }
        let _ = content::json(&updates);
        let _ = content::text(&updates, "a");
        let _ = edit(&updates, &Content::Json(&value), EDITOR);
    })
}

pub(super) fn awareness_message(random: &mut Random) -> Vec<u8> {
    let entries = random.size(3_000) as u64;
    let mut bytes = Vec::new();
    document::lib0::put_uint(&mut bytes, entries);
    for _ in 0..entries {
        document::lib0::put_uint(&mut bytes, random.next() % 4_000);
        document::lib0::put_uint(&mut bytes, random.next() % 50);
        let state = match random.below(50) {
            0 => json::value(random),
            1..20 => b"null".to_vec(),
            _ => b"{\"x\":1}".to_vec(),
        };
        document::lib0::put_bytes(&mut bytes, &state);
    }
    let mut message = vec![1];
    document::lib0::put_bytes(&mut message, &bytes);
    message
}

/// A table that many bring states to, as a room has it.
pub(super) fn awareness_table() -> Decode {
    let (mut table, mut turn) = (awareness::Table::default(), 0_u64);
    Box::new(move |bytes| {
        turn += 1;
        if turn.is_multiple_of(1_000) {
            table = awareness::Table::default();
        }
        if let Ok(Message::Awareness(bytes)) = Message::decode(bytes)
            && let Ok(entries) = awareness::decode(bytes)
        {
            let speaker = awareness::Speaker { user: None, may_write: !turn.is_multiple_of(3) };
            table.apply(&entries, turn % 40, &speaker, turn < 40, turn * 10);
            table.messages().for_each(drop);
        }
    })
}

/// A document's content as a back end puts it.
pub(super) fn document_content() -> Decode {
    let seeds = yjs_updates();
    Box::new(move |bytes| {
        if let Ok(value) = serde_json::from_slice(bytes) {
            let _ = edit(&[&seeds[0]], &Content::Json(&value), EDITOR);
        }
    })
}
