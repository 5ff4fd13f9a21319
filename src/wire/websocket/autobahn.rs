//! The cases of the Autobahn suite as vectors: RFC 6455 section by section, whole and in pieces of every size.

use super::{
    Cost, Deflation, Opcode, Rules, Violation, Window, append_deflated, append_frame,
    header::split_own,
    testing::{Connection, Got, Random, frame},
};

const PLAIN: Rules = Rules { message_bytes: 1 << 24, fragments: 1 << 20, deflate: false };

const DEFLATE: Rules = Rules { deflate: true, ..PLAIN };

const CONTINUATION_MORE: u8 = 0x00;
const CONTINUATION: u8 = 0x80;
const TEXT_MORE: u8 = 0x01;
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
const COMPRESSED: u8 = 0x40;

/// The same comes out whatever the pieces are.
fn check(frames: &[Vec<u8>], expect: &[Got]) {
    let bytes = frames.concat();
    for size in [1, 2, 3, 7, 64, 997, bytes.len()] {
        let got = Connection::new(PLAIN).feed_in_pieces(&bytes, size);
        assert_eq!(got, expect, "in pieces of {size} bytes");
    }
}

fn text(text: &str) -> Got {
    Got::Text(text.to_owned())
}

fn refused(violation: Violation) -> Got {
    Got::Refused(violation)
}

/// Cases 1.1 and 1.2, and 9.1 and 9.2 in small.
#[test]
fn messages_of_all_sizes() {
    for size in [0, 1, 124, 125, 126, 127, 128, 65_535, 65_536, 65_537, 1 << 18] {
        let payload = vec![b'*'; size];
        check(&[frame(TEXT, &payload)], &[text(&"*".repeat(size))]);
        check(&[frame(BINARY, &payload)], &[Got::Binary(payload)]);
    }
}

/// Cases 2.*: pings of up to 125 bytes, pongs nobody asked for.
#[test]
fn pings_and_pongs() {
    for payload in [&b""[..], b"Hello, world!", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", &[0xfe; 125]] {
        check(&[frame(PING, payload)], &[Got::Ping(payload.to_vec())]);
        check(&[frame(PONG, payload)], &[Got::Pong(payload.to_vec())]);
    }
    check(&[frame(PING, &[0xfe; 126])], &[refused(Violation::LongControl)]);
    let ten: Vec<Vec<u8>> = (0..10).map(|n| frame(PING, &[n])).collect();
    check(&ten, &(0..10).map(|n| Got::Ping(vec![n])).collect::<Vec<_>>());
}

/// Cases 3.*: what came before is still handed out.
#[test]
fn reserved_bits() {
    for bits in 1..8 {
        for first in [TEXT, BINARY, PING, CLOSE] {
            let bad = frame(first | bits << 4, b"small");
            check(&[frame(TEXT, b"before"), bad], &[text("before"), refused(Violation::ReservedBit)]);
        }
    }
}

/// Cases 4.*.
#[test]
fn reserved_opcodes() {
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        for payload in [&b""[..], b"reserved opcode payload"] {
            let bad = frame(0x80 | opcode, payload);
            check(&[frame(TEXT, b"before"), bad], &[text("before"), refused(Violation::ReservedOpcode)]);
        }
    }
}

/// Cases 5.*.
#[test]
fn fragments() {
    check(&[frame(0x09, b"a"), frame(CONTINUATION, b"b")], &[refused(Violation::FragmentedControl)]);
    check(&[frame(0x0a, b"a"), frame(CONTINUATION, b"b")], &[refused(Violation::FragmentedControl)]);
    let (one, two) = (frame(TEXT_MORE, b"fragment1"), frame(CONTINUATION, b"fragment2"));
    check(&[one.clone(), two.clone()], &[text("fragment1fragment2")]);
    let ping = frame(PING, b"ping payload");
    let both = [Got::Ping(b"ping payload".to_vec()), text("fragment1fragment2")];
    check(&[one.clone(), ping.clone(), two.clone()], &both);
    for first in [CONTINUATION, CONTINUATION_MORE] {
        let alone = frame(first, b"non-continuation payload");
        check(&[alone, frame(TEXT, b"x")], &[refused(Violation::NothingToContinue)]);
    }
    let after = [text("fragment1fragment2"), refused(Violation::NothingToContinue)];
    check(&[one.clone(), two, frame(CONTINUATION_MORE, b"fragment3")], &after);
    check(&[one.clone(), frame(TEXT, b"fragment2")], &[refused(Violation::InsideMessage)]);
    let mut many = vec![one];
    for n in 2..=4 {
        many.extend([frame(CONTINUATION_MORE, format!("fragment{n}").as_bytes()), ping.clone()]);
    }
    many.push(frame(CONTINUATION, b"fragment5"));
    let pings = vec![Got::Ping(b"ping payload".to_vec()); 3];
    check(&many, &[pings, vec![text("fragment1fragment2fragment3fragment4fragment5")]].concat());
}

/// Cases 6.1 and 6.2: empty fragments, and characters cut anywhere.
#[test]
fn utf8_over_fragments() {
    for payload in ["", "middle frame payload"] {
        let frames =
            [frame(TEXT_MORE, b""), frame(CONTINUATION_MORE, payload.as_bytes()), frame(CONTINUATION, b"")];
        check(&frames, &[text(payload)]);
    }
    let words = "Hello-µ@ßöäüàá-UTF-8!! \u{10ffff}κόσμε";
    let mut frames = vec![frame(TEXT_MORE, b"")];
    frames.extend(words.bytes().map(|byte| frame(CONTINUATION_MORE, &[byte])));
    frames.push(frame(CONTINUATION, b""));
    check(&frames, &[text(words)]);
}

/// Cases 6.3 and 6.4: refused with the byte that makes it wrong, though neither frame nor message has ended.
#[test]
fn invalid_utf8_fails_fast() {
    let invalid = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80\x65\x64\x69\x74\x65\x64";
    check(&[frame(TEXT, invalid)], &[refused(Violation::NotUtf8)]);
    let whole = frame(TEXT, invalid);
    let header = whole.len() - invalid.len();
    let mut connection = Connection::new(PLAIN);
    // Up to F4 it could still become a character; 90 cannot follow.
    assert_eq!(connection.feed(&whole[..header + 12]), []);
    assert_eq!(connection.feed(&whole[header + 12..=header + 12]), [refused(Violation::NotUtf8)]);
    let fragments = [&invalid[..12], &invalid[12..13], &invalid[13..]];
    let mut connection = Connection::new(PLAIN);
    assert_eq!(connection.feed(&frame(TEXT_MORE, fragments[0])), []);
    assert_eq!(connection.feed(&frame(CONTINUATION_MORE, fragments[1])), [refused(Violation::NotUtf8)]);
    // A character that the end of the message cuts off.
    check(&[frame(TEXT_MORE, b"a\xe2"), frame(CONTINUATION, b"\x98")], &[refused(Violation::NotUtf8)]);
}

/// Cases 6.5 to 6.23: each kind of malformed sequence, and the boundaries of the good ones.
#[test]
fn utf8_sequences() {
    for good in [
        "\u{0}",
        "\u{80}",
        "\u{800}",
        "\u{10000}",
        "\u{7f}",
        "\u{7ff}",
        "\u{ffff}",
        "\u{10ffff}",
        "\u{d7ff}",
        "\u{e000}",
        "\u{fffd}",
        "\u{fffe}",
    ] {
        check(&[frame(TEXT, good.as_bytes())], &[text(good)]);
    }
    for bad in [
        &b"\xf8\x88\x80\x80\x80"[..],
        b"\xfc\x84\x80\x80\x80\x80",
        b"\xf7\xbf\xbf\xbf",
        b"\xf4\x90\x80\x80",
        b"\x80",
        b"\xbf",
        b"\x80\xbf",
        b"\xc0 \xc1 ",
        b"\xe0 \xef ",
        b"\xf0 \xf7 ",
        b"\xc0",
        b"\xe0\x80",
        b"\xf0\x80\x80",
        b"\xfe",
        b"\xff",
        b"\xc0\xaf",
        b"\xe0\x80\xaf",
        b"\xf0\x80\x80\xaf",
        b"\xc1\xbf",
        b"\xe0\x9f\xbf",
        b"\xf0\x8f\xbf\xbf",
        b"\xc0\x80",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xed\xa0\x80\xed\xb0\x80",
        b"\xce\xba\xe1\xbd",
    ] {
        check(&[frame(TEXT, bad)], &[refused(Violation::NotUtf8)]);
        // Binary messages may have any bytes.
        check(&[frame(BINARY, bad)], &[Got::Binary(bad.to_vec())]);
    }
}

/// Cases 7.1 to 7.13.
#[test]
fn closes() {
    check(&[frame(CLOSE, b"")], &[Got::Close(None)]);
    check(&[frame(CLOSE, b"\x03")], &[refused(Violation::CloseBody)]);
    check(&[frame(CLOSE, b"\x03\xe8Hello World!")], &[Got::Close(Some(1000))]);
    let longest = [&b"\x03\xe8"[..], &[b'*'; 123]].concat();
    check(&[frame(CLOSE, &longest)], &[Got::Close(Some(1000))]);
    check(&[frame(CLOSE, &[&longest[..], b"*"].concat())], &[refused(Violation::LongControl)]);
    check(&[frame(CLOSE, b"\x03\xe8\xce\xba\xf4\x90\x80\x80")], &[refused(Violation::NotUtf8)]);
    for code in [1000u16, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        check(&[frame(CLOSE, &code.to_be_bytes())], &[Got::Close(Some(code))]);
    }
    for code in [0u16, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65_535] {
        check(&[frame(CLOSE, &code.to_be_bytes())], &[refused(Violation::CloseCode)]);
    }
}

/// §5.1, §5.2: masked or refused; lengths in their shortest form.
#[test]
fn headers() {
    check(&[b"\x81\x05Hello".to_vec()], &[refused(Violation::Unmasked)]);
    // §5.7: the masked example.
    check(&[b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58".to_vec()], &[text("Hello")]);
    check(&[b"\x82\xfe\x00\x05\x01\x02\x03\x04".to_vec()], &[refused(Violation::Length)]);
    check(&[b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()], &[refused(Violation::Length)]);
}

/// Cases 9.*: at and above the limit, in one frame and in fragments, announced and real.
#[test]
fn limits() {
    let rules = Rules { message_bytes: 1000, fragments: 5, deflate: true };
    let feed = |bytes: &[u8]| Connection::new(Rules { deflate: false, ..rules }).feed(bytes);
    assert_eq!(feed(&frame(BINARY, &[0; 1000])), [Got::Binary(vec![0; 1000])]);
    assert_eq!(feed(&frame(BINARY, &[0; 1001])), [refused(Violation::TooBig)]);
    assert_eq!(feed(&frame(BINARY, &[0; 1001])[..8]), [refused(Violation::TooBig)], "by its header");
    let split = |sizes: &[usize]| {
        let last = sizes.len() - 1;
        let first = |at: usize| (u8::from(at == 0) * 2) | if at == last { 0x80 } else { 0 };
        let bytes = sizes.iter().enumerate().map(|(at, size)| frame(first(at), &vec![0; *size]));
        feed(&bytes.collect::<Vec<_>>().concat())
    };
    assert_eq!(split(&[400, 400, 200]), [Got::Binary(vec![0; 1000])]);
    assert_eq!(split(&[400, 400, 201]), [refused(Violation::TooBig)]);
    assert_eq!(split(&[1, 0, 0, 0, 1]), [Got::Binary(vec![0; 2])]);
    assert_eq!(split(&[1, 0, 0, 0, 0, 1]), [refused(Violation::TooManyFragments)]);
}

/// Case 9.3: sixteen megabytes in fragments of 64 bytes and up. A reader that starts anew with each fragment takes hours.
#[test]
fn sixteen_megabytes_in_fragments() {
    let payload: Vec<u8> = (0..1 << 24).map(|n: u32| b'a' + n.to_le_bytes()[1] % 26).collect();
    for size in [64, 1 << 10, 1 << 18, 1 << 24] {
        let mut bytes = Vec::with_capacity(payload.len() * 2);
        let mut chunks = payload.chunks(size).enumerate().peekable();
        while let Some((at, chunk)) = chunks.next() {
            let last = if chunks.peek().is_none() { 0x80 } else { 0 };
            bytes.extend(frame(u8::from(at == 0) | last, chunk));
        }
        let got = Connection::new(PLAIN).feed_in_pieces(&bytes, 1 << 16);
        assert!(matches!(&got[..], [Got::Text(text)] if text.as_bytes() == payload), "fragments of {size}");
    }
}

fn compressed(payload: &[u8], level: u8) -> (bool, Vec<u8>) {
    let (mut plain, mut out) = (Vec::new(), Vec::new());
    append_frame(&mut plain, Opcode::Text, payload);
    append_deflated(&mut out, &plain, Deflation { window: Window::Full, level, least: 0 });
    let (_, compressed, payload, _) = split_own(&out).unwrap();
    (compressed, payload.to_vec())
}

/// Cases 12.* and 13.*: text of all sizes, in one frame and in fragments, with control frames between them.
#[test]
fn compressed_messages() {
    let mut random = Random(12);
    let mut connection = Connection::new(DEFLATE);
    for size in [16, 64, 256, 1024, 4096, 8192, 16_384, 32_768, 65_536, 131_072] {
        for level in [1, 6, 9] {
            let payload: String = (0..size).map(|_| char::from(b'a' + random.byte() % 4)).collect();
            let (is_compressed, body) = compressed(payload.as_bytes(), level);
            if !is_compressed {
                assert!(size < 100);
                continue;
            }
            assert_eq!(connection.feed(&frame(TEXT | COMPRESSED, &body)), [text(&payload)]);
            let cut = random.below(body.len());
            let mut bytes = frame(TEXT_MORE | COMPRESSED, &body[..cut]);
            bytes.extend(frame(PING, b"between"));
            bytes.extend(frame(CONTINUATION, &body[cut..]));
            let piece = 1 + random.below(100);
            let got = connection.feed_in_pieces(&bytes, piece);
            assert_eq!(got, [Got::Ping(b"between".to_vec()), text(&payload)]);
            // A message may be left as it is.
            assert_eq!(connection.feed(&frame(TEXT, payload.as_bytes())), [text(&payload)]);
        }
    }
}

/// RFC 7692 §6, §7.2.
#[test]
fn compressed_messages_that_are_wrong() {
    let hello = [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    let feed = |bytes: &[u8]| Connection::new(DEFLATE).feed(bytes);
    assert_eq!(feed(&frame(TEXT | COMPRESSED, &hello)), [text("Hello")]);
    assert_eq!(feed(&frame(CONTINUATION | COMPRESSED, &hello)), [refused(Violation::ReservedBit)]);
    assert_eq!(feed(&frame(PING | COMPRESSED, &hello)), [refused(Violation::ReservedBit)]);
    assert_eq!(feed(&frame(TEXT | COMPRESSED, b"\xff\xff\xff")), [refused(Violation::Deflate)]);
    let (_, not_utf8) = compressed(&[0xff; 100], 6);
    assert_eq!(feed(&frame(TEXT | COMPRESSED, &not_utf8)), [refused(Violation::NotUtf8)]);
    assert_eq!(feed(&frame(BINARY | COMPRESSED, &not_utf8)), [Got::Binary(vec![0xff; 100])]);
    // Without an agreement the bit is reserved.
    let mut plain = Connection::new(PLAIN);
    assert_eq!(plain.feed(&frame(TEXT | COMPRESSED, &hello)), [refused(Violation::ReservedBit)]);
}

#[test]
fn a_bomb_is_too_big() {
    let (_, bomb) = compressed(&vec![0; 32 << 20], 9);
    assert!(bomb.len() < 40_000);
    let rules = Rules { message_bytes: 1 << 20, fragments: 100, deflate: true };
    let mut connection = Connection::new(rules);
    assert_eq!(connection.feed(&frame(BINARY | COMPRESSED, &bomb)), [refused(Violation::TooBig)]);
    assert!(connection.decoder.take_cost().inflated == 0, "nothing of it was handed out");
}

/// An idle connection keeps nothing, whatever it has sent.
#[test]
fn nothing_is_kept_between_messages() {
    let mut connection = Connection::new(DEFLATE);
    let bytes = [frame(TEXT_MORE, b"a"), frame(PING, b""), frame(CONTINUATION, b"b"), frame(PING, &[1; 100])]
        .concat();
    connection.feed_in_pieces(&bytes, 1);
    assert!(connection.partial.is_none());
    assert_eq!(connection.decoder.take_cost(), Cost { frames: 4, inflated: 0 });
    connection.feed(&frame(PING, b"x")[..1]);
    assert!(connection.partial.is_some());
}
