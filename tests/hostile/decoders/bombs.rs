//! What takes a thousandth of its size when it is compressed. Each is made once, since that costs more than to decode it.

use std::sync::OnceLock;

use crate::random::Random;

/// Sizes: the powers of two up to 8 MiB, and one byte less and more.
const SIZES: usize = 24 * 3;

/// Those of one format.
pub(super) struct Bombs([OnceLock<Vec<u8>>; SIZES]);

impl Bombs {
    pub(super) const fn new() -> Self {
        Self([const { OnceLock::new() }; SIZES])
    }
}

/// One of them, as `pack` makes it of zeros.
pub(super) fn bomb<'b>(random: &mut Random, bombs: &'b Bombs, pack: fn(&[u8]) -> Vec<u8>) -> &'b [u8] {
    let chosen = random.below(SIZES);
    let size = (1 << (chosen / 3)) + chosen % 3 - 1;
    bombs.0[chosen].get_or_init(|| pack(&vec![b'0'; size]))
}
