//! Templates (minijinja): bounded in steps and in output, and strict: a name that is not there is an error, never an empty
//! text in a topic.

mod context;
mod depth;
mod filters;
mod lint;
mod output;

use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};

pub(super) use self::context::Context;
use self::output::{Bounded, OUTPUT_BYTES_MAX};

/// Steps of one rendering: thousands of substitutions, milliseconds at most.
const FUEL: u64 = 50_000;

/// Macros and loops inside one another: each is a frame on the stack of whoever renders.
const RECURSION_MAX: usize = 50;

/// Longest template, in bytes.
const SOURCE_BYTES_MAX: usize = 64 * 1024;

/// Longest name that is repeated when there is none such, in bytes.
const NAME_BYTES_MAX: usize = 60;

/// What templates and filters can ask for.
pub(super) const NAMES: [&str; 9] =
    ["source", "provider", "event", "id", "body", "headers", "query", "method", "received_at"];

/// Refuses a name that no delivery has.
pub(super) fn check_name(name: &str) -> Result<(), String> {
    let root = name.split('.').next().unwrap_or_default();
    if NAMES.contains(&root) {
        return Ok(());
    }
    // What is no word is not repeated: it may be a secret in the wrong place.
    let is_word =
        name.len() <= NAME_BYTES_MAX && name.bytes().all(|b| b.is_ascii_alphabetic() || b"_.".contains(&b));
    let what = if is_word {
        format!("uses `{name}`, but there is no `{root}`")
    } else {
        "uses a name that there is not".into()
    };
    Err(format!("{what}: there are {}", NAMES.join(", ")))
}

/// What a value becomes when it is put into a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Output {
    /// Its text.
    Text,
    /// Its JSON, so that no value can break out of its place.
    Json,
}

/// A text with places for values.
#[derive(Clone, Debug)]
pub struct Template {
    environment: Environment<'static>,
    /// The result, if it depends on nothing.
    constant: Option<String>,
    /// Names it asks for, such as `body.action`.
    names: Vec<String>,
}

impl Template {
    /// Reads a template; the error says what is wrong and where.
    pub fn read(text: &str, output: Output) -> Result<Self, String> {
        let mut environment = Environment::new();
        // All bounds come before parsing, which recurses with the text.
        if text.len() > SOURCE_BYTES_MAX {
            return Err(format!("it has more than {SOURCE_BYTES_MAX} bytes"));
        }
        if depth::operators(text) > depth::OPERATORS_MAX {
            return Err(format!("it has more than {} operators in one `{{{{ }}}}`", depth::OPERATORS_MAX));
        }
        if depth::multiplications(text) > depth::MULTIPLICATIONS_MAX {
            let most = depth::MULTIPLICATIONS_MAX;
            return Err(format!("it has more than {most} multiplications in one `{{{{ }}}}`"));
        }
        environment.set_fuel(Some(FUEL));
        environment.set_recursion_limit(RECURSION_MAX);
        // What a loop hands on could nest as deep as the loop is long, and dropping it would recurse as deep.
        environment.remove_global("namespace");
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(move |_| match output {
            Output::Text => AutoEscape::None,
            Output::Json => AutoEscape::Json,
        });
        environment.set_formatter(context::write);
        filters::add(&mut environment);
        environment.add_template_owned("it", text.to_owned()).map_err(|error| told(&error))?;
        let mut template = Self { environment, constant: None, names: Vec::new() };
        if let Some(name) = lint::unknown_filter(&template.environment, text) {
            return Err(format!("there is no filter `{name}`"));
        }
        template.names = template.undeclared()?;
        if template.names.is_empty() {
            // Rendered now, so that a mistake in it is one of the configuration, and no delivery renders it again.
            template.constant = Some(template.render(&Context::default())?);
        }
        let sample = template.constant.as_deref().unwrap_or(text);
        if output == Output::Json && !lint::can_be_json(sample) {
            return Err("it does not render JSON; for text, set `payload_type = \"text\"`".into());
        }
        Ok(template)
    }

    fn undeclared(&self) -> Result<Vec<String>, String> {
        let globals: Vec<&str> = self.environment.globals().map(|(name, _)| name).collect();
        let found = self.environment.get_template("it").map_err(|error| told(&error))?;
        let names = found.undeclared_variables(true).into_iter();
        let mut names: Vec<String> =
            names.filter(|name| !globals.contains(&name.split('.').next().unwrap_or_default())).collect();
        names.sort();
        Ok(names)
    }

    /// The result, if it is the same for everything.
    pub fn constant(&self) -> Option<&str> {
        self.constant.as_deref()
    }

    /// What it asks for.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Renders it with what a context holds.
    pub(super) fn render(&self, context: &Context) -> Result<String, String> {
        let mut target = Bounded::default();
        let found = self.environment.get_template("it").map_err(|error| told(&error))?;
        let values = context.values();
        found.render_captured_to(values.clone(), &mut target).map_err(|error| match error.kind() {
            // The library does not say which name it was; found again here, for the record of the delivery.
            ErrorKind::UndefinedError => self.missing(values).unwrap_or_else(|| told(&error)),
            _ => told(&error),
        })?;
        String::from_utf8(target.0).map_err(|error| error.to_string())
    }

    /// Which of the names are not there, if any.
    fn missing(&self, context: &Value) -> Option<String> {
        let is_missing = |name: &&String| {
            let found = name.split('.').try_fold(context.clone(), |value, part| value.get_attr(part).ok());
            found.is_none_or(|value| value.is_undefined())
        };
        let names: Vec<_> = self.names.iter().filter(is_missing).map(|name| format!("`{name}`")).collect();
        match names.as_slice() {
            [] => None,
            [one] => Some(format!("{one} is not there")),
            several => Some(format!("{} are not there", several.join(", "))),
        }
    }
}

/// The message with its line, without the template's text around it.
fn told(error: &Error) -> String {
    let detail = error.detail().unwrap_or_default();
    let place = error.line().map(|line| format!(", line {line}")).unwrap_or_default();
    match error.kind() {
        ErrorKind::OutOfFuel => "it takes too many steps".into(),
        ErrorKind::WriteFailure => format!("it renders more than {OUTPUT_BYTES_MAX} bytes"),
        kind if detail.is_empty() => format!("{kind}{place}"),
        kind => format!("{kind}: {detail}{place}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::provider::json::Json;

    fn render(text: &str, output: Output, context: serde_json::Value) -> Result<String, String> {
        let context = serde_json::value::to_raw_value(&context).unwrap();
        Template::read(text, output)?.render(&Context::new(&Json::read(&context).unwrap()))
    }

    #[test]
    fn values_are_put_in() {
        let context = json!({ "event": "push", "body": { "n": 1, "s": "a\"b" } });
        assert_eq!(render("gh:{{ event }}", Output::Text, context.clone()).unwrap(), "gh:push");
        let json = render(r#"{"s":{{ body.s }},"n":{{ body.n }}}"#, Output::Json, context).unwrap();
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), json!({ "s": "a\"b", "n": 1 }));
    }

    #[test]
    fn the_documentation_has_all_names() {
        let text = include_str!("../../../docs/webhooks.md");
        let table = text.split("| name | what it is |").nth(1).unwrap().split("\n\n").next().unwrap();
        let documented = table.lines().filter_map(|row| row.split('|').nth(1));
        let mut documented: Vec<&str> =
            documented.flat_map(|names| names.split('`').skip(1).step_by(2)).collect();
        documented.sort_unstable();
        let mut names = NAMES;
        names.sort_unstable();
        assert_eq!(documented, names);
    }

    #[test]
    fn a_missing_name_is_an_error() {
        let error = render("gh:{{ body.nothing }}", Output::Text, json!({ "body": {} })).unwrap_err();
        assert_eq!(error, "`body.nothing` is not there");
    }

    #[test]
    fn names_are_known_beforehand() {
        let template = Template::read("{{ source }}:{{ body.a.b | topic_segment }}", Output::Text).unwrap();
        let mut names = template.names().to_vec();
        names.sort();
        assert_eq!(names, ["body.a.b", "source"]);
        assert_eq!(Template::read("hooks", Output::Text).unwrap().constant(), Some("hooks"));
        assert!(Template::read("{{ a", Output::Text).is_err());
    }

    #[test]
    fn a_value_stays_one_segment() {
        let render = |value: &str| render("t:{{ v | topic_segment }}", Output::Text, json!({ "v": value }));
        assert_eq!(render("octo/repo").unwrap(), "t:octo/repo");
        for wrong in ["", "a:b", "*", "a\nb", &"x".repeat(101)] {
            assert!(render(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn steps_and_output_are_bounded() {
        let endless =
            "{% for a in range(10000) %}{% for b in range(10000) %}x{% endfor %}{% endfor %}{{ v }}";
        let error = render(endless, Output::Text, json!({ "v": 1 })).unwrap_err();
        assert!(error.contains("too many steps"), "{error}");
        let long = json!({ "v": "x".repeat(3_000_000) });
        assert!(render("{{ v }}{{ v }}", Output::Text, long).is_err());
        let recursive = "{% macro m(x) %}{{ m([x]) }}{% endmacro %}{{ m(v) }}";
        let error = render(recursive, Output::Text, json!({ "v": 1 })).unwrap_err();
        assert!(error.contains("recursion"), "{error}");
        let nested = "{% set ns = namespace(x=[]) %}{% for i in range(9000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ v }}";
        let template = Template::read(nested, Output::Text).unwrap();
        assert!(template.names().iter().any(|name| name == "namespace"), "{:?}", template.names());
        assert!(Template::read(&"x".repeat(SOURCE_BYTES_MAX), Output::Text).is_ok());
        assert!(Template::read(&"x".repeat(SOURCE_BYTES_MAX + 1), Output::Text).is_err());
        let deep = format!("{{{{ {}v{} }}}}", "[".repeat(10_000), "]".repeat(10_000));
        assert!(Template::read(&deep, Output::Text).is_err());
    }
}
