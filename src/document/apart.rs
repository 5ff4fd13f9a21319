//! Which of a document's updates build on something that none of them has.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::{
    lib0::Malformed,
    update::{self, Visit},
    vector::Clocks,
};

/// What an update brings and asks for.
#[derive(Default)]
struct Facts {
    /// Client, first clock, and the one behind the last; not touching.
    inserts: Vec<(u64, u32, u32)>,
    /// Client, and the clock that must be there of it. What was found to be there is passed over for good: clocks only grow.
    needs: Vec<(u64, u32)>,
    met: usize,
}

impl Visit for Facts {
    fn insert(&mut self, client: u64, clock: u32, length: u32) {
        let end = clock.saturating_add(length);
        match self.inserts.last_mut() {
            Some(last) if last.0 == client && last.2 == clock => last.2 = end,
            _ => self.inserts.push((client, clock, end)),
        }
    }

    fn need(&mut self, client: u64, clock: u32) {
        self.needs.push((client, clock.saturating_add(1)));
    }

    fn delete(&mut self, client: u64, clock: u32, length: u32) {
        self.needs.push((client, clock.saturating_add(length)));
    }
}

impl Facts {
    fn of(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut facts = Self::default();
        update::walk(bytes, &mut facts)?;
        // What it has itself is there with it.
        let mut own: FxHashMap<u64, u32> = FxHashMap::default();
        for &(client, _, end) in &facts.inserts {
            let known = own.entry(client).or_default();
            *known = (*known).max(end);
        }
        facts.needs.retain(|(client, clock)| own.get(client).is_none_or(|end| end < clock));
        // A client's pieces are taken in order, so those that it inserted before are asked for, too.
        facts.needs.extend(facts.inserts.iter().map(|&(client, start, _)| (client, start)));
        Ok(facts)
    }

    /// What it still waits for.
    fn lacks(&mut self, clocks: &Clocks) -> Option<(u64, u32)> {
        let unmet = |(client, clock): &&(u64, u32)| clocks.of(*client) < *clock;
        let lacking = self.needs[self.met..].iter().position(|need| unmet(&need));
        self.met = lacking.map_or(self.needs.len(), |index| self.met + index);
        self.needs.get(self.met).copied()
    }
}

/// Updates by what they wait for next.
#[derive(Default)]
struct Waiting(FxHashMap<u64, BTreeMap<u32, Vec<usize>>>);

impl Waiting {
    /// Takes out those that wait for no more of a client than there is.
    fn released(&mut self, client: u64, clock: u32) -> impl Iterator<Item = usize> + use<> {
        let ready = self.0.get_mut(&client).map(|waiting| {
            let later = waiting.split_off(&clock.saturating_add(1));
            std::mem::replace(waiting, later)
        });
        ready.unwrap_or_default().into_values().flatten()
    }
}

/// The places of updates that are incomplete, in order. Every need of every update is looked at once, whatever the order
/// that they come in.
pub(super) fn incomplete(updates: &[&[u8]]) -> Result<Vec<usize>, Malformed> {
    let mut facts: Vec<Facts> = updates.iter().map(|update| Facts::of(update)).collect::<Result<_, _>>()?;
    let (mut clocks, mut waiting) = (Clocks::default(), Waiting::default());
    let mut is_there = vec![false; facts.len()];
    let mut ready: Vec<usize> = Vec::new();
    for first in 0..facts.len() {
        ready.push(first);
        while let Some(index) = ready.pop() {
            if let Some((client, clock)) = facts[index].lacks(&clocks) {
                // For one thing at a time: when that is there, it is asked for what it lacks next.
                waiting.0.entry(client).or_default().entry(clock).or_default().push(index);
                continue;
            }
            is_there[index] = true;
            for &(client, start, end) in &facts[index].inserts {
                clocks.add(client, start, end - start);
                ready.extend(waiting.released(client, clocks.of(client)));
            }
        }
    }
    Ok((0..is_there.len()).filter(|index| !is_there[*index]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Client 1 inserts a letter at a clock, to the right of the one before.
    fn letter(clock: u8) -> Vec<u8> {
        match clock {
            0 => vec![1, 1, 1, 0, 4, 1, 1, b't', 1, b'a', 0],
            _ => vec![1, 1, 1, clock, 0x84, 1, clock - 1, 1, b'a', 0],
        }
    }

    #[test]
    fn order_makes_no_difference_and_holes_do() {
        let log: Vec<_> = (0..100).rev().map(letter).collect();
        let refs: Vec<&[u8]> = log.iter().map(Vec::as_slice).collect();
        assert_eq!(incomplete(&refs), Ok(vec![]));
        assert_eq!(incomplete(&refs[..50]).unwrap(), (0..50).collect::<Vec<_>>());
        let deletion = [0, 1, 1, 1, 99, 2];
        let with: Vec<&[u8]> = [&deletion[..]].into_iter().chain(refs).collect();
        assert_eq!(incomplete(&with), Ok(vec![0]), "it deletes what nobody has");
    }
}
