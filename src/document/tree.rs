//! A document put together: what is in each of its types, in order.
//!
//! The order is that of Yjs, `Item.integrate`: <https://github.com/yjs/yjs>, `structs/Item.js`. Conflicts cost a step for
//! each item that is passed, and the steps are counted.

use std::collections::{BTreeMap, BTreeSet};

use rustc_hash::FxHashMap;

use super::{
    budget::{Budget, CannotRead},
    item::{Body, Content, Id, Struct},
    places::{Holder, Index, Place, places},
    structs::Structs,
};
use crate::defaults;

/// The items of a type, or of one of its keys; the last one of a key is its value.
#[derive(Clone, Copy, Default, Debug)]
struct List {
    first: Option<usize>,
    last: Option<usize>,
}

/// What is in a type.
#[derive(Default, Debug)]
struct Branch<'a> {
    sequence: List,
    entries: BTreeMap<&'a str, List>,
}

/// Neighbours, as they were when an item was inserted and as they are.
#[derive(Clone, Copy, Default)]
struct Links {
    origin_left: Option<usize>,
    origin_right: Option<usize>,
    right: Option<usize>,
    /// Passed by the item that is being put in place.
    passed: u32,
    /// Passed since that item's place was last moved.
    passed_since: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Untouched,
    /// Waits for what it builds on.
    Open,
    Placed,
    /// It builds on what is not there, or on itself.
    Missing,
}

/// A document.
pub(super) struct Tree<'a> {
    list: Vec<(u64, Struct<'a>)>,
    links: Vec<Links>,
    branches: FxHashMap<Holder<'a>, Branch<'a>>,
    roots: BTreeSet<&'a str>,
    stamp: u32,
}

impl<'a> Tree<'a> {
    /// What updates make. What is incomplete is left out.
    pub(super) fn of(updates: &[&'a [u8]], budget: &mut Budget) -> Result<Self, CannotRead> {
        let mut all = Structs::of(updates)?;
        all.let_go();
        // From here on a neighbour is a whole struct, and a link can name it by its place.
        all.cut_at_neighbours();
        let list = all.into_list();
        budget.spend(list.len())?;
        let index = Index::of(&list);
        let places = places(&list, &index);
        // Before anything that recurses into types.
        if places.iter().any(|place| place.depth > defaults::DOCUMENT_DEPTH) {
            return Err(CannotRead::TooDeep(defaults::DOCUMENT_DEPTH));
        }
        let links = vec![Links::default(); list.len()];
        let mut tree = Self { list, links, branches: FxHashMap::default(), roots: BTreeSet::new(), stamp: 0 };
        tree.put_together(&index, &places, budget)?;
        let root = |holder: &Holder<'a>| if let Holder::Root(name) = holder { Some(*name) } else { None };
        tree.roots = tree.branches.keys().filter_map(root).collect();
        Ok(tree)
    }

    fn put_together(
        &mut self,
        index: &Index,
        places: &[Place<'a>],
        budget: &mut Budget,
    ) -> Result<(), CannotRead> {
        let mut progress = vec![Progress::Untouched; self.list.len()];
        let mut path = Vec::new();
        // From the highest client down: of items in the same place that comes first which ends to the right, so that the
        // others find their place at once.
        for start in (0..self.list.len()).rev() {
            path.push(start);
            while let Some(&at) = path.last() {
                if matches!(progress[at], Progress::Placed | Progress::Missing) {
                    path.pop();
                    continue;
                }
                progress[at] = Progress::Open;
                match self.builds_on(at, index, places) {
                    None => progress[at] = Progress::Missing,
                    Some(needs) => {
                        let needs = needs.into_iter().flatten();
                        let state = needs.clone().map(|need| progress[need]);
                        // Not there, or on the path already, so that it would build on itself.
                        if state.clone().any(|state| matches!(state, Progress::Missing | Progress::Open)) {
                            progress[at] = Progress::Missing;
                        } else if state.clone().all(|state| state == Progress::Placed) {
                            progress[at] = Progress::Placed;
                            self.place(at, places[at], budget)?;
                        } else {
                            path.extend(needs.filter(|need| progress[*need] == Progress::Untouched));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// What has to be there before an item is; `None` if it cannot be.
    fn builds_on(&mut self, at: usize, index: &Index, places: &[Place<'a>]) -> Option<[Option<usize>; 4]> {
        let (client, found) = &self.list[at];
        // Yjs takes a client's structs in order, and leaves what follows a gap pending.
        let before = match found.clock {
            0 => None,
            clock => Some(index.find(&self.list, Id { client: *client, clock: clock - 1 })?),
        };
        let Body::Item(item) = &found.body else { return Some([before, None, None, None]) };
        let left = item.left.map(|id| index.find(&self.list, id));
        let right = item.right.map(|id| index.find(&self.list, id));
        let holder = match places[at].holder {
            Holder::Nowhere => return None,
            Holder::Struct(holder) => Some(holder),
            Holder::Root(_) | Holder::Gone => None,
        };
        let (left, right) = (none_missing(left)?, none_missing(right)?);
        self.links[at].origin_left = left;
        self.links[at].origin_right = right;
        Some([before, left, right, holder])
    }

    fn place(&mut self, at: usize, place: Place<'a>, budget: &mut Budget) -> Result<(), CannotRead> {
        if !matches!(place.holder, Holder::Root(_) | Holder::Struct(_)) {
            return Ok(());
        }
        // Looked up a second time below: finding the place borrows the whole tree.
        let branch = self.branches.entry(place.holder).or_default();
        let list = match place.key {
            None => &mut branch.sequence,
            Some(key) => branch.entries.entry(key).or_default(),
        };
        let first = list.first;
        let left = self.left_of(at, first, budget)?;
        let branch = self.branches.entry(place.holder).or_default();
        let list = match place.key {
            None => &mut branch.sequence,
            Some(key) => branch.entries.entry(key).or_default(),
        };
        let right = match left {
            Some(left) => self.links[left].right.replace(at),
            None => list.first.replace(at),
        };
        self.links[at].right = right;
        if right.is_none() {
            list.last = Some(at);
        }
        Ok(())
    }

    /// Behind which item of its list an item belongs.
    fn left_of(
        &mut self,
        at: usize,
        first: Option<usize>,
        budget: &mut Budget,
    ) -> Result<Option<usize>, CannotRead> {
        let Links { origin_left, origin_right, .. } = self.links[at];
        let mut left = origin_left;
        // Stamps stand for sets: what has this one, and what has got it since it was last counted up.
        let passed = self.stamp + 1;
        let mut since = passed;
        let mut next = origin_left.map_or(first, |left| self.links[left].right);
        while let Some(other) = next.filter(|other| Some(*other) != origin_right) {
            budget.spend(1)?;
            let its = &mut self.links[other];
            (its.passed, its.passed_since) = (passed, since);
            let its = *its;
            // The cases of `Item.integrate`: inserted behind the same item, by client; or behind one that was passed.
            let moves = if its.origin_left == origin_left {
                let comes_before = self.list[other].0 < self.list[at].0;
                if !comes_before && its.origin_right == origin_right {
                    break;
                }
                comes_before
            } else {
                match its.origin_left.map(|origin| self.links[origin]) {
                    Some(origin) if origin.passed == passed => origin.passed_since != since,
                    _ => break,
                }
            };
            if moves {
                left = Some(other);
                since += 1;
            }
            next = its.right;
        }
        // Counted on, so that no later item takes these stamps for its own.
        self.stamp = since;
        Ok(left)
    }

    /// The names of all roots.
    pub(super) fn roots(&self) -> &BTreeSet<&'a str> {
        &self.roots
    }

    /// A root, if there is one of this name.
    pub(super) fn root(&self, name: &str) -> Option<Holder<'a>> {
        self.roots.get(name).copied().map(Holder::Root)
    }

    /// Whether a client has inserted anything.
    pub(super) fn knows(&self, client: u64) -> bool {
        self.list.binary_search_by_key(&client, |(client, _)| *client).is_ok()
    }

    /// The items of a type in order, those that were deleted among them.
    pub(super) fn all(&self, holder: Holder<'a>) -> impl Iterator<Item = usize> {
        let first = self.branches.get(&holder).and_then(|branch| branch.sequence.first);
        std::iter::successors(first, |at| self.links[*at].right)
    }

    /// The same without those that were deleted.
    pub(super) fn items(&self, holder: Holder<'a>) -> impl Iterator<Item = usize> {
        self.all(holder).filter(|at| !self.list[*at].1.is_deleted())
    }

    /// The last item of a key, whatever has become of it.
    pub(super) fn last(&self, holder: Holder<'a>, key: &str) -> Option<usize> {
        self.branches.get(&holder)?.entries.get(key)?.last
    }

    /// The values of a type by key.
    pub(super) fn entries(&self, holder: Holder<'a>) -> impl Iterator<Item = (&'a str, usize)> {
        let entries = self.branches.get(&holder).into_iter().flat_map(|branch| &branch.entries);
        let last = entries.filter_map(|(key, list)| Some((*key, list.last?)));
        last.filter(|(_, at)| !self.list[*at].1.is_deleted())
    }

    /// What an item has.
    pub(super) fn content(&self, at: usize) -> &Content<'a> {
        match &self.list[at].1.body {
            Body::Item(item) => &item.content,
            // Not among the items of any type.
            Body::Gone | Body::Gap => &Content::Deleted,
        }
    }

    /// How many pieces it has.
    pub(super) fn length(&self, at: usize) -> u32 {
        self.list[at].1.length
    }

    /// The name of one of its pieces.
    pub(super) fn id(&self, at: usize, piece: u32) -> Id {
        let (client, found) = &self.list[at];
        Id { client: *client, clock: found.clock.saturating_add(piece) }
    }

    /// What follows it, deleted or not.
    pub(super) fn right(&self, at: usize) -> Option<usize> {
        self.links[at].right
    }
}

/// `None` for what is named and not there.
fn none_missing(found: Option<Option<usize>>) -> Option<Option<usize>> {
    match found {
        None => Some(None),
        Some(None) => None,
        Some(there) => Some(there),
    }
}
