//! Many updates into one, with what was deleted left out, and what a client lacks of one.
//!
//! Works on the structs as they are in the updates, without making a document of them: so it takes as long as they are
//! large, whatever they mean, and neither nesting nor conflicts cost anything. What comes out is believed only if it has
//! exactly the insertions and deletions that went in.

use super::{
    apart::incomplete,
    coverage::Coverage,
    item::Body,
    lib0::Malformed,
    places::{Holder, Index, Place, places},
    structs::Structs,
    vector::Clocks,
};

/// Why updates cannot be merged or compared.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CannotMerge {
    /// What went in is not an update.
    #[error("an update is malformed: {0}")]
    Malformed(#[from] Malformed),
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
    let is_whole = |index: &usize| apart.binary_search(index).is_err();
    let whole: Vec<&[u8]> = (0..updates.len()).filter(is_whole).map(|index| updates[index]).collect();
    let mut all = Structs::of(&whole)?;
    all.let_go();
    forget_gone(&mut all);
    all.join();
    let state = all.encode();
    match Coverage::of([state.as_slice()])? == Coverage::of(whole)? {
        true => Ok(Compacted { state, apart }),
        false => Err(CannotMerge::Unfaithful),
    }
}

/// What somebody with this state vector lacks of an update; deletions are always included.
pub fn diff(update: &[u8], vector: &[u8]) -> Result<Vec<u8>, Malformed> {
    let has = Clocks::decode(vector)?;
    let mut all = Structs::of(&[update])?;
    for (client, run) in &mut all.clients {
        let from = has.of(*client);
        let known = run.partition_point(|found| found.end() <= from);
        let mut rest = run.split_off(known).into_iter();
        run.clear();
        if let Some(first) = rest.next() {
            // Only the first one can lie across what is known.
            let cut = if first.clock < from { &[from][..] } else { &[] };
            first.cut(*client, cut, |part| {
                if part.clock >= from {
                    run.push(part);
                }
            });
        }
        run.extend(rest);
    }
    Ok(all.encode())
}

/// Forgets also where something deleted was, if that is deleted as well: nothing can be inserted there any more.
fn forget_gone(all: &mut Structs<'_>) {
    let goes: Vec<bool> = {
        let list = all.list();
        let places = places(&list, &Index::of(&list));
        let is_deleted: Vec<bool> = list.iter().map(|(_, found)| found.is_deleted()).collect();
        let goes = |(at, place): (usize, &Place<'_>)| {
            is_deleted[at]
                && match place.holder {
                    Holder::Gone => true,
                    Holder::Struct(holder) => is_deleted[holder],
                    Holder::Root(_) | Holder::Nowhere => false,
                }
        };
        places.iter().enumerate().map(goes).collect()
    };
    // In the order of `list`, by client and clock.
    for (found, goes) in all.clients.values_mut().flatten().zip(goes) {
        if goes {
            found.body = Body::Gone;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use yrs::{
        Any, Array, Doc, GetString, Map, Options, Text, Transact, Update, XmlFragment, types::ToJson,
        updates::decoder::Decode,
    };

    use super::{super::update, *};

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

    /// What another implementation makes of it.
    fn document(updates: &[&[u8]]) -> Doc {
        let doc = Doc::with_options(Options { offset_kind: yrs::OffsetKind::Utf16, ..Options::default() });
        let mut transaction = doc.transact_mut();
        for update in updates {
            transaction.apply_update(Update::decode_v1(update).unwrap()).unwrap();
        }
        drop(transaction);
        doc
    }

    fn text(updates: &[&[u8]]) -> String {
        let doc = document(updates);
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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Both read the same out of what was merged and of its parts.
        #[test]
        fn reading_agrees_with_another_implementation(steps in prop::collection::vec(any::<(bool, u8, u8)>(), 1..80)) {
            let log = session(&steps);
            let whole = compact(&refs(&log)).unwrap().state;
            let there = |updates: &[&[u8]]| {
                use yrs::ReadTxn;
                let doc = document(updates);
                let transaction = doc.transact();
                let list = transaction.get_array("array").map(|list| list.to_json(&transaction));
                let map = transaction.get_map("map").map(|map| map.to_json(&transaction));
                let xml = transaction.get_xml_fragment("xml").map(|xml| xml.get_string(&transaction));
                let text = transaction.get_text("text").map(|text| text.get_string(&transaction));
                serde_json::json!({
                    "array": list.filter(|list| *list != Any::Array([].into())),
                    "map": map.filter(|map| !matches!(map, Any::Map(map) if map.is_empty())),
                    "text": text.filter(|text| !text.is_empty()), "xml": xml.filter(|xml| !xml.is_empty()),
                })
            };
            let mut here = super::super::content::json(&[&whole]).unwrap();
            for root in ["array", "map", "text", "xml"] {
                here.as_object_mut().unwrap().entry(root).or_insert(serde_json::Value::Null);
            }
            prop_assert_eq!(&here, &there(&refs(&log)));
            prop_assert_eq!(&here, &there(&[&whole]));
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
