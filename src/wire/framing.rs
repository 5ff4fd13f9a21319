//! How messages travel: their frames, control frames and the end of the stream.

use bytes::Bytes;

use super::{
    body::{Body, Data, Own},
    closing::Closing,
    frame::{Frame, Part},
    websocket::{Deflation, Opcode, append_close, append_deflated, append_header},
};

/// The longest header and trailer of a message.
const HEADER_BYTES_MAX: usize = 20;

/// An empty WebSocket ping.
const PING: Bytes = Bytes::from_static(&[0x89, 0]);

/// How a connection's messages travel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Framing {
    /// A WebSocket frame each, text or binary. A server's frames are not masked, so one buffer serves all subscribers.
    WebSocket,
    /// The same, compressed where that makes them smaller. Nothing is remembered from one message to the next, so that one
    /// buffer serves all subscribers again.
    Deflated(Deflation),
    /// A chunk of an HTTP/1.1 response each (RFC 9112 §7.1).
    Chunked,
    /// One right after the other, until the connection ends: an HTTP/1.0 response, or a protocol over TCP that finds its own
    /// messages.
    Raw,
}

impl Framing {
    /// Whether the other end may send compressed messages.
    pub(crate) fn is_deflated(self) -> bool {
        matches!(self, Self::Deflated(_))
    }

    /// Whether what comes in are WebSocket frames; otherwise it is bytes as they come.
    pub(crate) fn is_websocket(self) -> bool {
        matches!(self, Self::WebSocket | Self::Deflated(_))
    }

    /// The bytes of a body that many get; none for nothing.
    pub fn frame(self, body: Body) -> Frame {
        if !has_own(&body) {
            let mut frames = with_room_for(&body);
            self.append_as(&mut frames, &body, None);
            return Frame::Shared(frames.into());
        }
        let mut parts = Vec::new();
        self.part(&mut parts, body);
        Frame::Mixed(parts.into())
    }

    fn part(self, parts: &mut Vec<Part>, body: Body) {
        match body {
            Body::Own(data, bytes, Own::Head) => {
                parts.push(Part::Head(data, bytes.len()));
                // The header is each receiver's own, as its length is; the trailer is shared with the last bytes.
                parts.push(Part::Shared(self.with_trailer(&bytes)));
            }
            Body::Own(data, bytes, Own::Patch { at, length }) => {
                // A dialect that counts wrongly must not take the shard down.
                let at = at.min(bytes.len());
                let mut front = Vec::with_capacity(HEADER_BYTES_MAX + at);
                // A patch is as long for everybody, so one header is right for all.
                self.append_header(&mut front, data, bytes.len() + length);
                front.extend_from_slice(&bytes[..at]);
                parts.push(Part::Shared(front.into()));
                parts.push(Part::Patch(length));
                parts.push(Part::Shared(self.with_trailer(&bytes.slice(at..))));
            }
            Body::Several(bodies) => bodies.into_iter().for_each(|body| self.part(parts, body)),
            shared => {
                let mut frame = with_room_for(&shared);
                self.append_as(&mut frame, &shared, None);
                parts.push(Part::Shared(frame.into()));
            }
        }
    }

    /// The bytes of a frame for somebody who has none of their own.
    pub fn plain(self, frame: &Frame) -> Bytes {
        match frame {
            Frame::Shared(bytes) => bytes.clone(),
            Frame::Mixed(parts) => {
                let mut bytes = Vec::new();
                parts.iter().for_each(|part| self.append_part(&mut bytes, part, &[]));
                bytes.into()
            }
        }
    }

    /// Appends a part of a frame for somebody whose own bytes these are. A patch has a length of its own, and takes as much
    /// of them.
    pub fn append_part(self, buffer: &mut Vec<u8>, part: &Part, own: &[u8]) {
        match part {
            Part::Shared(bytes) => buffer.extend_from_slice(bytes),
            Part::Head(data, rest) => {
                self.append_header(buffer, *data, own.len() + rest);
                buffer.extend_from_slice(own);
            }
            Part::Patch(length) => {
                let own = &own[..own.len().min(*length)];
                buffer.extend_from_slice(own);
                // The header has promised so many bytes: what is not given is zero, or the stream would be out of step.
                buffer.resize(buffer.len() + length - own.len(), 0);
            }
        }
    }

    /// The bytes of a body that one client gets: compressed in a hurry, since nobody shares the cost.
    pub fn frame_for_one(self, body: &Body) -> Bytes {
        let mut frames = with_room_for(body);
        self.append(&mut frames, body);
        frames.into()
    }

    /// Appends the bytes of a body that one client gets. Who says it knows what is the client's own: there is no place left
    /// for it.
    pub fn append(self, buffer: &mut Vec<u8>, body: &Body) {
        self.append_as(buffer, body, Some(1));
    }

    fn append_as(self, buffer: &mut Vec<u8>, body: &Body, level: Option<u8>) {
        match (body, self) {
            (Body::Nothing, _) => {}
            (Body::Several(bodies), _) => {
                bodies.iter().for_each(|body| self.append_as(buffer, body, level));
            }
            (Body::Text(bytes) | Body::Binary(bytes), Self::Deflated(how))
                if bytes.len() >= usize::from(how.least) =>
            {
                // Framed without compression first: whatever does not become smaller goes out as it is then.
                let mut plain = with_room_for(body);
                Self::WebSocket.append_as(&mut plain, body, level);
                append_deflated(buffer, &plain, Deflation { level: level.unwrap_or(how.level), ..how });
            }
            (Body::Text(bytes) | Body::Own(Data::Text, bytes, _), _) => {
                self.append_one(buffer, Data::Text, bytes);
            }
            (Body::Binary(bytes) | Body::Own(Data::Binary, bytes, _), _) => {
                self.append_one(buffer, Data::Binary, bytes);
            }
        }
    }

    fn append_one(self, buffer: &mut Vec<u8>, data: Data, bytes: &[u8]) {
        self.append_header(buffer, data, bytes.len());
        buffer.extend_from_slice(bytes);
        buffer.extend_from_slice(self.trailer());
    }

    /// What stands before a message of so many bytes.
    fn append_header(self, buffer: &mut Vec<u8>, data: Data, length: usize) {
        match (self, data) {
            (Self::WebSocket | Self::Deflated(_), Data::Text) => {
                append_header(buffer, Opcode::Text, false, length)
            }
            (Self::WebSocket | Self::Deflated(_), Data::Binary) => {
                append_header(buffer, Opcode::Binary, false, length);
            }
            (Self::Chunked, _) => append_chunk_size(buffer, length),
            (Self::Raw, _) => {}
        }
    }

    /// What stands behind a message.
    fn trailer(self) -> &'static [u8] {
        match self {
            Self::Chunked => b"\r\n",
            Self::WebSocket | Self::Deflated(_) | Self::Raw => b"",
        }
    }

    fn with_trailer(self, bytes: &Bytes) -> Bytes {
        match self.trailer() {
            b"" => bytes.clone(),
            trailer => [&bytes[..], trailer].concat().into(),
        }
    }

    /// What makes the other end give a sign of life, where the framing has something for it.
    pub fn ping(self) -> Option<Bytes> {
        self.is_websocket().then_some(PING)
    }

    /// Appends what ends the stream in order.
    pub fn append_closing(self, buffer: &mut Vec<u8>, closing: Closing) {
        match self {
            Self::WebSocket | Self::Deflated(_) => append_close(buffer, Some(closing.code), closing.reason),
            // The last chunk (RFC 9112 §7.1), without trailer fields.
            Self::Chunked => buffer.extend_from_slice(b"0\r\n\r\n"),
            Self::Raw => {}
        }
    }
}

/// In hexadecimal digits (RFC 9112 §7.1). What `write!` does, at a tenth of its cost: this may be per delivery.
fn append_chunk_size(buffer: &mut Vec<u8>, length: usize) {
    let digits = (usize::BITS - length.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        buffer.push(b"0123456789abcdef"[length >> (4 * place) & 0xf]);
    }
    buffer.extend_from_slice(b"\r\n");
}

fn has_own(body: &Body) -> bool {
    match body {
        Body::Own(..) => true,
        Body::Several(bodies) => bodies.iter().any(has_own),
        Body::Nothing | Body::Text(_) | Body::Binary(_) => false,
    }
}

fn with_room_for(body: &Body) -> Vec<u8> {
    match body {
        Body::Text(bytes) | Body::Binary(bytes) | Body::Own(_, bytes, _) => {
            Vec::with_capacity(bytes.len() + HEADER_BYTES_MAX)
        }
        Body::Nothing | Body::Several(_) => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::websocket::Window;

    const DEFLATED: Framing = Framing::Deflated(Deflation { window: Window::Full, level: 6, least: 100 });
    const ALL: [Framing; 4] = [Framing::WebSocket, DEFLATED, Framing::Chunked, Framing::Raw];

    fn plain(framing: Framing, body: Body) -> Bytes {
        framing.plain(&framing.frame(body))
    }

    /// What somebody with bytes of their own gets.
    fn with_own(framing: Framing, body: Body, own: &[u8]) -> Vec<u8> {
        let Frame::Mixed(parts) = framing.frame(body) else { panic!("nothing is anybody's own") };
        let mut bytes = Vec::new();
        parts.iter().for_each(|part| framing.append_part(&mut bytes, part, own));
        bytes
    }

    #[test]
    fn a_body_is_framed_the_same_alone_and_in_a_buffer() {
        let several = Body::Several(vec![Body::text("ab"), Body::Nothing, Body::binary(vec![1, 2, 3])]);
        let frame = plain(Framing::WebSocket, several.clone());
        assert_eq!(frame[..], [0x81, 2, b'a', b'b', 0x82, 3, 1, 2, 3]);
        assert_eq!(plain(Framing::Chunked, several.clone())[..], *b"2\r\nab\r\n3\r\n\x01\x02\x03\r\n");
        assert_eq!(plain(Framing::Raw, several.clone())[..], *b"ab\x01\x02\x03");
        for framing in ALL {
            let mut buffer = vec![7];
            framing.append(&mut buffer, &several);
            assert_eq!(buffer[1..], plain(framing, several.clone())[..], "{framing:?}");
        }
    }

    #[test]
    fn what_is_large_enough_is_compressed() {
        assert_eq!(
            plain(DEFLATED, Body::text(vec![b'x'; 99])),
            plain(Framing::WebSocket, Body::text(vec![b'x'; 99]))
        );
        let frame =
            plain(DEFLATED, Body::Several(vec![Body::text(vec![b'x'; 100]), Body::binary(vec![7; 99])]));
        assert_eq!(frame[0], 0xc1);
        assert_eq!(frame[2 + usize::from(frame[1])..][..2], [0x82, 99]);
    }

    #[test]
    fn a_message_with_a_head_is_that_of_head_and_tail_together() {
        for (head, tail) in
            [("", "tail"), ("head", ""), ("head", "tail"), (&"h".repeat(100), &"t".repeat(70_000))]
        {
            for framing in ALL {
                let own = Body::Own(Data::Binary, Bytes::copy_from_slice(tail.as_bytes()), Own::Head);
                let together = Body::binary(format!("{head}{tail}").into_bytes());
                let uncompressed = if framing == DEFLATED { Framing::WebSocket } else { framing };
                assert_eq!(with_own(framing, own, head.as_bytes()), plain(uncompressed, together)[..]);
            }
        }
    }

    #[test]
    fn a_patch_takes_its_place_whatever_it_is_given() {
        let body =
            |at| Body::Own(Data::Binary, Bytes::from_static(b"frontrest"), Own::Patch { at, length: 2 });
        for framing in ALL {
            let expected = |bytes: &'static [u8]| plain(framing, Body::binary(bytes)).to_vec();
            assert_eq!(with_own(framing, body(5), b"12"), expected(b"front12rest"));
            assert_eq!(with_own(framing, body(0), b"12"), expected(b"12frontrest"));
            assert_eq!(with_own(framing, body(99), b"12"), expected(b"frontrest12"));
            assert_eq!(with_own(framing, body(5), b"1"), expected(b"front1\0rest"), "too little");
            assert_eq!(with_own(framing, body(5), b"123"), expected(b"front12rest"), "too much");
        }
        let several = Body::Several(vec![Body::text("a"), body(5), Body::text("b")]);
        assert_eq!(with_own(Framing::Raw, several, b"12"), b"afront12restb");
    }

    #[test]
    fn chunks_say_their_size_in_hexadecimal() {
        for length in [0, 1, 0xf, 0x10, 0xabc, 0x1000, usize::MAX] {
            let mut buffer = Vec::new();
            append_chunk_size(&mut buffer, length);
            assert_eq!(String::from_utf8(buffer).unwrap(), format!("{length:x}\r\n"));
        }
    }

    #[test]
    fn streams_end_as_their_framing_wants_it() {
        let end = |framing: Framing| {
            let mut buffer = Vec::new();
            framing.append_closing(&mut buffer, Closing { code: 1000, reason: "" });
            buffer
        };
        assert_eq!(end(Framing::WebSocket), [0x88, 2, 0x03, 0xe8]);
        assert_eq!(end(Framing::Chunked), b"0\r\n\r\n");
        assert_eq!(end(Framing::Raw), b"");
    }
}
