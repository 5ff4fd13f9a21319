//! What carries a protocol: TLS and WebSocket frames, compressed ones included.

use std::{io::Cursor, sync::Arc};

use fanwire::wire::websocket::{Decoder, Incoming, Rules};
use flate2::{Compress, Compression, FlushCompress};
use tokio_rustls::rustls;

use super::Decode;
use crate::random::Random;

const MESSAGE_BYTES_MAX: usize = 64 * 1024;

/// A client's frame: masked with zeros, which leaves the payload as it is.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
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
        0 => frame(0xc1, &compressed(&vec![b'0'; random.size(8 << 20)])),
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
