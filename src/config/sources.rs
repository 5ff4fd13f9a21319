//! Where settings come from: flags, the environment, a file.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use clap::{Args, CommandFactory, Parser};

use super::{Config, ConfigErrors, Settings, SourceSettings, rules, wording, wording::Place};

/// Prefix of environment variables.
const ENV_PREFIX: &str = "FANWIRE_";

/// The environment variable that names the configuration file, as `--config` does.
const ENV_CONFIG: &str = "FANWIRE_CONFIG";

/// Where settings come from; kept so that they can be read again.
#[derive(Clone, Debug)]
pub struct Sources {
    /// Flags and environment.
    pub given: Settings,
    /// The file, if one is named.
    pub file: Option<PathBuf>,
}

impl Sources {
    /// Reads and checks everything.
    pub fn load(&self) -> Result<Config, ConfigErrors> {
        let (text, file) = match &self.file {
            Some(path) => read_file(path)?,
            None => (String::new(), Settings::default()),
        };
        let place = Place { file: self.file.as_deref(), text: &text };
        let of_sources = file.source.iter().flatten().flat_map(SourceSettings::variables).cloned().collect();
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        // A misspelt variable would otherwise mean a default without a word, and for a limit or a secret nobody would
        // notice.
        let unknown = unknown_variables(names, &of_sources);
        if !unknown.is_empty() {
            return Err(ConfigErrors(unknown));
        }
        let mut settings = self.given.clone().or(file);
        // Only without a file: whoever writes one says what the topics are, and is not to find rules in force that are
        // not in it.
        if self.file.is_none() && settings.rule.is_none() {
            settings.rule = Some(rules::development());
        }
        Config::check(settings, &place)
    }
}

fn read_file(path: &Path) -> Result<(String, Settings), ConfigErrors> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("{name}: {error}"))?;
    let settings =
        toml::from_str(&text).map_err(|error| format!("{name}: {}", wording::of_file(&text, &error)))?;
    Ok((text, settings))
}

/// Names in the environment that look like settings but are none.
fn unknown_variables(names: impl Iterator<Item = String>, of_sources: &BTreeSet<String>) -> Vec<String> {
    let command = Settings::augment_args(NoArgs::command());
    let known: BTreeSet<String> = command
        .get_arguments()
        .filter_map(|arg| arg.get_env()?.to_str().map(str::to_owned))
        .chain([ENV_CONFIG.to_owned()])
        .collect();
    // What Kubernetes sets in every pod beside a service named `fanwire`.
    let of_orchestrator =
        |name: &str| name.starts_with("FANWIRE_SERVICE_") || name.starts_with("FANWIRE_PORT");
    names
        .filter(|name| name.starts_with(ENV_PREFIX) && !of_orchestrator(name))
        .filter(|name| !known.contains(name) && !of_sources.contains(name))
        .map(|name| format!("environment: unknown variable `{name}`"))
        .collect()
}

#[derive(Parser)]
struct NoArgs {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_variables_are_named() {
        let names = [
            "FANWIRE_LISTEN",
            "FANWIRE_CONFIG",
            "FANWIRE_LISTNE",
            "FANWIRE_SERVICE_HOST",
            "FANWIRE_PORT",
            "PATH",
        ]
        .map(String::from);
        let of_sources = BTreeSet::from(["FANWIRE_STRIPE".to_owned()]);
        let names = names.into_iter().chain(of_sources.clone());
        assert_eq!(unknown_variables(names, &of_sources), ["environment: unknown variable `FANWIRE_LISTNE`"]);
    }
}
