//! Masking (RFC 6455 §5.3).

/// Masks or unmasks `bytes`, the first of which stands at `offset` of its frame's payload.
pub(super) fn apply(bytes: &mut [u8], mask: [u8; 4], offset: usize) {
    let mut key = mask;
    key.rotate_left(offset % 4);
    // Sixteen at a time is what the compiler turns into one vector instruction.
    let wide = u128::from_ne_bytes(std::array::from_fn(|at| key[at % 4]));
    let (chunks, rest) = bytes.as_chunks_mut::<16>();
    for chunk in chunks {
        *chunk = (u128::from_ne_bytes(*chunk) ^ wide).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_offset_is_as_the_rfc_says() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        for length in 0..70 {
            for offset in 0..9 {
                let plain: Vec<u8> = (0..length).collect();
                let mut masked = plain.clone();
                apply(&mut masked, mask, offset);
                let expect = plain.iter().enumerate().map(|(at, byte)| byte ^ mask[(offset + at) % 4]);
                assert_eq!(masked, expect.collect::<Vec<_>>(), "{length} bytes from {offset}");
            }
        }
    }
}
