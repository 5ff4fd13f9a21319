//! An edit in the making: what a new client inserts into a document and deletes of it, as one update.

use super::{
    any::{self, TooDeep},
    budget::{Budget, CannotRead},
    coverage::Ranges,
    item::{Body, Content, Id, Item, Parent, Struct},
    places::Holder,
    structs::Structs,
    tree::Tree,
};

/// Where in a list something is inserted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot<'a> {
    pub(super) left: Option<Id>,
    pub(super) right: Option<Id>,
    /// What the list is in.
    pub(super) parent: Parent<'a>,
    pub(super) key: Option<&'a str>,
}

/// Something to insert.
#[derive(Clone, Copy)]
pub(super) enum Piece<'a, 't> {
    /// A value.
    Json(&'a serde_json::Value),
    /// A value as `writeAny` has it.
    Value(&'t [u8]),
    /// What another document has there.
    Copy(&'t Tree<'a>, usize),
}

/// What becomes an update.
pub(super) struct Edit<'a> {
    client: u64,
    structs: Vec<Struct<'a>>,
    deleted: Ranges,
}

impl<'a> Edit<'a> {
    /// One of a client that has never inserted anything into the document.
    pub(super) fn new(client: u64) -> Self {
        Self { client, structs: Vec::new(), deleted: Ranges::default() }
    }

    /// The update; `None` if nothing was done.
    pub(super) fn finish(mut self) -> Option<Vec<u8>> {
        self.deleted.settle();
        let mut all = Structs { deleted: self.deleted, ..Structs::default() };
        if self.structs.is_empty() && all.deleted.is_empty() {
            return None;
        }
        all.clients.insert(self.client, self.structs);
        Some(all.encode())
    }

    /// Inserts content; the spot is behind it then.
    pub(super) fn insert(&mut self, spot: &mut Spot<'a>, length: u32, content: Content<'a>) -> Id {
        let clock = self.structs.last().map_or(0, Struct::end);
        let Spot { left, right, parent, key } = *spot;
        // Whoever has a neighbour is in what that is in, and it is not written again.
        let is_alone = left.is_none() && right.is_none();
        let (parent, key) = if is_alone { (parent, key) } else { (Parent::Neighbours, None) };
        let item = Item { left, right, parent, key, content };
        self.structs.push(Struct { clock, length, body: Body::Item(item) });
        let id = Id { client: self.client, clock };
        spot.left = Some(Id { clock: clock + length - 1, ..id });
        id
    }

    /// Inserts pieces of a list; values that follow each other are one item.
    pub(super) fn insert_all(
        &mut self,
        spot: &mut Spot<'a>,
        pieces: &[Piece<'a, '_>],
        budget: &mut Budget,
    ) -> Result<(), CannotRead> {
        let (mut values, mut count) = (Vec::new(), 0);
        for piece in pieces {
            match piece {
                Piece::Json(value) => {
                    any::write(value, &mut values).map_err(too_deep)?;
                    count += 1;
                }
                Piece::Value(bytes) => {
                    values.extend_from_slice(bytes);
                    count += 1;
                }
                Piece::Copy(..) => {
                    self.insert_values(spot, &mut values, &mut count);
                    self.insert_one(spot, *piece, budget)?;
                }
            }
        }
        self.insert_values(spot, &mut values, &mut count);
        Ok(())
    }

    fn insert_values(&mut self, spot: &mut Spot<'a>, values: &mut Vec<u8>, count: &mut u32) {
        if *count > 0 {
            let values = std::mem::take(values);
            self.insert(spot, std::mem::take(count), Content::Values(values.into()));
        }
    }

    /// Inserts one piece, with everything that is in it.
    pub(super) fn insert_one(
        &mut self,
        spot: &mut Spot<'a>,
        piece: Piece<'a, '_>,
        budget: &mut Budget,
    ) -> Result<(), CannotRead> {
        match piece {
            Piece::Json(value) => {
                let mut bytes = Vec::new();
                any::write(value, &mut bytes).map_err(too_deep)?;
                self.insert(spot, 1, Content::Values(bytes.into()));
            }
            Piece::Value(bytes) => {
                self.insert(spot, 1, Content::Values(bytes.to_vec().into()));
            }
            Piece::Copy(tree, at) => {
                budget.spend(1)?;
                let content = tree.content(at).clone();
                let is_type = matches!(content, Content::Type(_));
                let id = self.insert(spot, tree.length(at), content);
                if is_type {
                    self.fill(id, tree, Holder::Struct(at), budget)?;
                }
            }
        }
        Ok(())
    }

    /// Puts into a new type what another one has. Types are not nested deeper than documents may be.
    fn fill(
        &mut self,
        new: Id,
        tree: &Tree<'a>,
        of: Holder<'a>,
        budget: &mut Budget,
    ) -> Result<(), CannotRead> {
        let empty = Spot { left: None, right: None, parent: Parent::Item(new), key: None };
        let mut end = empty;
        for at in tree.items(of) {
            self.insert_one(&mut end, Piece::Copy(tree, at), budget)?;
        }
        for (key, at) in tree.entries(of) {
            self.insert_one(&mut Spot { key: Some(key), ..empty }, Piece::Copy(tree, at), budget)?;
        }
        Ok(())
    }

    /// Deletes an item.
    pub(super) fn delete(&mut self, tree: &Tree<'_>, at: usize) {
        let Id { client, clock } = tree.id(at, 0);
        self.deleted.push(client, clock, tree.length(at));
    }

    /// Deletes so many of what counts in a list.
    pub(super) fn delete_range(&mut self, tree: &Tree<'a>, of: Holder<'a>, start: u32, count: u32) {
        let (mut place, end) = (0, start.saturating_add(count));
        for at in tree.items(of).filter(|at| counts(tree.content(*at))) {
            let length = tree.length(at);
            let (from, to) = (start.saturating_sub(place).min(length), (end - place).min(length));
            if from < to {
                let Id { client, clock } = tree.id(at, from);
                self.deleted.push(client, clock, to - from);
            }
            place += length;
            if place >= end {
                break;
            }
        }
    }

    /// Deletes everything in a list, formatting included.
    pub(super) fn delete_all(&mut self, tree: &Tree<'a>, of: Holder<'a>) {
        tree.items(of).for_each(|at| self.delete(tree, at));
    }
}

/// JSON is never so deep: it would not have been read.
fn too_deep(_: TooDeep) -> CannotRead {
    CannotRead::TooDeep(u32::try_from(super::lib0::DEPTH_MAX).unwrap_or(u32::MAX))
}

/// Whether content counts in a list: formatting has no place of its own.
pub(super) fn counts(content: &Content<'_>) -> bool {
    !matches!(content, Content::Format(..) | Content::Deleted)
}

impl<'a> Spot<'a> {
    /// In a root, behind so many of what counts.
    pub(super) fn behind(tree: &Tree<'a>, root: &'a str, count: u32) -> Self {
        let holder = Holder::Root(root);
        let empty = Self { left: None, right: None, parent: Parent::Root(root), key: None };
        // Deleted or not: `parent._start`, as Yjs has it at the front.
        let first = tree.all(holder).next().map(|at| tree.id(at, 0));
        if count == 0 {
            return Self { right: first, ..empty };
        }
        let mut place = 0;
        for at in tree.items(holder).filter(|at| counts(tree.content(*at))) {
            let length = tree.length(at);
            if count <= place + length {
                // Within an item or right behind it; what follows may be deleted, as an editor's neighbours may.
                let within = count - place;
                let left = Some(tree.id(at, within - 1));
                let next = || tree.right(at).map(|right| tree.id(right, 0));
                let right = if within < length { Some(tree.id(at, within)) } else { next() };
                return Self { left, right, ..empty };
            }
            place += length;
        }
        // Whoever counts more than there is gets the front.
        Self { right: first, ..empty }
    }

    /// The next value of a key of a root.
    pub(super) fn key(tree: &Tree<'a>, root: &'a str, key: &'a str) -> Self {
        // Deleted or not: the value of a key is whatever comes last.
        let last = tree.last(Holder::Root(root), key);
        let left = last.map(|at| tree.id(at, tree.length(at).saturating_sub(1)));
        Self { left, right: None, parent: Parent::Root(root), key: Some(key) }
    }
}
