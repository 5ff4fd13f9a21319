//! Filters as JSON: `{"body":{"action":{"$in":["opened","closed"]}}}`. A plain value means `$eq`, an object without
//! operators means its members, and everything in it must hold.

use serde_json::{Map, Value};

use super::{json::Json, template};

/// Objects inside objects.
const DEPTH_MAX: usize = 32;

/// Operators that may stand beside names of members.
const JOINS: [&str; 4] = ["$and", "$or", "$not", "$exist"];

/// What a delivery must look like to be published.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter(Rule);

#[derive(Clone, Debug, PartialEq)]
enum Rule {
    Equal(Value),
    OneOf(Vec<Value>),
    Greater { than: Value, or_equal: bool },
    Less { than: Value, or_equal: bool },
    StartsWith(String),
    EndsWith(String),
    Exists(bool),
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Member(String, Box<Self>),
}

impl Filter {
    /// Reads a filter; the error says where it is none.
    pub fn read(value: &Value) -> Result<Self, String> {
        let rule = rule(value, 0)?;
        check_names(&rule)?;
        Ok(Self(rule))
    }

    /// Whether a delivery passes.
    pub(super) fn passes(&self, delivery: &Json) -> bool {
        holds(&self.0, Some(delivery))
    }
}

fn rule(value: &Value, depth: usize) -> Result<Rule, String> {
    match value {
        // Bounded here, once: `holds` goes as deep as the filter, for every delivery.
        _ if depth > DEPTH_MAX => Err("it is too deep".into()),
        Value::Object(members) if members.is_empty() => Err("`{}` says nothing".into()),
        Value::Object(members) => {
            let compares =
                members.keys().find(|name| name.starts_with('$') && !JOINS.contains(&name.as_str()));
            let plain = members.keys().any(|name| !name.starts_with('$'));
            if let (Some(operator), true) = (compares, plain) {
                return Err(format!("`{operator}` compares a plain value, which has no members"));
            }
            let rules = members.iter().map(|(name, value)| member(name, value, depth + 1));
            Ok(Rule::All(rules.collect::<Result<_, _>>()?))
        }
        plain => Ok(Rule::Equal(plain.clone())),
    }
}

fn member(name: &str, value: &Value, depth: usize) -> Result<Rule, String> {
    let wrong = |what: &str| format!("`{name}` needs {what}");
    let list = || {
        value.as_array().filter(|list| !list.is_empty()).ok_or_else(|| wrong("a list with something in it"))
    };
    let text = || value.as_str().map(str::to_owned).ok_or_else(|| wrong("a text"));
    let scalar = || match value {
        Value::Number(_) | Value::String(_) => Ok(value.clone()),
        _ => Err(wrong("a number or a text")),
    };
    let rules = || list()?.iter().map(|value| rule(value, depth)).collect::<Result<Vec<_>, String>>();
    let not = |rule| Rule::Not(Box::new(rule));
    Ok(match name {
        "$eq" => Rule::Equal(value.clone()),
        "$neq" => not(Rule::Equal(value.clone())),
        "$in" => Rule::OneOf(list()?.clone()),
        "$nin" => not(Rule::OneOf(list()?.clone())),
        "$gt" => Rule::Greater { than: scalar()?, or_equal: false },
        "$gte" => Rule::Greater { than: scalar()?, or_equal: true },
        "$lt" => Rule::Less { than: scalar()?, or_equal: false },
        "$lte" => Rule::Less { than: scalar()?, or_equal: true },
        "$startsWith" => Rule::StartsWith(text()?),
        "$endsWith" => Rule::EndsWith(text()?),
        "$exist" => Rule::Exists(value.as_bool().ok_or_else(|| wrong("true or false"))?),
        "$and" => Rule::All(rules()?),
        "$or" => Rule::Any(rules()?),
        "$not" => not(rule(value, depth)?),
        unknown if unknown.starts_with('$') => return Err(no_operator(unknown)),
        _ => Rule::Member(name.to_owned(), Box::new(rule(value, depth)?)),
    })
}

/// What is no word is not repeated: it may be a secret in the wrong place.
fn no_operator(name: &str) -> String {
    match name[1..].bytes().all(|byte| byte.is_ascii_alphabetic()) {
        true => format!("there is no operator `{name}`"),
        false => "there is no such operator".into(),
    }
}

/// A filter on a name that no delivery has lets nothing pass.
fn check_names(rule: &Rule) -> Result<(), String> {
    match rule {
        Rule::All(rules) | Rule::Any(rules) => rules.iter().try_for_each(check_names),
        Rule::Not(rule) => check_names(rule),
        Rule::Member(name, _) => template::check_name(name),
        _ => Ok(()),
    }
}

fn holds(rule: &Rule, value: Option<&Json>) -> bool {
    let text = || match value {
        Some(Json::Text(text)) => Some(text.as_str()),
        _ => None,
    };
    match rule {
        Rule::Equal(wanted) => value.is_some_and(|value| equal(value, wanted)),
        Rule::OneOf(list) => value.is_some_and(|value| list.iter().any(|wanted| equal(value, wanted))),
        Rule::Greater { than, or_equal } => ordered(value, than, std::cmp::Ordering::Greater, *or_equal),
        Rule::Less { than, or_equal } => ordered(value, than, std::cmp::Ordering::Less, *or_equal),
        Rule::StartsWith(start) => text().is_some_and(|text| text.starts_with(start.as_str())),
        Rule::EndsWith(end) => text().is_some_and(|text| text.ends_with(end.as_str())),
        Rule::Exists(wanted) => value.is_some() == *wanted,
        Rule::All(rules) => rules.iter().all(|rule| holds(rule, value)),
        Rule::Any(rules) => rules.iter().any(|rule| holds(rule, value)),
        // What is not there is equal to nothing, so `$neq` and `$nin` let it pass.
        Rule::Not(rule) => !holds(rule, value),
        Rule::Member(name, rule) => holds(rule, value.and_then(|value| value.get(name))),
    }
}

/// `1` and `1.0` are the same number. A list has what one of its elements is.
fn equal(value: &Json, wanted: &Value) -> bool {
    match (value, wanted) {
        // So `$neq`, which is the opposite, holds of a list only if none of its elements is equal.
        (Json::List(list), wanted) if !wanted.is_array() => list.iter().any(|value| equal(value, wanted)),
        (value, wanted) => is(value, wanted),
    }
}

/// The same without a look into lists.
fn is(value: &Json, wanted: &Value) -> bool {
    match (value, wanted) {
        (Json::Null, Value::Null) => true,
        (Json::Bool(a), Value::Bool(b)) => a == b,
        (Json::Number(a), Value::Number(b)) => a.compare(b).is_some_and(std::cmp::Ordering::is_eq),
        (Json::Text(a), Value::String(b)) => a == b,
        (Json::List(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| is(a, b)),
        (Json::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| is(a, b)))
        }
        _ => false,
    }
}

fn ordered(value: Option<&Json>, than: &Value, wanted: std::cmp::Ordering, or_equal: bool) -> bool {
    let found = match (value, than) {
        (Some(Json::Number(a)), Value::Number(b)) => a.compare(b),
        (Some(Json::Text(a)), Value::String(b)) => Some(a.cmp(b)),
        _ => None,
    };
    found.is_some_and(|found| found == wanted || or_equal && found.is_eq())
}

/// From TOML, which has no null.
pub fn from_table(table: &toml::Table) -> Result<Filter, String> {
    let value = serde_json::to_value(table).map_err(|error| error.to_string())?;
    Filter::read(&Value::Object(value.as_object().cloned().unwrap_or_else(Map::new)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn passes(filter: Value) -> bool {
        let delivery = json!({ "body": { "n": 5, "s": "opened", "list": ["a", "b"], "null": null } });
        let delivery = serde_json::value::to_raw_value(&delivery).unwrap();
        let delivery = Json::read(&delivery).unwrap();
        Filter::read(&json!({ "body": filter })).unwrap().passes(&delivery)
    }

    #[test]
    fn operators_hold() {
        for held in [
            json!({ "n": 5, "s": "opened" }),
            json!({ "n": 5.0 }),
            json!({ "n": { "$gt": 4, "$lte": 5 } }),
            json!({ "s": { "$in": ["opened", "closed"] } }),
            json!({ "s": { "$nin": ["closed"], "$startsWith": "op", "$endsWith": "ed" } }),
            json!({ "s": { "$neq": "closed", "$gt": "a" } }),
            json!({ "list": "a" }),
            json!({ "list": { "$eq": ["a", "b"] } }),
            json!({ "missing": { "$exist": false }, "null": { "$exist": true } }),
            json!({ "$or": [{ "n": 1 }, { "n": 5 }] }),
            json!({ "$and": [{ "n": { "$lt": 6 } }, { "$not": { "s": "x" } }] }),
        ] {
            assert!(passes(held.clone()), "{held}");
        }
    }

    #[test]
    fn operators_fail() {
        for failed in [
            json!({ "n": "5" }),
            json!({ "n": { "$lt": 5 } }),
            json!({ "s": { "$gt": 1 } }),
            json!({ "missing": 1 }),
            json!({ "list": "c" }),
            json!({ "n": { "deeper": 1 } }),
            json!({ "$not": { "n": 5 } }),
        ] {
            assert!(!passes(failed.clone()), "{failed}");
        }
    }

    #[test]
    fn the_documentation_has_all_operators() {
        let text = include_str!("../../docs/webhooks.md");
        let list = text.split("operators are ").nth(1).unwrap().split(", and").next().unwrap();
        let documented: Vec<&str> = list.split('`').skip(1).step_by(2).collect();
        assert!(documented.len() >= 14, "{documented:?}");
        let values = [
            json!(1),
            json!("a"),
            json!(true),
            json!([1]),
            json!([{ "body": { "a": 1 } }]),
            json!({ "body": { "a": 1 } }),
        ];
        for operator in documented {
            let known = values.iter().any(|value| {
                let inside = Filter::read(&json!({ "body": { "a": { operator: value } } }));
                inside.is_ok() || Filter::read(&json!({ operator: value })).is_ok()
            });
            assert!(known, "{operator}");
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for (wrong, what) in [
            (json!({ "a": { "$like": 1 } }), "`$like`"),
            (json!({ "a": { "$in": 1 } }), "a list"),
            (json!({ "body": { "a": {} } }), "`{}` says nothing"),
            (json!({ "body": { "a": { "$gt": 1, "b": 2 } } }), "`$gt` compares"),
            (json!({ "boddy": { "a": 1 } }), "there is no `boddy`"),
            (json!({ "a": { "$gt": true } }), "a number or a text"),
            (json!({ "a": { "$exist": 1 } }), "true or false"),
        ] {
            assert!(Filter::read(&wrong).unwrap_err().contains(what), "{wrong}");
        }
        let deep = (0..100).fold(json!(1), |inner, _| json!({ "a": inner }));
        assert!(Filter::read(&deep).is_err());
    }
}
