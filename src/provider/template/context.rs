//! What a template is rendered with, and how values become text: numbers as they were written.
//!
//! In a template a number is an integer or a double, so that it can be compared and calculated with. Doubles lose digits
//! (`1.10`, `1e400`), so the digits are kept beside them and put out in their place.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use minijinja::{
    AutoEscape, Error, ErrorKind, Output, State, Value, escape_formatter,
    value::{Object, ValueKind},
};
use serde_json::value::RawValue;

use crate::provider::json::{Json, Number};

/// The name of the digits among the values: none that a template could use.
const DIGITS: &str = "\0digits";

/// Values inside one another that are put out as JSON; what comes from outside nests less.
const DEPTH_MAX: usize = 150;

/// What a template can ask for.
#[derive(Default)]
pub(in crate::provider) struct Context(Value);

impl Context {
    /// The members of an object.
    pub(in crate::provider) fn new(members: &Json) -> Self {
        let mut digits = Digits::default();
        let Json::Object(members) = members else { return Self::default() };
        let mut values: BTreeMap<String, Value> =
            members.iter().map(|(name, value)| (name.clone(), digits.value(value))).collect();
        values.insert(DIGITS.into(), Value::from_object(digits));
        Self(values.into())
    }

    pub(super) fn values(&self) -> &Value {
        &self.0
    }
}

/// How doubles were written, by their bits. Of two that are the same double the first counts.
#[derive(Default, Debug)]
struct Digits(HashMap<u64, Arc<str>>);

impl Object for Digits {}

impl Digits {
    fn value(&mut self, json: &Json) -> Value {
        match json {
            Json::Null => Value::from(()),
            Json::Bool(truth) => Value::from(*truth),
            Json::Number(number) => self.number(number),
            Json::Text(text) => Value::from(text.as_str()),
            Json::List(list) => list.iter().map(|value| self.value(value)).collect(),
            Json::Object(members) => {
                let pairs = members.iter().map(|(name, value)| (name.clone(), self.value(value)));
                Value::from(pairs.collect::<BTreeMap<_, _>>())
            }
        }
    }

    fn number(&mut self, number: &Number) -> Value {
        match number.as_integer() {
            // `-0` has digits that an integer has not.
            Some(integer) if integer != 0 => {
                i64::try_from(integer).map_or_else(|_| Value::from(integer), Value::from)
            }
            Some(_) if number.as_str() == "0" => Value::from(0),
            _ => {
                let double = number.as_double();
                self.0.entry(double.to_bits()).or_insert_with(|| number.as_str().into());
                Value::from(double)
            }
        }
    }
}

/// The digits of a number that is no integer.
pub(super) fn digits(state: &State<'_, '_>, value: &Value) -> Option<Arc<str>> {
    if value.kind() != ValueKind::Number || value.is_integer() {
        return None;
    }
    let bits = f64::try_from(value.clone()).ok()?.to_bits();
    let known = state.lookup(DIGITS)?;
    known.downcast_object_ref::<Digits>()?.0.get(&bits).cloned()
}

/// Puts a value out.
pub(super) fn write(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), Error> {
    match state.auto_escape() {
        _ if value.is_safe() => escape_formatter(out, state, value),
        AutoEscape::Json => Ok(out.write_str(&json(state, value)?)?),
        _ => match digits(state, value) {
            Some(digits) => Ok(out.write_str(&digits)?),
            None => escape_formatter(out, state, value),
        },
    }
}

/// A value as JSON text.
pub(super) fn json(state: &State<'_, '_>, value: &Value) -> Result<String, Error> {
    let mut text = String::new();
    write_json(&mut text, state, value, 0)?;
    Ok(text)
}

fn write_json(text: &mut String, state: &State<'_, '_>, value: &Value, depth: usize) -> Result<(), Error> {
    let wrong = |what: String| Error::new(ErrorKind::BadSerialization, what);
    // Looked at here, too, since the bound of the writer only sees what is finished.
    if depth > DEPTH_MAX || text.len() > super::output::OUTPUT_BYTES_MAX {
        return Err(wrong("it is too deep or too long".into()));
    }
    match value.kind() {
        ValueKind::Seq | ValueKind::Iterable => {
            text.push('[');
            for (index, element) in value.try_iter()?.enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_json(text, state, &element, depth + 1)?;
            }
            text.push(']');
        }
        ValueKind::Map => {
            text.push('{');
            for (index, name) in value.try_iter()?.enumerate() {
                if index > 0 {
                    text.push(',');
                }
                let shown = name.as_str().map_or_else(|| name.to_string(), str::to_owned);
                text.push_str(&serde_json::to_string(&shown).map_err(|error| wrong(error.to_string()))?);
                text.push(':');
                write_json(text, state, &value.get_item(&name)?, depth + 1)?;
            }
            text.push('}');
        }
        _ => match digits(state, value) {
            Some(digits) => text.push_str(&digits),
            None => {
                let plain =
                    serde_json::value::to_raw_value(value).map_err(|error| wrong(error.to_string()))?;
                text.push_str(RawValue::get(&plain));
            }
        },
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::{Output, Template};
    use super::*;
    use crate::provider::json;

    fn render(template: &str, output: Output, body: &str) -> Result<String, String> {
        let text = format!("{{\"body\":{body}}}");
        let raw = json::read(text.as_bytes().into()).unwrap();
        Template::read(template, output)?.render(&Context::new(&Json::read(&raw).unwrap()))
    }

    #[test]
    fn numbers_are_shown_as_they_came() {
        for number in [
            "1.10",
            "12345678901234567890123",
            "1.0",
            "1E5",
            "-0",
            "0",
            "-0.0",
            "1e-400",
            "7",
            "-7",
            "2.50",
            "18446744073709551615",
            "123456789012345678901234567890123456789012345",
            "19.99",
            "-9223372036854775808",
        ] {
            let body = format!("{{\"n\":{number},\"list\":[{number}]}}");
            for (template, expected) in [
                ("{{ body.n }}", number.to_owned()),
                ("{{ body.n | string }}", number.to_owned()),
                ("{{ body.n | topic_segment }}", number.to_owned()),
                ("{{ body.list | tojson }}", format!("[{number}]")),
            ] {
                assert_eq!(render(template, Output::Text, &body), Ok(expected), "{template} {number}");
            }
            let whole = render("{{ body }}", Output::Json, &body).unwrap();
            assert_eq!(whole, format!("{{\"list\":[{number}],\"n\":{number}}}"));
        }
        // No double holds it, so that it is a text of its digits.
        assert_eq!(render("{{ body.n }}", Output::Text, r#"{"n":1e400}"#).unwrap(), "1e400");
        assert_eq!(render("{{ body.n }}", Output::Json, r#"{"n":1e400}"#).unwrap(), r#""1e400""#);
    }

    #[test]
    fn numbers_can_be_compared_and_calculated_with() {
        let render = |template: &str| render(template, Output::Text, r#"{"n":1.10,"big":250.00}"#).unwrap();
        assert_eq!(render("{% if body.big > 100 and body.n < 2 %}yes{% endif %}"), "yes");
        assert_eq!(render("{{ body.big / 100 }}"), "2.5");
        assert_eq!(render("{{ body.n * 2 }}"), "2.2");
        assert_eq!(render("{{ body.big | int }}"), "250");
    }

    #[test]
    fn values_stay_in_their_place() {
        let body = r#"{"s":"\"}<&\u0000\ud83d\ude00","list":["a",{"b":null}]}"#;
        let text = render("[{{ body.s }},{{ body.list }}]", Output::Json, body).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value[0], "\"}<&\0😀");
        assert_eq!(value[1], serde_json::json!(["a", { "b": null }]));
    }
}
