//! What is wrong with a configuration.

use std::fmt;

/// Everything wrong with a configuration, at once.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<String>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}

impl From<String> for ConfigErrors {
    fn from(error: String) -> Self {
        Self(vec![error])
    }
}
