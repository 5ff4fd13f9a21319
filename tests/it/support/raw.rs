//! A client that can break every rule: bytes on a TCP connection, before and after the WebSocket handshake.

use std::{io::Write, net::SocketAddr, sync::Arc};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};

use super::{PATIENCE, Server, within};

/// First byte of a frame that is complete and uses no extension.
pub(crate) mod opcode {
    pub(crate) const TEXT: u8 = 0x81;
    pub(crate) const BINARY: u8 = 0x82;
    pub(crate) const CLOSE: u8 = 0x88;
    pub(crate) const PING: u8 = 0x89;
    pub(crate) const PONG: u8 = 0x8a;
    /// Text of which more is to come.
    pub(crate) const TEXT_START: u8 = 0x01;
    /// The last fragment.
    pub(crate) const CONTINUATION: u8 = 0x80;
    /// A fragment in the middle.
    pub(crate) const CONTINUATION_MORE: u8 = 0x00;
}

/// A masked frame, as clients have to send them.
pub(crate) fn mask(first_byte: u8, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = vec![first_byte];
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ 0..=125), _) => frame.push(0x80 | length),
        (_, Ok(length)) => {
            frame.push(0x80 | 126);
            frame.extend(length.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend(u64::try_from(payload.len()).unwrap().to_be_bytes());
        }
    }
    frame.extend(KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    frame
}

/// A frame from the server.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) first_byte: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The code of a close frame.
    pub(crate) fn close_code(&self) -> Option<u16> {
        match (self.first_byte, &*self.payload) {
            (opcode::CLOSE, [high, low, ..]) => Some(u16::from_be_bytes([*high, *low])),
            _ => None,
        }
    }

    /// Whether it is a compressed message (RFC 7692 §6).
    pub(crate) fn is_compressed(&self) -> bool {
        self.first_byte & 0x40 != 0
    }

    /// The message, inflated if it is compressed.
    pub(crate) fn message(&self) -> Vec<u8> {
        if !self.is_compressed() {
            return self.payload.clone();
        }
        let mut inflater = flate2::write::DeflateDecoder::new(Vec::new());
        inflater.write_all(&self.payload).unwrap();
        inflater.write_all(&[0, 0, 0xff, 0xff]).unwrap();
        inflater.flush().unwrap();
        std::mem::take(inflater.get_mut())
    }
}

/// A payload as a client compresses it, with a window of so many bits.
pub(crate) fn deflate(payload: &[u8], window_bits: u8) -> Vec<u8> {
    let mut engine =
        flate2::Compress::new_with_window_bits(flate2::Compression::default(), false, window_bits);
    let mut out = Vec::with_capacity(payload.len() + payload.len() / 8 + 64);
    engine.compress_vec(payload, &mut out, flate2::FlushCompress::Sync).unwrap();
    assert!(out.ends_with(&[0, 0, 0xff, 0xff]));
    out.truncate(out.len() - 4);
    out
}

/// A TCP connection to the broker.
pub(crate) struct Raw {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Raw {
    pub(crate) async fn tcp(address: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(address).await.unwrap(), unread: Vec::new() }
    }

    /// A connection past its handshake, with the welcome read. Its window is small, so that not reading shows soon.
    pub(crate) async fn websocket(server: &Server, subprotocol: &str) -> Self {
        let header = format!("Sec-WebSocket-Protocol: {subprotocol}\r\n");
        let (mut raw, _) = Self::upgraded(server.address, "/ws", &header).await;
        let welcome = raw.frame().await.unwrap();
        assert!(String::from_utf8_lossy(&welcome.payload).contains("welcome"), "{welcome:?}");
        raw
    }

    /// A connection that offers extensions, with what the server answered about them.
    pub(crate) async fn offering(address: SocketAddr, path: &str, offer: &str) -> (Self, Option<String>) {
        let header = format!("Sec-WebSocket-Extensions: {offer}\r\n");
        let (raw, head) = Self::upgraded(address, path, &header).await;
        let answers = head.lines().filter_map(|line| line.split_once(": "));
        let mut answers = answers.filter(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-extensions"));
        let answer = answers.next().map(|(_, value)| value.to_owned());
        (raw, answer)
    }

    /// The same as an editor of a document.
    pub(crate) async fn editor(server: &Server, document: &str) -> Self {
        Self::upgraded(server.address, &format!("/yjs/{document}"), "").await.0
    }

    async fn upgraded(address: SocketAddr, path: &str, header: &str) -> (Self, String) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(8 * 1024).unwrap();
        let stream = socket.connect(address).await.unwrap();
        let mut raw = Self { stream, unread: Vec::new() };
        raw.send(
            format!(
                "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{header}\r\n"
            )
            .as_bytes(),
        )
        .await;
        let head = raw.until(b"\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        (raw, head)
    }

    /// Writes; that the server may have closed already is for the reader to find out.
    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        let _ = within(PATIENCE, self.stream.write_all(bytes)).await;
    }

    /// Sends the same bytes again and again and reads whatever comes, until the connection ends.
    pub(crate) async fn flood(self, bytes: Arc<[u8]>) {
        let (mut from, mut to) = self.stream.into_split();
        let mut nowhere = tokio::io::sink();
        let write = async { while to.write_all(&bytes).await.is_ok() {} };
        let _ = tokio::join!(tokio::io::copy(&mut from, &mut nowhere), write);
    }

    /// Says that nothing more will be sent, and goes on reading.
    pub(crate) async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    async fn until(&mut self, end: &[u8]) -> String {
        loop {
            if let Some(at) = self.unread.windows(end.len()).position(|window| window == end) {
                let rest = self.unread.split_off(at + end.len());
                let head = std::mem::replace(&mut self.unread, rest);
                return String::from_utf8(head).unwrap();
            }
            assert!(self.fill().await, "closed after {:?}", String::from_utf8_lossy(&self.unread));
        }
    }

    /// Reads more; false at the end, orderly or not.
    async fn fill(&mut self) -> bool {
        let read = within(PATIENCE, self.stream.read_buf(&mut self.unread)).await;
        matches!(read, Ok(1..))
    }

    /// The next frame, control frames included; none when the connection ended.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        while self.unread.len() < self.frame_length()? {
            if !self.fill().await {
                return None;
            }
        }
        let rest = self.unread.split_off(self.frame_length()?);
        let bytes = std::mem::replace(&mut self.unread, rest);
        let header = header_length(bytes[1]);
        Some(Frame { first_byte: bytes[0], payload: bytes[header..].to_vec() })
    }

    /// Length of the frame at the front, or of as much of its header as is needed to tell.
    fn frame_length(&self) -> Option<usize> {
        let length = match *self.unread {
            [_, marker, ..] if self.unread.len() < header_length(marker) => {
                return Some(header_length(marker));
            }
            [_, short @ 0..=125, ..] => usize::from(short),
            [_, 126, a, b, ..] => usize::from(u16::from_be_bytes([a, b])),
            [_, 127, a, b, c, d, e, f, g, h, ..] => {
                usize::try_from(u64::from_be_bytes([a, b, c, d, e, f, g, h])).ok()?
            }
            [_, marker, ..] => panic!("a masked frame from the server: {marker:#x}"),
            _ => return Some(2),
        };
        Some(header_length(self.unread[1]) + length)
    }

    /// Reads on until the server closes: its close code, or none when it just hung up.
    pub(crate) async fn close_code(&mut self) -> Option<u16> {
        let mut code = None;
        while let Some(frame) = self.frame().await {
            code = code.or(frame.close_code());
        }
        code
    }

    /// Everything until the server hangs up.
    pub(crate) async fn rest(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.unread)
    }
}

fn header_length(marker: u8) -> usize {
    match marker & 0x7f {
        126 => 4,
        127 => 10,
        _ => 2,
    }
}
