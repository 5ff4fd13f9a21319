//! Where a scalar of valid JSON ends.

/// One behind the closing quote.
pub(super) fn end_of_text(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(byte) = text.get(at) {
        match byte {
            // Whatever is escaped is no closing quote; the digits of `\u` are no quotes either.
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

pub(super) fn end_of_number(text: &[u8], start: usize) -> usize {
    let ends = |byte: &u8| !matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
    text[start..].iter().position(ends).map_or(text.len(), |length| start + length)
}
