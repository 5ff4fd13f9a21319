//! Inputs of a decoder, by their number: whole but hostile ones, and broken ones.

use crate::{decoders::Decoder, random::Random};

/// Longest input, in bytes, of which most are far shorter: what a whole frame or body may be by default is a good deal less.
const BYTES_MAX: usize = 256 * 1024;

/// Numbers at the edges of what fits.
const NUMBERS: &[u64] =
    &[0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, u64::MAX >> 1, u64::MAX];

/// Makes inputs; the same for the same decoder, seed and number.
pub(crate) struct Inputs {
    seed: u64,
    seeds: Vec<Vec<u8>>,
    hostile: fn(&mut Random) -> Vec<u8>,
    words: &'static [&'static str],
}

impl Inputs {
    pub(crate) fn of(decoder: &Decoder, seed: u64) -> Self {
        let seeds = (decoder.seeds)();
        assert!(!seeds.is_empty(), "{} has nothing to begin with", decoder.name);
        Self { seed, seeds, hostile: decoder.hostile, words: decoder.words }
    }

    pub(crate) fn make(&mut self, number: u64) -> Vec<u8> {
        let mut random = Random::new(&[self.seed, number]);
        let mut input = match random.below(5) {
            0 | 1 => (self.hostile)(&mut random),
            _ => random.of(&self.seeds).clone(),
        };
        // Some stay as they are.
        if !random.one_in(4) {
            for _ in 0..random.size(16) {
                self.change(&mut input, &mut random);
            }
        }
        input.truncate(BYTES_MAX);
        input
    }

    /// Breaks something, or puts in more of it.
    fn change(&self, input: &mut Vec<u8>, random: &mut Random) {
        let at = random.below(input.len() + 1);
        let length = random.size((input.len() - at).max(1)).min(input.len() - at);
        match random.below(9) {
            0 if at < input.len() => input[at] ^= 1 << random.below(8),
            1 if at < input.len() => input[at] = random.byte(),
            2 => drop(input.drain(at..at + length)),
            3 => repeat(input, at, length, random),
            4 => put(input, at, number(random)),
            5 => put(input, at, random.of(self.words).as_bytes().to_vec()),
            6 => {
                let other = random.of(&self.seeds);
                let from = random.below(other.len() + 1);
                let to = from + random.below(other.len() - from + 1);
                put(input, at, other[from..to].to_vec());
            }
            7 => input.truncate(at),
            _ => put(input, at, (0..random.size(8)).map(|_| random.byte()).collect()),
        }
    }
}

/// The same part again and again: nesting, lists, equal names.
fn repeat(input: &mut Vec<u8>, at: usize, length: usize, random: &mut Random) {
    let most = if random.one_in(50) { 20_000 } else { 50 };
    let times = random.size(most);
    let room = BYTES_MAX.saturating_sub(input.len());
    let part = input[at..at + length].to_vec();
    put(input, at, part.repeat(times.min(room / length.max(1))));
}

fn put(input: &mut Vec<u8>, at: usize, part: Vec<u8>) {
    input.splice(at..at, part);
}

/// As four formats write it.
fn number(random: &mut Random) -> Vec<u8> {
    let number = *random.of(NUMBERS);
    match random.below(4) {
        0 => number.to_be_bytes()[4..].to_vec(),
        1 => number.to_be_bytes().to_vec(),
        2 => number.to_string().into_bytes(),
        _ => {
            let mut bytes = Vec::new();
            fanwire::document::lib0::put_uint(&mut bytes, number);
            bytes
        }
    }
}
