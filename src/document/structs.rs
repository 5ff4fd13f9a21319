//! The structs of a document's updates together: by client and clock, each once, with what was deleted marked.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::{
    coverage::Ranges,
    item::{Body, Content, Id, Item, Struct},
    lib0::{Malformed, Reader, put_uint},
    update::{self, Visit},
};

/// A client's structs in order, none overlapping another.
pub(super) type Run<'a> = Vec<Struct<'a>>;

/// What several updates have together.
#[derive(Default)]
pub(super) struct Structs<'a> {
    pub(super) clients: BTreeMap<u64, Run<'a>>,
    pub(super) deleted: Ranges,
}

struct Deletions<'r>(&'r mut Ranges);

impl Visit for Deletions<'_> {
    fn delete(&mut self, client: u64, clock: u32, length: u32) {
        self.0.push(client, clock, length);
    }
}

impl<'a> Structs<'a> {
    /// Reads updates. What several have is kept once.
    pub(super) fn of(updates: &[&'a [u8]]) -> Result<Self, Malformed> {
        let mut all = Self::default();
        for update in updates {
            let mut reader = Reader::new(update);
            update::structs(&mut reader, |client, found| {
                // Nothing may have length zero but an empty text, which says nothing.
                if found.length > 0 && !matches!(found.body, Body::Gap) {
                    all.clients.entry(client).or_default().push(found);
                }
            })?;
            update::deletions(&mut reader, &mut Deletions(&mut all.deleted))?;
            reader.end()?;
        }
        all.deleted.settle();
        for (client, run) in &mut all.clients {
            once(*client, run);
        }
        Ok(all)
    }

    /// Cuts structs so that each one is deleted or not, and lets the content go of those that are.
    pub(super) fn let_go(&mut self) {
        for (client, run) in &mut self.clients {
            let ranges = self.deleted.of(*client);
            // Then each struct is in a range or in none, and one walk over both lists tells which.
            let ends = ranges.iter().flat_map(|&(start, end)| [start, end]);
            cut_run(*client, run, &ends.collect::<Vec<_>>());
            let mut ranges = ranges.iter().peekable();
            for found in run {
                while ranges.next_if(|(_, end)| *end <= found.clock).is_some() {}
                let is_deleted = ranges.peek().is_some_and(|(start, _)| *start <= found.clock);
                if let (true, Body::Item(item)) = (is_deleted, &mut found.body) {
                    // The item stays: others may have been inserted beside it.
                    item.content = Content::Deleted;
                }
            }
        }
    }

    /// Cuts structs so that each neighbour that is named is the end of one, or the beginning.
    pub(super) fn cut_at_neighbours(&mut self) {
        let mut cuts: FxHashMap<u64, Vec<u32>> = FxHashMap::default();
        for item in self.items() {
            if let Some(Id { client, clock }) = item.left {
                cuts.entry(client).or_default().push(clock.saturating_add(1));
            }
            if let Some(Id { client, clock }) = item.right {
                cuts.entry(client).or_default().push(clock);
            }
        }
        for (client, mut clocks) in cuts {
            clocks.sort_unstable();
            clocks.dedup();
            if let Some(run) = self.clients.get_mut(&client) {
                cut_run(client, run, &clocks);
            }
        }
    }

    fn items(&self) -> impl Iterator<Item = &Item<'a>> {
        self.clients.values().flatten().filter_map(|found| match &found.body {
            Body::Item(item) => Some(item),
            Body::Gone | Body::Gap => None,
        })
    }

    /// Joins what can be one struct.
    pub(super) fn join(&mut self) {
        for (client, run) in &mut self.clients {
            run.dedup_by(|next, last| {
                if last.end() != next.clock {
                    return false;
                }
                // `dedup_by` only lends both, and joining takes the one: it is given back if they are no parts of one.
                let nothing = Struct { clock: next.clock, length: 0, body: Body::Gap };
                match last.join(*client, std::mem::replace(next, nothing)) {
                    None => true,
                    Some(rest) => {
                        *next = rest;
                        false
                    }
                }
            });
        }
    }

    /// One update that has all of it.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        // A client that has nothing left, as after `diff`, is not written: readers want a struct for each.
        let runs = self.clients.iter().filter(|(_, run)| !run.is_empty());
        put_uint(&mut bytes, runs.clone().count() as u64);
        // Highest first, as Yjs does: that makes conflicts quick to resolve.
        for (client, run) in runs.rev() {
            write_run(*client, run, &mut bytes);
        }
        self.deleted.encode(&mut bytes);
        bytes
    }

    /// Every struct with its client: by client, then by clock.
    pub(super) fn into_list(self) -> Vec<(u64, Struct<'a>)> {
        let mut list = Vec::with_capacity(self.clients.values().map(Vec::len).sum());
        for (client, run) in self.clients {
            list.extend(run.into_iter().map(|found| (client, found)));
        }
        list
    }

    /// The same without taking them.
    pub(super) fn list(&self) -> Vec<(u64, &Struct<'a>)> {
        let mut list = Vec::with_capacity(self.clients.values().map(Vec::len).sum());
        for (client, run) in &self.clients {
            list.extend(run.iter().map(|found| (*client, found)));
        }
        list
    }
}

fn write_run(client: u64, run: &[Struct<'_>], bytes: &mut Vec<u8>) {
    let Some(first) = run.first() else { return };
    // A hole is written as a struct (`Skip`), and counts as one.
    let holes = run.windows(2).filter(|pair| pair[0].end() < pair[1].clock).count();
    put_uint(bytes, (run.len() + holes) as u64);
    put_uint(bytes, client);
    put_uint(bytes, first.clock.into());
    let mut clock = first.clock;
    for found in run {
        if clock < found.clock {
            Struct { clock, length: found.clock - clock, body: Body::Gap }.write(bytes);
        }
        found.write(bytes);
        clock = found.end();
    }
}

/// Puts a client's structs in order and drops what is there twice.
fn once<'a>(client: u64, run: &mut Run<'a>) {
    // As it mostly is: updates come in order and have nothing in common.
    if run.windows(2).all(|pair| pair[0].end() <= pair[1].clock) {
        return;
    }
    // Of several that begin together the longest comes first, so that the others are part of it.
    run.sort_by_key(|found| (found.clock, std::cmp::Reverse(found.length)));
    let mut end = 0;
    let mut kept: Run<'a> = Vec::with_capacity(run.len());
    for found in run.drain(..).filter(|found| found.length > 0) {
        if found.end() <= end {
            continue;
        }
        let (clock, new_end) = (found.clock, found.end());
        match end.checked_sub(clock) {
            Some(1..) => found.cut(client, &[end], |part| {
                if part.clock >= end {
                    kept.push(part);
                }
            }),
            _ => kept.push(found),
        }
        end = new_end;
    }
    *run = kept;
}

/// Cuts a client's structs at clocks, which are in order.
fn cut_run<'a>(client: u64, run: &mut Run<'a>, clocks: &[u32]) {
    let is_within = |clock: &u32| {
        let before = run.partition_point(|found| found.clock < *clock);
        before > 0 && run[before - 1].end() > *clock
    };
    // Counted first: most runs stay as they are, and the others grow once.
    let cuts = clocks.iter().filter(|clock| is_within(clock)).count();
    if cuts == 0 {
        return;
    }
    let longer = Vec::with_capacity(run.len() + cuts);
    let mut whole = std::mem::replace(run, longer).into_iter();
    let mut clocks = clocks;
    for found in whole.by_ref() {
        let passed = clocks.partition_point(|clock| *clock <= found.clock);
        clocks = &clocks[passed..];
        let within = clocks.partition_point(|clock| *clock < found.end());
        found.cut(client, &clocks[..within], |part| run.push(part));
    }
}
