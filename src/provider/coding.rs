//! Bodies that come compressed (`Content-Encoding`, RFC 9110 §8.4): gzip and deflate, within a size and a ratio.

use std::io::{self, Read};

use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};

use crate::defaults::{WEBHOOK_INFLATE_RATIO_MAX, WEBHOOK_INFLATED_FREE_BYTES};

/// Bytes inflated between two looks at the bounds.
const STEP_BYTES: usize = 16 * 1024;

/// Why a body is not read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Uncodable {
    /// Nothing that is known here.
    #[error("`Content-Encoding` must be `gzip`, `deflate` or `identity`")]
    Unknown,
    /// It is not what it says, or cut off.
    #[error("the body is not what its `Content-Encoding` says, or is cut off")]
    Malformed,
    /// It is larger than the source takes.
    #[error("the body has more than {0} bytes when it is decompressed; `max_body_bytes` is the limit")]
    TooLarge(usize),
    /// It is a bomb.
    #[error("the body becomes more than {WEBHOOK_INFLATE_RATIO_MAX} times as large when it is decompressed")]
    Bomb,
}

/// What was sent under a `Content-Encoding`, of at most `limit` bytes; `None` if it is just the body.
pub fn decode(encoding: Option<&[u8]>, body: &[u8], limit: usize) -> Result<Option<Vec<u8>>, Uncodable> {
    let encoding = encoding.unwrap_or_default().trim_ascii().to_ascii_lowercase();
    match encoding.as_slice() {
        b"" | b"identity" => Ok(None),
        // Nothing is nothing, whatever it says.
        _ if body.is_empty() => Ok(None),
        b"gzip" | b"x-gzip" => inflate(MultiGzDecoder::new(body), body.len(), limit).map(Some),
        // RFC 9110 §8.4.1.2: `deflate` is the zlib format.
        b"deflate" if has_zlib_head(body) => inflate(ZlibDecoder::new(body), body.len(), limit).map(Some),
        // Some send it without its wrapping.
        b"deflate" => inflate(DeflateDecoder::new(body), body.len(), limit).map(Some),
        _ => Err(Uncodable::Unknown),
    }
}

/// RFC 1950 §2.2.
fn has_zlib_head(body: &[u8]) -> bool {
    let [first, second, ..] = body else { return false };
    first & 0x0f == 8 && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0
}

fn inflate(mut source: impl Read, sent: usize, limit: usize) -> Result<Vec<u8>, Uncodable> {
    let mut body = Vec::new();
    let mut step = [0; STEP_BYTES];
    loop {
        match source.read(&mut step) {
            Ok(0) => return Ok(body),
            Ok(count) => body.extend_from_slice(&step[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return Err(Uncodable::Malformed),
        }
        // Looked at between steps: what comes out is bounded before it is there, whatever the body announces.
        if body.len() > limit {
            return Err(Uncodable::TooLarge(limit));
        }
        // A bound on the ratio as well: many small bodies that become large ones within the limit would still cost much
        // memory at once.
        let allowed = sent.saturating_mul(WEBHOOK_INFLATE_RATIO_MAX).max(WEBHOOK_INFLATED_FREE_BYTES);
        if body.len() > allowed {
            return Err(Uncodable::Bomb);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{
        Compression,
        write::{DeflateEncoder, GzEncoder, ZlibEncoder},
    };
    use proptest::prelude::*;

    use super::*;

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_is_known_is_decoded() {
        let body = b"{\"a\":1}".as_slice();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
        zlib.write_all(body).unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
        raw.write_all(body).unwrap();
        for (encoding, sent) in [
            ("gzip", gzip(body)),
            (" X-GZIP ", gzip(body)),
            ("deflate", zlib.finish().unwrap()),
            ("Deflate", raw.finish().unwrap()),
        ] {
            assert_eq!(
                decode(Some(encoding.as_bytes()), &sent, 100).unwrap().as_deref(),
                Some(body),
                "{encoding}"
            );
        }
        for plain in [None, Some(&b"identity"[..]), Some(b"")] {
            assert_eq!(decode(plain, body, 100), Ok(None));
        }
        assert_eq!(decode(Some(b"gzip"), b"", 100), Ok(None));
        let two = [gzip(b"a"), gzip(b"b")].concat();
        assert_eq!(decode(Some(b"gzip"), &two, 100).unwrap().as_deref(), Some(&b"ab"[..]));
    }

    #[test]
    fn what_is_too_much_or_wrong_is_refused() {
        let sent = gzip(&[b'x'; 1_000]);
        assert_eq!(decode(Some(b"gzip"), &sent, 1_000).unwrap().map(|body| body.len()), Some(1_000));
        assert_eq!(decode(Some(b"gzip"), &sent, 999), Err(Uncodable::TooLarge(999)));
        let free = gzip(&vec![0; WEBHOOK_INFLATED_FREE_BYTES]);
        assert!(decode(Some(b"gzip"), &free, usize::MAX).is_ok());
        let bomb = gzip(&vec![0; 4 * WEBHOOK_INFLATED_FREE_BYTES]);
        assert_eq!(decode(Some(b"gzip"), &bomb, usize::MAX), Err(Uncodable::Bomb));
        for end in 1..sent.len() {
            assert_eq!(decode(Some(b"gzip"), &sent[..end], 1_000), Err(Uncodable::Malformed), "{end}");
        }
        for encoding in ["br", "zstd", "gzip, gzip", "compress"] {
            assert_eq!(
                decode(Some(encoding.as_bytes()), &sent, 1_000),
                Err(Uncodable::Unknown),
                "{encoding}"
            );
        }
        assert_eq!(decode(Some(b"deflate"), b"x\x9c", 1_000), Err(Uncodable::Malformed));
    }

    proptest! {
        #[test]
        fn no_body_is_deadly(body in prop::collection::vec(any::<u8>(), 0..200), head in 0..3) {
            let heads = [&b"\x1f\x8b\x08\0\0\0\0\0\0\x03"[..], b"x\x9c", b""];
            let body = [heads[usize::try_from(head).unwrap()], &body].concat();
            for encoding in ["gzip", "deflate"] {
                let decoded = decode(Some(encoding.as_bytes()), &body, 10_000);
                prop_assert!(decoded.is_err() || decoded.unwrap().is_none_or(|body| body.len() <= 10_000));
            }
        }
    }
}
