//! Reading WebSocket frames: tungstenite as an in-memory codec.
//!
//! A shard has one codec for all connections whose input so far ended with a whole message. Only a connection in the
//! middle of a message takes a codec of its own, so an idle one holds no read buffer at all.

use std::io::{self, Cursor, Read, Write};

use fanwire_proto::CloseCode;
use tokio_tungstenite::tungstenite::{
    Error, Message,
    protocol::{
        Role, WebSocketConfig, WebSocketContext,
        frame::{FrameHeader, coding::OpCode},
    },
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

/// A decoder that knows when no part of a message is inside.
pub(super) struct Codec {
    max_message_bytes: usize,
    context: WebSocketContext,
    place: Place,
    /// Everything that was taken in has been given out as far as it can be.
    drained: bool,
}

impl Codec {
    pub(super) fn new(max_message_bytes: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(CODEC_READ_BYTES)
            .max_message_size(Some(max_message_bytes))
            .max_frame_size(Some(max_message_bytes));
        let context = WebSocketContext::new(Role::Server, Some(config));
        Self { max_message_bytes, context, place: Place::default(), drained: true }
    }

    /// The largest message that it takes.
    pub(super) fn max_message_bytes(&self) -> usize {
        self.max_message_bytes
    }

    /// Whether no part of a message is inside.
    pub(super) fn is_clean(&self) -> bool {
        self.drained && self.place.is_between_messages()
    }

    /// Decodes the next message of `input`, advancing it. Answers to pings and closes are appended to `replies`.
    pub(super) fn next(&mut self, input: &mut &[u8], replies: &mut Vec<u8>) -> Decoded {
        let before = *input;
        let mut wire = Wire { input, replies };
        let read = self.context.read(&mut wire);
        if matches!(read, Ok(Message::Ping(_) | Message::Close(_))) {
            // The answer is queued; an in-memory write cannot fail.
            let _ = self.context.flush(&mut wire);
        }
        self.place.advance(&before[..before.len() - input.len()]);
        self.drained = false;
        match read {
            Ok(message) => Decoded::Message(message),
            Err(Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                self.drained = true;
                Decoded::NeedMore
            }
            Err(Error::Capacity(_)) => Decoded::Violation(CloseCode::TooBig),
            Err(Error::Utf8(_)) => Decoded::Violation(CloseCode::InvalidText),
            Err(_) => Decoded::Violation(CloseCode::Protocol),
        }
    }
}

/// Where in the stream of frames the input so far ends; follows headers only (RFC 6455 §5.2).
#[derive(Debug, Default)]
struct Place {
    /// The part of a header that has come.
    header: Vec<u8>,
    /// Bytes of payload still to come.
    payload: u64,
    /// A fragment that is not the last one has come.
    in_message: bool,
}

impl Place {
    fn is_between_messages(&self) -> bool {
        self.header.is_empty() && self.payload == 0 && !self.in_message
    }

    fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.payload > 0 {
                let skipped = usize::try_from(self.payload).unwrap_or(usize::MAX).min(bytes.len());
                self.payload -= skipped as u64;
                bytes = &bytes[skipped..];
                continue;
            }
            self.header.push(bytes[0]);
            bytes = &bytes[1..];
            if let Ok(Some((header, length))) = FrameHeader::parse(&mut Cursor::new(&self.header)) {
                if matches!(header.opcode, OpCode::Data(_)) {
                    self.in_message = !header.is_final;
                }
                self.payload = length;
                self.header.clear();
            }
        }
    }
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
    use tokio_tungstenite::tungstenite::protocol::frame::{Frame, coding::Data};

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
        /// However messages are split into fragments and input is cut, the same messages come out, and the codec is
        /// clean exactly between them.
        #[test]
        fn clean_exactly_between_messages(
            messages in prop::collection::vec(prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..4), 1..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let (mut bytes, mut ends) = (Vec::new(), vec![0]);
            for fragments in &messages {
                for (index, fragment) in fragments.iter().enumerate() {
                    let opcode = if index == 0 { Data::Binary } else { Data::Continue };
                    bytes.extend(masked(fragment, opcode, index + 1 == fragments.len()));
                }
                ends.push(bytes.len());
            }
            let cut = cut.index(bytes.len() + 1);
            let mut codec = Codec::new(1000);
            let mut got = decode_all(&mut codec, &bytes[..cut]);
            prop_assert_eq!(codec.is_clean(), ends.contains(&cut));
            got.extend(decode_all(&mut codec, &bytes[cut..]));
            prop_assert!(codec.is_clean());
            let expected: Vec<Vec<u8>> = messages.iter().map(|fragments| fragments.concat()).collect();
            prop_assert_eq!(got, expected);
        }
    }

    proptest! {
        /// Hostile bytes end in a violation or wait for more; they never panic, however they are cut.
        #[test]
        fn garbage_is_refused_in_order(chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8)) {
            let mut codec = Codec::new(1000);
            'stream: for chunk in &chunks {
                let mut input = &chunk[..];
                loop {
                    match codec.next(&mut input, &mut Vec::new()) {
                        Decoded::Message(message) => prop_assert!(message.len() <= 1000),
                        Decoded::NeedMore => break,
                        Decoded::Violation(_) => break 'stream,
                    }
                }
            }
        }
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
