//! A value with its checksum, which covers the place that the value belongs to: a value that was altered, or that
//! turns up under another key, is never taken for what was written.
//!
//! On disk: the value, then XXH3-64 over space, length of the key, key and value, as eight bytes in little endian.

use bytes::{BufMut, Bytes, BytesMut};
use xxhash_rust::xxh3::Xxh3Default;

use crate::store::Space;

const SUM_BYTES: usize = 8;

fn sum(space: Space, key: &[u8], value: &[u8]) -> u64 {
    let mut sum = Xxh3Default::new();
    sum.update(&[space as u8]);
    // Or a byte could pass from the end of the key to the beginning of the value unnoticed.
    sum.update(&(key.len() as u64).to_le_bytes());
    sum.update(key);
    sum.update(value);
    sum.digest()
}

/// The value as it goes to disk.
pub(super) fn seal(space: Space, key: &[u8], value: &[u8]) -> Bytes {
    let mut sealed = BytesMut::with_capacity(value.len() + SUM_BYTES);
    sealed.put_slice(value);
    sealed.put_u64_le(sum(space, key, value));
    sealed.freeze()
}

/// The value that was sealed; `None` if it is not what was written there.
pub(super) fn unseal(space: Space, key: &[u8], sealed: &Bytes) -> Option<Bytes> {
    let (_, kept) = sealed.split_last_chunk::<SUM_BYTES>()?;
    let value = sealed.slice(..sealed.len() - SUM_BYTES);
    (u64::from_le_bytes(*kept) == sum(space, key, &value)).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_other_bit_and_any_other_place_is_noticed() {
        let sealed = seal(Space::Topics, b"key", b"value");
        assert_eq!(unseal(Space::Topics, b"key", &sealed).as_deref(), Some(&b"value"[..]));
        assert_eq!(unseal(Space::Values, b"key", &sealed), None);
        assert_eq!(unseal(Space::Topics, b"keys", &sealed), None);
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(unseal(Space::Topics, b"key", &flipped.into()), None, "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert_eq!(unseal(Space::Topics, b"key", &sealed.slice(..length)), None, "cut to {length}");
        }
    }
}
