//! Whatever comes in: the same messages however it is cut, what tungstenite makes of it where nothing is compressed,
//! and bounded memory and time for what nobody meant to send.

use std::io::{self, Read, Write};

use fanwire_proto::CloseCode;
use proptest::prelude::*;
use tokio_tungstenite::tungstenite::{
    Error, Message,
    protocol::{Role, WebSocketConfig, WebSocketContext},
};

use super::{
    Deflation, Opcode, Rules, Window, append_deflated, append_frame,
    header::split_own,
    testing::{Connection, Got, Random, frame},
};

const PLAIN: Rules = Rules { message_bytes: 4000, fragments: 1 << 20, deflate: false };

/// One in-memory connection: what is read, and nothing else.
struct Tape<'a>(&'a [u8]);

impl Read for Tape<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.0.read(buffer) }
    }
}

impl Write for Tape<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What tungstenite makes of it, with the code it would close with.
fn by_tungstenite(bytes: &[u8]) -> (Vec<Got>, Option<CloseCode>) {
    let limit = Some(PLAIN.message_bytes);
    let config = WebSocketConfig::default().max_message_size(limit).max_frame_size(limit);
    let mut context = WebSocketContext::new(Role::Server, Some(config));
    let (mut tape, mut got) = (Tape(bytes), Vec::new());
    loop {
        got.push(match context.read(&mut tape) {
            Ok(Message::Text(text)) => Got::Text(text.to_string()),
            Ok(Message::Binary(bytes)) => Got::Binary(bytes.to_vec()),
            Ok(Message::Ping(bytes)) => Got::Ping(bytes.to_vec()),
            Ok(Message::Pong(bytes)) => Got::Pong(bytes.to_vec()),
            Ok(Message::Close(close)) => {
                got.push(Got::Close(close.map(|close| close.code.into())));
                return (got, None);
            }
            Ok(Message::Frame(_)) => unreachable!("not on reading"),
            Err(Error::Io(_)) => return (got, None),
            Err(Error::Capacity(_)) => return (got, Some(CloseCode::TooBig)),
            Err(Error::Utf8(_)) => return (got, Some(CloseCode::InvalidText)),
            Err(_) => return (got, Some(CloseCode::Protocol)),
        });
    }
}

fn by_us(bytes: &[u8], size: usize) -> (Vec<Got>, Option<CloseCode>) {
    let mut got = Connection::new(PLAIN).feed_in_pieces(bytes, size);
    if let Some(at) = got.iter().position(|got| matches!(got, Got::Close(_))) {
        got.truncate(at + 1);
    }
    match got.pop() {
        Some(Got::Refused(violation)) => (got, Some(violation.code())),
        Some(last) => {
            got.push(last);
            (got, None)
        }
        None => (got, None),
    }
}

/// A message cut into fragments, with a ping in between, or a control frame, or something that is wrong.
fn sequence() -> impl Strategy<Value = Vec<u8>> {
    let payload = prop_oneof![
        any::<String>().prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..300),
        (120usize..130).prop_map(|size| vec![b'x'; size]),
        (3990usize..4010).prop_map(|size| vec![b'x'; size]),
    ];
    let first = prop_oneof![
        8 => prop::sample::select(vec![0x81u8, 0x82, 0x01, 0x02, 0x00, 0x80]),
        2 => prop::sample::select(vec![0x88u8, 0x89, 0x8a]),
        1 => any::<u8>(),
    ];
    let one = (first, payload).prop_map(|(first, payload)| frame(first, &payload));
    let good = (any::<bool>(), prop::collection::vec("\\PC{0,40}", 1..5)).prop_map(|(ping, parts)| {
        let last = parts.len() - 1;
        let mut bytes = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            bytes.extend(frame(u8::from(at == 0) | if at == last { 0x80 } else { 0 }, part.as_bytes()));
            if ping && at < last {
                bytes.extend(frame(0x89, b"ping"));
            }
        }
        bytes
    });
    prop_oneof![2 => one, 3 => good]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn any_pieces_give_what_tungstenite_reads(
        sequences in prop::collection::vec(sequence(), 1..8),
        flip in prop::option::weighted(0.3, (any::<prop::sample::Index>(), any::<u8>())),
        size in 1usize..2000,
    ) {
        let mut bytes = sequences.concat();
        if let Some((at, value)) = flip {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let (whole, code) = by_us(&bytes, bytes.len());
        prop_assert_eq!(&by_us(&bytes, size), &(whole.clone(), code));
        let (theirs, their_code) = by_tungstenite(&bytes);
        // We look at more: shortest lengths; text and size before the end of a frame; what a close says. So where
        // they differ, we have stopped earlier, or refused the same for another reason.
        match code {
            None => prop_assert_eq!((&whole, None), (&theirs, their_code)),
            Some(_) => prop_assert!(theirs.starts_with(&whole), "{:?} {:?}: {:?}", whole, code, theirs),
        }
    }
}

/// A million mutated frames: each ends in messages within the limit or in a violation, and what a connection keeps is
/// bounded by what it may send.
#[test]
fn a_million_mutated_frames() {
    let rules = Rules { message_bytes: 1000, fragments: 20, deflate: true };
    let mut random = Random(7692);
    let mut deflated = Vec::new();
    let mut plain = Vec::new();
    append_frame(&mut plain, Opcode::Text, "what comes again and again and again ".repeat(20).as_bytes());
    append_deflated(&mut deflated, &plain, Deflation { window: Window::Full, level: 6, least: 0 });
    let (_, _, body, _) = split_own(&deflated).unwrap();
    let seeds = [
        frame(0xc1, body),
        frame(0x81, "{\"type\":\"ping\",\"κόσμε\":1}".as_bytes()),
        [frame(0x01, b"{\"a\":"), frame(0x89, b"in between"), frame(0x80, b"1}")].concat(),
        [frame(0x41, &body[..9]), frame(0x80, &body[9..])].concat(),
        [frame(0x88, b"\x03\xe8bye"), frame(0x82, &[0; 900])].concat(),
    ];
    let mut connection = Connection::new(rules);
    let mut messages = 0u32;
    for _ in 0..1_000_000 / 2 {
        let mut bytes = [random.below(5), random.below(5)].map(|seed| &seeds[seed][..]).concat();
        for _ in 0..=random.below(3) {
            let at = random.below(bytes.len());
            match random.below(4) {
                0 => bytes.truncate(at),
                1 => bytes[at] = random.byte(),
                2 => bytes[at] ^= 1 << random.below(8),
                _ => bytes.insert(at, random.byte()),
            }
            bytes.push(random.byte());
        }
        let piece = 1 + random.below(2000);
        let got = connection.feed_in_pieces(&bytes, piece);
        for got in &got {
            match got {
                Got::Text(text) => assert!(text.len() <= 1000),
                Got::Binary(bytes) => assert!(bytes.len() <= 1000),
                Got::Ping(bytes) | Got::Pong(bytes) => assert!(bytes.len() <= 125),
                Got::Close(_) | Got::Refused(_) => {}
            }
        }
        messages += u32::from(matches!(got.first(), Some(Got::Text(_) | Got::Binary(_))));
        assert!(connection.partial.as_ref().is_none_or(|partial| partial.bytes() <= 2 * 1300), "memory");
        if matches!(got.last(), Some(Got::Refused(_) | Got::Close(_))) {
            connection.partial = None;
        }
    }
    assert!(messages > 100_000, "{messages} came through: the rest would prove little");
}
