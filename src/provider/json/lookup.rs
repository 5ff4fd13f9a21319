//! Finding something in JSON text without a tree of it: by pointer (RFC 6901), where `*` stands for every element of a
//! list. Of members with the same name the last one counts, as it does for most readers.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// Elements that one delivery is split into at most: HubSpot sends 100, Meta and SendGrid up to 1000.
const ELEMENTS_MAX: usize = 2_000;

/// What a pointer without `*` leads to.
pub(in crate::provider) fn at<'t>(text: &'t RawValue, pointer: &str) -> Option<&'t RawValue> {
    pointer.split('/').skip(1).try_fold(text, step)
}

/// The scalar at a pointer as text, or those at all the places a `*` leads to, with commas between them.
pub(in crate::provider) fn scalars(text: &RawValue, pointer: &str) -> Option<String> {
    let Some((before, after)) = pointer.split_once("/*") else { return scalar(at(text, pointer)?) };
    let list = elements(at(text, before)?, ELEMENTS_MAX)?;
    let texts: Option<Vec<_>> = list.into_iter().map(|element| scalars(element, after)).collect();
    Some(texts?.join(","))
}

/// A text without its quotes, a number with its digits, a truth value; `None` for what has parts and for null.
fn scalar(value: &RawValue) -> Option<String> {
    match value.get().as_bytes().first()? {
        b'"' => serde_json::from_str(value.get()).ok(),
        b'{' | b'[' | b'n' => None,
        _ => Some(value.get().to_owned()),
    }
}

/// What a path leads to, in order. `None` when it leads nowhere, or to too many.
pub(in crate::provider) fn split<'t>(text: &'t RawValue, path: &str) -> Option<Vec<&'t RawValue>> {
    let mut found = vec![text];
    for segment in path.split('/').skip(1) {
        let mut next = Vec::new();
        for value in found {
            match segment {
                // An object that stands where a list may stand is a list of one.
                "*" if value.get().starts_with('{') => next.push(value),
                "*" if value.get().starts_with('[') => next.extend(elements(value, ELEMENTS_MAX)?),
                "*" => {}
                // Nothing there is no mistake: another element may have it.
                name => next.extend(step(value, name)),
            }
            if next.len() > ELEMENTS_MAX {
                return None;
            }
        }
        found = next;
    }
    (1..=ELEMENTS_MAX).contains(&found.len()).then_some(found)
}

fn step<'t>(value: &'t RawValue, segment: &str) -> Option<&'t RawValue> {
    match value.get().as_bytes().first()? {
        b'{' => {
            // In this order (RFC 6901 §4), or `~01` would become a slash.
            let name = segment.replace("~1", "/").replace("~0", "~");
            serde_json::Deserializer::from_str(value.get()).deserialize_map(Member(&name)).ok()?
        }
        b'[' => {
            let index: usize = segment.parse().ok()?;
            serde_json::Deserializer::from_str(value.get()).deserialize_seq(Element(index)).ok()?
        }
        _ => None,
    }
}

/// The elements of a list; `None` for what is no list or has more.
fn elements(list: &RawValue, most: usize) -> Option<Vec<&RawValue>> {
    let found = serde_json::Deserializer::from_str(list.get()).deserialize_seq(Elements(most));
    found.ok().filter(|found| found.len() <= most)
}

/// The last member with a name.
struct Member<'n>(&'n str);

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        // Names are compared without being kept: an object may have as many as its sender likes.
        while let Some(is_it) = map.next_key_seed(IsName(self.0))? {
            let value = map.next_value::<&RawValue>()?;
            if is_it {
                found = Some(value);
            }
        }
        Ok(found)
    }
}

/// Whether a name is the one.
struct IsName<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for IsName<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<bool, D::Error> {
        source.deserialize_str(self)
    }
}

impl Visitor<'_> for IsName<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

/// The element at an index.
struct Element(usize);

impl<'de> Visitor<'de> for Element {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        let mut index = 0;
        // To the end even after it was found: what is left unread would be taken for a mistake in the text.
        while let Some(value) = list.next_element::<&RawValue>()? {
            if index == self.0 {
                found = Some(value);
            }
            index += 1;
        }
        Ok(found)
    }
}

/// All elements, one more than the most at most.
struct Elements(usize);

impl<'de> Visitor<'de> for Elements {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while found.len() <= self.0 {
            match list.next_element()? {
                Some(value) => found.push(value),
                None => return Ok(found),
            }
        }
        // Passed over rather than left, which would be taken for a mistake in the text.
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> &RawValue {
        serde_json::from_str(text).unwrap()
    }

    fn found(text: &str, path: &str) -> Option<Vec<String>> {
        Some(split(raw(text), path)?.iter().map(|element| element.get().to_owned()).collect())
    }

    #[test]
    fn digits_stay_what_they_are() {
        let text = r#"[ {"n":12345678901234567890123.10} , 2.50 ]"#;
        assert_eq!(found(text, "/*").unwrap(), [r#"{"n":12345678901234567890123.10}"#, "2.50"]);
        assert_eq!(scalars(raw(text), "/0/n").unwrap(), "12345678901234567890123.10");
    }

    #[test]
    fn stars_may_follow_each_other() {
        let text = r#"{"entry":[{"changes":[1,2]},{"other":0},{"changes":[3]}]}"#;
        assert_eq!(found(text, "/entry/*/changes/*").unwrap(), ["1", "2", "3"]);
        assert_eq!(found(text, "/entry/*/messaging/*"), None);
        let many = |count: usize| format!("[{}]", vec!["0"; count].join(","));
        assert_eq!(found(&many(ELEMENTS_MAX), "/*").map(|all| all.len()), Some(ELEMENTS_MAX));
        assert_eq!(found(&many(ELEMENTS_MAX + 1), "/*"), None);
    }

    #[test]
    fn pointers_lead_to_scalars() {
        let text = raw(r#"{"a":{"b":[{"id":7},{"id":"x"}]},"t":true,"t":false,"a/b~":"y","n":null}"#);
        for (pointer, scalar) in [
            ("/a/b/*/id", Some("7,x")),
            ("/a/b/1/id", Some("x")),
            ("/t", Some("false")),
            ("/a~1b~0", Some("y")),
            ("/n", None),
            ("/a", None),
            ("/a/b/2/id", None),
            ("/t/x", None),
        ] {
            assert_eq!(scalars(text, pointer).as_deref(), scalar, "{pointer}");
        }
        let deep = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
        assert_eq!(scalars(raw(&deep), "/a/a/b"), None);
    }
}
