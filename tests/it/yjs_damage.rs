//! Damaged frames at the Yjs door. Whatever is done to the messages of real clients, the broker goes on, its memory stays
//! within bounds, others are served, and a document that was hit can still be worked with.

use std::{
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use crate::support::{Random, Server, mask, opcode};

/// Messages as Yjs and its provider send them: `tests/yjs` has more of them on the wire.
const MESSAGES: &str = include_str!("../data/yjs-messages.txt");

const RULES: &str = "[[rule]]\npattern = 'doc:**'\nkind = 'document'\nmerge_updates = 32\n";

/// A letter at the front of the root `text`, by client 9.
const HEALTHY: [u8; 17] = [0, 2, 14, 1, 1, 9, 0, 4, 1, 4, b't', b'e', b'x', b't', 1, b'h', 0];

fn messages() -> Vec<Vec<u8>> {
    let lines = MESSAGES.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| data_encoding::HEXLOWER.decode(line.as_bytes()).unwrap()).collect()
}

fn damaged(message: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = message.to_vec();
    for _ in 0..=random.below(3) {
        let at = usize::try_from(random.below(bytes.len() as u64 + 1)).unwrap();
        let any = random.next().to_le_bytes()[0];
        let byte = *random.pick(&[any, 0xff, 0x80, 0]);
        match random.below(6) {
            0..=2 if at < bytes.len() => bytes[at] = byte,
            0..=2 => bytes.push(byte),
            3 => bytes.insert(at, byte),
            4 if at < bytes.len() => drop(bytes.remove(at)),
            _ => bytes.truncate(at.max(1)),
        }
    }
    bytes
}

/// A connection as far as the attack needs one.
struct Line {
    socket: TcpStream,
    heard: Vec<u8>,
}

enum Heard {
    Pong,
    Message(Vec<u8>),
    End,
}

impl Line {
    fn open(address: SocketAddr, room: &str) -> Self {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_nodelay(true).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let head = format!(
            "GET /yjs/{room} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        socket.write_all(head.as_bytes()).unwrap();
        let mut line = Self { socket, heard: Vec::new() };
        loop {
            if let Some(end) = line.heard.windows(4).position(|window| window == b"\r\n\r\n") {
                assert!(line.heard.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&line.heard));
                line.heard.drain(..end + 4);
                return line;
            }
            assert!(line.read(), "no handshake");
        }
    }

    /// False at the end.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 64 * 1024];
        match self.socket.read(&mut buffer) {
            Ok(0) => false,
            Ok(count) => {
                self.heard.extend_from_slice(&buffer[..count]);
                true
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("{error}"),
        }
    }

    fn hear(&mut self) -> Heard {
        loop {
            if let Some((first, payload)) = self.frame() {
                match first {
                    opcode::PONG => return Heard::Pong,
                    opcode::CLOSE => return Heard::End,
                    _ => return Heard::Message(payload),
                }
            }
            if !self.read() {
                return Heard::End;
            }
        }
    }

    fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let (head, length) = match *self.heard.get(1)? {
            126 => (4, u64::from(u16::from_be_bytes(self.heard.get(2..4)?.try_into().unwrap()))),
            127 => (10, u64::from_be_bytes(self.heard.get(2..10)?.try_into().unwrap())),
            short => (2, u64::from(short)),
        };
        let end = head + usize::try_from(length).unwrap();
        let payload = self.heard.get(head..end)?.to_vec();
        let first = self.heard[0];
        self.heard.drain(..end);
        Some((first, payload))
    }

    /// Sends a message and waits until it was dealt with; false if that was the end.
    fn say(&mut self, message: &[u8]) -> bool {
        let mut frames = mask(opcode::BINARY, message);
        frames.extend(mask(opcode::PING, b""));
        if self.socket.write_all(&frames).is_err() {
            return false;
        }
        loop {
            match self.hear() {
                Heard::Pong => return true,
                Heard::Message(_) => {}
                Heard::End => return false,
            }
        }
    }
}

/// Sends damaged messages over many connections; returns how many.
fn attack(address: SocketAddr, count: usize, seed: u64, sent: &AtomicUsize) {
    let (messages, mut random) = (messages(), Random::new(seed));
    let mut line: Option<Line> = None;
    while sent.load(Ordering::Relaxed) < count {
        let number = sent.fetch_add(1, Ordering::Relaxed);
        // A document full of nonsense is slow to hand out, so the attack moves on.
        let room = format!("doc:hit-{}", number / 2_000);
        let message: &Vec<u8> = random.pick(&messages);
        let message = damaged(message, &mut random);
        let mut open = line.take().unwrap_or_else(|| Line::open(address, &room));
        if open.say(&message) && random.below(20) > 0 {
            line = Some(open);
        }
    }
}

fn run(count: usize) {
    let server = Server::start(RULES);
    let address = server.address;
    let mut beside = Line::open(address, "doc:beside");
    let sent = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let sent = &sent;
            scope.spawn(move || attack(address, count, seed, sent));
        }
        // Meanwhile a healthy client is served.
        while sent.load(Ordering::Relaxed) < count {
            assert!(beside.say(&[0, 0, 1, 0]), "a bystander was disconnected");
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    // An update of 2 MiB, the largest there is, would take some hundred MiB; these have a kilobyte.
    let resident = server.resident_bytes() / (1 << 20);
    assert!(resident < 256, "{resident} MiB");
    for room in ["doc:hit-0".to_owned(), format!("doc:hit-{}", (count - 1) / 2_000)] {
        let (mut one, mut two) = (Line::open(address, &room), Line::open(address, &room));
        assert!(two.say(&[0, 0, 1, 0]));
        assert!(one.say(&HEALTHY), "a healthy update is taken");
        let is_it = |heard: &Heard| matches!(heard, Heard::Message(message) if *message == HEALTHY);
        while !is_it(&two.hear()) {}
    }
    eprintln!("{} damaged messages, {resident} MiB resident at the end", sent.into_inner());
}

#[test]
fn damaged_frames_do_no_harm() {
    run(5_000);
}

#[test]
#[ignore = "takes minutes"]
fn a_million_damaged_frames_do_no_harm() {
    run(1_000_000);
}
