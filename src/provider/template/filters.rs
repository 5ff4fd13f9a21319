//! Filters of our own, and bounds for those of minijinja that make much of little: what they are given comes from outside.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
};

use minijinja::{
    Environment, Error, ErrorKind, State, Value, filters,
    value::{Rest, ValueKind, ValueOrKwargs},
};

use super::{context, output::OUTPUT_BYTES_MAX};

/// Longest segment of a topic that a value can become, in bytes.
const SEGMENT_BYTES_MAX: usize = 100;

/// Widest indentation, and longest lists that `batch` and `slice` fill up to.
const WIDTH_MAX: usize = 1_000;

pub(super) fn add(environment: &mut Environment<'_>) {
    environment.add_filter("topic_segment", topic_segment);
    environment.add_filter("string", |state: &State<'_, '_>, value: &Value| text(state, value));
    // Fuel counts steps of the template, not the bytes that one step of these makes.
    bound(environment, "replace", Value::from_function(filters::replace), replaced_bytes);
    bound(environment, "indent", Value::from_function(filters::indent), indented_bytes);
    bound(environment, "join", Value::from_function(filters::join), joined_bytes);
    bound(environment, "batch", Value::from_function(filters::batch), filled);
    bound(environment, "slice", Value::from_function(filters::slice), filled);
    bound(environment, "format", Value::from_function(filters::format), formatted_bytes);
    let indented = Value::from_function(filters::tojson);
    environment.add_filter(
        "tojson",
        move |state: &mut State<'_, '_>, value: &Value, how: Rest<ValueOrKwargs>| {
            let how = how.into_values();
            match how.is_empty() {
                true => plain_json(state, value),
                false => {
                    numbers(&how).try_for_each(|width| at_most("tojson", width))?;
                    let arguments: Vec<Value> =
                        [value.clone()].into_iter().chain(how.iter().cloned()).collect();
                    indented.call(state, &arguments)
                }
            }
        },
    );
}

/// A filter that first says how many bytes it will make at most.
fn bound(
    environment: &mut Environment<'_>,
    name: &'static str,
    filter: Value,
    bytes: fn(&'static str, &[Value]) -> Result<usize, Error>,
) {
    environment.add_filter(name, move |state: &mut State<'_, '_>, arguments: Rest<ValueOrKwargs>| {
        let arguments = arguments.into_values();
        // Refused before it is made; afterwards the memory would have been taken.
        if bytes(name, &arguments)? > OUTPUT_BYTES_MAX {
            return Err(refused(format!("`{name}` would make more than {OUTPUT_BYTES_MAX} bytes")));
        }
        filter.call(state, &arguments)
    });
}

/// All numbers among the arguments, with or without a name.
fn numbers(arguments: &[Value]) -> impl Iterator<Item = usize> {
    let named = arguments.iter().filter(|argument| argument.kind() == ValueKind::Map);
    let named = named.filter_map(|named| {
        let values = named.try_iter().ok()?.filter_map(|name| named.get_item(&name).ok());
        Some(values.collect::<Vec<_>>())
    });
    let all = arguments.iter().cloned().chain(named.flatten());
    all.filter_map(|argument| argument.as_usize()).collect::<Vec<_>>().into_iter()
}

fn at_most(name: &str, width: usize) -> Result<(), Error> {
    match width > WIDTH_MAX {
        true => Err(refused(format!("`{name}` goes up to {WIDTH_MAX}"))),
        false => Ok(()),
    }
}

/// An argument as the filters of minijinja read it: a text as it is, everything else as it is put out.
fn shown(argument: Option<&Value>) -> Result<Cow<'_, str>, Error> {
    let Some(argument) = argument else { return Ok("".into()) };
    if let Some(text) = argument.as_str() {
        return Ok(text.into());
    }
    let mut text = Shown(String::new());
    write!(text, "{argument}").map_err(|_| too_long())?;
    Ok(text.0.into())
}

/// A text that refuses to become too long.
struct Shown(String);

impl fmt::Write for Shown {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        if self.0.len() + part.len() > OUTPUT_BYTES_MAX {
            return Err(fmt::Error);
        }
        self.0.push_str(part);
        Ok(())
    }
}

fn too_long() -> Error {
    refused(format!("a value is more than {OUTPUT_BYTES_MAX} bytes as a text"))
}

fn replaced_bytes(_: &'static str, arguments: &[Value]) -> Result<usize, Error> {
    let [value, from, to] = [0, 1, 2].map(|index| shown(arguments.get(index)));
    let (value, from, to) = (value?, from?, to?);
    // An empty text is found between all characters, as `replace` does it.
    let found = value.matches(&*from).count();
    Ok(value.len().saturating_add(found.saturating_mul(to.len())))
}

fn indented_bytes(name: &'static str, arguments: &[Value]) -> Result<usize, Error> {
    let value = shown(arguments.first())?;
    let width = numbers(arguments.get(1..).unwrap_or_default()).max().unwrap_or(4);
    at_most(name, width)?;
    Ok(value.len().saturating_add(value.lines().count().saturating_mul(width)))
}

fn joined_bytes(_: &'static str, arguments: &[Value]) -> Result<usize, Error> {
    let Some(elements) = arguments.first().and_then(|list| list.try_iter().ok()) else { return Ok(0) };
    let named = arguments.iter().filter(|argument| argument.is_kwargs());
    let named: Vec<Value> = named.filter_map(|named| named.get_item(&"d".into()).ok()).collect();
    // Whichever of the two it is, the other one is absent or makes the filter fail.
    let joiner = match arguments.get(1).filter(|joiner| !joiner.is_kwargs()) {
        Some(joiner) => shown(Some(joiner))?,
        None => shown(named.first())?,
    };
    let mut bytes: usize = 0;
    for element in elements {
        bytes = bytes.saturating_add(shown(Some(&element))?.len()).saturating_add(joiner.len());
        // Enough to refuse it; showing the rest would only take time.
        if bytes > OUTPUT_BYTES_MAX {
            break;
        }
    }
    Ok(bytes)
}

fn filled(name: &'static str, arguments: &[Value]) -> Result<usize, Error> {
    numbers(arguments.get(1..).unwrap_or_default()).try_for_each(|width| at_most(name, width))?;
    Ok(0)
}

/// Widths and precisions stand in the text, or are given for a `*` in it.
fn formatted_bytes(name: &'static str, arguments: &[Value]) -> Result<usize, Error> {
    let value = arguments.first().and_then(Value::as_str).unwrap_or_default();
    let widths = value.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
    for width in widths {
        at_most(name, width.parse().unwrap_or(usize::MAX))?;
    }
    match value.contains('*') {
        true => Err(refused("`format` takes its widths from the text alone")),
        false => Ok(value.len().saturating_add(value.matches('%').count().saturating_mul(WIDTH_MAX))),
    }
}

/// As minijinja writes it: safe within a page, too.
fn plain_json(state: &State<'_, '_>, value: &Value) -> Result<Value, Error> {
    let text = context::json(state, value)?;
    let pairs = [('<', "\\u003c"), ('>', "\\u003e"), ('&', "\\u0026"), ('\'', "\\u0027")];
    let text = pairs.iter().fold(text, |text, (character, code)| text.replace(*character, code));
    Ok(Value::from_safe_string(text))
}

fn refused(what: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what.into())
}

/// A number with its digits, all else as it is put out.
fn text(state: &State<'_, '_>, value: &Value) -> String {
    let digits = context::digits(state, value);
    digits.map_or_else(|| value.to_string(), |digits| digits.as_ref().to_owned())
}

/// A value as one segment of a topic: refuses what would make it another topic.
fn topic_segment(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    let refused = |what: &str| refused(format!("topic_segment: {what}"));
    if !(value.as_str().is_some() || value.is_number()) {
        return Err(refused("the value is neither a text nor a number"));
    }
    match text(state, value) {
        empty if empty.is_empty() => Err(refused("the value is empty")),
        long if long.len() > SEGMENT_BYTES_MAX => Err(refused("the value is too long")),
        bad if bad.chars().any(|c| matches!(c, '*' | ':') || c.is_control()) => {
            Err(refused("the value has `:`, `*` or a control character"))
        }
        good => Ok(good),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Output, Template};
    use crate::provider::{
        json::{self, Json},
        template::Context,
    };

    fn render(template: &str) -> Result<String, String> {
        let body = format!(r#"{{"body":{{"s":"{}","n":100000000,"few":"a\nb"}}}}"#, "a".repeat(100_000));
        let raw = json::read(body.as_bytes().into()).unwrap();
        Template::read(template, Output::Text)?.render(&Context::new(&Json::read(&raw).unwrap()))
    }

    #[test]
    fn little_does_not_become_much() {
        for (bomb, what) in [
            ("{{ body.s | replace('a', body.s) }}", "`replace` would make more"),
            ("{{ body.s | replace('', body.s) }}", "`replace` would make more"),
            ("{{ body.few | indent(body.n) }}", "`indent` goes up to 1000"),
            ("{{ body.few | indent(width=body.n) }}", "`indent` goes up to 1000"),
            ("{{ body.s | join(body.s) }}", "`join` would make more"),
            ("{{ body.s | join([body.s]) }}", "`join` would make more"),
            ("{{ body.s | join(d=body.s) }}", "`join` would make more"),
            ("{{ body.s | join(d=[body.s]) }}", "`join` would make more"),
            ("{% set l = [[body.s]] * 50 %}{{ l | join('') }}", "`join` would make more"),
            ("{{ body.s | replace('a', [body.s]) }}", "`replace` would make more"),
            ("{{ body.s | replace('a', {'k': body.s}) }}", "`replace` would make more"),
            ("{{ [body.s] | replace('a', body.s) }}", "`replace` would make more"),
            ("{{ body.s | replace('aaaa', body.n) | replace(1, body.s) }}", "`replace` would make more"),
            ("{{ ([body.s] * 50) | replace('b', '') }}", "more than"),
            ("{{ [1] | batch(body.n, 0) }}", "`batch` goes up to 1000"),
            ("{{ [1] | slice(body.n, 0) }}", "`slice` goes up to 1000"),
            ("{{ '%100000000d' | format(1) }}", "`format` goes up to 1000"),
            ("{{ '%.*f' | format(body.n, 1) }}", "`format` takes its widths"),
            ("{{ [body] | tojson(indent=body.n) }}", "`tojson` goes up to 1000"),
            ("{{ 'x' * body.n }}", "more than"),
            ("{% for i in range(body.n) %}{% endfor %}", "range has too many"),
        ] {
            let error = render(bomb).unwrap_err();
            assert!(error.contains(what), "{bomb}: {error}");
        }
    }

    #[test]
    fn what_is_usual_goes_on() {
        for (template, text) in [
            ("{{ body.few | replace('a', 'c') }}", "c\nb"),
            ("{{ body.few | indent(2) }}", "a\n  b"),
            ("{{ ['a', 'b', 1] | join(', ') }}", "a, b, 1"),
            ("{{ ['a', [2], 1] | join(d=0) }}", "a0[2]01"),
            ("{{ [{'n': 'a'}, {'n': 2}] | join(', ', attribute='n') }}", "a, 2"),
            ("{{ 121 | replace(1, [3]) }}", "[3]2[3]"),
            ("{{ [1, 2, 3] | batch(2) | list }}", "[[1, 2], [3]]"),
            ("{{ '%05d|%s' | format(7, 'x') }}", "00007|x"),
            ("{{ {'a': '<'} | tojson }}", "{\"a\":\"\\u003c\"}"),
            ("{{ [1] | tojson(indent=2) }}", "[\n  1\n]"),
            ("{{ body.n | topic_segment }}", "100000000"),
        ] {
            assert_eq!(render(template).as_deref(), Ok(text), "{template}");
        }
    }
}
