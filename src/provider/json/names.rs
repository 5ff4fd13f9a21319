//! Objects with two members of one name: legal, and read differently by different readers. The last one stays, which is the one
//! that most of them take and that filters and names of deliveries are about.

use std::{
    borrow::Cow,
    collections::{HashMap, hash_map::Entry},
    ops::Range,
};

use super::ends::{end_of_number, end_of_text};

/// Lists and objects inside one another. What nests deeper is no message, and its names are left as they are.
const DEPTH_MAX: usize = 128;

/// A list or object that has begun.
enum Open<'t> {
    List,
    Object {
        /// Where the member of each name begins, by its number.
        names: HashMap<Cow<'t, str>, usize>,
        /// Where each member begins.
        starts: Vec<usize>,
        /// Members by number that a later one takes the place of.
        replaced: Vec<usize>,
        /// Whether the next text is a name.
        at_name: bool,
    },
}

/// Valid JSON text without members that a later one of the same name takes the place of.
pub(super) fn once(text: &str) -> Cow<'_, str> {
    let removed = replaced(text);
    if removed.is_empty() {
        return text.into();
    }
    let (mut whole, mut copied) = (String::with_capacity(text.len()), 0);
    for range in removed {
        // One inside another has gone with it.
        if range.start >= copied {
            whole.push_str(&text[copied..range.start]);
            copied = range.end;
        }
    }
    whole.push_str(&text[copied..]);
    whole.into()
}

/// What is to go, in order: each member up to the beginning of the next, which there always is.
fn replaced(text: &str) -> Vec<Range<usize>> {
    let bytes = text.as_bytes();
    let (mut open, mut removed, mut at) = (Vec::new(), Vec::new(), 0);
    while let Some(byte) = bytes.get(at) {
        if open.len() > DEPTH_MAX {
            return Vec::new();
        }
        let end = match byte {
            b'"' => end_of_text(bytes, at),
            b'-' | b'0'..=b'9' => end_of_number(bytes, at),
            _ => at + 1,
        };
        match (byte, open.last_mut()) {
            (b'{', _) => open.push(Open::Object {
                names: HashMap::new(),
                starts: Vec::new(),
                replaced: Vec::new(),
                at_name: true,
            }),
            (b'[', _) => open.push(Open::List),
            (b'}' | b']', _) => {
                if let Some(Open::Object { starts, replaced, .. }) = open.pop() {
                    removed.extend(
                        replaced
                            .iter()
                            .filter_map(|number| Some(*starts.get(*number)?..*starts.get(number + 1)?)),
                    );
                }
            }
            (b'"', Some(Open::Object { names, starts, replaced, at_name })) if *at_name => {
                match names.entry(name(&text[at..end])) {
                    Entry::Vacant(new) => {
                        new.insert(starts.len());
                    }
                    // By number, since where a member ends is only known once the next one begins.
                    Entry::Occupied(mut known) => replaced.push(known.insert(starts.len())),
                }
                starts.push(at);
                *at_name = false;
            }
            (b',', Some(Open::Object { at_name, .. })) => *at_name = true,
            _ => {}
        }
        at = end;
    }
    // Of two that begin at one place the longer first, so that what is inside it is passed over.
    removed.sort_unstable_by_key(|range| (range.start, usize::MAX - range.end));
    removed
}

/// A name without its quotes and escapes.
fn name(quoted: &str) -> Cow<'_, str> {
    match quoted.contains('\\') {
        false => quoted.trim_matches('"').into(),
        true => serde_json::from_str::<String>(quoted).map_or_else(|_| quoted.into(), Cow::Owned),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn the_last_of_two_stays() {
        for (text, expected) in [
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            (r#"{"a":1, "b":2 ,"a":3,"c":4}"#, r#"{"b":2 ,"a":3,"c":4}"#),
            (r#"{"a":{"x":1,"x":2},"\u0061":[{"b":1,"b":1,"b":3}]}"#, r#"{"\u0061":[{"b":3}]}"#),
            (r#"[{"a":1},{"a":"a"},"a","a"]"#, r#"[{"a":1},{"a":"a"},"a","a"]"#),
            (r#"{"a":[1,2],"b":{"a":1}}"#, r#"{"a":[1,2],"b":{"a":1}}"#),
        ] {
            assert_eq!(once(text), expected, "{text}");
        }
        let deep = "[{\"a\":".repeat(100_000) + "1" + &"}]".repeat(100_000);
        assert_eq!(once(&deep), deep);
    }

    proptest! {
        #[test]
        fn it_means_the_same(text in r#"\{("[ab]":(1|"a"|\{("[ab]":[12],)?"a":[12](,"[ab]":3)?\}|\[\{"a":1,"a":2\},3\]),){0,5}"a":0\}"#) {
            let once = once(&text);
            let value: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(serde_json::from_str::<Value>(&once).unwrap(), value.clone());
            prop_assert_eq!(once.len(), once.trim().len());
            // Nothing of it is there twice any more.
            prop_assert!(replaced(&once).is_empty());
        }
    }
}
