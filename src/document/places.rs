//! What each struct of a document is in: told by itself, or by a neighbour that was there when it was inserted.
//!
//! Neighbours and parents are followed step by step, never by recursion: a hostile document is as deep as it is long, and
//! may go round in circles.

use std::borrow::Borrow;

use rustc_hash::FxHashMap;

use super::item::{Body, Id, Item, Parent, Struct};

/// What something is in.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum Holder<'a> {
    /// A root, by name.
    Root(&'a str),
    /// A struct, by its place in the list.
    Struct(usize),
    /// Something that is gone for good, so it is gone as well.
    Gone,
    /// It builds on what is not there, or on itself.
    Nowhere,
}

/// Where something is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    pub(super) holder: Holder<'a>,
    /// The key, in a map.
    pub(super) key: Option<&'a str>,
    /// How many structs it is in.
    pub(super) depth: u32,
}

impl Place<'_> {
    const NOWHERE: Self = Self { holder: Holder::Nowhere, key: None, depth: 0 };
    const GONE: Self = Self { holder: Holder::Gone, ..Self::NOWHERE };
}

/// Finds structs by the pieces they have.
pub(super) struct Index(FxHashMap<u64, (usize, usize)>);

impl Index {
    /// Of a list by client and clock.
    pub(super) fn of<S>(list: &[(u64, S)]) -> Self {
        let mut clients: FxHashMap<u64, (usize, usize)> = FxHashMap::default();
        for (index, (client, _)) in list.iter().enumerate() {
            clients.entry(*client).or_insert((index, index)).1 = index + 1;
        }
        Self(clients)
    }

    pub(super) fn find<'a, S: Borrow<Struct<'a>>>(&self, list: &[(u64, S)], id: Id) -> Option<usize> {
        let &(start, end) = self.0.get(&id.client)?;
        // A client's structs are in order and may have holes between them: the one before has it, or none.
        let after = list[start..end].partition_point(|(_, found)| found.borrow().clock <= id.clock);
        let index = (start + after).checked_sub(1).filter(|index| *index >= start)?;
        (list[index].1.borrow().end() > id.clock).then_some(index)
    }
}

/// The place of every struct in a list.
pub(super) fn places<'a, S: Borrow<Struct<'a>>>(list: &[(u64, S)], index: &Index) -> Vec<Place<'a>> {
    let mut found = Places { list, index, known: vec![None; list.len()], open: vec![false; list.len()] };
    let mut path = Vec::new();
    for start in 0..list.len() {
        path.push(start);
        while let Some(&at) = path.last() {
            match found.step(at) {
                Some(first) => path.push(first),
                None => drop(path.pop()),
            }
        }
    }
    found.known.into_iter().map(|place| place.unwrap_or(Place::NOWHERE)).collect()
}

struct Places<'l, 'a, S> {
    list: &'l [(u64, S)],
    index: &'l Index,
    known: Vec<Option<Place<'a>>>,
    /// On the path, so whoever leads here goes round in a circle.
    open: Vec<bool>,
}

impl<'a, S: Borrow<Struct<'a>>> Places<'_, 'a, S> {
    /// Finds a place, or says whose has to be found first.
    fn step(&mut self, at: usize) -> Option<usize> {
        if self.known[at].is_some() {
            return None;
        }
        // For good: once its place is known nobody asks this any more.
        self.open[at] = true;
        let place = match &self.list[at].1.borrow().body {
            Body::Gone => Place::GONE,
            Body::Gap => Place::NOWHERE,
            Body::Item(item) => match self.place_of(item) {
                Ok(place) => place,
                Err(first) => return Some(first),
            },
        };
        self.known[at] = Some(place);
        None
    }

    fn place_of(&self, item: &Item<'a>) -> Result<Place<'a>, usize> {
        // As Yjs has it, `Item.getMissing`.
        if item.left.into_iter().chain(item.right).any(|id| self.is_gone(id)) {
            return Ok(Place::GONE);
        }
        // Either would do; Yjs asks the left one first.
        let Some(neighbour) = item.left.or(item.right) else {
            return Ok(match item.parent {
                Parent::Root(name) => Place { holder: Holder::Root(name), key: item.key, depth: 0 },
                Parent::Item(id) if self.is_gone(id) => Place::GONE,
                Parent::Item(id) => match self.index.find(self.list, id) {
                    Some(holder) => {
                        let depth = self.place(holder)?.depth.saturating_add(1);
                        Place { holder: Holder::Struct(holder), key: item.key, depth }
                    }
                    None => Place::NOWHERE,
                },
                Parent::Neighbours => Place::NOWHERE,
            });
        };
        match self.index.find(self.list, neighbour) {
            Some(neighbour) => self.place(neighbour),
            None => Ok(Place::NOWHERE),
        }
    }

    fn is_gone(&self, id: Id) -> bool {
        self.index
            .find(self.list, id)
            .is_some_and(|index| matches!(self.list[index].1.borrow().body, Body::Gone))
    }

    fn place(&self, at: usize) -> Result<Place<'a>, usize> {
        match self.known[at] {
            Some(place) => Ok(place),
            None if self.open[at] => Ok(Place::NOWHERE),
            None => Err(at),
        }
    }
}
