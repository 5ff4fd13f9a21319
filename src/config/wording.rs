//! Mistakes in words: where they are and what is allowed, never what stands there. It may be a secret in the wrong place.

use std::path::Path;

/// Longest key that is repeated when it is unknown, in bytes. Ours are shorter; secrets are longer.
const KEY_BYTES_MAX: usize = 40;

/// What is wrong with a file and where.
pub(super) fn of_file(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let what = without_value(error.message());
    match text.lines().nth(line - 1).and_then(key_of).filter(|key| !what.contains(&format!("`{key}`"))) {
        Some(key) => format!("line {line}, column {column}: `{key}`: {what}"),
        None => format!("line {line}, column {column}: {what}"),
    }
}

/// A message of serde's or of the TOML reader's, without the value that it is about.
fn without_value(message: &str) -> String {
    // What is expected is ours to say; what was found may have any text in it.
    let (found, expected) = match message.rsplit_once(", expected ") {
        Some((found, expected)) => (found, Some(expected)),
        None => (message, None),
    };
    for start in ["invalid type: ", "invalid value: ", "invalid length "] {
        if let Some(found) = found.strip_prefix(start) {
            let expected = expected.map_or("something else".into(), allowed);
            // What stands before the quotes is the kind of the value, what stands in them the value.
            let kind = found.split(['`', '"']).next().unwrap_or_default().trim();
            return match shape(kind).filter(|_| start == "invalid type: ") {
                Some(shape) => format!("must be {expected}, not {shape}"),
                None => format!("must be {expected}"),
            };
        }
    }
    if found.starts_with("unknown variant ") {
        return format!("must be {}", expected.map_or("something else".into(), allowed));
    }
    if let Some(key) = found.strip_prefix("unknown field ") {
        return unknown_key(key.trim_matches('`'), expected);
    }
    message.to_owned()
}

/// What was found, by its kind.
fn shape(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "boolean" => "true or false",
        "integer" => "a number",
        "floating point" => "a number with a fraction",
        "string" => "a text",
        "sequence" => "a list",
        "map" => "a table",
        _ => return None,
    })
}

/// What serde expects, for people.
fn allowed(expected: &str) -> String {
    let words = match expected {
        "a string" => "a text in quotes",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "a table",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number that is not negative",
        "a nonzero u32" => "a whole number from 1 to 4294967295",
        "a nonzero u64" | "a nonzero usize" => "a whole number of at least 1",
        other => other,
    };
    words.to_owned()
}

fn unknown_key(key: &str, expected: Option<&str>) -> String {
    // Who writes a secret here needs the right key, not a list of all keys; the secret itself is not repeated.
    if ["secret", "secrets", "path_token", "challenge_token"].contains(&key) {
        let stem = key.trim_end_matches('s');
        return format!(
            "unknown field `{key}`: no secret stands in this file; use `{stem}_env` or `{stem}_file`"
        );
    }
    let known = expected.map(|expected| format!(", expected {expected}")).unwrap_or_default();
    match is_like_ours(key) && key.len() <= KEY_BYTES_MAX {
        true => format!("unknown field `{key}`{known}"),
        false => format!("unknown field{known}"),
    }
}

/// The key that a line sets, if it looks like one of ours.
fn key_of(line: &str) -> Option<&str> {
    let key = line.split_once('=')?.0.trim();
    is_like_ours(key).then_some(key)
}

fn is_like_ours(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

/// The file a mistake may be in.
pub(super) struct Place<'a> {
    pub(super) file: Option<&'a Path>,
    pub(super) text: &'a str,
}

impl Place<'_> {
    /// Words a mistake about a key, with the line where the key stands.
    pub(super) fn mistake(&self, key: &str, what: &str) -> String {
        match (self.file, self.text.lines().position(|line| sets(line, key))) {
            (Some(file), Some(line)) => format!("{}:{}: `{key}` {what}", file.display(), line + 1),
            _ => format!("`{key}` {what}"),
        }
    }

    /// The same for a key of a source: the line of the key, or of the source's name where the key is not set.
    pub(super) fn of_source(&self, source: &str, key: &str, what: &str) -> String {
        let names_it = |line: &&str| {
            let value = line.split_once('=').map_or("", |(_, value)| value);
            let value = value.split('#').next().unwrap_or_default().trim();
            sets(line, "name") && value.trim_matches(['"', '\'']) == source
        };
        let lines: Vec<&str> = self.text.lines().collect();
        let Some((file, named)) = self.file.zip(lines.iter().position(names_it)) else {
            return format!("source `{source}`: `{key}` {what}");
        };
        let begins = |line: &&str| line.trim_start().starts_with("[[source]]");
        // Found in the text, since the reader of TOML keeps no places of what it has read; at worst the line is missing
        // or wrong.
        let begin = lines[..named].iter().rposition(begins).unwrap_or(named);
        let ends = |line: &&str| {
            let line = line.trim_start();
            line.starts_with('[') && !line.starts_with("[source.") && !line.starts_with("[[source.")
        };
        let end = lines[named..].iter().position(ends).map_or(lines.len(), |end| named + end);
        let set = lines[begin..end].iter().position(|line| sets(line, key));
        let line = set.map_or(named, |line| begin + line);
        format!("{}:{}: source `{source}`: `{key}` {what}", file.display(), line + 1)
    }
}

fn sets(line: &str, key: &str) -> bool {
    line.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_say_what_is_allowed_and_not_what_is_there() {
        for (message, expected) in [
            ("invalid type: integer `71`, expected a string", "must be a text in quotes, not a number"),
            (
                "invalid type: string \"71, expected x\", expected u64",
                "must be a whole number that is not negative, not a text",
            ),
            ("invalid value: integer `-71`, expected u16", "must be a whole number from 0 to 65535"),
            ("unknown variant `71`, expected `json` or `text`", "must be `json` or `text`"),
            ("unknown field `naem`, expected `name`", "unknown field `naem`, expected `name`"),
            ("unknown field `whsec_71`, expected `name`", "unknown field, expected `name`"),
        ] {
            assert_eq!(without_value(message), expected);
        }
    }

    #[test]
    fn a_key_of_a_source_is_found_in_its_own_table() {
        let text = "[[source]]\nkeep_count = 1\nname = 'a'\n[[source]]\nname = 'b' # second\n\
                    [source.filter]\nbody = 1\n[[source]]\nname = 'c'\nkeep_count = 0\n";
        let place = Place { file: Some(Path::new("f")), text };
        let line = |source: &str, key: &str| {
            let told = place.of_source(source, key, "");
            told.split(':').nth(1).unwrap().parse::<usize>().unwrap()
        };
        assert_eq!(line("a", "keep_count"), 2);
        assert_eq!(line("b", "keep_count"), 5);
        assert_eq!(line("b", "body"), 7);
        assert_eq!(line("c", "keep_count"), 10);
    }
}
