//! Forms with files (`multipart/form-data`, RFC 7578): how Mailgun sends messages with attachments. Read in one pass over
//! the body, without a copy of it.

use std::borrow::Cow;

/// Parts of a body; a message with fifty attachments has about a hundred.
const PARTS_MAX: usize = 1_000;

/// Bytes of a part's headers.
const HEAD_BYTES_MAX: usize = 8 * 1024;

/// RFC 2046 §5.1.1.
const BOUNDARY_BYTES_MAX: usize = 70;

/// A field or a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Part<'a> {
    /// The field's name.
    pub(super) name: String,
    /// The file's, if it is one.
    pub(super) file: Option<String>,
    /// As it says itself.
    pub(super) media_type: Option<String>,
    /// Its bytes.
    pub(super) content: &'a [u8],
}

/// The parts of a body; `None` if it is none of this type, is cut off, or has too many.
pub(super) fn parts<'a>(content_type: &str, body: &'a [u8]) -> Option<Vec<Part<'a>>> {
    let boundary = parameter(content_type.as_bytes(), "boundary")?;
    if !(1..=BOUNDARY_BYTES_MAX).contains(&boundary.len()) {
        return None;
    }
    let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
    // The first one may stand at the very beginning.
    let mut rest = match body.strip_prefix(&delimiter[2..]) {
        Some(rest) => rest,
        None => split_once(body, &delimiter)?.1,
    };
    let mut parts = Vec::new();
    loop {
        if rest.starts_with(b"--") {
            return Some(parts);
        }
        // Spaces may follow a delimiter.
        let (padding, after) = split_once(rest, b"\r\n")?;
        if !padding.trim_ascii().is_empty() || parts.len() == PARTS_MAX {
            return None;
        }
        let (head, content) = match after.strip_prefix(b"\r\n") {
            Some(content) => (&b""[..], content),
            None => split_once(after, b"\r\n\r\n")?,
        };
        if head.len() > HEAD_BYTES_MAX {
            return None;
        }
        // Needs the next delimiter: a body that was cut off must not pass as one with a shorter last part.
        let (content, next) = split_once(content, &delimiter)?;
        parts.extend(part(head, content));
        rest = next;
    }
}

/// A part that says its name; what does not is no field.
fn part<'a>(head: &[u8], content: &'a [u8]) -> Option<Part<'a>> {
    let (mut disposition, mut media_type) = (None, None);
    for line in head.split(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-disposition") {
            disposition = Some(value);
        } else if name.eq_ignore_ascii_case(b"content-type") {
            media_type = Some(String::from_utf8_lossy(value).into_owned());
        }
    }
    let disposition = disposition?;
    // RFC 6266 §4.3: where both are there, the plain one is for those who do not understand the other.
    let file = parameter(disposition, "filename*").and_then(|encoded| extended(&encoded));
    let file = file.or_else(|| parameter(disposition, "filename"));
    Some(Part { name: parameter(disposition, "name")?, file, media_type, content })
}

/// A text of another alphabet: `UTF-8''a%20b` (RFC 8187 §3.2).
fn extended(text: &str) -> Option<String> {
    let (charset, rest) = text.split_once('\'')?;
    let (_, value) = rest.split_once('\'')?;
    let decoded = percent_encoding::percent_decode_str(value).decode_utf8().ok()?;
    charset.eq_ignore_ascii_case("utf-8").then(|| decoded.into_owned())
}

/// The value of `; name=value` or `; name="value"`.
fn parameter(header: &[u8], wanted: &str) -> Option<String> {
    let mut rest = header;
    loop {
        let start = rest.iter().position(|byte| *byte == b';')? + 1;
        let after = rest[start..].trim_ascii_start();
        let equals = after.iter().position(|byte| matches!(byte, b'=' | b';'))?;
        if after[equals] == b';' {
            rest = &after[equals..];
            continue;
        }
        let (value, end) = value(&after[equals + 1..]);
        // Compared as a whole: searched for in the text, `name=` would also be found in `filename=`.
        if after[..equals].trim_ascii().eq_ignore_ascii_case(wanted.as_bytes()) {
            return Some(String::from_utf8_lossy(&value).into_owned());
        }
        rest = &after[equals + 1 + end..];
    }
}

/// A token or a text in quotes, and where it ends.
fn value(text: &[u8]) -> (Cow<'_, [u8]>, usize) {
    let Some(quoted) = text.strip_prefix(b"\"") else {
        let end = text.iter().position(|byte| *byte == b';').unwrap_or(text.len());
        return (text[..end].trim_ascii().into(), end);
    };
    let (mut value, mut at) = (Vec::new(), 0);
    while let Some(byte) = quoted.get(at) {
        match (byte, quoted.get(at + 1)) {
            (b'"', _) => break,
            // Only quotes and backslashes: browsers put paths of Windows here unescaped.
            (b'\\', Some(escaped @ (b'"' | b'\\'))) => {
                value.push(*escaped);
                at += 1;
            }
            (byte, _) => value.push(*byte),
        }
        at += 1;
    }
    (value.into(), (at + 2).min(text.len()))
}

/// What stands before and behind the first of these. The needle begins with `\r` and has no other one next to it, so
/// that few places are looked at.
fn split_once<'a>(text: &'a [u8], needle: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let mut from = 0;
    loop {
        let at = from + text.get(from..)?.iter().position(|byte| *byte == b'\r')?;
        match text[at..].strip_prefix(needle) {
            Some(after) => return Some((&text[..at], after)),
            None => from = at + 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TYPE: &str = "multipart/form-data; charset=utf-8; boundary=\"x y\"";

    #[test]
    fn fields_and_files_are_read() {
        let body = b"preamble\r\n--x y  \r\nContent-Disposition: form-data; name=\"a\\\"b\"\r\n\r\n1\r\n--1\r\n\
            --x y\r\ncontent-type: image/png\r\nCONTENT-DISPOSITION: form-data; filename=\"p;q=.png\"; name=f\r\n\r\n\
            \x00\r\n--x\r\n--x y\r\n\r\nnobody's\r\n--x y\r\n\
            Content-Disposition: form-data; name=u; filename=\"_\"; filename*=UTF-8''%c3%a4.txt\r\n\r\n\r\n--x y--\r\nend";
        let parts = parts(TYPE, body).unwrap();
        let field = |name: &str, file: Option<&str>, media_type: Option<&str>, content| Part {
            name: name.into(),
            file: file.map(Into::into),
            media_type: media_type.map(Into::into),
            content,
        };
        assert_eq!(
            parts,
            [
                field("a\"b", None, None, &b"1\r\n--1"[..]),
                field("f", Some("p;q=.png"), Some("image/png"), b"\x00\r\n--x"),
                field("u", Some("\u{e4}.txt"), None, b""),
            ]
        );
        assert_eq!(super::parts(TYPE, b"--x y--").unwrap(), []);
    }

    #[test]
    fn what_is_cut_off_or_too_much_is_refused() {
        let part = "\r\n--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1";
        let whole = |count: usize| format!("{}\r\n--b--", part.repeat(count));
        let read = |body: &str| Some(parts("multipart/form-data; boundary=b", body.as_bytes())?.len());
        assert_eq!(read(&whole(PARTS_MAX)), Some(PARTS_MAX));
        assert!(read(&whole(PARTS_MAX + 1)).is_none());
        let full = whole(2);
        for end in 1..full.len() - 4 {
            assert!(read(&full[..end]).is_none(), "{end}");
        }
        let head = |bytes: usize| format!("--b\r\nA: {}\r\n\r\n1\r\n--b--", "a".repeat(bytes - 3));
        assert!(read(&head(HEAD_BYTES_MAX)).is_some());
        assert!(read(&head(HEAD_BYTES_MAX + 1)).is_none());
        for wrong in
            ["multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary"]
        {
            assert!(parts(wrong, full.as_bytes()).is_none(), "{wrong}");
        }
        let long = format!("multipart/form-data; boundary={}", "b".repeat(BOUNDARY_BYTES_MAX + 1));
        assert!(parts(&long, format!("--{}--", "b".repeat(BOUNDARY_BYTES_MAX + 1)).as_bytes()).is_none());
    }

    proptest! {
        #[test]
        fn no_body_is_deadly(kind in "[ -~]{0,40}", body in r#"(\r|\n|-|b|--b|\r\n--b|Content-Disposition: |form-data|;|name=|"|\\|:){0,60}"#) {
            let _ = parts(&kind, body.as_bytes());
            let _ = parts("multipart/form-data; boundary=b", body.as_bytes());
        }
    }
}
