//! What every published message carries: who sent it, its number and the moment it was due.
//!
//! The text form is of fixed length and needs no escaping in JSON, so it travels unchanged through both encodings and
//! a receiver finds it with one substring search instead of parsing the message.

use std::sync::LazyLock;

use memchr::memmem::Finder;

const MARK: &[u8; 4] = b"fw1.";
/// Length of the text form: mark, publisher (8 hex digits), sequence (16), due time (16), check (8), three dots.
pub const LENGTH: usize = 4 + 8 + 1 + 16 + 1 + 16 + 1 + 8;
/// Fills a payload up to its size.
const PADDING: u8 = b'x';

static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(MARK));

/// One message's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The publishing run; every measurement window has its own.
    pub publisher: u32,
    /// Position in the publisher's stream, from 0.
    pub sequence: u64,
    /// When the message was due, on `CLOCK_MONOTONIC`.
    pub intended_ns: u64,
}

/// A mark was found, but what follows is not a whole stamp, or its check does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

impl Stamp {
    /// Writes the text form over the first [`LENGTH`] bytes of `into`; a shorter `into` is left alone.
    pub fn write(&self, into: &mut [u8]) {
        let Some(into) = into.get_mut(..LENGTH) else { return };
        into[..4].copy_from_slice(MARK);
        write_hex(&mut into[4..12], u64::from(self.publisher));
        into[12] = b'.';
        write_hex(&mut into[13..29], self.sequence);
        into[29] = b'.';
        write_hex(&mut into[30..46], self.intended_ns);
        into[46] = b'.';
        write_hex(&mut into[47..55], self.check());
    }

    /// A payload of `size` bytes (at least [`LENGTH`]) that starts with this stamp.
    #[must_use]
    pub fn payload(&self, size: usize) -> String {
        let mut bytes = vec![PADDING; size.max(LENGTH)];
        self.write(&mut bytes);
        String::from_utf8(bytes).unwrap_or_default()
    }

    fn read(text: &[u8]) -> Result<Self, Corrupt> {
        let text: &[u8; LENGTH] = text.get(..LENGTH).and_then(|t| t.try_into().ok()).ok_or(Corrupt)?;
        let publisher = u32::try_from(read_hex(&text[4..12])?).map_err(|_| Corrupt)?;
        let stamp =
            Self { publisher, sequence: read_hex(&text[13..29])?, intended_ns: read_hex(&text[30..46])? };
        let dotted = text[12] == b'.' && text[29] == b'.' && text[46] == b'.';
        if dotted && read_hex(&text[47..55])? == stamp.check() { Ok(stamp) } else { Err(Corrupt) }
    }

    /// A mix of the three numbers that a flipped digit does not survive; 32 bits.
    fn check(&self) -> u64 {
        let mut mixed = self.sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(self.publisher);
        mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ self.intended_ns;
        (mixed ^ (mixed >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 32
    }
}

/// Every stamp in `bytes`, in order; one message holds one.
pub fn scan(bytes: &[u8]) -> impl Iterator<Item = Result<Stamp, Corrupt>> + '_ {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let at = FINDER.find(rest)?;
        let found = Stamp::read(&rest[at..]);
        let step = if found.is_ok() { LENGTH } else { MARK.len() };
        rest = &rest[at + step..];
        Some(found)
    })
}

fn write_hex(into: &mut [u8], mut value: u64) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for digit in into.iter_mut().rev() {
        *digit = DIGITS[usize::from(value.to_le_bytes()[0] & 15)];
        value >>= 4;
    }
}

const NOT_HEX: u8 = 0xff;
/// Digit values by byte: reading stamps is most of what a receiver computes.
static VALUES: [u8; 256] = {
    let mut table = [NOT_HEX; 256];
    let mut i = 0;
    while i < 10 {
        table[b'0' as usize + i as usize] = i;
        i += 1;
    }
    while i < 16 {
        table[b'a' as usize + i as usize - 10] = i;
        i += 1;
    }
    table
};

fn read_hex(text: &[u8]) -> Result<u64, Corrupt> {
    let mut value = 0;
    let mut seen = 0;
    for &byte in text {
        let digit = VALUES[usize::from(byte)];
        seen |= digit;
        value = (value << 4) | u64::from(digit & 15);
    }
    if seen == NOT_HEX || seen > 15 { Err(Corrupt) } else { Ok(value) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STAMP: Stamp = Stamp { publisher: 0xdead_beef, sequence: 41, intended_ns: 1_234_567_890_123 };

    #[test]
    fn a_payload_has_the_size_asked_for_and_reads_back() {
        let payload = STAMP.payload(128);
        assert_eq!(payload.len(), 128);
        assert_eq!(scan(payload.as_bytes()).collect::<Vec<_>>(), [Ok(STAMP)]);
    }

    #[test]
    fn several_stamps_in_one_frame_are_all_found() {
        let second = Stamp { sequence: 42, ..STAMP };
        let frame = format!(r#"[{{"data":"{}"}},{{"data":"{}"}}]"#, STAMP.payload(60), second.payload(90));
        assert_eq!(scan(frame.as_bytes()).collect::<Vec<_>>(), [Ok(STAMP), Ok(second)]);
    }

    #[test]
    fn a_cut_stamp_is_corrupt_and_no_stamp_is_nothing() {
        let payload = STAMP.payload(60);
        assert_eq!(scan(&payload.as_bytes()[..LENGTH - 1]).collect::<Vec<_>>(), [Err(Corrupt)]);
        assert_eq!(scan(br#"{"type":"ok"}"#).count(), 0);
    }

    proptest! {
        #[test]
        fn any_stamp_reads_back(publisher: u32, sequence: u64, intended_ns: u64) {
            let stamp = Stamp { publisher, sequence, intended_ns };
            prop_assert_eq!(scan(stamp.payload(64).as_bytes()).collect::<Vec<_>>(), [Ok(stamp)]);
        }

        #[test]
        fn any_changed_byte_is_noticed(at in 4..LENGTH, to: u8) {
            let mut bytes = STAMP.payload(64).into_bytes();
            prop_assume!(bytes[at] != to);
            bytes[at] = to;
            prop_assert_eq!(scan(&bytes).next(), Some(Err(Corrupt)));
        }
    }
}
