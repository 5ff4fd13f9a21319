//! A threshold held against a result, and what it means when it is missed.

use serde::{Deserialize, Serialize};

/// What missing a threshold means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// The server broke its word about messages.
    Integrity,
    /// The server was not as good as was asked for.
    Threshold,
    /// The tester was the bottleneck.
    Tester,
}

/// A threshold held against a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// As written.
    pub threshold: String,
    /// What was measured.
    #[serde(deserialize_with = "number_or_nothing")]
    pub value: f64,
    /// Whether it holds.
    pub met: bool,
    /// What it means when it does not.
    pub class: Class,
}

/// JSON has no not-a-number; it is written as null.
fn number_or_nothing<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

impl Finding {
    /// One line for people.
    #[must_use]
    pub fn line(&self) -> String {
        let word = match (self.met, self.class) {
            (true, _) => "ok     ",
            (false, Class::Integrity) => "BROKEN ",
            (false, Class::Threshold) => "MISSED ",
            (false, Class::Tester) => "INVALID",
        };
        let value = self.value;
        let value = if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value:.3}") };
        format!("{word} {}: {value}", self.threshold)
    }
}
