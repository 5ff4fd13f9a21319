//! UTF-8 that comes in pieces, refused at the first byte that is wrong (RFC 6455 §8.1).

use super::Violation;

/// The start of a character that has not come whole yet.
#[derive(Debug, Default)]
pub(super) struct Utf8 {
    start: [u8; 4],
    length: usize,
}

impl Utf8 {
    /// Takes the next piece.
    pub(super) fn feed(&mut self, mut piece: &[u8]) -> Result<(), Violation> {
        // Byte by byte, which are three at most: the rest of the piece is checked in one go.
        while self.length > 0 {
            let Some((&byte, rest)) = piece.split_first() else { return Ok(()) };
            piece = rest;
            self.complete(byte)?;
        }
        match std::str::from_utf8(piece) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_some() => Err(Violation::NotUtf8),
            Err(error) => {
                let start = piece.get(error.valid_up_to()..).unwrap_or_default();
                self.length = start.len();
                self.start[..start.len()].copy_from_slice(start);
                Ok(())
            }
        }
    }

    /// Adds a byte to the character that has begun.
    fn complete(&mut self, byte: u8) -> Result<(), Violation> {
        self.start[self.length] = byte;
        self.length += 1;
        match std::str::from_utf8(&self.start[..self.length]) {
            Ok(_) => self.length = 0,
            Err(error) if error.error_len().is_some() => return Err(Violation::NotUtf8),
            Err(_) => {}
        }
        Ok(())
    }

    /// Whether the text may end here.
    pub(super) fn finish(&self) -> Result<(), Violation> {
        match self.length {
            0 => Ok(()),
            _ => Err(Violation::NotUtf8),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Where it is refused when it comes byte by byte; its length if only at the end, nothing if not at all.
    fn refused_at(text: &[u8]) -> Option<usize> {
        let mut utf8 = Utf8::default();
        let at = text.iter().position(|&byte| utf8.feed(&[byte]).is_err());
        at.or_else(|| utf8.finish().is_err().then_some(text.len()))
    }

    #[test]
    fn the_first_wrong_byte_is_refused() {
        let check = |text: &[u8], at: Option<usize>| assert_eq!(refused_at(text), at, "{text:x?}");
        check("κόσμε \u{10ffff} \u{0}".as_bytes(), None);
        // The cases of the classic stress test for decoders.
        check(b"\xf4\x90\x80\x80", Some(1));
        check(b"ab\xed\xa0\x80", Some(3));
        check(b"\xc0\xaf", Some(0));
        check(b"\xe0\x80\xaf", Some(1));
        check(b"\xf0\x80\x80\xaf", Some(1));
        check(b"\xf8\x88\x80\x80\x80", Some(0));
        check(b"\x80", Some(0));
        check(b"\xe2\x98", Some(2));
        check(b"\xfe", Some(0));
        check(b"\xf0\x9f\x98x", Some(3));
    }

    proptest! {
        #[test]
        fn pieces_are_judged_as_the_whole(
            text in prop_oneof![any::<String>().prop_map(String::into_bytes), prop::collection::vec(any::<u8>(), 0..20)],
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        ) {
            let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(text.len() + 1)).collect();
            cuts.extend([0, text.len()]);
            cuts.sort_unstable();
            let mut utf8 = Utf8::default();
            let fed = cuts.windows(2).try_for_each(|ends| utf8.feed(&text[ends[0]..ends[1]]));
            prop_assert_eq!(fed.and_then(|()| utf8.finish()).is_ok(), std::str::from_utf8(&text).is_ok());
        }
    }
}
