//! Many updates into one, with what was deleted left out, and what a client lacks of one.
//!
//! Works on updates that passed [`check`](super::check). `yrs` may still panic on some of them, so every call is caught;
//! and what it makes is believed only if it has exactly the insertions and deletions that went in.

use std::panic::{AssertUnwindSafe, catch_unwind};

use yrs::{Doc, Options, ReadTxn, StateVector, Transact, Update, updates::decoder::Decode};

use super::{
    coverage::Coverage,
    lib0::Malformed,
    update::{self, Visit},
    vector::Clocks,
};

/// Why updates cannot be merged or compared.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CannotMerge {
    /// What went in is not an update.
    #[error("an update is malformed: {0}")]
    Malformed(#[from] Malformed),
    /// The library refused or panicked.
    #[error("the updates cannot be decoded")]
    Undecodable,
    /// What came out is not what went in.
    #[error("the merged update differs from its parts")]
    Unfaithful,
}

/// One update for many.
#[derive(PartialEq, Eq, Debug)]
pub struct Compacted {
    /// Stands for all updates but those left apart.
    pub state: Vec<u8>,
    /// Which of the updates, by their place, build on something that none of them has.
    pub apart: Vec<usize>,
}

/// Merges updates, of which the first may be the outcome of an earlier call.
pub fn compact(updates: &[&[u8]]) -> Result<Compacted, CannotMerge> {
    let apart = incomplete(updates)?;
    let whole: Vec<&[u8]> = updates
        .iter()
        .enumerate()
        .filter(|(index, _)| apart.binary_search(index).is_err())
        .map(|(_, update)| *update)
        .collect();
    let wanted = Coverage::of(whole.iter().copied())?;
    let is_faithful = |state: &Vec<u8>| Coverage::of([state.as_slice()]).is_ok_and(|got| got == wanted);
    let state = caught(|| collected(&whole))
        .filter(is_faithful)
        .or_else(|| caught(|| yrs::merge_updates_v1(&whole).ok()).filter(is_faithful));
    let state = state.ok_or(CannotMerge::Unfaithful)?;
    Ok(Compacted { state, apart })
}

/// What somebody with this state vector lacks of an update; deletions are always included.
pub fn diff(update: &[u8], vector: &[u8]) -> Result<Vec<u8>, CannotMerge> {
    let made = caught(|| yrs::diff_updates_v1(update, vector).ok()).ok_or(CannotMerge::Undecodable)?;
    update::check(&made)?;
    Ok(made)
}

/// Runs something that may panic.
pub(super) fn caught<T>(work: impl FnOnce() -> Option<T>) -> Option<T> {
    // Nothing that a panic could leave half done outlives the closure.
    catch_unwind(AssertUnwindSafe(work)).ok().flatten()
}

/// A document of these updates, or `None` if something is missing.
pub(super) fn document(updates: &[&[u8]]) -> Option<Doc> {
    let doc = Doc::with_options(Options { offset_kind: yrs::OffsetKind::Utf16, ..Options::default() });
    let mut transaction = doc.transact_mut();
    for update in updates {
        transaction.apply_update(Update::decode_v1(update).ok()?).ok()?;
    }
    let missing = transaction.has_missing_updates();
    drop(transaction);
    (!missing).then_some(doc)
}

/// By way of a document, whose deleted content is let go.
fn collected(updates: &[&[u8]]) -> Option<Vec<u8>> {
    let doc = document(updates)?;
    let transaction = doc.transact();
    Some(transaction.encode_state_as_update_v1(&StateVector::default()))
}

/// What an update brings and asks for.
#[derive(Default)]
struct Facts {
    inserts: Vec<(u64, u32, u32)>,
    /// With the clock behind the last one that is asked for.
    needs: Vec<(u64, u32)>,
}

impl Visit for Facts {
    fn insert(&mut self, client: u64, clock: u32, length: u32) {
        self.inserts.push((client, clock, length));
    }

    fn need(&mut self, client: u64, clock: u32) {
        self.needs.push((client, clock + 1));
    }

    fn delete(&mut self, client: u64, clock: u32, length: u32) {
        self.needs.push((client, clock + length));
    }
}

/// The places of updates that build on something which none of the others has.
fn incomplete(updates: &[&[u8]]) -> Result<Vec<usize>, Malformed> {
    let mut clocks = Clocks::default();
    let mut waiting = Vec::new();
    for (index, update) in updates.iter().enumerate() {
        let mut facts = Facts::default();
        update::walk(update, &mut facts)?;
        if !integrate(&mut clocks, &facts) {
            waiting.push((index, facts));
        }
    }
    loop {
        let before = waiting.len();
        waiting.retain(|(_, facts)| !integrate(&mut clocks, facts));
        if waiting.len() == before {
            return Ok(waiting.into_iter().map(|(index, _)| index).collect());
        }
    }
}

/// Adds an update if everything that it builds on is there, itself included.
fn integrate(clocks: &mut Clocks, facts: &Facts) -> bool {
    // A copy of what the update touches would do, but most updates touch one client or two.
    let before: Vec<(u64, u32)> =
        facts.inserts.iter().map(|&(client, ..)| (client, clocks.of(client))).collect();
    let mut whole = true;
    for &(client, clock, length) in &facts.inserts {
        whole &= clock <= clocks.of(client);
        clocks.add(client, clock, length);
    }
    whole &= facts.needs.iter().all(|&(client, end)| end <= clocks.of(client));
    if !whole {
        before.into_iter().rev().for_each(|(client, clock)| clocks.set(client, clock));
    }
    whole
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use yrs::{Any, Array, GetString, Map, Text, XmlFragment};

    use super::*;

    /// A client that keeps what it did as updates.
    struct Client {
        doc: Doc,
        updates: Vec<Vec<u8>>,
    }

    impl Client {
        fn new(id: u64) -> Self {
            let options = Options {
                offset_kind: yrs::OffsetKind::Utf16,
                ..Options::with_client_id(yrs::ClientID::new(id))
            };
            Self { doc: Doc::with_options(options), updates: Vec::new() }
        }

        fn edit(&mut self, edit: impl FnOnce(&mut yrs::TransactionMut<'_>)) {
            let mut transaction = self.doc.transact_mut();
            edit(&mut transaction);
            self.updates.push(transaction.encode_update_v1());
        }

        fn random(&mut self, choice: u8, place: u8) {
            self.edit(|transaction| {
                use yrs::WriteTxn;
                let text = transaction.get_or_insert_text("text");
                let length = text.len(transaction);
                let at = u32::from(place) % (length + 1);
                match choice % 7 {
                    0 | 1 => text.insert(transaction, at, "né"),
                    2 if length > at => text.remove_range(transaction, at, (length - at).min(3)),
                    2 | 3 => drop(transaction.get_or_insert_map("map").insert(
                        transaction,
                        format!("{}", place % 4),
                        i64::from(choice),
                    )),
                    4 => transaction.get_or_insert_array("array").insert_range(transaction, 0, [1_i64, 2]),
                    5 => drop(
                        transaction.get_or_insert_map("map").remove(transaction, &format!("{}", place % 4)),
                    ),
                    _ => drop(
                        transaction
                            .get_or_insert_xml_fragment("xml")
                            .push_back(transaction, yrs::XmlElementPrelim::empty("p")),
                    ),
                }
            });
        }
    }

    fn refs(updates: &[Vec<u8>]) -> Vec<&[u8]> {
        updates.iter().map(Vec::as_slice).collect()
    }

    fn text(updates: &[&[u8]]) -> String {
        let doc = document(updates).unwrap();
        let text = doc.get_or_insert_text("text");
        text.get_string(&doc.transact())
    }

    fn session(steps: &[(bool, u8, u8)]) -> Vec<Vec<u8>> {
        let (mut one, mut two, mut log) = (Client::new(1), Client::new(2), Vec::new());
        for &(first, choice, place) in steps {
            let (from, to) = if first { (&mut one, &mut two) } else { (&mut two, &mut one) };
            from.random(choice, place);
            let update = from.updates.pop().unwrap();
            to.doc.transact_mut().apply_update(Update::decode_v1(&update).unwrap()).unwrap();
            log.push(update);
        }
        log
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever is merged in whichever steps, the same document comes out, and what a gate must let through it does.
        #[test]
        fn compaction_changes_nothing(
            steps in prop::collection::vec(any::<(bool, u8, u8)>(), 1..60),
            cut in any::<prop::sample::Index>(),
        ) {
            let log = session(&steps);
            for update in &log {
                prop_assert_eq!(update::check(update), Ok(()));
            }
            let whole = compact(&refs(&log)).unwrap();
            prop_assert!(whole.apart.is_empty());
            let cut = cut.index(log.len());
            let first = compact(&refs(&log[..cut])).unwrap().state;
            let mut rest = vec![first.as_slice()];
            rest.extend(refs(&log[cut..]));
            let second = compact(&rest).unwrap().state;
            prop_assert_eq!(text(&[&whole.state]), text(&refs(&log)));
            prop_assert_eq!(text(&[&second]), text(&refs(&log)));
        }

        /// What a client lacks, together with what it has, is everything.
        #[test]
        fn a_difference_completes(steps in prop::collection::vec(any::<(bool, u8, u8)>(), 1..40), cut in any::<prop::sample::Index>()) {
            let log = session(&steps);
            let cut = cut.index(log.len());
            let whole = compact(&refs(&log)).unwrap().state;
            let mut clocks = Clocks::default();
            log[..cut].iter().for_each(|update| clocks.add_update(update).unwrap());
            let lacks = diff(&whole, &clocks.encode()).unwrap();
            let mut has = refs(&log[..cut]);
            has.push(&lacks);
            prop_assert_eq!(text(&has), text(&refs(&log)));
            prop_assert_eq!(Coverage::of(has).unwrap(), Coverage::of(refs(&log)).unwrap());
        }

        /// Bytes that the check lets through never end in a panic that is not caught, and lose nothing.
        #[test]
        fn damaged_updates_do_no_harm(
            steps in prop::collection::vec(any::<(bool, u8, u8)>(), 1..20),
            damage in prop::collection::vec(any::<(prop::sample::Index, prop::sample::Index, u8)>(), 1..6),
        ) {
            let mut log = session(&steps);
            for (update, at, value) in damage {
                let update = update.index(log.len());
                let at = at.index(log[update].len());
                log[update][at] = value;
            }
            log.retain(|update| update::check(update).is_ok());
            if let Ok(Compacted { state, apart }) = compact(&refs(&log)) {
                let kept: Vec<_> = refs(&log).into_iter().enumerate().filter(|(index, _)| !apart.contains(index)).map(|(_, update)| update).collect();
                prop_assert_eq!(Coverage::of([state.as_slice()]).unwrap(), Coverage::of(kept).unwrap());
            }
        }
    }

    #[test]
    fn what_lacks_its_beginning_is_left_apart() {
        let mut client = Client::new(7);
        for _ in 0..4 {
            client.random(0, 0);
        }
        let [first, second, third, fourth] = &refs(&client.updates)[..] else { panic!() };
        let made = compact(&[first, third, fourth]).unwrap();
        assert_eq!(made.apart, [1, 2]);
        assert_eq!(text(&[&made.state]), "né");
        let made = compact(&[first, fourth, third, second]).unwrap();
        assert_eq!(made.apart, [0; 0]);
        assert_eq!(text(&[&made.state]), "nénénéné");
    }

    #[test]
    fn deleted_content_is_let_go() {
        let mut client = Client::new(7);
        client.edit(|transaction| {
            use yrs::WriteTxn;
            let text = transaction.get_or_insert_text("text");
            text.insert(transaction, 0, &"x".repeat(10_000));
            text.remove_range(transaction, 0, 10_000);
            transaction.get_or_insert_map("map").insert(transaction, "a", Any::from(1_i64));
        });
        assert!(compact(&refs(&client.updates)).unwrap().state.len() < 100);
    }

    /// Inputs that made decoders reserve hundreds of megabytes.
    #[test]
    fn bombs_are_refused() {
        for bomb in ["ffffff8001010004800174", "0101ffffffff0f000401", "0001ffffffff0f"] {
            let bytes = data_encoding::HEXLOWER.decode(bomb.as_bytes()).unwrap();
            assert!(update::check(&bytes).is_err(), "{bomb}");
        }
        assert!(Clocks::decode(&[0xff, 0xff, 0xff, 0x80, 0x01]).is_err());
    }
}
