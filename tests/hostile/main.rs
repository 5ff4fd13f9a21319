//! Every decoder that reads foreign bytes, over inputs that are broken and inputs that are whole but hostile, in a process
//! of its own with little memory, little stack and little time.
//!
//! ```text
//! hostile                                as part of the tests: a few hundred inputs each
//! hostile campaign COUNT [SEED [NAME…]]  see tests/hostile/run
//! hostile child NAME SEED FROM TO FILE   decodes; FILE has the number of the input that it is at
//! hostile input NAME SEED NUMBER         writes one input to the standard output
//! ```
//! An input follows from decoder, seed and number alone, so that whatever ended a process can be made again.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod campaign;
mod child;
mod decoders;
mod documents;
mod json;
mod mutate;
mod random;

use std::{env, io::Write, path::Path, process::ExitCode};

/// What this test is called.
const NAME: &str = "hostile";

/// Inputs for each decoder as part of the tests, in a debug build.
const SLICE: u64 = 300;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["campaign", count, ref rest @ ..] => {
            let seed = rest.first().map_or(1, |seed| seed.parse().unwrap());
            return campaign::run(count.parse().unwrap(), seed, rest.get(1..).unwrap_or_default());
        }
        ["child", name, seed, from, to, file] => {
            let range = from.parse().unwrap()..to.parse().unwrap();
            child::run(decoders::named(name), seed.parse().unwrap(), range, Path::new(file));
        }
        ["input", name, seed, number] => {
            let mut inputs = mutate::Inputs::of(decoders::named(name), seed.parse().unwrap());
            std::io::stdout().write_all(&inputs.make(number.parse().unwrap())).unwrap();
        }
        // What else there is comes from the test runner: a word chooses tests by their name.
        _ if arguments.iter().all(|word| word.starts_with('-') || NAME.contains(word)) => {
            return campaign::run(SLICE, 1, &[]);
        }
        _ => {}
    }
    ExitCode::SUCCESS
}
