//! What the tests of this folder share: a client's frames, and numbers that are random but the same each time.

use super::{Decoder, Incoming, Partial, Rules, Violation, mask};

pub(super) const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A client's frame with this first byte.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..=65_535 => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    mask::apply(&mut bytes[start..], MASK, 0);
    bytes
}

/// What came in, owned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Got {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>),
    Refused(Violation),
}

/// One connection: a decoder with what it keeps.
pub(super) struct Connection {
    pub(super) decoder: Decoder,
    pub(super) partial: Option<Box<Partial>>,
    rules: Rules,
}

impl Connection {
    pub(super) fn new(rules: Rules) -> Self {
        Self { decoder: Decoder::default(), partial: None, rules }
    }

    /// Feeds one piece; what comes out of it, up to the first violation.
    pub(super) fn feed(&mut self, piece: &[u8]) -> Vec<Got> {
        let mut piece = piece.to_vec();
        let (mut input, mut got) = (&mut piece[..], Vec::new());
        loop {
            match self.decoder.next(&mut self.partial, self.rules, &mut input) {
                Ok(None) if input.is_empty() => return got,
                Ok(None) => {}
                Ok(Some(incoming)) => got.push(match incoming {
                    Incoming::Text(text) => Got::Text(text.into_owned()),
                    Incoming::Binary(bytes) => Got::Binary(bytes.into_owned()),
                    Incoming::Ping(bytes) => Got::Ping(bytes.into_owned()),
                    Incoming::Pong(bytes) => Got::Pong(bytes.into_owned()),
                    Incoming::Close(code) => Got::Close(code),
                }),
                Err(violation) => {
                    got.push(Got::Refused(violation));
                    return got;
                }
            }
        }
    }

    /// Feeds pieces of this size.
    pub(super) fn feed_in_pieces(&mut self, bytes: &[u8], size: usize) -> Vec<Got> {
        let mut got = Vec::new();
        for piece in bytes.chunks(size.max(1)) {
            got.extend(self.feed(piece));
            if matches!(got.last(), Some(Got::Refused(_))) {
                break;
            }
        }
        got
    }
}

/// SplitMix64.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap()
    }

    pub(super) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}
