//! What every store must do, run against each of them.

use std::{
    collections::BTreeMap,
    ops::Bound,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use proptest::prelude::*;
use tempfile::TempDir;

use super::{
    Batch, Disk, DiskOptions, Entry, Faulty, KEY_BYTES_MAX, Memory, Scan, Space, Store, StoreError, Write,
};

/// How to get a store: at a path, where one that keeps something finds it again.
type Open = fn(&Path) -> Arc<dyn Store>;

fn memory(_: &Path) -> Arc<dyn Store> {
    Arc::new(Memory::default())
}

fn disk(path: &Path) -> Arc<dyn Store> {
    Arc::new(Disk::open(path, DiskOptions::default()).unwrap())
}

fn faulty(path: &Path) -> Arc<dyn Store> {
    Arc::new(Faulty::new(disk(path)))
}

macro_rules! every_store {
    ($($test:ident),+) => {
        mod on_memory { $(#[test] fn $test() { super::$test(super::memory) })+ }
        mod on_disk { $(#[test] fn $test() { super::$test(super::disk) })+ }
        mod behind_faults { $(#[test] fn $test() { super::$test(super::faulty) })+ }
    };
}

every_store!(
    a_batch_is_there_as_a_whole,
    later_writes_win,
    spaces_are_apart,
    scans_keep_to_their_range,
    scans_stop_at_their_limits,
    what_cannot_be_kept_is_refused,
    readers_see_whole_batches,
    size_follows_content,
    large_values_come_back
);

/// In memory where there is a place for that: these tests are not about the disk, and syncing takes long.
pub(crate) fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn with(open: Open, test: impl FnOnce(&Arc<dyn Store>)) {
    let folder = scratch();
    test(&open(folder.path()));
}

fn batch(writes: &[(Space, &str, Option<&str>)]) -> Batch {
    let mut batch = Batch::default();
    for (space, key, value) in writes {
        match value {
            Some(value) => batch.put(*space, key.as_bytes().to_vec(), value.as_bytes().to_vec()),
            None => batch.delete(*space, key.as_bytes().to_vec()),
        }
    }
    batch
}

fn get(store: &Arc<dyn Store>, space: Space, key: &str) -> Option<String> {
    let value = store.get(space, key.as_bytes()).unwrap()?;
    Some(String::from_utf8(value.to_vec()).unwrap())
}

fn keys(store: &Arc<dyn Store>, scan: &Scan) -> Vec<String> {
    let key = |(key, _): Entry| String::from_utf8(key.to_vec()).unwrap();
    store.scan(scan).unwrap().into_iter().map(key).collect()
}

fn everything(space: Space) -> Scan {
    Scan::prefix(space, "")
}

fn a_batch_is_there_as_a_whole(open: Open) {
    with(open, |store| {
        store.commit(&Batch::default()).unwrap();
        store.commit(&batch(&[(Space::Topics, "a", Some("1")), (Space::Messages, "b", Some(""))])).unwrap();
        assert_eq!(get(store, Space::Topics, "a").as_deref(), Some("1"));
        assert_eq!(get(store, Space::Messages, "b").as_deref(), Some(""));
        store.commit(&batch(&[(Space::Topics, "a", None), (Space::Seen, "c", Some("2"))])).unwrap();
        assert_eq!(get(store, Space::Topics, "a"), None);
        assert_eq!(get(store, Space::Seen, "c").as_deref(), Some("2"));
        store.commit(&batch(&[(Space::Topics, "never there", None)])).unwrap();
    });
}

fn later_writes_win(open: Open) {
    with(open, |store| {
        let s = Space::Topics;
        store.commit(&batch(&[(s, "a", Some("1")), (s, "a", Some("2"))])).unwrap();
        assert_eq!(get(store, s, "a").as_deref(), Some("2"));
        store.commit(&batch(&[(s, "a", Some("3")), (s, "a", None)])).unwrap();
        assert_eq!(get(store, s, "a"), None);
        store.commit(&batch(&[(s, "a", None), (s, "a", Some("4"))])).unwrap();
        assert_eq!(get(store, s, "a").as_deref(), Some("4"));
        store.commit(&batch(&[(s, "a", Some("5"))])).unwrap();
        assert_eq!(get(store, s, "a").as_deref(), Some("5"));
        assert_eq!(keys(store, &everything(s)), ["a"]);
    });
}

fn spaces_are_apart(open: Open) {
    with(open, |store| {
        for space in Space::ALL {
            store.commit(&batch(&[(space, "key", Some(space.name()))])).unwrap();
        }
        for space in Space::ALL {
            assert_eq!(get(store, space, "key").as_deref(), Some(space.name()));
            assert_eq!(keys(store, &everything(space)), ["key"]);
        }
    });
}

fn scans_keep_to_their_range(open: Open) {
    with(open, |store| {
        let s = Space::Messages;
        let mut all =
            batch(&[(s, "a", Some("")), (s, "ab", Some("")), (s, "b", Some("")), (s, "c", Some(""))]);
        all.put(s, &b"a\xff"[..], "");
        store.commit(&all).unwrap();
        let count = |scan: &Scan| store.scan(scan).unwrap().len();
        assert_eq!(count(&Scan::prefix(s, "a")), 3);
        assert_eq!(count(&Scan::prefix(s, "ab")), 1);
        assert_eq!(count(&Scan::prefix(s, "x")), 0);
        assert_eq!(count(&Scan::prefix(s, &b"\xff"[..])), 0);
        let range = |from, to, reverse| Scan { from, to, reverse, ..everything(s) };
        let (a, b) = (|| Bytes::from("a"), || Bytes::from("b"));
        assert_eq!(count(&range(Bound::Included(a()), Bound::Included(b()), false)), 4);
        assert_eq!(count(&range(Bound::Excluded(a()), Bound::Excluded(b()), false)), 2);
        assert_eq!(keys(store, &range(Bound::Excluded(b()), Bound::Unbounded, false)), ["c"]);
        assert_eq!(keys(store, &range(Bound::Included(b()), Bound::Unbounded, true)), ["c", "b"]);
        assert_eq!(count(&range(Bound::Included(b()), Bound::Included(a()), false)), 0);
        assert_eq!(count(&range(Bound::Included(a()), Bound::Excluded(a()), true)), 0);
        assert_eq!(count(&range(Bound::Excluded(a()), Bound::Excluded(a()), false)), 0);
        assert_eq!(count(&range(Bound::Included(a()), Bound::Included(a()), true)), 1);
    });
}

fn scans_stop_at_their_limits(open: Open) {
    with(open, |store| {
        let s = Space::Values;
        store
            .commit(&batch(&[(s, "a", Some("12345")), (s, "b", Some("12345")), (s, "c", Some(""))]))
            .unwrap();
        let limited = |limit, bytes, reverse| Scan { limit, bytes, reverse, ..everything(s) };
        assert_eq!(keys(store, &limited(2, usize::MAX, false)), ["a", "b"]);
        assert_eq!(keys(store, &limited(2, usize::MAX, true)), ["c", "b"]);
        assert!(keys(store, &limited(0, usize::MAX, false)).is_empty());
        // At least one, and no more once the bytes are used up.
        assert_eq!(keys(store, &limited(9, 0, false)), ["a"]);
        assert_eq!(keys(store, &limited(9, 1, false)), ["a"]);
        assert_eq!(keys(store, &limited(9, 5, false)), ["a"]);
        assert_eq!(keys(store, &limited(9, 6, false)), ["a", "b"]);
        assert_eq!(keys(store, &limited(9, 11, false)), ["a", "b", "c"]);
    });
}

fn what_cannot_be_kept_is_refused(open: Open) {
    with(open, |store| {
        let mut refused = Batch::default();
        refused.put(Space::Topics, "good", "1");
        refused.put(Space::Topics, "", "no key");
        assert!(matches!(store.commit(&refused), Err(StoreError::Invalid(_))));
        assert_eq!(get(store, Space::Topics, "good"), None);
        let mut long = Batch::default();
        long.delete(Space::Topics, vec![b'k'; KEY_BYTES_MAX + 1]);
        assert!(matches!(store.commit(&long), Err(StoreError::Invalid(_))));
        let mut longest = Batch::default();
        longest.put(Space::Topics, vec![b'k'; KEY_BYTES_MAX], "1");
        store.commit(&longest).unwrap();
        assert_eq!(store.get(Space::Topics, &[b'k'; KEY_BYTES_MAX]).unwrap().as_deref(), Some(&b"1"[..]));
        assert_eq!(store.get(Space::Topics, b"").unwrap(), None);
    });
}

/// One writer moves a token from key to key; whoever looks sees exactly one.
fn readers_see_whole_batches(open: Open) {
    with(open, |store| {
        store.commit(&batch(&[(Space::Seen, "0", Some("token"))])).unwrap();
        let done = AtomicBool::new(false);
        std::thread::scope(|threads| {
            for _ in 0..2 {
                threads.spawn(|| {
                    let mut looks = 0;
                    while !done.load(Ordering::Relaxed) || looks == 0 {
                        assert_eq!(store.scan(&everything(Space::Seen)).unwrap().len(), 1);
                        looks += 1;
                    }
                });
            }
            for number in 1..100 {
                let (old, new) = ((number - 1).to_string(), number.to_string());
                let moved = batch(&[(Space::Seen, &new, Some("token")), (Space::Seen, &old, None)]);
                store.commit(&moved).unwrap();
            }
            done.store(true, Ordering::Relaxed);
        });
    });
}

fn size_follows_content(open: Open) {
    with(open, |store| {
        let before = store.size().unwrap();
        let mut batch = Batch::default();
        for key in 0..64_u8 {
            batch.put(Space::Documents, vec![key], vec![key; 1_000]);
        }
        store.commit(&batch).unwrap();
        // A store on disk may have made room in advance.
        assert!(store.size().unwrap() >= before.max(64_000));
    });
}

fn large_values_come_back(open: Open) {
    with(open, |store| {
        let value: Vec<u8> = (0..3_000_000_u32).flat_map(|number| number.to_le_bytes()).collect();
        let mut batch = Batch::default();
        batch.put(Space::Documents, "large", value.clone());
        store.commit(&batch).unwrap();
        assert!(store.get(Space::Documents, b"large").unwrap().unwrap() == value);
    });
}

/// A change of a store or a question to it, as the model understands it.
#[derive(Clone, Debug)]
enum Step {
    Commit(Vec<(u8, Vec<u8>, Option<Vec<u8>>)>),
    Scan { space: u8, from: (u8, Vec<u8>), to: (u8, Vec<u8>), reverse: bool, limit: usize },
    Reopen,
}

/// Few different ones, so that they meet.
fn any_key() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(&b"\x00ab\xff"[..]), 1..4)
}

fn any_step() -> impl Strategy<Value = Step> {
    let value = prop::option::weighted(0.7, prop::collection::vec(any::<u8>(), 0..200));
    let commit = prop::collection::vec((0..2_u8, any_key(), value), 0..8).prop_map(Step::Commit);
    let bound = || (0..3_u8, any_key());
    let scan = (0..2_u8, bound(), bound(), any::<bool>(), 0..10_usize)
        .prop_map(|(space, from, to, reverse, limit)| Step::Scan { space, from, to, reverse, limit });
    prop_oneof![4 => commit, 4 => scan, 1 => Just(Step::Reopen)]
}

fn bound_of((kind, key): &(u8, Vec<u8>)) -> Bound<Bytes> {
    match kind {
        0 => Bound::Included(key.clone().into()),
        1 => Bound::Excluded(key.clone().into()),
        _ => Bound::Unbounded,
    }
}

fn is_in(key: &[u8], scan: &Scan) -> bool {
    let after = match &scan.from {
        Bound::Included(from) => key >= from,
        Bound::Excluded(from) => key > from,
        Bound::Unbounded => true,
    };
    after
        && match &scan.to {
            Bound::Included(to) => key <= to,
            Bound::Excluded(to) => key < to,
            Bound::Unbounded => true,
        }
}

const MODEL_SPACES: [Space; 2] = [Space::Messages, Space::Topics];

/// Runs steps against a store and against a map, and compares. `reopens` says whether the store keeps anything.
fn follow(open: Open, reopens: bool, steps: &[Step]) {
    let folder = scratch();
    let mut store = open(folder.path());
    let mut model: BTreeMap<(u8, Vec<u8>), Vec<u8>> = BTreeMap::new();
    for step in steps {
        match step {
            Step::Commit(writes) => {
                let mut batch = Batch::default();
                for (space, key, value) in writes {
                    let (place, key) = (MODEL_SPACES[usize::from(*space)], key.clone());
                    match value.clone() {
                        Some(value) => {
                            batch.writes.push(Write::Put(place, key.clone().into(), value.clone().into()));
                            model.insert((*space, key), value);
                        }
                        None => {
                            batch.writes.push(Write::Delete(place, key.clone().into()));
                            model.remove(&(*space, key));
                        }
                    }
                }
                store.commit(&batch).unwrap();
            }
            Step::Scan { space, from, to, reverse, limit } => {
                let scan = Scan {
                    space: MODEL_SPACES[usize::from(*space)],
                    from: bound_of(from),
                    to: bound_of(to),
                    reverse: *reverse,
                    limit: *limit,
                    bytes: usize::MAX,
                };
                let inside = model.iter().filter(|((at, key), _)| at == space && is_in(key, &scan));
                let mut expected: Vec<Entry> =
                    inside.map(|((_, key), value)| (key.clone().into(), value.clone().into())).collect();
                if *reverse {
                    expected.reverse();
                }
                expected.truncate(*limit);
                assert_eq!(store.scan(&scan).unwrap(), expected);
            }
            Step::Reopen if reopens => {
                drop(store);
                store = open(folder.path());
            }
            Step::Reopen => {}
        }
    }
    for ((space, key), value) in &model {
        let found = store.get(MODEL_SPACES[usize::from(*space)], key).unwrap();
        assert_eq!(found.as_deref(), Some(&value[..]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn a_store_in_memory_is_a_map(steps in prop::collection::vec(any_step(), 1..40)) {
        follow(memory, false, &steps);
    }

    #[test]
    fn a_store_on_disk_is_a_map_that_stays(steps in prop::collection::vec(any_step(), 1..40)) {
        follow(disk, true, &steps);
    }
}
