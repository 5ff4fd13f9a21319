//! Headers of frames (RFC 6455 §5.2): read from clients, written to them.

use super::Violation;

const FIN: u8 = 0x80;
/// RSV1 of a message's first frame: the message is compressed (RFC 7692 §6).
const COMPRESSED: u8 = 0x40;
const RESERVED: u8 = 0x30;
const MASKED: u8 = 0x80;

/// Most bytes of a client's header: two, eight of length, four of mask.
pub(super) const HEADER_BYTES: usize = 14;

/// Most bytes of a control frame's payload (§5.5).
pub(super) const CONTROL_BYTES: usize = 125;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// Goes on with a message.
    Continuation = 0,
    /// Begins a text.
    Text = 1,
    /// Begins bytes.
    Binary = 2,
    /// Ends the connection.
    Close = 8,
    /// Wants a pong.
    Ping = 9,
    /// Answers a ping.
    Pong = 10,
}

impl Opcode {
    const fn new(nibble: u8) -> Option<Self> {
        Some(match nibble {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    pub(super) const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }

    const fn begins_message(self) -> bool {
        matches!(self, Self::Text | Self::Binary)
    }
}

/// The header of a client's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The message's last frame, or a control frame.
    pub(super) last: bool,
    pub(super) compressed: bool,
    pub(super) opcode: Opcode,
    pub(super) mask: [u8; 4],
    pub(super) length: u64,
}

impl Header {
    /// Reads a header with the number of its bytes; nothing while more of it must come. What is wrong is refused as soon
    /// as the byte has come that makes it so.
    pub(super) fn parse(bytes: &[u8], deflate: bool) -> Result<Option<(Self, usize)>, Violation> {
        let Some(&first) = bytes.first() else { return Ok(None) };
        let opcode = Opcode::new(first & 0x0f).ok_or(Violation::ReservedOpcode)?;
        let (last, compressed) = (first & FIN != 0, first & COMPRESSED != 0);
        if first & RESERVED != 0 || compressed && !(deflate && opcode.begins_message()) {
            return Err(Violation::ReservedBit);
        }
        if opcode.is_control() && !last {
            return Err(Violation::FragmentedControl);
        }
        let Some(&second) = bytes.get(1) else { return Ok(None) };
        if second & MASKED == 0 {
            return Err(Violation::Unmasked);
        }
        // 126 and 127, which announce a longer length, are over the bound as well (§5.5).
        if opcode.is_control() && usize::from(second & !MASKED) > CONTROL_BYTES {
            return Err(Violation::LongControl);
        }
        let Some((length, size)) = parse_length(second & !MASKED, bytes)? else { return Ok(None) };
        let Some(&mask) = bytes.get(size..).and_then(<[u8]>::first_chunk) else { return Ok(None) };
        Ok(Some((Self { last, compressed, opcode, mask, length }, size + mask.len())))
    }
}

/// The length of the payload, and how many bytes of the header come before the mask.
fn parse_length(short: u8, bytes: &[u8]) -> Result<Option<(u64, usize)>, Violation> {
    let (length, size, least) = match short {
        126 => {
            let Some(&long) = bytes.get(2..).and_then(<[u8]>::first_chunk) else { return Ok(None) };
            (u64::from(u16::from_be_bytes(long)), 4, 126)
        }
        127 => {
            let Some(&long) = bytes.get(2..).and_then(<[u8]>::first_chunk) else { return Ok(None) };
            (u64::from_be_bytes(long), 10, 1 << 16)
        }
        short => (u64::from(short), 2, 0),
    };
    match length < least || length > i64::MAX as u64 {
        true => Err(Violation::Length),
        false => Ok(Some((length, size))),
    }
}

/// Appends the header of a frame that is neither masked nor a fragment.
pub fn append_header(buffer: &mut Vec<u8>, opcode: Opcode, compressed: bool, length: usize) {
    buffer.push(FIN | if compressed { COMPRESSED } else { 0 } | opcode as u8);
    // The shortest form that holds it (§5.2): peers may refuse any other.
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(length @ 0..=125), _) => buffer.push(length),
        (_, Ok(length)) => {
            buffer.push(126);
            buffer.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            buffer.push(127);
            buffer.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// Appends a whole frame that is neither masked, compressed nor a fragment. A control frame has 125 bytes at most.
pub fn append_frame(buffer: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    append_header(buffer, opcode, false, payload.len());
    buffer.extend_from_slice(payload);
}

/// One of our own frames, apart: its opcode, whether it is compressed, and its payload, with what follows it.
pub(super) fn split_own(frames: &[u8]) -> Option<(Opcode, bool, &[u8], &[u8])> {
    let (&first, &second) = (frames.first()?, frames.get(1)?);
    let (length, size) = parse_length(second, frames).ok()??;
    let end = size.checked_add(usize::try_from(length).ok()?)?;
    let payload = frames.get(size..end)?;
    Some((Opcode::new(first & 0x0f)?, first & COMPRESSED != 0, payload, &frames[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 4] = [1, 2, 3, 4];

    fn parse(bytes: &[u8]) -> Result<Option<(Header, usize)>, Violation> {
        Header::parse(bytes, false)
    }

    #[test]
    fn lengths_are_read_in_each_form() {
        let check = |bytes: &[u8], expect: u64| {
            let whole = [&[0x82], bytes, &KEY].concat();
            let expected =
                Header { last: true, compressed: false, opcode: Opcode::Binary, mask: KEY, length: expect };
            assert_eq!(parse(&whole), Ok(Some((expected, whole.len()))));
            for cut in 0..whole.len() {
                assert_eq!(parse(&whole[..cut]), Ok(None), "{cut} bytes");
            }
        };
        check(&[0x80], 0);
        check(&[0x80 | 125], 125);
        check(&[0x80 | 126, 0, 126], 126);
        check(&[0x80 | 126, 255, 255], 65_535);
        check(&[0x80 | 127, 0, 0, 0, 0, 0, 1, 0, 0], 65_536);
        check(&[0x80 | 127, 0x7f, 255, 255, 255, 255, 255, 255, 255], i64::MAX as u64);
    }

    #[test]
    fn lengths_have_one_form() {
        for bytes in [
            &[0x82, 0x80 | 126, 0, 125][..],
            &[0x82, 0x80 | 127, 0, 0, 0, 0, 0, 0, 255, 255],
            &[0x82, 0x80 | 127, 0x80, 0, 0, 0, 0, 0, 0, 0],
        ] {
            assert_eq!(parse(bytes), Err(Violation::Length), "{bytes:x?}");
        }
    }

    #[test]
    fn what_is_reserved_is_refused_with_the_first_byte() {
        for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
            assert_eq!(parse(&[0x80 | opcode]), Err(Violation::ReservedOpcode));
        }
        for bit in [0x10, 0x20, 0x40] {
            for opcode in [0, 1, 2, 8, 9, 10] {
                assert_eq!(parse(&[0x80 | bit | opcode]), Err(Violation::ReservedBit));
            }
        }
        for opcode in [8, 9, 10] {
            assert_eq!(parse(&[opcode]), Err(Violation::FragmentedControl));
            assert_eq!(parse(&[0x80 | opcode, 0x80 | 126]), Err(Violation::LongControl));
        }
        assert_eq!(parse(&[0x81, 0x05]), Err(Violation::Unmasked));
    }

    /// RFC 7692 §6: the bit is on a message's first frame or nowhere.
    #[test]
    fn compression_is_marked_on_what_begins_a_message() {
        for opcode in [1, 2] {
            for first in [0xc0 | opcode, 0x40 | opcode] {
                assert!(Header::parse(&[first, 0x80, 1, 2, 3, 4], true).unwrap().unwrap().0.compressed);
            }
        }
        for opcode in [0, 8, 9, 10] {
            assert_eq!(Header::parse(&[0xc0 | opcode], true), Err(Violation::ReservedBit));
        }
    }

    #[test]
    fn lengths_are_written_in_the_shortest_form() {
        let header = |length: usize| {
            let mut frame = Vec::new();
            append_header(&mut frame, Opcode::Text, false, length);
            frame
        };
        assert_eq!(header(125), [0x81, 125]);
        assert_eq!(header(126), [0x81, 126, 0, 126]);
        assert_eq!(header(65_535), [0x81, 126, 255, 255]);
        assert_eq!(header(65_536), [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn our_own_frames_come_apart() {
        let mut frames = Vec::new();
        for length in [0, 125, 126, 65_536] {
            append_frame(&mut frames, Opcode::Text, &vec![7; length]);
        }
        let mut rest = &frames[..];
        for length in [0, 125, 126, 65_536] {
            let (opcode, compressed, payload, after) = split_own(rest).unwrap();
            assert_eq!((opcode, compressed, payload.len()), (Opcode::Text, false, length));
            rest = after;
        }
        assert!(rest.is_empty());
    }
}
