//! Forms and query strings as bytes: names and values need not be UTF-8.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// The fields of an `application/x-www-form-urlencoded` text, in order.
pub(super) fn fields(text: &[u8]) -> impl Iterator<Item = (Cow<'_, [u8]>, Cow<'_, [u8]>)> {
    text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).map(|pair| {
        let mut halves = pair.splitn(2, |byte| *byte == b'=');
        let name = halves.next().unwrap_or_default();
        (decode(name), decode(halves.next().unwrap_or_default()))
    })
}

/// Fields of a form that anything is made of: Twilio's have fifty.
const FIELDS_MAX: usize = 10_000;

/// Whether there are more fields than anybody sends.
pub(super) fn has_too_many_fields(text: &[u8]) -> bool {
    text.iter().filter(|byte| **byte == b'&').count() >= FIELDS_MAX
}

/// The first field with this name.
pub(super) fn field<'t>(text: &'t [u8], name: &str) -> Option<Cow<'t, [u8]>> {
    fields(text).find(|(known, _)| &**known == name.as_bytes()).map(|(_, value)| value)
}

fn decode(part: &[u8]) -> Cow<'_, [u8]> {
    match part.contains(&b'+') {
        false => percent_decode(part).into(),
        true => {
            let spaced: Vec<u8> = part.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
            Cow::Owned(percent_decode(&spaced).collect())
        }
    }
}

/// Names and values one after the other, sorted, each pair once: what Twilio signs after the address. `None` if there are
/// too many: they are sorted before anything is verified.
pub(super) fn sorted(text: &[u8]) -> Option<Vec<u8>> {
    if has_too_many_fields(text) {
        return None;
    }
    let mut pairs: Vec<_> = fields(text).collect();
    pairs.sort_unstable();
    pairs.dedup();
    Some(pairs.iter().flat_map(|(name, value)| [&**name, &**value]).flatten().copied().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_bytes() {
        assert_eq!(field(b"a=1&b=x+y%2B%ff&b=2", "b").as_deref(), Some(&b"x y+\xff"[..]));
        assert_eq!(field(b"a&&=3", "a").as_deref(), Some(&b""[..]));
        assert_eq!(field(b"", "a"), None);
    }

    #[test]
    fn sorted_fields_have_no_repetitions() {
        assert_eq!(sorted(b"b=2&a=3&a=1&a=3").unwrap(), b"a1a3b2");
        let fields = |count: usize| vec!["a=1"; count].join("&");
        assert!(sorted(fields(FIELDS_MAX).as_bytes()).is_some());
        assert!(sorted(fields(FIELDS_MAX + 1).as_bytes()).is_none());
    }
}
