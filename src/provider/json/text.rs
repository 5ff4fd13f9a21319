//! JSON text that every reader can take. A byte order mark goes; half of a surrogate pair, which is no character,
//! becomes U+FFFD; a number that no double holds (`1e400`) becomes the text of its digits; of two members of one name the
//! last one stays. All else stays as it was written.

use std::{borrow::Cow, ops::Range};

use serde_json::value::RawValue;

use super::{
    ends::{end_of_number, end_of_text},
    names,
};

/// RFC 8259 §8.1: nobody should send it, and readers may ignore it.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// What half of a surrogate pair becomes.
const REPLACEMENT: &str = "\\ufffd";

fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

/// Whether a text can be JSON at all, without reading it.
pub(in crate::provider) fn is_json_like(text: &[u8]) -> bool {
    let first = without_mark(text).iter().find(|byte| !byte.is_ascii_whitespace());
    first.is_some_and(|byte| matches!(byte, b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n'))
}

/// Reads JSON text of any depth; `None` if it is none.
pub(in crate::provider) fn read(bytes: Cow<'_, [u8]>) -> Option<Cow<'_, RawValue>> {
    match bytes {
        Cow::Borrowed(bytes) => read_borrowed(bytes),
        Cow::Owned(bytes) => Some(Cow::Owned(read_borrowed(&bytes)?.into_owned())),
    }
}

fn read_borrowed(bytes: &[u8]) -> Option<Cow<'_, RawValue>> {
    // This checks the syntax with brackets on a list, not on the stack.
    let raw: &RawValue = serde_json::from_slice(without_mark(bytes)).ok()?;
    match portable(raw.get()) {
        // Nearly all texts are as they should be, and are passed on without a copy.
        Cow::Borrowed(_) => Some(Cow::Borrowed(raw)),
        Cow::Owned(text) => RawValue::from_string(text).ok().map(Cow::Owned),
    }
}

/// Valid JSON text with nothing in it that some reader cannot take.
pub(in crate::provider) fn portable(text: &str) -> Cow<'_, str> {
    match with_portable_scalars(text) {
        Cow::Borrowed(text) => names::once(text),
        Cow::Owned(text) => match names::once(&text) {
            Cow::Borrowed(_) => text.into(),
            Cow::Owned(once) => once.into(),
        },
    }
}

fn with_portable_scalars(text: &str) -> Cow<'_, str> {
    let (mut whole, mut copied) = (String::new(), 0);
    for scalar in Scalars(text.as_bytes(), 0) {
        let (range, instead) = match scalar {
            Scalar::Text(range) => (range.clone(), with_whole_characters(&text[range])),
            Scalar::Number(range) => (range.clone(), as_text_if_too_large(&text[range])),
        };
        if let Some(instead) = instead {
            whole.push_str(&text[copied..range.start]);
            whole.push_str(&instead);
            copied = range.end;
        }
    }
    match copied {
        0 => text.into(),
        _ => {
            whole.push_str(&text[copied..]);
            whole.into()
        }
    }
}

/// Where a text or a number stands in valid JSON.
enum Scalar {
    /// With its quotes.
    Text(Range<usize>),
    Number(Range<usize>),
}

/// Texts and numbers in order.
struct Scalars<'t>(&'t [u8], usize);

impl Iterator for Scalars<'_> {
    type Item = Scalar;

    fn next(&mut self) -> Option<Scalar> {
        let Self(text, at) = self;
        let begins = |byte: &u8| matches!(byte, b'"' | b'-' | b'0'..=b'9');
        // Words and brackets are passed over: no quote and no digit stands in them.
        let start = *at + text.get(*at..)?.iter().position(begins)?;
        let (end, scalar): (usize, fn(Range<usize>) -> Scalar) = match text.get(start)? {
            b'"' => (end_of_text(text, start), Scalar::Text),
            _ => (end_of_number(text, start), Scalar::Number),
        };
        *at = end;
        Some(scalar(start..end))
    }
}

/// The text of a number that no double holds.
fn as_text_if_too_large(number: &str) -> Option<String> {
    // Shorter ones without an exponent are below 10^300.
    let may_be = number.len() > 300 || number.contains(['e', 'E']);
    (may_be && serde_json::from_str::<f64>(number).is_err()).then(|| format!("\"{number}\""))
}

/// A text with halves of surrogate pairs replaced; `None` if it has none.
fn with_whole_characters(text: &str) -> Option<String> {
    if !text.contains("\\u") {
        return None;
    }
    let (mut whole, mut copied, mut at) = (String::new(), 0, 0);
    let unit = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u16::from_str_radix(digits, 16).ok()
    };
    let bytes = text.as_bytes();
    while at < bytes.len() {
        if bytes[at] != b'\\' {
            at += 1;
            continue;
        }
        match (unit(at), unit(at + 6)) {
            // A whole pair, which is one character.
            (Some(0xd800..=0xdbff), Some(0xdc00..=0xdfff)) => at += 12,
            (Some(0xd800..=0xdfff), _) => {
                whole.push_str(&text[copied..at]);
                whole.push_str(REPLACEMENT);
                at += 6;
                copied = at;
            }
            (Some(_), _) => at += 6,
            (None, _) => at += 2,
        }
    }
    (copied > 0).then(|| whole + &text[copied..])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(bytes: &[u8]) -> Option<String> {
        read(bytes.into()).map(|raw| raw.get().to_owned())
    }

    #[test]
    fn what_is_awkward_becomes_portable() {
        for (awkward, portable) in [
            (r#"{"a":"\ud800"}"#, r#"{"a":"\ufffd"}"#),
            (r#"{"\uDC00\uD800x":1}"#, r#"{"\ufffd\ufffdx":1}"#),
            (
                r#"["\ud83d\ude00","\\ud800","\ud800\n","\ud800\ud800\udc00"]"#,
                r#"["\ud83d\ude00","\\ud800","\ufffd\n","\ufffd\ud800\udc00"]"#,
            ),
            ("\u{feff}{}", "{}"),
            ("[1e400,-1E+999,1e308,1e-400,0e999]", r#"["1e400","-1E+999",1e308,1e-400,0e999]"#),
            ("[12345678901234567890123,1.10,-0,1E5]", "[12345678901234567890123,1.10,-0,1E5]"),
            (r#"{"a":1,"\ud800":1e400,"a":2,"\ufffd":3}"#, r#"{"a":2,"\ufffd":3}"#),
            (" \"\u{e9}\" ", "\"\u{e9}\""),
        ] {
            assert_eq!(text(awkward.as_bytes()).as_deref(), Some(portable), "{awkward}");
        }
        let long = "9".repeat(400);
        assert_eq!(text(long.as_bytes()), Some(format!("\"{long}\"")));
        for wrong in [&b"\"\\u12\""[..], b"\"\\ud8", b"{", b"01", b"nul", b"\"\xff\"", b"\xef\xbb", b"1 2"] {
            assert_eq!(text(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn no_depth_is_too_much() {
        let deep = "[".repeat(500_000) + &"]".repeat(500_000);
        assert_eq!(text(deep.as_bytes()), Some(deep));
    }

    proptest! {
        #[test]
        fn what_is_portable_can_be_read(text in r#"(\[|\{|\}|\]|"|,|:|\\|u|d8|dc|00|[0-9]|e|\.|-|a| |é){0,40}"#) {
            if let Some(read) = read(text.as_bytes().into()) {
                prop_assert!(serde_json::from_str::<serde_json::Value>(read.get()).is_ok(), "{text} {read}");
            }
        }
    }
}
