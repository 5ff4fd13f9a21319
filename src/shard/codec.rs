//! Reading WebSocket frames: tungstenite as an in-memory codec.
//!
//! A shard has one codec for all connections whose input so far ended with a whole message. Only a connection in the
//! middle of a message takes a codec of its own, so an idle one holds no read buffer at all.

use std::io::{self, Read, Write};

use fanwire_proto::CloseCode;
use tokio_tungstenite::tungstenite::{
    Error, Message,
    protocol::{Role, WebSocketConfig, WebSocketContext},
};

/// What tungstenite reads at a time; also what a connection in the middle of a message holds at least.
const CODEC_READ_BYTES: usize = 4096;

/// What came out of the codec.
pub(super) enum Decoded {
    Message(Message),
    /// The input is used up.
    NeedMore,
    /// The peer broke the rules.
    Violation(CloseCode),
}

/// A decoder with the count of bytes that it has taken in but not given out as messages.
pub(super) struct Codec {
    context: WebSocketContext,
    /// Never less than what `context` holds: fragments and long forms of length count as more than they are.
    held: usize,
}

impl Codec {
    pub(super) fn new(max_message_bytes: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(CODEC_READ_BYTES)
            .max_message_size(Some(max_message_bytes))
            .max_frame_size(Some(max_message_bytes));
        Self { context: WebSocketContext::new(Role::Server, Some(config)), held: 0 }
    }

    /// Whether no part of a message is inside.
    pub(super) fn is_clean(&self) -> bool {
        self.held == 0
    }

    /// Decodes the next message of `input`, advancing it. Answers to pings and closes are appended to `replies`.
    pub(super) fn next(&mut self, input: &mut &[u8], replies: &mut Vec<u8>) -> Decoded {
        let before = input.len();
        let mut wire = Wire { input, replies };
        let read = self.context.read(&mut wire);
        if matches!(read, Ok(Message::Ping(_) | Message::Close(_))) {
            // The answer is queued; an in-memory write cannot fail.
            let _ = self.context.flush(&mut wire);
        }
        self.held += before - input.len();
        match read {
            Ok(message) => {
                self.held -= frame_length(message.len()).min(self.held);
                Decoded::Message(message)
            }
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => Decoded::NeedMore,
            Err(Error::Capacity(_)) => Decoded::Violation(CloseCode::TooBig),
            Err(Error::Utf8(_)) => Decoded::Violation(CloseCode::InvalidText),
            Err(_) => Decoded::Violation(CloseCode::Protocol),
        }
    }
}

/// Bytes of a masked frame with its length in the shortest form (RFC 6455 §5.2).
fn frame_length(payload: usize) -> usize {
    let length_bytes = match payload {
        0..=125 => 0,
        126..=65_535 => 2,
        _ => 8,
    };
    2 + length_bytes + 4 + payload
}

struct Wire<'a, 'b> {
    input: &'a mut &'b [u8],
    replies: &'a mut Vec<u8>,
}

impl Read for Wire<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.input.is_empty() {
            true => Err(io::ErrorKind::WouldBlock.into()),
            false => self.input.read(buffer),
        }
    }
}

impl Write for Wire<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.replies.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio_tungstenite::tungstenite::protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    };

    use super::*;

    fn masked(payload: &[u8], opcode: Data, last: bool) -> Vec<u8> {
        let mut frame = Frame::message(payload.to_vec(), OpCode::Data(opcode), last);
        frame.header_mut().mask = Some([1, 2, 3, 4]);
        let mut bytes = Vec::new();
        frame.format(&mut bytes).unwrap();
        bytes
    }

    fn decode_all(codec: &mut Codec, mut input: &[u8]) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        loop {
            match codec.next(&mut input, &mut Vec::new()) {
                Decoded::Message(message) => messages.push(message.into_data().to_vec()),
                Decoded::NeedMore => return messages,
                Decoded::Violation(code) => panic!("{code:?}"),
            }
        }
    }

    proptest! {
        /// However input is cut, the same messages come out, and the codec knows when nothing is left inside.
        #[test]
        fn clean_exactly_between_messages(
            payloads in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let bytes: Vec<u8> = payloads.iter().flat_map(|p| masked(p, Data::Binary, true)).collect();
            let ends: Vec<usize> = payloads.iter().scan(0, |end, payload| {
                *end += frame_length(payload.len());
                Some(*end)
            }).collect();
            let cut = cut.index(bytes.len() + 1);
            let mut codec = Codec::new(1000);
            let mut messages = decode_all(&mut codec, &bytes[..cut]);
            prop_assert_eq!(codec.is_clean(), cut == 0 || ends.contains(&cut));
            messages.extend(decode_all(&mut codec, &bytes[cut..]));
            prop_assert!(codec.is_clean());
            prop_assert_eq!(messages, payloads);
        }
    }

    #[test]
    fn a_fragmented_message_never_looks_clean_while_incomplete() {
        let mut codec = Codec::new(100_000);
        assert!(decode_all(&mut codec, &masked(&[7; 70_000], Data::Binary, false)).is_empty());
        assert!(!codec.is_clean());
        let rest = masked(&[8; 10], Data::Continue, true);
        assert_eq!(decode_all(&mut codec, &rest)[0].len(), 70_010);
    }

    #[test]
    fn violations_have_their_codes() {
        let check =
            |bytes: &[u8], expect: CloseCode| match Codec::new(1000).next(&mut &bytes[..], &mut Vec::new()) {
                Decoded::Violation(code) => assert_eq!(code, expect),
                _ => panic!("accepted {bytes:?}"),
            };
        check(&masked(&[0xff, 0xfe], Data::Text, true), CloseCode::InvalidText);
        check(&masked(&[0; 1001], Data::Binary, true), CloseCode::TooBig);
        check(&[0x82, 0x01, 0x00], CloseCode::Protocol);
        check(&[0xf2, 0x80, 0, 0, 0, 0], CloseCode::Protocol);
    }
}
