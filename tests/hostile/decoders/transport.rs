//! What carries a protocol: TLS, WebSocket frames, their compression and how it is agreed on, and frames with bytes of each
//! receiver's own.

use std::{io::Cursor, sync::Arc};

use bytes::Bytes;
use fanwire::wire::{
    Body, Data, Frame, Framing, Own,
    websocket::{
        Decoder, Deflation, Incoming, Inflater, Opcode, Rules, Window, append_deflated, append_frame,
        negotiate,
    },
};
use flate2::{Compress, Compression, FlushCompress};
use tokio_rustls::rustls;

use super::{
    Decode,
    bombs::{Bombs, bomb},
};
use crate::random::Random;

const MESSAGE_BYTES_MAX: usize = 64 * 1024;

static BOMBS: Bombs = Bombs::new();

/// A client's frame: masked with zeros, which leaves the payload as it is.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        small @ ..126 => bytes.push(0x80 | u8::try_from(small).unwrap()),
        middle @ 126..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(middle).unwrap().to_be_bytes());
        }
        large => {
            bytes.push(0x80 | 127);
            bytes.extend((large as u64).to_be_bytes());
        }
    }
    bytes.extend([0; 4]);
    bytes.extend(payload);
    bytes
}

/// Without the four bytes at its end (RFC 7692 §7.2.1).
fn compressed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + 1024);
    Compress::new(Compression::best(), false).compress_vec(payload, &mut bytes, FlushCompress::Sync).unwrap();
    bytes.truncate(bytes.len().saturating_sub(4));
    bytes
}

pub(super) fn frames() -> Vec<Vec<u8>> {
    let text = "{\"type\":\"ping\",\"id\":1,\"é\":\"\u{10ffff}\"}".as_bytes();
    let (begin, end) = text.split_at(text.len() / 2);
    vec![
        frame(0x81, text),
        [frame(0x01, begin), frame(0x89, b"ping"), frame(0x80, end)].concat(),
        frame(0xc1, &compressed(text)),
        frame(0x82, &[0; 300]),
        frame(0x88, &[3, 0xe8]),
    ]
}

pub(super) fn hostile_frames(random: &mut Random) -> Vec<u8> {
    match random.below(6) {
        0 => frame(0xc1, bomb(random, &BOMBS, compressed)),
        1 => [frame(0x01, b"a"), frame(0x00, b"").repeat(random.size(20_000)), frame(0x80, b"b")].concat(),
        2 => frame(0x89, b"ping").repeat(random.size(20_000)),
        3 => vec![0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0],
        // Empty blocks of the compression, each of which says nothing.
        4 => frame(0xc2, &[0, 0, 0, 0xff, 0xff].repeat(random.size(12_000))),
        _ => [frame(0x01, &[0xf0, 0x9f]), frame(0x00, &[0x92]), frame(0x80, &[0xa9])].concat(),
    }
}

/// In pieces, as a socket gives them.
pub(super) fn websocket() -> Decode {
    let (mut decoder, mut turn) = (Decoder::default(), 0_usize);
    Box::new(move |bytes| {
        turn += 1;
        let rules = Rules::new(MESSAGE_BYTES_MAX, !turn.is_multiple_of(4));
        let mut partial = None;
        let mut bytes = bytes.to_vec();
        for piece in bytes.chunks_mut(1 + turn * 7 % 5_000) {
            let mut piece = piece;
            loop {
                match decoder.next(&mut partial, rules, &mut piece) {
                    Ok(None) => break,
                    Ok(Some(Incoming::Text(text))) => assert!(text.len() <= MESSAGE_BYTES_MAX),
                    Ok(Some(Incoming::Binary(data))) => assert!(data.len() <= MESSAGE_BYTES_MAX),
                    Ok(Some(Incoming::Ping(_) | Incoming::Pong(_))) => {}
                    Ok(Some(Incoming::Close(_))) | Err(_) => return,
                }
            }
        }
    })
}

/// Messages without their frames, as RFC 7692 compresses them.
pub(super) fn compressed_messages() -> Vec<Vec<u8>> {
    let prose = "to be or not to be, that is the question: ".repeat(40);
    let blocks = b"\x00\x05\x00\xfa\xffHello\xf3\x48\xcd\xc9\xc9\x07\x00";
    vec![compressed(b"Hello"), compressed(prose.as_bytes()), compressed(b""), blocks.to_vec()]
}

pub(super) fn compressed_message(random: &mut Random) -> Vec<u8> {
    match random.below(5) {
        0 => bomb(random, &BOMBS, compressed).to_vec(),
        // Empty blocks, stored and final.
        1 => [0, 0, 0, 0xff, 0xff].repeat(random.size(12_000)),
        2 => [0x03, 0x00].repeat(random.size(12_000)),
        // A block with codes of its own, which are noise.
        3 => [vec![0x05], noise(random, 400)].concat(),
        _ => compressed(&noise(random, 60_000)),
    }
}

fn noise(random: &mut Random, most: usize) -> Vec<u8> {
    (0..random.size(most)).map(|_| random.byte()).collect()
}

/// Inflated within a bound, and what came out of it deflated again, which has to give the same.
pub(super) fn inflation() -> Decode {
    let (mut inflater, mut turn) = (Inflater::default(), 0_u8);
    Box::new(move |bytes| {
        turn = turn.wrapping_add(1);
        let limit = if turn.is_multiple_of(3) { 100 } else { MESSAGE_BYTES_MAX };
        let Ok(plain) = inflater.inflate(bytes, limit) else { return };
        assert!(plain.len() <= limit);
        let window = if turn.is_multiple_of(2) { Window::Full } else { Window::Small };
        let (mut ours, mut sent) = (Vec::new(), Vec::new());
        append_frame(&mut ours, Opcode::Binary, &plain);
        append_deflated(&mut sent, &ours, Deflation { window, level: 1 + turn % 9, least: 0 });
        let payload = &sent[head_of(&sent)..];
        let again =
            if sent[0] & 0x40 == 0 { payload.to_vec() } else { inflater.inflate(payload, limit).unwrap() };
        assert_eq!(again, plain);
    })
}

/// Bytes before the payload of a frame that is not masked; what it says of the payload's length has to be so.
fn head_of(frame: &[u8]) -> usize {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |number, byte| number << 8 | usize::from(*byte));
    let (head, length) = match frame[1] {
        126 => (4, number(&frame[2..4])),
        127 => (10, number(&frame[2..10])),
        small => (2, usize::from(small)),
    };
    assert_eq!(frame.len() - head, length, "a head that is not true");
    head
}

pub(super) const OFFERS: &[&str] = &[
    "permessage-deflate",
    "server_max_window_bits",
    "client_max_window_bits",
    "server_no_context_takeover",
    "=",
    ";",
    ",",
    "\"",
    "\\",
    "8",
    "15",
    " \t",
];

pub(super) fn offers() -> Vec<Vec<u8>> {
    vec![
        b"permessage-deflate; client_max_window_bits; server_max_window_bits=\"10\", permessage-deflate"
            .to_vec(),
        b"x-webkit-deflate-frame, permessage-deflate;server_no_context_takeover".to_vec(),
    ]
}

pub(super) fn offer(random: &mut Random) -> Vec<u8> {
    let many = random.size(5_000);
    let text = match random.below(4) {
        0 => "permessage-deflate,".repeat(many),
        1 => format!("permessage-deflate{}", "; server_max_window_bits=9".repeat(many)),
        2 => format!("permessage-deflate{}", (0..many).map(|at| format!(";a{at}")).collect::<String>()),
        _ => format!("permessage-deflate; a=\"{}", "\\\\\"".repeat(many)),
    };
    text.into_bytes()
}

pub(super) fn offer_decoder() -> Decode {
    Box::new(|bytes| {
        let values = String::from_utf8_lossy(bytes);
        if let Some(agreed) = negotiate(values.split('\n')) {
            assert!(agreed.header().starts_with("permessage-deflate; "));
        }
    })
}

/// A receiver's own bytes, a line feed, and what is shared.
pub(super) fn own_bytes() -> Vec<Vec<u8>> {
    vec![b"42\n[\"message\",{}]".to_vec(), [&b"own\n"[..], &[b'x'; 70_000]].concat(), b"\n".to_vec()]
}

pub(super) fn own(random: &mut Random) -> Vec<u8> {
    let lengths = [0, 1, 124, 125, 126, 127, 65_534, 65_535, 65_536];
    let [own, shared] = [*random.of(&lengths), *random.of(&lengths)];
    [vec![b'o'; own], b"\n".to_vec(), vec![b's'; shared]].concat()
}

/// Heads and patches of each receiver's own, within frames whose rest is shared: whatever those bytes are, what goes out is whole.
pub(super) fn own_frames() -> Decode {
    Box::new(|bytes| {
        let (own, shared) = bytes.split_at(bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0));
        let shared = Bytes::copy_from_slice(shared);
        let patch = Own::Patch { at: own.len() / 2, length: own.len() };
        for (data, kind) in [(Data::Binary, Own::Head), (Data::Text, Own::Head), (Data::Binary, patch)] {
            let Frame::Mixed(parts) = Framing::WebSocket.frame(Body::Own(data, shared.clone(), kind)) else {
                panic!("its bytes are shared by all")
            };
            let mut sent = Vec::new();
            parts.iter().for_each(|part| Framing::WebSocket.append_part(&mut sent, part, own));
            assert_eq!(sent.len() - head_of(&sent), own.len() + shared.len());
        }
    })
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// What a client says first, with each version.
pub(super) fn tls_records() -> Vec<Vec<u8>> {
    let versions = [&rustls::version::TLS12, &rustls::version::TLS13];
    let first = |version| {
        let config = rustls::ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[version])
            .unwrap();
        let config = config.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
        let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    };
    versions.into_iter().map(first).collect()
}

pub(super) fn tls_record(random: &mut Random) -> Vec<u8> {
    let (kind, length) = (*random.of(&[20_u8, 21, 22, 23, 24]), random.size(17_000));
    let mut bytes = Vec::new();
    for _ in 0..random.size(20) {
        bytes.extend([kind, 3, 3]);
        bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        // A handshake message that claims to be as long as one can be.
        bytes.extend([1, 0xff, 0xff, 0xff]);
        bytes.extend(vec![random.byte(); length.saturating_sub(4)]);
    }
    bytes
}

pub(super) fn tls() -> Decode {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
    let config = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap();
    let config =
        Arc::new(config.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap());
    Box::new(move |bytes| {
        let mut server = rustls::ServerConnection::new(config.clone()).unwrap();
        let mut cursor = Cursor::new(bytes);
        while server.read_tls(&mut cursor).is_ok_and(|count| count > 0) {
            if server.process_new_packets().is_err() {
                break;
            }
            let _ = server.write_tls(&mut Vec::new());
        }
    })
}
