//! The encoding of lib0, as Yjs uses it: <https://github.com/dmonad/lib0>, `decoding.js` and `encoding.js`.
//!
//! Reading allocates nothing. A count is believed only as far as the bytes that follow can bear it out.

/// Why bytes are not what they should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what} at byte {at}")]
pub struct Malformed {
    /// What is wrong.
    pub what: &'static str,
    /// Where, counted from 0.
    pub at: usize,
}

/// Values nested deeper than this are refused: decoders recurse into them.
pub const DEPTH_MAX: usize = 64;

/// Client ids and clocks of awareness are JavaScript's safe integers.
pub const UINT_MAX: u64 = (1 << 53) - 1;

/// Reads from the front of a slice.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A reader of all of it.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// An error at this place.
    pub fn wrong(&self, what: &'static str) -> Malformed {
        Malformed { what, at: self.at }
    }

    /// Bytes that are left.
    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// The bytes that are left.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// Refuses bytes behind the end.
    pub fn end(&self) -> Result<(), Malformed> {
        match self.left() {
            0 => Ok(()),
            _ => Err(self.wrong("bytes behind the end")),
        }
    }

    /// One byte.
    pub fn byte(&mut self) -> Result<u8, Malformed> {
        let byte = *self.bytes.get(self.at).ok_or_else(|| self.wrong("the end, too early"))?;
        self.at += 1;
        Ok(byte)
    }

    /// `readVarUint`: seven bits at a time, lowest first; at most [`UINT_MAX`].
    pub fn uint(&mut self) -> Result<u64, Malformed> {
        let (mut number, mut shift) = (0_u64, 0_u32);
        loop {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if number > UINT_MAX || shift > 49 && byte & 0x7f > 15 {
                return Err(self.wrong("a number over 2^53 - 1"));
            }
            if byte & 0x80 == 0 {
                return Ok(number);
            }
            shift += 7;
            if shift > 49 {
                return Err(self.wrong("a number of more than eight bytes"));
            }
        }
    }

    /// A number that counts something within an update; both ends of a range must stay below 2^31.
    pub fn clock(&mut self) -> Result<u32, Malformed> {
        let number = self.uint()?;
        let small = u32::try_from(number).ok().filter(|&number| number <= CLOCK_MAX);
        small.ok_or_else(|| self.wrong("a clock over 2^31 - 1"))
    }

    /// How many entries of at least `least` bytes follow.
    pub fn count(&mut self, least: usize) -> Result<usize, Malformed> {
        let number = self.uint()?;
        // A count is cheap to write: believed, it would have memory made for entries that never come.
        let fits = usize::try_from(number).ok().filter(|&count| count <= self.left() / least);
        fits.ok_or_else(|| self.wrong("a count of more entries than bytes are left for"))
    }

    /// So many bytes.
    pub fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(length).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or_else(|| self.wrong("a length over what is left"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    /// `readVarUint8Array`.
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.count(1)?;
        self.take(length)
    }

    /// `readVarString`.
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        let at = self.at;
        let bytes = self.bytes()?;
        std::str::from_utf8(bytes).map_err(|_| Malformed { what: "text that is not UTF-8", at })
    }

    /// A `readVarString` that holds JSON.
    pub fn json(&mut self) -> Result<&'a str, Malformed> {
        let at = self.at;
        let text = self.text()?;
        match fanwire_proto::Payload::json(text) {
            Ok(_) => Ok(text),
            Err(_) => Err(Malformed { what: "text that is not JSON", at }),
        }
    }

    /// Passes over a `readAny`.
    pub fn skip_any(&mut self, depth: usize) -> Result<(), Malformed> {
        if depth > DEPTH_MAX {
            return Err(self.wrong("a value nested too deep"));
        }
        match self.byte()? {
            // undefined, null, false, true
            127 | 126 | 121 | 120 => {}
            125 => drop(self.int()?),
            124 => drop(self.take(4)?),
            123 | 122 => drop(self.take(8)?),
            119 => drop(self.text()?),
            118 => {
                for _ in 0..self.count(2)? {
                    self.text()?;
                    self.skip_any(depth + 1)?;
                }
            }
            117 => {
                for _ in 0..self.count(1)? {
                    self.skip_any(depth + 1)?;
                }
            }
            116 => drop(self.bytes()?),
            _ => return Err(self.wrong("a value of no known type")),
        }
        Ok(())
    }

    /// `readVarInt`: a sign and six bits, then seven at a time.
    pub(super) fn int(&mut self) -> Result<i64, Malformed> {
        let first = self.byte()?;
        let mut number = i64::from(first & 0x3f);
        let (mut byte, mut shift) = (first, 6);
        // Six bits and seven times seven are more than the 53 that writers use.
        while byte & 0x80 != 0 {
            if shift > 48 {
                return Err(self.wrong("a number of more than eight bytes"));
            }
            byte = self.byte()?;
            number |= i64::from(byte & 0x7f) << shift;
            shift += 7;
        }
        Ok(if first & 0x40 == 0 { number } else { -number })
    }

    /// So many bytes as there is room for.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let at = self.wrong("a length over what is left");
        self.take(N)?.try_into().map_err(|_| at)
    }
}

/// Largest clock. Other decoders hold the sum of a clock and a length in 32 bits.
pub const CLOCK_MAX: u32 = i32::MAX as u32;

/// `writeVarUint`.
pub fn put_uint(buffer: &mut Vec<u8>, mut number: u64) {
    while number > 0x7f {
        buffer.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    buffer.push(number.to_le_bytes()[0]);
}

/// `writeVarUint8Array`, and `writeVarString` of UTF-8.
pub fn put_bytes(buffer: &mut Vec<u8>, bytes: &[u8]) {
    put_uint(buffer, bytes.len() as u64);
    buffer.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(number in 0..=UINT_MAX) {
            let mut bytes = Vec::new();
            put_uint(&mut bytes, number);
            let mut reader = Reader::new(&bytes);
            prop_assert_eq!(reader.uint(), Ok(number));
            prop_assert_eq!(reader.end(), Ok(()));
        }

        #[test]
        fn garbage_is_an_error_or_a_value(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Reader::new(&bytes).skip_any(0);
            let _ = Reader::new(&bytes).uint();
            let _ = Reader::new(&bytes).text();
        }
    }

    #[test]
    fn too_much_is_refused() {
        let check = |bytes: &[u8], what: &str| {
            let error = Reader::new(bytes).uint().unwrap_err();
            assert!(error.to_string().contains(what), "{error}");
        };
        check(&[0xff; 7], "too early");
        check(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x10], "over 2^53");
        check(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0], "eight bytes");
        let mut deep = [117_u8, 1].repeat(DEPTH_MAX + 1);
        deep.push(126);
        assert!(Reader::new(&deep).skip_any(0).is_err());
        assert!(Reader::new(&deep[2..]).skip_any(0).is_ok());
    }
}
