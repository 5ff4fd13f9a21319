//! What every published message carries: who sent it, its number, the moment it was due and how late it was sent.
//!
//! The text form is of fixed length and needs no escaping in JSON, so it travels unchanged through both encodings and
//! a receiver finds it with one substring search instead of parsing the message.

use std::sync::LazyLock;

use memchr::memmem::Finder;

/// What every stamp begins with.
pub const MARK: &[u8; 4] = b"fw3.";
/// Length of the text form: mark, run (4 digits of six bits), stream (4), sequence (7), due time (10), lag (6), size
/// (4), check (6).
pub const LENGTH: usize = 4 + 4 + 4 + 7 + 10 + 6 + 4 + 6;
/// The largest payload whose size the stamp can tell.
pub const MAX_SIZE: usize = (1 << 20) - 1;
/// Runs and streams are numbered below this.
pub const NUMBERS: u32 = 1 << 24;
/// The longest lag that can be told, in nanoseconds: 68 s.
const MAX_LAG_NS: u64 = (1 << 36) - 1;

/// Digits, which JSON leaves alone.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// What fills payloads up: letters and digits from a fixed seed, each message beginning elsewhere, so that no two
/// neighbours look alike and every damaged byte shows.
static PADDING: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let letter = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        LETTERS[usize::from((state >> 33).to_le_bytes()[0] & 63)]
    };
    (0..MAX_SIZE + OFFSETS).map(letter).collect()
});
const OFFSETS: usize = 1024;

static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(MARK));

/// One message's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The measurement it belongs to, below [`NUMBERS`].
    pub run: u32,
    /// Which stream of that measurement, below [`NUMBERS`]; a stream has one publisher and one topic.
    pub stream: u32,
    /// Position in the stream, from 0.
    pub sequence: u64,
    /// When the message was due, on `CLOCK_MONOTONIC`; up to 36 years.
    pub intended_ns: u64,
    /// How long after that it was sent; what is longer than 68 s counts as that.
    pub lag_ns: u64,
}

/// What is wrong with a message that carries the mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Corrupt {
    /// The stamp is cut off or its check does not fit.
    Stamp,
    /// The stamp is whole, so it is known which message this was, but what follows is damaged or missing.
    Payload(Stamp),
}

impl Stamp {
    /// Fills `into` with this stamp and padding; what is shorter than [`LENGTH`] is left alone.
    pub fn write(&self, into: &mut [u8]) {
        let size = into.len();
        let Some((text, rest)) = into.split_first_chunk_mut::<LENGTH>() else { return };
        text[..4].copy_from_slice(MARK);
        write_digits(&mut text[4..8], u64::from(self.run));
        write_digits(&mut text[8..12], u64::from(self.stream));
        write_digits(&mut text[12..19], self.sequence);
        write_digits(&mut text[19..29], self.intended_ns);
        write_digits(&mut text[29..35], self.lag_ns.min(MAX_LAG_NS));
        write_digits(&mut text[35..39], size as u64);
        write_digits(&mut text[39..45], self.check(size));
        rest.copy_from_slice(self.padding(size));
    }

    /// A payload of `size` bytes (at least [`LENGTH`], at most [`MAX_SIZE`]) that starts with this stamp.
    #[must_use]
    pub fn payload(&self, size: usize) -> String {
        let mut bytes = vec![0; size.clamp(LENGTH, MAX_SIZE)];
        self.write(&mut bytes);
        String::from_utf8(bytes).unwrap_or_default()
    }

    /// Reads the message at the start of `bytes`, and how many of them it takes.
    fn read(bytes: &[u8]) -> Result<(Self, usize), Corrupt> {
        let text: &[u8; LENGTH] = bytes.first_chunk().ok_or(Corrupt::Stamp)?;
        let number = |from, to| read_digits(&text[from..to]).ok_or(Corrupt::Stamp);
        let small = |from, to| number(from, to).and_then(|n| u32::try_from(n).map_err(|_| Corrupt::Stamp));
        let stamp = Self {
            run: small(4, 8)?,
            stream: small(8, 12)?,
            sequence: number(12, 19)?,
            intended_ns: number(19, 29)?,
            lag_ns: number(29, 35)?,
        };
        let size = usize::try_from(number(35, 39)?).map_err(|_| Corrupt::Stamp)?;
        if !(LENGTH..=MAX_SIZE).contains(&size) || number(39, 45)? != stamp.check(size) {
            return Err(Corrupt::Stamp);
        }
        match bytes.get(LENGTH..size) {
            Some(rest) if rest == stamp.padding(size) => Ok((stamp, size)),
            _ => Err(Corrupt::Payload(stamp)),
        }
    }

    /// When the message was sent.
    #[must_use]
    pub fn sent_ns(&self) -> u64 {
        self.intended_ns + self.lag_ns
    }

    fn padding(&self, size: usize) -> &'static [u8] {
        let [low, high, ..] =
            self.sequence.wrapping_mul(131).wrapping_add(u64::from(self.stream)).to_le_bytes();
        let offset = usize::from(u16::from_le_bytes([low, high])) % OFFSETS;
        &PADDING[offset..offset + size - LENGTH]
    }

    /// A mix of the numbers that a flipped digit does not survive; 36 bits.
    fn check(&self, size: usize) -> u64 {
        let numbers = (u64::from(self.run) << 24 | u64::from(self.stream)) ^ (size as u64) << 44;
        let mut mixed = self.sequence.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ numbers;
        mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ self.intended_ns;
        mixed = mixed.rotate_left(27) ^ self.lag_ns.min(MAX_LAG_NS);
        (mixed ^ (mixed >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 28
    }
}

/// Every stamp in `bytes`, in order; one message holds one.
pub fn scan(bytes: &[u8]) -> impl Iterator<Item = Result<Stamp, Corrupt>> + '_ {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let at = FINDER.find(rest)?;
        let found = Stamp::read(&rest[at..]);
        // Behind a damaged stamp only the mark is passed over, so that a whole message right behind it is still found.
        let step = match found {
            Ok((_, size)) => size,
            Err(Corrupt::Payload(_)) => LENGTH,
            Err(Corrupt::Stamp) => MARK.len(),
        };
        rest = &rest[at + step..];
        Some(found.map(|(stamp, _)| stamp))
    })
}

fn write_digits(into: &mut [u8], mut value: u64) {
    for digit in into.iter_mut().rev() {
        *digit = LETTERS[usize::from(value.to_le_bytes()[0] & 63)];
        value >>= 6;
    }
}

const NO_DIGIT: u8 = 0xff;
/// Digit values by byte: reading stamps is most of what a receiver computes.
static VALUES: [u8; 256] = {
    let mut table = [NO_DIGIT; 256];
    let mut value = 0;
    while value < 64 {
        table[LETTERS[value as usize] as usize] = value;
        value += 1;
    }
    table
};

fn read_digits(text: &[u8]) -> Option<u64> {
    let mut value = 0;
    let mut seen = 0;
    for &byte in text {
        let digit = VALUES[usize::from(byte)];
        // One look at the end instead of a branch per digit.
        seen |= digit;
        value = (value << 6) | u64::from(digit & 63);
    }
    (seen <= 63).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STAMP: Stamp =
        Stamp { run: 0xad_beef, stream: 3, sequence: 41, intended_ns: 1_234_567_890_123, lag_ns: 1_234_567 };

    #[test]
    fn a_payload_has_the_size_asked_for_and_reads_back() {
        for size in [LENGTH, 56, 128, 100_000, MAX_SIZE] {
            let payload = STAMP.payload(size);
            assert_eq!(payload.len(), size);
            assert_eq!(scan(payload.as_bytes()).collect::<Vec<_>>(), [Ok(STAMP)]);
        }
    }

    #[test]
    fn several_stamps_in_one_frame_are_all_found() {
        let second = Stamp { sequence: 42, ..STAMP };
        let frame = format!(r#"[{{"data":"{}"}},{{"data":"{}"}}]"#, STAMP.payload(60), second.payload(90));
        assert_eq!(scan(frame.as_bytes()).collect::<Vec<_>>(), [Ok(STAMP), Ok(second)]);
    }

    #[test]
    fn a_cut_message_is_corrupt_and_no_stamp_is_nothing() {
        let payload = STAMP.payload(60);
        let cut = |length: usize| scan(&payload.as_bytes()[..length]).collect::<Vec<_>>();
        assert_eq!(cut(LENGTH - 1), [Err(Corrupt::Stamp)]);
        assert_eq!(cut(59), [Err(Corrupt::Payload(STAMP))]);
        assert_eq!(scan(br#"{"type":"ok"}"#).count(), 0);
    }

    #[test]
    fn a_lag_beyond_what_can_be_told_is_the_longest_one() {
        let late = Stamp { lag_ns: u64::MAX, ..STAMP };
        let told = Stamp { lag_ns: MAX_LAG_NS, ..STAMP };
        assert_eq!(scan(late.payload(64).as_bytes()).collect::<Vec<_>>(), [Ok(told)]);
        assert_eq!(STAMP.sent_ns(), 1_234_569_124_690);
    }

    proptest! {
        #[test]
        fn any_stamp_reads_back(run in 0..NUMBERS, stream in 0..NUMBERS, sequence in 0_u64..1 << 42,
            intended_ns in 0_u64..1 << 60, lag_ns in 0..MAX_LAG_NS)
        {
            let stamp = Stamp { run, stream, sequence, intended_ns, lag_ns };
            prop_assert_eq!(scan(stamp.payload(64).as_bytes()).collect::<Vec<_>>(), [Ok(stamp)]);
        }

        #[test]
        fn any_changed_byte_is_noticed(at in 4_usize..128, to: u8) {
            let mut bytes = STAMP.payload(128).into_bytes();
            prop_assume!(bytes[at] != to);
            bytes[at] = to;
            let expected = if at < LENGTH { Corrupt::Stamp } else { Corrupt::Payload(STAMP) };
            prop_assert_eq!(scan(&bytes).next(), Some(Err(expected)));
        }
    }
}
