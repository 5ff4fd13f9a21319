//! What can be told of a template before anything is rendered: filters that do not exist, and JSON that never is any.

use minijinja::{Environment, ErrorKind};

/// A piece of a template.
enum Piece<'a> {
    /// Goes out as it is.
    Text(&'a str),
    /// `{{ … }}`.
    Expression(&'a str),
    /// `{% … %}`.
    Block(&'a str),
}

/// Its pieces; `None` if it is not as plain as that.
fn pieces(text: &str) -> Option<Vec<Piece<'_>>> {
    let (mut pieces, mut rest) = (Vec::new(), text);
    while let Some(start) = ["{{", "{%", "{#"].iter().filter_map(|open| rest.find(open)).min() {
        pieces.push(Piece::Text(&rest[..start]));
        let (open, code) = rest[start..].split_at(2);
        let end = if open == "{#" { code.find("#}")? } else { end(code, open)? };
        let inside = code[..end].trim_matches(['-', '+', ' ', '\t', '\r', '\n']);
        match open {
            "{{" => pieces.push(Piece::Expression(inside)),
            // What follows is text, whatever it looks like.
            "{%" if inside == "raw" => return None,
            "{%" => pieces.push(Piece::Block(inside)),
            _ => {}
        }
        rest = &code[end + 2..];
    }
    pieces.push(Piece::Text(rest));
    Some(pieces)
}

/// Where code ends: not within a text or an object.
fn end(code: &str, open: &str) -> Option<usize> {
    let close = if open == "{{" { "}}" } else { "%}" };
    let (mut quote, mut escaped, mut depth) = (None, false, 0_usize);
    for (at, c) in code.char_indices() {
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, _) if depth == 0 && code[at..].starts_with(close) => return Some(at),
            (None, '{') => depth += 1,
            (None, '}') => depth = depth.saturating_sub(1),
            (None, _) => {}
        }
    }
    None
}

/// Code without its texts.
fn without_texts(code: &str) -> String {
    let (mut quote, mut escaped) = (None, false);
    let keep = |c: &char| {
        match (quote, *c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (None, c @ ('"' | '\'')) => quote = Some(c),
            (None, _) => return true,
            (Some(_), _) => {}
        }
        false
    };
    code.chars().filter(keep).collect()
}

/// A filter that the template uses and that does not exist.
pub(super) fn unknown_filter(environment: &Environment<'_>, text: &str) -> Option<String> {
    let pieces = pieces(text)?;
    let code = pieces.iter().filter_map(|piece| match piece {
        Piece::Expression(code) | Piece::Block(code) => Some(without_texts(code)),
        Piece::Text(_) => None,
    });
    let name = |text: &str| {
        let text = text.trim_start();
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        text[..end].to_owned()
    };
    let names = code.flat_map(|code| {
        let block = code.strip_prefix("filter ").map(name);
        let all: Vec<String> = code.split('|').skip(1).map(name).chain(block).collect();
        all
    });
    let is_unknown = |name: &String| {
        // The library has no list of its filters to look into; a filter that exists fails in another way, if at all.
        let tried = environment.compile_expression(&format!("1|{name}")).and_then(|tried| tried.eval(()));
        tried.is_err_and(|error| error.kind() == ErrorKind::UnknownFilter)
    };
    names.filter(|name| !name.is_empty()).find(is_unknown)
}

/// Whether a template of JSON can render any. Values go in as JSON, so that what stands around them must be whole.
pub(super) fn can_be_json(text: &str) -> bool {
    // What is not understood is let pass: this is to help, and rendering has the last word.
    let Some(pieces) = pieces(text) else { return true };
    let (mut sample, mut in_text, mut escaped) = (String::new(), false, false);
    for piece in pieces {
        match piece {
            Piece::Text(text) => {
                sample.push_str(text);
                for c in text.chars() {
                    match c {
                        _ if escaped => escaped = false,
                        '\\' if in_text => escaped = true,
                        '"' => in_text = !in_text,
                        _ => {}
                    }
                }
            }
            // What is rendered is as long as a value says, or not JSON by itself.
            Piece::Block(_) => return true,
            Piece::Expression(code) if code.contains("safe") => return true,
            Piece::Expression(_) => sample.push_str(if in_text { "0" } else { "\"\"" }),
        }
    }
    serde_json::from_str::<serde::de::IgnoredAny>(&sample).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_filters_are_found() {
        let environment = Environment::new();
        let unknown = |text: &str| unknown_filter(&environment, text);
        assert_eq!(unknown("{{ body.a | topic_sgment }}").as_deref(), Some("topic_sgment"));
        assert_eq!(unknown("{% if body.a|nope %}x{% endif %}").as_deref(), Some("nope"));
        for known in ["{{ body.a|upper|lower }}", "{{ 'a | b' }}", "a | b", "{% raw %}{{ a|b }}{% endraw %}"]
        {
            assert_eq!(unknown(known), None, "{known}");
        }
    }

    #[test]
    fn json_around_values_is_whole() {
        for good in [
            r#"{"a": {{ body.a }}, "b": "n {{ body.n }}", {{ event }}: [1]}"#,
            "{{ body }}",
            r#"{"a":{{ {"b":{"c":1}} }}}"#,
            "{% if event %}1{% else %}2{% endif %}",
        ] {
            assert!(can_be_json(good), "{good}");
        }
        for bad in [r#"{"a": {{ body.a }}"#, "hello {{ event }}", r#"{"a" {{ body.a }}}"#] {
            assert!(!can_be_json(bad), "{bad}");
        }
    }
}
