//! Compression of messages (RFC 7692 §7.2), each by itself.
//!
//! zlib-rs rather than miniz_oxide: it knows windows of other sizes, and is two to three times as fast.

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::{
    Violation,
    header::{append_header, split_own},
};

/// What a sender takes off the end of a message and the receiver puts back (§7.2.1, §7.2.2).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// Ends of a DEFLATE stream within a message. A sender that can only finish streams ends each message's (§7.2.3.4); one
/// that sends many small ones in a message makes work.
const STREAM_ENDS: u32 = 8;

/// Engines of a thread: two windows, for many and for one.
const ENGINES: usize = 4;

/// Bytes added to an output at least.
const GROWTH_BYTES: usize = 1024;

/// How far back what a server compresses refers (§7.1.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Window {
    /// 32 KiB, as most clients take it.
    Full,
    /// 512 bytes: what every client can hold that asks for less than 32 KiB. One size for them all, so that a message is
    /// compressed twice at most.
    Small,
}

impl Window {
    const fn bits(self) -> u8 {
        match self {
            Self::Full => 15,
            Self::Small => 9,
        }
    }
}

/// How a server compresses what it sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Deflation {
    /// How far back it refers.
    pub window: Window,
    /// From 1, fast, to 9, small.
    pub level: u8,
    /// Payloads of fewer bytes stay as they are.
    pub least: u16,
}

thread_local! {
    /// About 300 KiB for each engine: one for everybody a thread writes to.
    static DEFLATER: RefCell<Deflater> = RefCell::default();
}

/// Appends our own `frames` with those payloads compressed that become smaller by it.
pub fn append_deflated(out: &mut Vec<u8>, frames: &[u8], how: Deflation) {
    DEFLATER.with_borrow_mut(|deflater| deflater.append(out, frames, how));
}

/// Compresses messages, each by itself.
#[derive(Default)]
struct Deflater {
    /// With the window and the level each was made for: what is said to many and to one has its own.
    engines: Vec<(Window, u8, Compress)>,
}

impl Deflater {
    fn append(&mut self, out: &mut Vec<u8>, frames: &[u8], how: Deflation) {
        let mut rest = frames;
        while let Some((opcode, compressed, payload, after)) = split_own(rest) {
            let whole = &rest[..rest.len() - after.len()];
            rest = after;
            // Control frames are never compressed (§6.1).
            let worth_it = !compressed && !opcode.is_control() && payload.len() >= usize::from(how.least);
            let smaller = if worth_it { self.compress(payload, how) } else { None };
            match smaller.filter(|smaller| smaller.len() < payload.len()) {
                Some(smaller) => {
                    append_header(out, opcode, true, smaller.len());
                    out.extend_from_slice(&smaller);
                }
                None => out.extend_from_slice(whole),
            }
        }
        out.extend_from_slice(rest);
    }

    /// The compressed form of a payload; nothing if that cannot be done.
    fn compress(&mut self, payload: &[u8], how: Deflation) -> Option<Vec<u8>> {
        let engine = self.engine(how)?;
        let (mut rest, mut compressed) = (payload, Vec::new());
        loop {
            // Half is what a text seldom exceeds.
            compressed.reserve(rest.len() / 2 + GROWTH_BYTES);
            let before = engine.total_in();
            engine.compress_vec(rest, &mut compressed, FlushCompress::Sync).ok()?;
            rest = advance(rest, before, engine.total_in());
            // A full output may mean that the flush has more to give: zlib wants to be called until room is left.
            if rest.is_empty() && compressed.len() < compressed.capacity() {
                break;
            }
        }
        // §7.2.1. A sync flush ends so; the receiver appends it again.
        if compressed.ends_with(&TAIL) {
            compressed.truncate(compressed.len() - TAIL.len());
        }
        Some(compressed)
    }

    /// An engine that remembers nothing.
    fn engine(&mut self, how: Deflation) -> Option<&mut Compress> {
        let fits = |(window, level, _): &(Window, u8, Compress)| (*window, *level) == (how.window, how.level);
        let at = match self.engines.iter().position(fits) {
            Some(at) => at,
            None => {
                // Levels that were set before a reload have had their time.
                self.engines.truncate(ENGINES - 1);
                let level = Compression::new(u32::from(how.level.clamp(1, 9)));
                // Bare DEFLATE: a zlib header would be taken for content (§7.2.1).
                let engine = Compress::new_with_window_bits(level, false, how.window.bits());
                self.engines.insert(0, (how.window, how.level, engine));
                0
            }
        };
        let (_, _, engine) = self.engines.get_mut(at)?;
        // Also after an error: nothing of one message may be in the next, which goes to others.
        engine.reset();
        Some(engine)
    }
}

/// Inflates clients' messages. About 40 KiB once it is used, so there is one for many connections.
#[derive(Debug, Default)]
pub struct Inflater {
    engine: Option<Decompress>,
}

impl Inflater {
    /// Inflates a message of at most `limit` bytes. What is larger is refused once that many have come out of it, so it
    /// never costs more memory.
    pub fn inflate(&mut self, message: &[u8], limit: usize) -> Result<Vec<u8>, Violation> {
        // With a full window, which reads what was written with any smaller one.
        let engine = self.engine.get_or_insert_with(|| Decompress::new(false));
        engine.reset(false);
        let mut out =
            Vec::with_capacity(message.len().saturating_mul(4).clamp(GROWTH_BYTES, limit.max(GROWTH_BYTES)));
        let mut ends = 0;
        // §7.2.2. One after the other, so that the message need not be copied to have its tail.
        for part in [message, &TAIL] {
            inflate_part(engine, part, &mut out, limit, &mut ends)?;
        }
        match out.len() > limit {
            true => Err(Violation::TooBig),
            false => Ok(out),
        }
    }
}

fn inflate_part(
    engine: &mut Decompress,
    part: &[u8],
    out: &mut Vec<u8>,
    limit: usize,
    ends: &mut u32,
) -> Result<(), Violation> {
    let mut rest = part;
    loop {
        if out.len() == out.capacity() {
            if out.len() > limit {
                return Err(Violation::TooBig);
            }
            // Twice as much each time, but never more than one byte too much.
            out.reserve_exact(out.len().max(GROWTH_BYTES).min(limit + 1 - out.len()));
        }
        let (taken, given) = (engine.total_in(), engine.total_out());
        let status =
            engine.decompress_vec(rest, out, FlushDecompress::Sync).map_err(|_| Violation::Deflate)?;
        let stuck = engine.total_in() == taken && engine.total_out() == given;
        rest = advance(rest, taken, engine.total_in());
        match status {
            Status::StreamEnd => {
                *ends += 1;
                if *ends > STREAM_ENDS {
                    return Err(Violation::Deflate);
                }
                engine.reset(false);
            }
            // There may be more output although all input is taken.
            Status::Ok | Status::BufError if out.len() == out.capacity() => {}
            Status::Ok | Status::BufError if rest.is_empty() => return Ok(()),
            // It neither takes nor gives, and would not the next time either.
            Status::Ok | Status::BufError if stuck => return Err(Violation::Deflate),
            Status::Ok | Status::BufError => {}
        }
    }
}

/// What an engine has not taken of `rest`.
fn advance(rest: &[u8], before: u64, after: u64) -> &[u8] {
    let taken = usize::try_from(after.saturating_sub(before)).unwrap_or(usize::MAX);
    rest.get(taken..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::{Opcode, append_frame},
        *,
    };

    fn inflate(message: &[u8]) -> Result<String, Violation> {
        Inflater::default().inflate(message, 1000).map(|bytes| String::from_utf8(bytes).unwrap())
    }

    const HOW: Deflation = Deflation { window: Window::Full, level: 6, least: 0 };

    fn deflated(payload: &[u8], how: Deflation) -> Vec<u8> {
        let (mut frame, mut out) = (Vec::new(), Vec::new());
        append_frame(&mut frame, Opcode::Text, payload);
        append_deflated(&mut out, &frame, how);
        out
    }

    fn compress(payload: &[u8]) -> Vec<u8> {
        Deflater::default().compress(payload, HOW).unwrap()
    }

    /// RFC 7692 §7.2.3.1.
    #[test]
    fn a_message_as_in_the_rfc() {
        assert_eq!(compress(b"Hello"), [0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]);
        assert_eq!(inflate(&compress(b"Hello")).unwrap(), "Hello");
    }

    /// RFC 7692 §7.2.3.2: the second "Hello" refers to the first one, which is forgotten here.
    #[test]
    fn a_message_that_refers_to_the_one_before_is_refused() {
        let mut inflater = Inflater::default();
        assert_eq!(inflater.inflate(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], 1000).unwrap(), b"Hello");
        assert_eq!(inflater.inflate(&[0xf2, 0x00, 0x11, 0x00, 0x00], 1000), Err(Violation::Deflate));
        assert_eq!(inflater.inflate(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00], 1000).unwrap(), b"Hello");
    }

    /// RFC 7692 §7.2.3.3.
    #[test]
    fn a_block_without_compression() {
        let stored = [0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00];
        assert_eq!(inflate(&stored).unwrap(), "Hello");
    }

    /// RFC 7692 §7.2.3.4.
    #[test]
    fn a_final_block() {
        assert_eq!(inflate(&[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00]).unwrap(), "Hello");
        let twice = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00].repeat(2);
        assert_eq!(inflate(&twice).unwrap(), "HelloHello");
        assert_eq!(inflate(&[0x03, 0x00].repeat(8)).unwrap(), "");
        assert_eq!(inflate(&[0x03, 0x00].repeat(9)), Err(Violation::Deflate));
    }

    /// RFC 7692 §7.2.3.5.
    #[test]
    fn two_blocks() {
        let blocks = [0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00];
        assert_eq!(inflate(&blocks).unwrap(), "Hello");
    }

    /// RFC 7692 §7.2.3.6.
    #[test]
    fn an_empty_message() {
        assert_eq!(inflate(&[0x00]).unwrap(), "");
        assert_eq!(inflate(&[]).unwrap(), "");
        assert_eq!(compress(b""), [0x00]);
    }

    #[test]
    fn a_bomb_costs_no_more_than_the_limit() {
        let frame = deflated(&vec![b' '; 16 << 20], HOW);
        let (_, compressed, payload, _) = split_own(&frame).unwrap();
        assert!(compressed && payload.len() < 20_000, "{}", payload.len());
        let mut inflater = Inflater::default();
        for limit in [0, 1, 1000, 65_536, (16 << 20) - 1] {
            assert_eq!(inflater.inflate(payload, limit), Err(Violation::TooBig), "{limit}");
            let engine = inflater.engine.as_ref().unwrap();
            assert!(
                engine.total_out() <= 2 * limit.max(GROWTH_BYTES) as u64,
                "{} of {limit}",
                engine.total_out()
            );
        }
        assert_eq!(inflater.inflate(payload, 16 << 20).unwrap().len(), 16 << 20);
    }

    #[test]
    fn small_and_dense_payloads_and_control_frames_stay() {
        let text = b"to be or not to be, to be or not to be";
        assert_eq!(deflated(text, Deflation { least: 38, ..HOW })[0], 0xc1);
        assert_eq!(deflated(text, Deflation { least: 39, ..HOW })[0], 0x81);
        assert_eq!(deflated(b"ab", HOW), b"\x81\x02ab");
        let mut ping = Vec::new();
        append_frame(&mut ping, Opcode::Ping, &[b'x'; 125]);
        let mut out = Vec::new();
        append_deflated(&mut out, &ping, HOW);
        assert_eq!(out, ping);
    }

    #[test]
    fn what_is_compressed_is_not_compressed_again() {
        let once = deflated(&[b'x'; 5000], HOW);
        let mut twice = Vec::new();
        append_deflated(&mut twice, &once, HOW);
        assert_eq!(once, twice);
    }

    /// What repeats after 600 bytes is out of reach for a window of 512.
    #[test]
    fn a_small_window_is_kept() {
        let mut random = super::super::testing::Random(5);
        let unit: Vec<u8> = (0..600).map(|_| b'a' + random.byte() % 16).collect();
        let text = unit.repeat(4);
        let body =
            |window: Window| split_own(&deflated(&text, Deflation { window, ..HOW })).unwrap().2.to_vec();
        let (full, small) = (body(Window::Full), body(Window::Small));
        assert!(full.len() < 500 && small.len() > 1000, "{} {}", full.len(), small.len());
        assert_eq!(Inflater::default().inflate(&small, text.len()).unwrap(), text.as_slice());
    }

    proptest! {
        #[test]
        fn what_is_deflated_inflates(
            payloads in prop::collection::vec(prop::collection::vec(0u8..6, 0..3000), 1..5),
            level in 1u8..10,
        ) {
            let (mut frames, mut out) = (Vec::new(), Vec::new());
            payloads.iter().for_each(|payload| append_frame(&mut frames, Opcode::Binary, payload));
            for window in [Window::Full, Window::Small] {
                out.clear();
                append_deflated(&mut out, &frames, Deflation { window, level, least: 64 });
                let (mut rest, mut inflater) = (&out[..], Inflater::default());
                for expect in &payloads {
                    let (_, compressed, payload, after) = split_own(rest).unwrap();
                    rest = after;
                    prop_assert!(compressed || payload.len() == expect.len());
                    let got = if compressed { inflater.inflate(payload, expect.len()).unwrap() } else { payload.to_vec() };
                    prop_assert_eq!(&got, expect);
                }
                prop_assert!(rest.is_empty());
            }
        }

        #[test]
        fn garbage_is_refused_or_bounded(garbage in prop::collection::vec(any::<u8>(), 0..2000)) {
            if let Ok(out) = Inflater::default().inflate(&garbage, 5000) {
                prop_assert!(out.len() <= 5000);
            }
        }
    }
}
