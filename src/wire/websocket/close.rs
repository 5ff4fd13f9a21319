//! Close frames (RFC 6455 §5.5.1, §7.4).

use super::{Opcode, Violation, header::append_frame};

/// Most bytes of a reason: a control frame's 125 without the code.
const REASON_BYTES: usize = 123;

/// Whether an endpoint may send this code (RFC 6455 §7.4 and the IANA registry): 1004 has no meaning, 1005, 1006 and
/// 1015 are for reports of an end without a close frame, and the rest below 3000 waits for a standard.
const fn is_allowed(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// The code in a close frame's payload, if there is one.
pub(super) fn parse(payload: &[u8]) -> Result<Option<u16>, Violation> {
    match payload {
        [] => Ok(None),
        [_] => Err(Violation::CloseBody),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            match (is_allowed(code), std::str::from_utf8(reason)) {
                (false, _) => Err(Violation::CloseCode),
                (true, Err(_)) => Err(Violation::NotUtf8),
                (true, Ok(_)) => Ok(Some(code)),
            }
        }
    }
}

/// Appends a close frame; what is too long of the reason is left out.
pub fn append_close(buffer: &mut Vec<u8>, code: Option<u16>, reason: &str) {
    let Some(code) = code else { return append_frame(buffer, Opcode::Close, &[]) };
    let mut body = code.to_be_bytes().to_vec();
    // Between two characters, or the reason would not be UTF-8 (RFC 6455 §5.5.1).
    let end = (0..=REASON_BYTES.min(reason.len())).rev().find(|end| reason.is_char_boundary(*end));
    body.extend_from_slice(&reason.as_bytes()[..end.unwrap_or(0)]);
    append_frame(buffer, Opcode::Close, &body);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_may_be_sent() {
        for code in
            [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999]
        {
            assert_eq!(parse(&u16::to_be_bytes(code)), Ok(Some(code)));
        }
        for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535] {
            assert_eq!(parse(&u16::to_be_bytes(code)), Err(Violation::CloseCode), "{code}");
        }
    }

    #[test]
    fn bodies() {
        assert_eq!(parse(&[]), Ok(None));
        assert_eq!(parse(&[3]), Err(Violation::CloseBody));
        assert_eq!(parse(b"\x03\xe8bye"), Ok(Some(1000)));
        assert_eq!(parse(b"\x03\xe8\xce"), Err(Violation::NotUtf8));
    }

    #[test]
    fn a_reason_fits_into_a_control_frame() {
        let mut frame = Vec::new();
        append_close(&mut frame, Some(1000), &"é".repeat(100));
        assert_eq!(frame[..4], [0x88, 124, 0x03, 0xe8]);
        assert_eq!(frame.len(), 2 + 124);
        frame.clear();
        append_close(&mut frame, None, "unsaid");
        assert_eq!(frame, [0x88, 0]);
    }
}
