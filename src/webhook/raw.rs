//! Parts of a JSON text as they were written: taking a text apart does not change a digit of it.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Elements that one delivery is split into at most: HubSpot sends 100, Meta and SendGrid up to 1000.
pub(super) const ELEMENTS_MAX: usize = 2_000;

/// Whether a text can be JSON at all, without reading it.
pub(super) fn is_json_like(text: &[u8]) -> bool {
    let first = text.iter().find(|byte| !byte.is_ascii_whitespace());
    first.is_some_and(|byte| matches!(byte, b'{' | b'[' | b'"' | b'-' | b'0'..=b'9' | b't' | b'f' | b'n'))
}

/// What a path leads to, in order; `*` stands for every element of an array. `None` when the text is no JSON, leads
/// nowhere, or to too many.
pub(super) fn elements(text: &[u8], path: &str) -> Option<Vec<Box<RawValue>>> {
    let whole: Box<RawValue> = serde_json::from_slice(text).ok()?;
    let mut found = vec![whole];
    for segment in path.split('/').skip(1) {
        let mut next = Vec::new();
        for value in &found {
            step(value, segment, &mut next)?;
        }
        found = next;
    }
    (1..=ELEMENTS_MAX).contains(&found.len()).then_some(found)
}

fn step(value: &RawValue, segment: &str, next: &mut Vec<Box<RawValue>>) -> Option<()> {
    match segment {
        // An object that stands where a list may stand is a list of one.
        "*" => match serde_json::from_str::<Vec<Box<RawValue>>>(value.get()) {
            Ok(list) => next.extend(list),
            Err(_) if value.get().starts_with('{') => next.push(value.to_owned()),
            Err(_) => {}
        },
        // Nothing there is no mistake: another element may have it.
        name => {
            if let Ok(mut map) = serde_json::from_str::<BTreeMap<String, Box<RawValue>>>(value.get()) {
                next.extend(map.remove(name));
            }
        }
    }
    (next.len() <= ELEMENTS_MAX).then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, path: &str) -> Option<Vec<String>> {
        let elements = elements(text.as_bytes(), path)?;
        Some(elements.iter().map(|element| element.get().to_owned()).collect())
    }

    #[test]
    fn digits_stay_what_they_are() {
        let text = r#"[ {"n":12345678901234567890123.10} , 2.50 ]"#;
        assert_eq!(found(text, "/*").unwrap(), [r#"{"n":12345678901234567890123.10}"#, "2.50"]);
    }

    #[test]
    fn stars_may_follow_each_other() {
        let text = r#"{"entry":[{"changes":[1,2]},{"other":0},{"changes":[3]}]}"#;
        assert_eq!(found(text, "/entry/*/changes/*").unwrap(), ["1", "2", "3"]);
        assert_eq!(found(text, "/entry/*/messaging/*"), None);
        assert_eq!(found("no json", "/*"), None);
    }
}
