//! The load tester's entry point: parse, run, turn the verdict into an exit code.

use std::process::ExitCode;

use clap::Parser;
use loadtest::cli::{Cli, Command};
use loadtest::{bare, null, relay, run, scenario};

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(options) => run::run(&options),
        Command::Compare(options) => run::compare::run(&options),
        Command::Diff(options) => run::diff::run(&options),
        Command::FindMax(options) => run::find_max::run(&options),
        Command::Doctor(options) => run::doctor::run(&options),
        Command::Report(options) => run::report(&options),
        Command::Presets { name } => run::presets(name.as_deref()),
        Command::Fanout(options) => scenario::fanout::run(&options),
        Command::Idle(options) => scenario::idle::run(&options),
        Command::Publish(options) => scenario::publish::run(&options),
        Command::Bare(options) => bare::serve(&options).map(|()| 0),
        Command::Follow => run::crew::follow(),
        Command::Relay(options) => relay::serve(&options).map(|()| 0),
        Command::Null(options) => null::serve(&options).map(|()| 0),
    };
    outcome.map_or_else(
        |error| {
            eprintln!("loadtest: {error}");
            ExitCode::from(error.exit_code())
        },
        ExitCode::from,
    )
}
