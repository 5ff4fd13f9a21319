//! Awareness: what each client says of itself (name, colour, cursor), with the rules of y-protocols `awareness.js`, kept by
//! the server so that echoes stop here and nobody lingers.
//!
//! Every receiver sends remote states back to the server; only what is newer than known goes on to the others. A state
//! belongs to the connection that brought it, and as long as that is there, nobody else changes it or says it gone: but a
//! connection of the same [`Speaker`] that comes anew and says in its first message that this is itself, as providers do that
//! come back before the old connection was found broken, or whose state another tab had passed on before. When that breaks off, the state stays for a while, since a provider is
//! back within seconds; then it is removed at the *same* clock, as the protocol has it. Who comes back after that with
//! the old clock would stay invisible until its next renewal, so it is told that it was removed, and renews at once.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use rustc_hash::FxHashMap;

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
    if count > defaults::AWARENESS_CLIENTS {
        return Err(reader.wrong("more states than a document may have clients"));
    }
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

/// Who speaks on a connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Speaker {
    /// The user, if there is one.
    pub user: Option<Arc<str>>,
    /// Whether it may change the document. Who may not speaks for itself alone.
    pub may_write: bool,
}

impl Speaker {
    /// Whether it may go on with what another connection has begun.
    fn may_follow(&self, before: &Self) -> bool {
        self.user == before.user && self.may_write >= before.may_write
    }

    fn clients(&self) -> usize {
        if self.may_write { defaults::AWARENESS_CLIENTS_PER_CONNECTION } else { 1 }
    }
}

/// What is known of a client.
#[derive(Clone, Debug)]
struct Known {
    clock: u64,
    /// `None` once it is gone.
    state: Option<Bytes>,
    owner: Option<Owner>,
    /// Who brought the state.
    speaker: Speaker,
    /// For whose connection it counts, whether that is still its owner or not.
    counts_for: Owner,
    /// Whether its connection said that this is itself: in the first message, which has nothing else.
    is_own: bool,
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
pub struct Table {
    clients: BTreeMap<u64, Known>,
    /// How many clients of the table each connection has brought: also those that are gone, until they are forgotten.
    brought: FxHashMap<Owner, usize>,
    /// Bytes of all states.
    bytes: usize,
}

/// A message, as far as it matters whose it is.
struct Said<'a> {
    owner: Owner,
    speaker: &'a Speaker,
    /// It is the first one on its connection.
    first: bool,
    now_ms: u64,
}

impl Table {
    /// Takes a message of a connection; `first` says whether it is the first one there, in which a provider tells its own
    /// state and nothing else. Takes some steps for each entry, however many clients are known.
    pub fn apply(
        &mut self,
        entries: &[Entry<'_>],
        owner: Owner,
        speaker: &Speaker,
        first: bool,
        now_ms: u64,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let said = Said { owner, speaker, first, now_ms };
        for entry in entries {
            match self.clients.contains_key(&entry.client) {
                true => self.change(entry, &said, &mut outcome),
                false => self.add(entry, &said, &mut outcome),
            }
        }
        outcome
    }

    fn add(&mut self, entry: &Entry<'_>, said: &Said<'_>, outcome: &mut Outcome) {
        // Those that are gone count on: saying clients gone makes no room for new ones.
        let brought = self.brought.get(&said.owner).copied().unwrap_or(0);
        let over = entry.json.len() > defaults::AWARENESS_BYTES
            || self.bytes + entry.json.len() > defaults::AWARENESS_TABLE_BYTES
            || self.clients.len() >= defaults::AWARENESS_CLIENTS
            || brought >= said.speaker.clients();
        // Whoever is gone and was never known is no news to anybody.
        if over || entry.json == "null" {
            outcome.refused += usize::from(over);
            return;
        }
        let known = Known {
            clock: entry.clock,
            state: Some(Bytes::copy_from_slice(entry.json.as_bytes())),
            owner: Some(said.owner),
            speaker: said.speaker.clone(),
            counts_for: said.owner,
            is_own: said.first,
            heard_ms: said.now_ms,
            orphaned_ms: None,
        };
        self.brought.insert(said.owner, brought + 1);
        self.bytes += entry.json.len();
        self.clients.insert(entry.client, known);
        outcome.changes.push(Change::new(entry.client, entry.clock, entry.json.as_bytes()));
    }

    fn change(&mut self, entry: &Entry<'_>, said: &Said<'_>, outcome: &mut Outcome) {
        let Some(known) = self.clients.get_mut(&entry.client) else { return };
        let is_gone = entry.json == "null";
        // As `applyAwarenessUpdate` has it: at the same clock only a removal is news.
        let is_newer =
            entry.clock > known.clock || entry.clock == known.clock && is_gone && known.state.is_some();
        let is_owner = known.owner == Some(said.owner);
        // A connection that is there keeps what is its own, unless the same one is back.
        let is_vacant = known.owner.is_none() || said.first && (!known.is_own || said.speaker.user.is_some());
        // Nobody says another one's client gone.
        let may_take = !is_gone && is_vacant && said.speaker.may_follow(&known.speaker);
        if !is_owner && !may_take {
            outcome.refused += usize::from(is_newer);
            return;
        }
        if is_newer {
            let before = known.state.as_ref().map_or(0, Bytes::len);
            let over = entry.json.len() > defaults::AWARENESS_BYTES
                || self.bytes - before + entry.json.len() > defaults::AWARENESS_TABLE_BYTES;
            if over && !is_gone {
                outcome.refused += 1;
                return;
            }
            known.clock = entry.clock;
            known.state = (!is_gone).then(|| Bytes::copy_from_slice(entry.json.as_bytes()));
            self.bytes = self.bytes - before + known.state.as_ref().map_or(0, Bytes::len);
            outcome.changes.push(Change::new(entry.client, entry.clock, entry.json.as_bytes()));
        } else if said.first && !is_gone && known.state.is_none() {
            outcome.reminders.push(encode(entry.client, known.clock, b"null"));
            return;
        }
        if is_gone {
            known.heard_ms = said.now_ms;
            known.owner = None;
            known.orphaned_ms = Some(said.now_ms);
        } else if is_newer || said.first && entry.clock == known.clock {
            known.heard_ms = said.now_ms;
            known.owner = Some(said.owner);
            known.speaker = said.speaker.clone();
            known.is_own |= said.first;
            known.orphaned_ms = None;
        }
    }

    /// A connection said goodbye: its states are gone at once.
    pub fn leave(&mut self, owner: Owner, now_ms: u64) -> Vec<Change> {
        self.remove(now_ms, |known| known.owner == Some(owner))
    }

    /// A connection broke off: its states stay for a while.
    pub fn orphan(&mut self, owner: Owner, now_ms: u64) {
        for known in self.clients.values_mut().filter(|known| known.owner == Some(owner)) {
            known.owner = None;
            known.orphaned_ms = Some(now_ms);
        }
    }

    /// Removes the states of those who have not come back or been heard of for too long, and forgets those long gone.
    pub fn expire(&mut self, now_ms: u64) -> Vec<Change> {
        let brought = &mut self.brought;
        self.clients.retain(|_, known| {
            let stays = known.state.is_some()
                || now_ms.saturating_sub(known.heard_ms) < defaults::AWARENESS_TIMEOUT_MS;
            if !stays && let Some(count) = brought.get_mut(&known.counts_for) {
                *count = count.saturating_sub(1);
            }
            stays
        });
        brought.retain(|_, count| *count > 0);
        self.remove(now_ms, |known| {
            let out_of_grace = known
                .orphaned_ms
                .is_some_and(|since| now_ms.saturating_sub(since) >= defaults::AWARENESS_GRACE_MS);
            out_of_grace || now_ms.saturating_sub(known.heard_ms) >= defaults::AWARENESS_TIMEOUT_MS
        })
    }

    fn remove(&mut self, now_ms: u64, which: impl Fn(&Known) -> bool) -> Vec<Change> {
        let mut changes = Vec::new();
        for (client, known) in &mut self.clients {
            if known.state.is_some() && which(known) {
                self.bytes -= known.state.take().map_or(0, |state| state.len());
                known.owner = None;
                // For so long after this it is known as gone, and an echo of its last state is told from somebody new.
                known.heard_ms = now_ms;
                changes.push(Change::gone(*client, known.clock));
            }
        }
        changes
    }

    /// The states there are: client, owner, JSON.
    pub fn states(&self) -> impl Iterator<Item = (u64, Option<Owner>, &Bytes)> {
        self.clients.iter().filter_map(|(client, known)| Some((*client, known.owner, known.state.as_ref()?)))
    }

    /// Messages that tell a newcomer everything.
    pub fn messages(&self) -> impl Iterator<Item = Bytes> {
        self.clients
            .iter()
            .filter_map(|(client, known)| Some(encode(*client, known.clock, known.state.as_ref()?)))
    }

    /// Whether nobody is known, not even as gone.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALICE: u64 = 11;

    fn say(table: &mut Table, clock: u64, json: &str, owner: Owner, first: bool, now_ms: u64) -> Outcome {
        table.apply(&[Entry { client: ALICE, clock, json }], owner, &writer("alice"), first, now_ms)
    }

    fn writer(user: &str) -> Speaker {
        Speaker { user: Some(user.into()), may_write: true }
    }

    fn reader(user: &str) -> Speaker {
        Speaker { may_write: false, ..writer(user) }
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
        // Another tab of the same browser is quicker; the first one says it itself in a moment.
        assert_eq!(say(&mut table, 2, "{}", 2, false, 0).changes, []);
        assert_eq!(say(&mut table, 2, "{}", 1, false, 0).changes.len(), 1);
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
        let taken = table.apply(&many, 1, &writer("alice"), false, 0).changes.len();
        assert_eq!(taken, defaults::AWARENESS_CLIENTS_PER_CONNECTION - 1);
    }

    #[test]
    fn saying_clients_gone_makes_no_room() {
        let mut table = Table::default();
        let mut taken = 0;
        for round in 0..100 {
            let clients =
                (0..defaults::AWARENESS_CLIENTS_PER_CONNECTION as u64).map(|client| 100 * round + client);
            for (clock, json) in [(1, "{}"), (2, "null"), (3, "{}")] {
                let said: Vec<_> = clients.clone().map(|client| Entry { client, clock, json }).collect();
                taken += table.apply(&said, 1, &writer("mallory"), false, 0).changes.len();
            }
        }
        assert_eq!(taken, 3 * defaults::AWARENESS_CLIENTS_PER_CONNECTION);
        table.leave(1, 1);
        table.expire(2 * defaults::AWARENESS_TIMEOUT_MS);
        assert!(table.is_empty() && table.brought.is_empty() && table.bytes == 0, "{table:?}");
    }

    #[test]
    fn nobody_speaks_for_others() {
        let mut table = Table::default();
        say(&mut table, 5, "{}", 1, true, 0);
        for (first, clock, json) in
            [(true, 5, "{}"), (true, 9, "{}"), (false, 9, "{}"), (false, 5, "null"), (true, 5, "null")]
        {
            let said = [Entry { client: ALICE, clock, json }];
            for speaker in [writer("mallory"), reader("alice"), reader("mallory")] {
                assert_eq!(table.apply(&said, 2, &speaker, first, 0).changes, [], "{said:?} {speaker:?}");
            }
        }
        // Not even once she has gone.
        table.orphan(1, 0);
        let said = [Entry { client: ALICE, clock: 9, json: "{}" }];
        assert_eq!(table.apply(&said, 2, &writer("mallory"), true, 0).changes, []);
        assert_eq!(table.apply(&said, 3, &writer("alice"), true, 0).changes.len(), 1);
        // Back before the old connection was found broken.
        let said = [Entry { client: ALICE, clock: 10, json: "{}" }];
        assert_eq!(table.apply(&said, 4, &writer("alice"), true, 0).changes.len(), 1);
        assert_eq!(table.leave(3, 0), []);
        assert_eq!(table.leave(4, 0).len(), 1);
    }

    #[test]
    fn who_only_reads_has_one_state() {
        let mut table = Table::default();
        let many: Vec<_> = (0..9).map(|client| Entry { client, clock: 1, json: "{}" }).collect();
        let outcome = table.apply(&many, 1, &reader("bob"), true, 0);
        assert_eq!((outcome.changes.len(), outcome.refused), (1, 8));
    }

    #[test]
    fn states_together_are_bounded() {
        let mut table = Table::default();
        let large = format!("\"{}\"", "x".repeat(defaults::AWARENESS_BYTES - 2));
        for owner in 0..1_000 {
            let said = [Entry { client: owner, clock: 1, json: &large }];
            table.apply(&said, owner, &writer("mallory"), true, 0);
        }
        let held: usize = table.states().map(|(.., json)| json.len()).sum();
        assert_eq!((held, table.bytes), (defaults::AWARENESS_TABLE_BYTES, held));
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
