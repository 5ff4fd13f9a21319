//! Secrets of sources, read from where the settings say.

use super::settings::PathText;
use crate::{config::secret_file::without_line_end, provider::Secret};

/// Secrets by where they come from. What they are is told to nobody, and neither is what the configuration says: who
/// takes `secret_env` for the place of the secret itself does not find it in a log.
pub(super) fn secrets(
    (env_key, variables): (&str, &[String]),
    (file_key, files): (&str, &[PathText]),
    told: &mut dyn FnMut(&str, &str),
) -> Vec<Secret> {
    let mut found = Vec::new();
    for (index, variable) in variables.iter().enumerate() {
        let value = std::env::var_os(variable);
        match value.and_then(|value| Secret::new(value.as_encoded_bytes())) {
            Some(secret) => found.push(secret),
            None => told(
                env_key,
                &format!("names a variable that is not set or empty{}", which(index, variables)),
            ),
        }
    }
    for (index, file) in files.iter().enumerate() {
        let read = std::fs::read(file).map_err(|error| format!("cannot be read: {error}"));
        let read = read.and_then(|bytes| Secret::new(without_line_end(&bytes)).ok_or("is empty".into()));
        match read {
            Ok(secret) => found.push(secret),
            Err(why) => told(file_key, &format!("names a file that {why}{}", which(index, files))),
        }
    }
    found
}

/// Which of several, for people.
fn which(index: usize, all: &[String]) -> String {
    match all.len() {
        0 | 1 => String::new(),
        count => format!(" (number {} of {count})", index + 1),
    }
}
