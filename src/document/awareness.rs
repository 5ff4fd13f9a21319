//! Awareness: what each client says of itself (name, colour, cursor), with the rules of y-protocols `awareness.js`, kept by
//! the server so that echoes stop here and nobody lingers.
//!
//! Every receiver sends remote states back to the server; only what is newer than known goes on to the others. A state
//! belongs to the connection that brought it. When that breaks off, the state stays for a while, since a provider is
//! back within seconds; then it is removed at the *same* clock, as the protocol has it. Who comes back after that with
//! the old clock would stay invisible until its next renewal, so it is told that it was removed, and renews at once.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::lib0::{Malformed, Reader, put_bytes, put_uint};
use crate::defaults;

/// One client's state in a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// Yjs's client id.
    pub client: u64,
    /// Counts the changes of the state.
    pub clock: u64,
    /// JSON; `null` for a client that is gone.
    pub json: &'a str,
}

/// Reads the entries of an awareness message.
pub fn decode(bytes: &[u8]) -> Result<Vec<Entry<'_>>, Malformed> {
    let mut reader = Reader::new(bytes);
    // Client, clock, length.
    let count = reader.count(3)?;
    let mut entries = Vec::with_capacity(count);
    for _ in 0..count {
        entries.push(Entry { client: reader.uint()?, clock: reader.uint()?, json: reader.json()? });
    }
    reader.end()?;
    Ok(entries)
}

/// A message with one entry.
pub fn encode(client: u64, clock: u64, json: &[u8]) -> Bytes {
    let mut entry = Vec::with_capacity(json.len() + 24);
    put_uint(&mut entry, 1);
    put_uint(&mut entry, client);
    put_uint(&mut entry, clock);
    put_bytes(&mut entry, json);
    let mut message = Vec::with_capacity(entry.len() + 6);
    put_uint(&mut message, 1);
    put_bytes(&mut message, &entry);
    message.into()
}

/// A connection, as the table tells them apart.
pub type Owner = u64;

/// What is known of a client.
#[derive(Clone, Debug)]
struct Known {
    clock: u64,
    /// `None` once it is gone.
    state: Option<Bytes>,
    owner: Option<Owner>,
    /// When it said something last.
    heard_ms: u64,
    /// Since when it has no owner.
    orphaned_ms: Option<u64>,
}

/// A state that others are to hear of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Whose.
    pub client: u64,
    /// The message.
    pub message: Bytes,
}

impl Change {
    fn new(client: u64, clock: u64, json: &[u8]) -> Self {
        Self { client, message: encode(client, clock, json) }
    }

    fn gone(client: u64, clock: u64) -> Self {
        Self::new(client, clock, b"null")
    }
}

/// What follows from a message.
#[derive(Default, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// For everyone.
    pub changes: Vec<Change>,
    /// For the sender: "you were removed", which it answers with a newer clock.
    pub reminders: Vec<Bytes>,
    /// Entries over a limit, which go no further.
    pub refused: usize,
}

/// The states of a document's clients.
#[derive(Default, Debug)]
pub struct Table(BTreeMap<u64, Known>);

impl Table {
    /// Takes a message of a connection; `first` says whether it is the first one there, in which a provider tells its own
    /// state and nothing else.
    pub fn apply(&mut self, entries: &[Entry<'_>], owner: Owner, first: bool, now_ms: u64) -> Outcome {
        let mut outcome = Outcome::default();
        for entry in entries {
            self.apply_one(entry, owner, first, now_ms, &mut outcome);
        }
        outcome
    }

    fn apply_one(
        &mut self,
        entry: &Entry<'_>,
        owner: Owner,
        first: bool,
        now_ms: u64,
        outcome: &mut Outcome,
    ) {
        let is_gone = entry.json == "null";
        let Some(known) = self.0.get_mut(&entry.client) else {
            let owned = || self.0.values().filter(|known| known.owner == Some(owner)).count();
            let over = entry.json.len() > defaults::AWARENESS_BYTES
                || self.0.len() >= defaults::AWARENESS_CLIENTS
                || owned() >= defaults::AWARENESS_CLIENTS_PER_CONNECTION;
            match over {
                true => outcome.refused += 1,
                false if is_gone => {}
                false => {
                    let state = Some(Bytes::copy_from_slice(entry.json.as_bytes()));
                    let known = Known {
                        clock: entry.clock,
                        state,
                        owner: Some(owner),
                        heard_ms: now_ms,
                        orphaned_ms: None,
                    };
                    self.0.insert(entry.client, known);
                    outcome.changes.push(Change::new(entry.client, entry.clock, entry.json.as_bytes()));
                }
            }
            return;
        };
        let is_newer =
            entry.clock > known.clock || entry.clock == known.clock && is_gone && known.state.is_some();
        if is_newer && entry.json.len() > defaults::AWARENESS_BYTES {
            outcome.refused += 1;
            return;
        }
        if known.owner.is_none() && !is_gone && (is_newer || first && entry.clock == known.clock) {
            known.owner = Some(owner);
            known.orphaned_ms = None;
            known.heard_ms = now_ms;
        }
        if is_newer {
            known.clock = entry.clock;
            known.heard_ms = now_ms;
            known.state = (!is_gone).then(|| Bytes::copy_from_slice(entry.json.as_bytes()));
            if is_gone {
                known.owner = None;
                known.orphaned_ms = Some(now_ms);
            }
            outcome.changes.push(Change::new(entry.client, entry.clock, entry.json.as_bytes()));
        } else if first && !is_gone && known.state.is_none() && entry.clock <= known.clock {
            outcome.reminders.push(encode(entry.client, known.clock, b"null"));
        }
    }

    /// A connection said goodbye: its states are gone at once.
    pub fn leave(&mut self, owner: Owner, now_ms: u64) -> Vec<Change> {
        self.remove(now_ms, |known| known.owner == Some(owner))
    }

    /// A connection broke off: its states stay for a while.
    pub fn orphan(&mut self, owner: Owner, now_ms: u64) {
        for known in self.0.values_mut().filter(|known| known.owner == Some(owner)) {
            known.owner = None;
            known.orphaned_ms = Some(now_ms);
        }
    }

    /// Removes the states of those who have not come back or been heard of for too long, and forgets those long gone.
    pub fn expire(&mut self, now_ms: u64) -> Vec<Change> {
        self.0.retain(|_, known| {
            known.state.is_some() || now_ms.saturating_sub(known.heard_ms) < defaults::AWARENESS_TIMEOUT_MS
        });
        self.remove(now_ms, |known| {
            let out_of_grace = known
                .orphaned_ms
                .is_some_and(|since| now_ms.saturating_sub(since) >= defaults::AWARENESS_GRACE_MS);
            out_of_grace || now_ms.saturating_sub(known.heard_ms) >= defaults::AWARENESS_TIMEOUT_MS
        })
    }

    fn remove(&mut self, now_ms: u64, which: impl Fn(&Known) -> bool) -> Vec<Change> {
        let mut changes = Vec::new();
        for (client, known) in &mut self.0 {
            if known.state.is_some() && which(known) {
                known.state = None;
                known.owner = None;
                known.heard_ms = now_ms;
                changes.push(Change::gone(*client, known.clock));
            }
        }
        changes
    }

    /// The states there are: client, owner, JSON.
    pub fn states(&self) -> impl Iterator<Item = (u64, Option<Owner>, &Bytes)> {
        self.0.iter().filter_map(|(client, known)| Some((*client, known.owner, known.state.as_ref()?)))
    }

    /// Messages that tell a newcomer everything.
    pub fn messages(&self) -> impl Iterator<Item = Bytes> {
        self.0.iter().filter_map(|(client, known)| Some(encode(*client, known.clock, known.state.as_ref()?)))
    }

    /// Whether nobody is known, not even as gone.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALICE: u64 = 11;

    fn say(table: &mut Table, clock: u64, json: &str, owner: Owner, first: bool, now_ms: u64) -> Outcome {
        table.apply(&[Entry { client: ALICE, clock, json }], owner, first, now_ms)
    }

    #[test]
    fn echoes_stop_here() {
        let mut table = Table::default();
        assert_eq!(say(&mut table, 1, "{}", 1, true, 0).changes.len(), 1);
        assert_eq!(say(&mut table, 1, "{}", 2, false, 0), Outcome::default());
        assert_eq!(say(&mut table, 2, r#"{"x":1}"#, 1, false, 0).changes.len(), 1);
        assert_eq!(say(&mut table, 1, "null", 2, false, 0), Outcome::default(), "older");
    }

    #[test]
    fn who_comes_back_in_time_was_never_gone() {
        let mut table = Table::default();
        say(&mut table, 5, "{}", 1, true, 0);
        table.orphan(1, 1_000);
        assert_eq!(table.expire(2_000), []);
        assert_eq!(say(&mut table, 5, "{}", 2, true, 2_500), Outcome::default());
        assert_eq!(table.expire(9_000), []);
        assert_eq!(table.leave(2, 9_000), [Change::gone(ALICE, 5)]);
    }

    #[test]
    fn who_comes_back_late_is_told_to_renew() {
        let mut table = Table::default();
        say(&mut table, 5, "{}", 1, true, 0);
        table.orphan(1, 0);
        assert_eq!(table.expire(defaults::AWARENESS_GRACE_MS), [Change::gone(ALICE, 5)]);
        assert_eq!(say(&mut table, 5, "{}", 3, false, 4_000), Outcome::default(), "an echo");
        let back = say(&mut table, 5, "{}", 2, true, 4_000);
        assert_eq!(back.reminders, [encode(ALICE, 5, b"null")]);
        assert_eq!(say(&mut table, 6, "{}", 2, false, 4_001).changes.len(), 1);
        assert_eq!(table.leave(2, 5_000).len(), 1);
    }

    #[test]
    fn echoes_do_not_take_over() {
        let mut table = Table::default();
        say(&mut table, 1, "{}", 1, true, 0);
        // Another tab of the same browser is quicker.
        say(&mut table, 2, "{}", 2, false, 0);
        assert_eq!(table.leave(2, 0), []);
        assert_eq!(table.leave(1, 0).len(), 1);
    }

    #[test]
    fn silence_is_the_end() {
        let mut table = Table::default();
        say(&mut table, 1, "{}", 1, true, 0);
        assert_eq!(table.expire(defaults::AWARENESS_TIMEOUT_MS - 1), []);
        assert_eq!(table.expire(defaults::AWARENESS_TIMEOUT_MS).len(), 1);
        table.expire(3 * defaults::AWARENESS_TIMEOUT_MS);
        assert!(table.is_empty());
    }

    #[test]
    fn limits_hold() {
        let mut table = Table::default();
        let large = format!("\"{}\"", "x".repeat(defaults::AWARENESS_BYTES));
        assert_eq!(say(&mut table, 1, &large, 1, true, 0).refused, 1);
        assert_eq!(say(&mut table, 1, &large[..defaults::AWARENESS_BYTES], 1, true, 0).refused, 0);
        assert_eq!(say(&mut table, 2, &large, 1, true, 0).refused, 1);
        let many: Vec<_> = (100..200).map(|client| Entry { client, clock: 1, json: "{}" }).collect();
        let taken = table.apply(&many, 1, false, 0).changes.len();
        assert_eq!(taken, defaults::AWARENESS_CLIENTS_PER_CONNECTION - 1);
    }

    proptest! {
        #[test]
        fn garbage_is_refused_in_order(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }

        #[test]
        fn messages_come_back(client in 0..1_u64 << 53, clock in 0..1_u64 << 40) {
            let message = encode(client, clock, b"{}");
            let Ok(super::super::message::Message::Awareness(entries)) = super::super::message::Message::decode(&message) else { panic!() };
            prop_assert_eq!(decode(entries).unwrap(), [Entry { client, clock, json: "{}" }]);
        }
    }
}
