//! How messages travel: their frames, control frames and the end of the stream.

use bytes::Bytes;

use super::{
    Body, Closing,
    websocket::{Deflation, Opcode, append_close, append_deflated, append_frame},
};

/// The longest header of a frame that is not masked.
const HEADER_BYTES_MAX: usize = 10;

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
}

impl Framing {
    /// Whether the other end may send compressed messages.
    pub(crate) fn is_deflated(self) -> bool {
        matches!(self, Self::Deflated(_))
    }

    /// The bytes of a body that many get; none for nothing.
    pub fn frame(self, body: Body) -> Bytes {
        let mut frames = with_room_for(&body);
        match self {
            Self::WebSocket => append_plain(&mut frames, &body),
            Self::Deflated(how) => append_compressed(&mut frames, &body, how),
        }
        frames.into()
    }

    /// The bytes of a body that one client gets: compressed in a hurry, since nobody shares the cost.
    pub fn frame_for_one(self, body: &Body) -> Bytes {
        let mut frames = with_room_for(body);
        self.append(&mut frames, body);
        frames.into()
    }

    /// Appends the bytes of a body that one client gets.
    pub fn append(self, buffer: &mut Vec<u8>, body: &Body) {
        match self {
            Self::WebSocket => append_plain(buffer, body),
            Self::Deflated(how) => append_compressed(buffer, body, Deflation { level: 1, ..how }),
        }
    }

    /// What makes the other end give a sign of life.
    pub fn ping(self) -> Bytes {
        PING
    }

    /// Appends what ends the stream in order.
    pub fn append_closing(self, buffer: &mut Vec<u8>, closing: Closing) {
        append_close(buffer, Some(closing.code), closing.reason);
    }
}

fn with_room_for(body: &Body) -> Vec<u8> {
    match body {
        Body::Text(bytes) | Body::Binary(bytes) => Vec::with_capacity(bytes.len() + HEADER_BYTES_MAX),
        Body::Nothing | Body::Several(_) => Vec::new(),
    }
}

fn append_compressed(buffer: &mut Vec<u8>, body: &Body, how: Deflation) {
    match body {
        Body::Text(bytes) | Body::Binary(bytes) if bytes.len() >= usize::from(how.least) => {
            let mut plain = with_room_for(body);
            append_plain(&mut plain, body);
            append_deflated(buffer, &plain, how);
        }
        Body::Several(bodies) => bodies.iter().for_each(|body| append_compressed(buffer, body, how)),
        Body::Nothing | Body::Text(_) | Body::Binary(_) => append_plain(buffer, body),
    }
}

fn append_plain(buffer: &mut Vec<u8>, body: &Body) {
    match body {
        Body::Nothing => {}
        Body::Text(bytes) => append_frame(buffer, Opcode::Text, bytes),
        Body::Binary(bytes) => append_frame(buffer, Opcode::Binary, bytes),
        Body::Several(bodies) => bodies.iter().for_each(|body| append_plain(buffer, body)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_framed_the_same_alone_and_in_a_buffer() {
        let several = Body::Several(vec![Body::text("ab"), Body::Nothing, Body::binary(vec![1, 2, 3])]);
        let frame = Framing::WebSocket.frame(several.clone());
        assert_eq!(frame[..], [0x81, 2, b'a', b'b', 0x82, 3, 1, 2, 3]);
        let mut buffer = vec![7];
        Framing::WebSocket.append(&mut buffer, &several);
        assert_eq!(buffer[1..], frame[..]);
    }

    #[test]
    fn what_is_large_enough_is_compressed() {
        let how = Deflation { window: super::super::websocket::Window::Full, level: 6, least: 100 };
        let framing = Framing::Deflated(how);
        assert_eq!(
            framing.frame(Body::text(vec![b'x'; 99])),
            Framing::WebSocket.frame(Body::text(vec![b'x'; 99]))
        );
        let frame =
            framing.frame(Body::Several(vec![Body::text(vec![b'x'; 100]), Body::binary(vec![7; 99])]));
        assert_eq!(frame[0], 0xc1);
        assert_eq!(frame[2 + usize::from(frame[1])..][..2], [0x82, 99]);
    }
}
