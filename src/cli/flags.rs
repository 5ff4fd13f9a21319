//! Flags before a command count like those after it: `fanwire --config FILE check` is `fanwire check --config FILE`.
#![expect(unreachable_pub, reason = "a module of the command, which nobody links to")]

use clap::{ArgMatches, Command, error::ErrorKind, parser::ValueSource};

use super::super::ServeArguments;

/// The arguments of a command, with the flags that stand before it: a flag after it wins, and any flag wins over the
/// environment.
pub fn joined(before: &ServeArguments, own: &ServeArguments, matches: &ArgMatches) -> ServeArguments {
    // Read again by where they come from: clap has filled both with the environment, which must not win over a flag
    // before the command.
    let (first, last) = (flags(before, matches), flags(own, innermost(matches)));
    ServeArguments {
        config: last.config.or(first.config).or_else(|| own.config.clone()),
        settings: last.settings.or(first.settings).or(own.settings.clone()),
    }
}

/// Refuses flags before a command that has no use for them.
pub fn refuse(command: &mut Command, matches: &ArgMatches) -> Result<(), clap::Error> {
    let given = matches.ids().find(|id| is_flag(matches, id.as_str()));
    match (given, matches.subcommand_name()) {
        (Some(flag), Some(name)) => {
            let flag = flag.as_str().replace('_', "-");
            let what = format!("`{name}` has no use for --{flag}");
            Err(command.error(ErrorKind::ArgumentConflict, what))
        }
        _ => Ok(()),
    }
}

fn innermost(matches: &ArgMatches) -> &ArgMatches {
    matches.subcommand().map_or(matches, |(_, inner)| innermost(inner))
}

fn is_flag(matches: &ArgMatches, id: &str) -> bool {
    let known = matches.ids().any(|known| known == id);
    known && matches.value_source(id) == Some(ValueSource::CommandLine)
}

/// What was given on the command line, and not in the environment.
fn flags(arguments: &ServeArguments, matches: &ArgMatches) -> ServeArguments {
    ServeArguments {
        config: arguments.config.clone().filter(|_| is_flag(matches, "config")),
        settings: arguments.settings.clone().only(|name| is_flag(matches, name)),
    }
}
