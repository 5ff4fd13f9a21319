//! A message as bytes on the wire: encoded once per (message, wire), WebSocket header included.
//!
//! A server's frames are unmasked and hold nothing that differs between subscribers, so one buffer serves them all.

use std::sync::OnceLock;

use bytes::Bytes;
use fanwire_proto::{CloseCode, Delivery, EncodeError, Event, Format, Message, Offset, Payload};

/// Opcodes with the FIN bit set (RFC 6455 §5.2).
const FIN_TEXT: u8 = 0x81;
const FIN_BINARY: u8 = 0x82;
const FIN_CLOSE: u8 = 0x88;
const FIN_PING: u8 = 0x89;
const FIN_PONG: u8 = 0x8a;

/// The longest header of a frame that is not masked.
const HEADER_BYTES_MAX: usize = 10;

/// An empty WebSocket ping.
pub const PING: Bytes = Bytes::from_static(&[FIN_PING, 0]);

/// What the frames of a connection look like.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wire {
    /// The native protocol.
    Native(Format),
    /// The protocol of y-websocket: messages and nothing else, in binary frames.
    Yjs,
}

impl Wire {
    /// How many there are.
    pub const COUNT: usize = Format::ALL.len() + 1;

    /// A number below [`COUNT`](Self::COUNT) of its own.
    pub const fn index(self) -> usize {
        match self {
            Self::Native(format) => format.index(),
            Self::Yjs => Self::COUNT - 1,
        }
    }

    /// How the end of a connection is put. A y-websocket provider reconnects after every code but those from 4400 to
    /// 4499.
    pub fn closing(self, code: CloseCode) -> Closing {
        let closing = Closing::from(code);
        let number = match (self, code) {
            (Self::Native(_), _) => closing.code,
            (Self::Yjs, CloseCode::Protocol | CloseCode::Unsupported | CloseCode::InvalidText) => 4400,
            (Self::Yjs, CloseCode::TokenMissing) => 4401,
            (Self::Yjs, CloseCode::Disconnected) => 4403,
            (Self::Yjs, CloseCode::TooBig) => 4413,
            (Self::Yjs, CloseCode::OutboxFull) => 1013,
            // It reads its token anew before it comes back.
            (Self::Yjs, CloseCode::TokenExpired | CloseCode::PingTimeout) => closing.code,
            (Self::Yjs, CloseCode::Normal | CloseCode::GoingAway) => closing.code,
        };
        Closing { code: number, ..closing }
    }

    /// The frame of a message.
    fn delivery(self, message: &Message, skipped: u64) -> Bytes {
        match self {
            Self::Native(format) => {
                frame_or_report(format, format.encode_delivery(Delivery { message, skipped }))
            }
            Self::Yjs => yjs_frame(message),
        }
    }

    /// The frame of an event; empty where the protocol has no word for it.
    fn event(self, event: &Event) -> Bytes {
        match (self, event) {
            (Self::Native(format), event) => frame_or_report(format, format.encode_event(event)),
            (Self::Yjs, Event::Message(message)) => yjs_frame(message),
            (Self::Yjs, _) => Bytes::new(),
        }
    }
}

/// One slot per [`Wire`], filled on first use.
#[derive(Debug, Default)]
struct Encoded([OnceLock<Bytes>; Wire::COUNT]);

impl Encoded {
    fn get(&self, wire: Wire, encode: impl FnOnce() -> Bytes) -> &Bytes {
        self.0[wire.index()].get_or_init(encode)
    }
}

/// The number of a message among those with the same key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyCount {
    /// The offset of the key's first message since the key last was unknown.
    pub run: Offset,
    /// One for that first message, and so on.
    pub number: u64,
}

impl KeyCount {
    /// How many messages of the key lie between this one and the one that was seen before, if any was.
    pub fn skipped_since(self, seen: Option<Self>) -> u64 {
        let before = seen.filter(|seen| seen.run == self.run).map_or(0, |seen| seen.number);
        self.number.saturating_sub(before + 1)
    }
}

/// A message of a topic together with its encodings.
#[derive(Debug)]
pub struct FrameSet {
    /// The message.
    pub message: Message,
    /// Its number among the messages of its key; nothing where keys play no part.
    pub count: KeyCount,
    encoded: Encoded,
}

impl FrameSet {
    /// Takes a message; nothing is encoded yet.
    pub fn new(message: Message, count: KeyCount) -> Self {
        Self { message, count, encoded: Encoded::default() }
    }

    /// The frame every subscriber with this wire gets.
    pub fn frame(&self, wire: Wire) -> &Bytes {
        self.encoded.get(wire, || wire.delivery(&self.message, 0))
    }

    /// A frame that reports `skipped` conflated values; not kept.
    pub fn frame_with_skipped(&self, wire: Wire, skipped: u64) -> Bytes {
        // Not every protocol says how many.
        match (skipped, wire) {
            (0, _) | (_, Wire::Yjs) => self.frame(wire).clone(),
            _ => wire.delivery(&self.message, skipped),
        }
    }

    /// What it counts for in a history's byte bound.
    pub fn cost(&self) -> usize {
        let tags = self.message.tags.iter().flat_map(|tags| tags.iter()).map(|(k, v)| k.len() + v.len());
        self.message.payload.len()
            + self.message.key.as_ref().map_or(0, |key| key.len())
            + tags.sum::<usize>()
    }

    /// About how many bytes its frame has, for budgets.
    pub fn weight(&self) -> usize {
        /// Field names, offset and time of a `message` event.
        const ENVELOPE: usize = 64;
        /// The publisher's client id and field names.
        const PUBLISHER: usize = 40;
        let from = self
            .message
            .from
            .as_ref()
            .map_or(0, |from| PUBLISHER + from.user.as_ref().map_or(0, |user| user.len()));
        self.cost() + self.message.topic.as_str().len() + from + ENVELOPE
    }
}

/// An event that many subscribers get, together with its encodings.
#[derive(Debug)]
pub struct SharedEvent {
    /// The event.
    pub event: Event,
    encoded: Encoded,
}

impl SharedEvent {
    /// Takes an event; nothing is encoded yet.
    pub fn new(event: Event) -> Self {
        Self { event, encoded: Encoded::default() }
    }

    /// The frame every subscriber with this wire gets.
    pub fn frame(&self, wire: Wire) -> &Bytes {
        self.encoded.get(wire, || wire.event(&self.event))
    }
}

/// Appends an event for one connection as a frame.
pub fn append_event(buffer: &mut Vec<u8>, wire: Wire, event: &Event) {
    buffer.extend_from_slice(&wire.event(event));
}

/// A message of the y-websocket protocol in a frame of its own, since the provider reads one message per frame.
pub fn yjs(message: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(message.len() + HEADER_BYTES_MAX);
    append_frame(&mut frame, FIN_BINARY, message);
    frame.into()
}

/// A topic's message as its Yjs subscribers get it: an awareness message as it is, which is what messages with a key
/// are there; anything else that is bytes as an update.
fn yjs_frame(message: &Message) -> Bytes {
    /// Message type 0, sync; its step 2, update.
    const UPDATE: &[u8] = &[0, 2];
    let Payload::Bytes(bytes) = &message.payload else { return Bytes::new() };
    if message.key.is_some() {
        return yjs(bytes);
    }
    let mut length = Vec::with_capacity(10);
    lib0_length(&mut length, bytes.len());
    let mut frame = Vec::with_capacity(bytes.len() + length.len() + UPDATE.len() + HEADER_BYTES_MAX);
    append_header(&mut frame, FIN_BINARY, UPDATE.len() + length.len() + bytes.len());
    for part in [UPDATE, &length, bytes] {
        frame.extend_from_slice(part);
    }
    frame.into()
}

/// An unsigned number as lib0 writes it: seven bits at a time, lowest first.
fn lib0_length(buffer: &mut Vec<u8>, mut length: usize) {
    while length > 0x7f {
        buffer.push(length.to_le_bytes()[0] | 0x80);
        length >>= 7;
    }
    buffer.push(length.to_le_bytes()[0]);
}

/// Appends a pong that answers a ping's payload (at most 125 bytes by RFC 6455 §5.5).
pub fn append_pong(buffer: &mut Vec<u8>, payload: &[u8]) {
    append_frame(buffer, FIN_PONG, payload);
}

/// What a close frame says (RFC 6455 §5.5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closing {
    /// The number.
    pub code: u16,
    /// At most 123 bytes.
    pub reason: &'static str,
}

impl From<CloseCode> for Closing {
    fn from(code: CloseCode) -> Self {
        Self { code: code.as_u16(), reason: code.reason() }
    }
}

/// Appends a close frame.
pub fn append_close(buffer: &mut Vec<u8>, closing: Closing) {
    let mut body = closing.code.to_be_bytes().to_vec();
    body.extend_from_slice(closing.reason.as_bytes());
    append_frame(buffer, FIN_CLOSE, &body);
}

fn frame_or_report(format: Format, encoded: Result<Vec<u8>, EncodeError>) -> Bytes {
    match encoded {
        Ok(body) => {
            let mut frame = Vec::with_capacity(body.len() + HEADER_BYTES_MAX);
            append_frame(&mut frame, data_opcode(format), &body);
            frame.into()
        }
        Err(error) => {
            tracing::error!(%error, "a message was not sent");
            Bytes::new()
        }
    }
}

const fn data_opcode(format: Format) -> u8 {
    match format {
        Format::Json => FIN_TEXT,
        Format::MsgPack => FIN_BINARY,
    }
}

/// RFC 6455 §5.2: seven bits of length, or 126 and two bytes, or 127 and eight.
fn append_header(buffer: &mut Vec<u8>, opcode: u8, length: usize) {
    buffer.push(opcode);
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

fn append_frame(buffer: &mut Vec<u8>, opcode: u8, body: &[u8]) {
    append_header(buffer, opcode, body.len());
    buffer.extend_from_slice(body);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(data: &str) -> FrameSet {
        let message = Message {
            topic: "t".parse().unwrap(),
            offset: Offset(1),
            time: 0,
            payload: Payload::json(data).unwrap(),
            key: None,
            tags: None,
            from: None,
            skipped: 0,
        };
        FrameSet::new(message, KeyCount::default())
    }

    #[test]
    fn a_message_is_encoded_once_per_format() {
        let set = message("1");
        for wire in [Wire::Native(Format::Json), Wire::Native(Format::MsgPack), Wire::Yjs] {
            let first = set.frame(wire).as_ptr();
            assert_eq!(set.frame(wire).as_ptr(), first);
        }
    }

    #[test]
    fn lengths_take_the_shortest_form() {
        let header = |length: usize| {
            let mut frame = Vec::new();
            append_frame(&mut frame, FIN_TEXT, &vec![0; length]);
            frame.truncate(frame.len() - length);
            frame
        };
        assert_eq!(header(125), [0x81, 125]);
        assert_eq!(header(126), [0x81, 126, 0, 126]);
        assert_eq!(header(65_535), [0x81, 126, 255, 255]);
        assert_eq!(header(65_536), [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn skipped_changes_the_frame() {
        let set = message("1");
        let wire = Wire::Native(Format::Json);
        assert_eq!(set.frame_with_skipped(wire, 0), set.frame(wire));
        let frame = set.frame_with_skipped(wire, 7);
        assert!(String::from_utf8_lossy(&frame).contains(r#""skipped":7"#));
    }
}
