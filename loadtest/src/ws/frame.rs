//! WebSocket frames over bytes in memory: reading either side's, writing either side's.

/// A frame longer than this is an error: the tester never publishes anything near it.
pub const MAX_PAYLOAD: usize = 4 << 20;

/// Continuation of a fragmented message.
pub const CONTINUATION: u8 = 0;
/// A text message.
pub const TEXT: u8 = 1;
/// A binary message.
pub const BINARY: u8 = 2;
/// The end of the connection.
pub const CLOSE: u8 = 8;
/// A keepalive question.
pub const PING: u8 = 9;
/// A keepalive answer.
pub const PONG: u8 = 10;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

/// One frame within a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is: one of the constants of this module.
    pub opcode: u8,
    /// Whether it ends its message.
    pub fin: bool,
    /// The mask, which only a client's frames have.
    pub mask: Option<[u8; 4]>,
    /// The payload as on the wire, still masked.
    pub payload: &'a [u8],
    /// Bytes the whole frame takes.
    pub length: usize,
}

/// What is wrong with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A reserved bit or opcode is used.
    #[error("reserved bits or opcode in byte {0:#04x}")]
    Reserved(u8),
    /// Longer than [`MAX_PAYLOAD`].
    #[error("a frame of {0} bytes")]
    TooLong(u64),
}

/// Reads the frame at the start of `bytes`; `None` when it is not all there.
///
/// # Errors
/// When what is there can be no frame.
pub fn parse(bytes: &[u8]) -> Result<Option<Frame<'_>>, FrameError> {
    let &[first, second, ..] = bytes else { return Ok(None) };
    let opcode = first & 0x0f;
    if first & RESERVED != 0 || !matches!(opcode, CONTINUATION | TEXT | BINARY | CLOSE | PING | PONG) {
        return Err(FrameError::Reserved(first));
    }
    let (size, mut at) = match second & 0x7f {
        126 => match bytes.get(2..4).and_then(|b| b.try_into().ok()) {
            Some(b) => (u64::from(u16::from_be_bytes(b)), 4),
            None => return Ok(None),
        },
        127 => match bytes.get(2..10).and_then(|b| b.try_into().ok()) {
            Some(b) => (u64::from_be_bytes(b), 10),
            None => return Ok(None),
        },
        short => (u64::from(short), 2),
    };
    let length = usize::try_from(size).ok().filter(|&n| n <= MAX_PAYLOAD).ok_or(FrameError::TooLong(size))?;
    let mut mask = None;
    if second & MASKED != 0 {
        let Some(key) = bytes.get(at..at + 4).and_then(|b| b.try_into().ok()) else { return Ok(None) };
        mask = Some(key);
        at += 4;
    }
    let Some(payload) = bytes.get(at..at + length) else { return Ok(None) };
    Ok(Some(Frame { opcode, fin: first & FIN != 0, mask, payload, length: at + length }))
}

impl Frame<'_> {
    /// The payload as the sender meant it.
    #[must_use]
    pub fn unmasked(&self) -> Vec<u8> {
        let mut payload = self.payload.to_vec();
        if let Some(key) = self.mask {
            apply_mask(&mut payload, key);
        }
        payload
    }

    /// The code of a close frame; 1005 when it carries none.
    #[must_use]
    pub fn close_code(&self) -> u16 {
        self.payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code))
    }
}

/// Appends a server's frame.
pub fn write_server(into: &mut Vec<u8>, opcode: u8, payload: &[u8]) {
    write_head(into, opcode, payload.len(), 0);
    into.extend_from_slice(payload);
}

/// Appends a client's frame, masked with `key`.
pub fn write_client(into: &mut Vec<u8>, opcode: u8, payload: &[u8], key: [u8; 4]) {
    write_head(into, opcode, payload.len(), MASKED);
    into.extend_from_slice(&key);
    let start = into.len();
    into.extend_from_slice(payload);
    apply_mask(&mut into[start..], key);
}

fn write_head(into: &mut Vec<u8>, opcode: u8, length: usize, masked: u8) {
    into.push(FIN | opcode);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => into.push(masked | short),
        (_, Ok(medium)) => {
            into.push(masked | 126);
            into.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            into.push(masked | 127);
            into.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

fn apply_mask(bytes: &mut [u8], key: [u8; 4]) {
    for (byte, key) in bytes.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn several_frames_of_one_read_are_taken_one_by_one() {
        let mut bytes = Vec::new();
        write_server(&mut bytes, TEXT, b"one");
        write_server(&mut bytes, PING, b"");
        write_server(&mut bytes, BINARY, &[7; 300]);
        let mut at = 0;
        let mut seen = Vec::new();
        while let Some(frame) = parse(&bytes[at..]).unwrap() {
            at += frame.length;
            seen.push((frame.opcode, frame.payload.len()));
        }
        assert_eq!(seen, [(TEXT, 3), (PING, 0), (BINARY, 300)]);
        assert_eq!(at, bytes.len());
    }

    #[test]
    fn every_cut_of_a_frame_waits_for_more() {
        for size in [0, 125, 126, 65_535, 65_536] {
            let mut bytes = Vec::new();
            write_client(&mut bytes, BINARY, &vec![3; size], [1, 2, 3, 4]);
            for cut in (0..bytes.len().min(20)).chain([bytes.len() - 1]) {
                assert_eq!(parse(&bytes[..cut]), Ok(None), "size {size} cut {cut}");
            }
            assert_eq!(parse(&bytes).unwrap().unwrap().unmasked(), vec![3; size]);
        }
    }

    #[test]
    fn reserved_bits_and_absurd_lengths_are_errors() {
        assert_eq!(parse(&[0xc1, 0]), Err(FrameError::Reserved(0xc1)));
        assert_eq!(parse(&[0x83, 0]), Err(FrameError::Reserved(0x83)));
        assert_eq!(parse(&[0x82, 127, 0, 0, 1, 0, 0, 0, 0, 0]), Err(FrameError::TooLong(1 << 40)));
    }

    #[test]
    fn a_close_frame_tells_its_code() {
        let mut bytes = Vec::new();
        write_server(&mut bytes, CLOSE, &4100_u16.to_be_bytes());
        assert_eq!(parse(&bytes).unwrap().unwrap().close_code(), 4100);
        assert_eq!(parse(&[0x88, 0]).unwrap().unwrap().close_code(), 1005);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            if let Ok(Some(frame)) = parse(&bytes) {
                prop_assert!(frame.length <= bytes.len());
            }
        }
    }
}
