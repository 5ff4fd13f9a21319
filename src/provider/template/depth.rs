//! How deep the code of a template could nest, and how much it could multiply, told before it is parsed: minijinja counts
//! brackets and blocks, but recurses for each sign and each link of a chain as well (`- - - 1`, `1 + 1 + 1`), on the stack of
//! whoever reads the template.

/// Most operators in one pair of `{{ }}` or `{% %}`. A level of each takes less than 4 KiB of the stack, also without
/// optimisation.
pub(super) const OPERATORS_MAX: usize = 250;

/// Most multiplications in one pair of `{{ }}` or `{% %}`. A text that is multiplied grows to 100 MB before it is refused, and
/// minijinja works out a chain of constants anew for each of its links.
pub(super) const MULTIPLICATIONS_MAX: usize = 4;

/// The most multiplications that stand in one tag.
pub(super) fn multiplications(text: &str) -> usize {
    // Those within texts count, too: it is a bound, and few templates have any.
    let single = |code: &str| code.matches('*').count() - 2 * code.matches("**").count();
    tags(text).map(|(code, _)| single(code)).max().unwrap_or(0)
}

/// The most operators that stand in one tag.
pub(super) fn operators(text: &str) -> usize {
    tags(text).map(|(_, operators)| operators).max().unwrap_or(0)
}

/// The code of each tag, and how many operators it has.
fn tags(text: &str) -> impl Iterator<Item = (&str, usize)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = ["{{", "{%"].iter().filter_map(|open| rest.find(open)).min()?;
        let code = &rest[start + 2..];
        let (operators, end) = in_tag(code);
        // Not behind its end: a quote in a comment or in a raw block would hide the tags that follow.
        rest = code;
        Some((&code[..end], operators))
    })
}

/// How many operators come before the end of a tag, and where that is: not within a text.
fn in_tag(code: &str) -> (usize, usize) {
    let (mut count, mut quote, mut escaped, mut word) = (0, None, false, 0);
    for (at, c) in code.char_indices() {
        // Enough to refuse it; looking on would take a square of the text's length, as every tag is looked at from its
        // own beginning.
        if count > OPERATORS_MAX {
            return (count, at);
        }
        let is_word = c.is_alphanumeric() || c == '_';
        if !is_word && quote.is_none() {
            count +=
                usize::from(matches!(&code[word..at], "not" | "and" | "or" | "if" | "else" | "in" | "is"));
        }
        match (quote, c) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), '\\') => escaped = true,
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '%' | '}') if code[at + 1..].starts_with('}') => return (count, at + 2),
            (
                None,
                '-' | '+' | '*' | '/' | '%' | '~' | '|' | '.' | '[' | '(' | '{' | '<' | '>' | '=' | '!',
            ) => {
                count += 1;
            }
            (None, _) => {}
        }
        if !is_word {
            word = at + c.len_utf8();
        }
    }
    (count, code.len())
}

#[cfg(test)]
mod tests {
    use super::{super::Output, *};
    use crate::provider::Template;

    #[test]
    fn operators_are_counted_in_tags_and_not_in_texts() {
        for (text, count) in [
            ("a - b", 0),
            ("{{ a }}", 0),
            ("{{ -a }} {{ - - a }}", 2),
            ("{{ '- - }} -' ~ \"\\\"- -\" }}", 1),
            ("{% if not a and b %}", 3),
            ("{{ a.b | upper", 2),
            ("{{ nothing }}{{ a if b else c }}", 2),
        ] {
            assert_eq!(operators(text), count, "{text}");
        }
    }

    #[test]
    fn nothing_hides_a_tag() {
        for hiding in ["{# {{ ' #}", "{% raw %}{{ ' {% endraw %}"] {
            let text = format!("{hiding}{{{{ {} 1 }}}}", "- ".repeat(8_000));
            assert!(Template::read(&text, Output::Text).unwrap_err().contains("operators"), "{hiding}");
        }
        assert!(operators(&"{{ ' ".repeat(13_000)) < 14_000, "and it is told in time");
    }

    #[test]
    fn texts_do_not_grow_in_chains() {
        let long = Template::read(&format!("{{{{ 'a' {} }}}}", "* 10 ".repeat(26)), Output::Text);
        assert!(long.unwrap_err().contains("multiplications"));
        assert!(Template::read("{{ body.price * 100 ** 2 * 3 }}", Output::Text).is_ok());
    }

    /// In a thread with the least stack that anything here has; far more of them overflowed it.
    #[test]
    fn chains_are_bounded() {
        let read = |text: String| Template::read(&text, Output::Text).map(drop);
        let links = ["+ 1", "~ 1", "| string", "if 1 else 1", "and 1", "is defined", "** 1", "not in [1]"];
        let chains = move || {
            for (open, link, close) in links
                .map(|link| ("{{ 1 ", link, "}}"))
                .into_iter()
                .chain([("{{ ", "- ", "1 }}"), ("{{ ", "not ", "1 }}")])
            {
                let few = read(format!("{open}{}{close}", format!("{link} ").repeat(20)));
                assert!(few.is_ok() || !few.unwrap_err().contains("operators"), "{link}");
                let many = read(format!("{open}{}{close}", format!("{link} ").repeat(5_000)));
                assert!(many.unwrap_err().contains("operators"), "{link}");
                let _ = read(format!("{open}{}{close}", format!("{link} ").repeat(OPERATORS_MAX / 2)));
            }
        };
        std::thread::Builder::new().stack_size(1 << 20).spawn(chains).unwrap().join().unwrap();
    }
}
