//! How messages travel: their frames, control frames and the end of the stream.

use bytes::Bytes;

use super::{Body, Closing};

/// Opcodes with the FIN bit set (RFC 6455 §5.2).
const FIN_TEXT: u8 = 0x81;
const FIN_BINARY: u8 = 0x82;
const FIN_CLOSE: u8 = 0x88;
const FIN_PING: u8 = 0x89;

/// The longest header of a frame that is not masked.
const HEADER_BYTES_MAX: usize = 10;

/// An empty WebSocket ping.
const PING: Bytes = Bytes::from_static(&[FIN_PING, 0]);

/// How a connection's messages travel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Framing {
    /// A WebSocket frame each, text or binary. A server's frames are not masked, so one buffer serves all subscribers.
    WebSocket,
}

impl Framing {
    /// The bytes of a body; none for nothing.
    pub fn frame(self, body: Body) -> Bytes {
        match body {
            Body::Nothing => Bytes::new(),
            Body::Text(bytes) => self.frame_one(FIN_TEXT, &bytes),
            Body::Binary(bytes) => self.frame_one(FIN_BINARY, &bytes),
            several @ Body::Several(_) => {
                let mut frames = Vec::new();
                self.append(&mut frames, &several);
                frames.into()
            }
        }
    }

    /// Appends a body's bytes.
    pub fn append(self, buffer: &mut Vec<u8>, body: &Body) {
        match body {
            Body::Nothing => {}
            Body::Text(bytes) => append_frame(buffer, FIN_TEXT, bytes),
            Body::Binary(bytes) => append_frame(buffer, FIN_BINARY, bytes),
            Body::Several(bodies) => bodies.iter().for_each(|body| self.append(buffer, body)),
        }
    }

    fn frame_one(self, opcode: u8, bytes: &[u8]) -> Bytes {
        let mut frame = Vec::with_capacity(bytes.len() + HEADER_BYTES_MAX);
        append_frame(&mut frame, opcode, bytes);
        frame.into()
    }

    /// What makes the other end give a sign of life.
    pub fn ping(self) -> Bytes {
        PING
    }

    /// Appends what ends the stream in order.
    pub fn append_closing(self, buffer: &mut Vec<u8>, closing: Closing) {
        let mut body = closing.code.to_be_bytes().to_vec();
        body.extend_from_slice(closing.reason.as_bytes());
        append_frame(buffer, FIN_CLOSE, &body);
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

    #[test]
    fn lengths_take_the_shortest_form() {
        let header = |length: usize| {
            let frame = Framing::WebSocket.frame(Body::text(vec![0; length]));
            frame[..frame.len() - length].to_vec()
        };
        assert_eq!(header(125), [0x81, 125]);
        assert_eq!(header(126), [0x81, 126, 0, 126]);
        assert_eq!(header(65_535), [0x81, 126, 255, 255]);
        assert_eq!(header(65_536), [0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn a_body_is_framed_the_same_alone_and_in_a_buffer() {
        let several = Body::Several(vec![Body::text("ab"), Body::Nothing, Body::binary(vec![1, 2, 3])]);
        let frame = Framing::WebSocket.frame(several.clone());
        assert_eq!(frame[..], [0x81, 2, b'a', b'b', 0x82, 3, 1, 2, 3]);
        let mut buffer = vec![7];
        Framing::WebSocket.append(&mut buffer, &several);
        assert_eq!(buffer[1..], frame[..]);
    }
}
