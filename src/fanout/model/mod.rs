//! Fan-out as a whole against a simple model: random interleavings of publishing, passes, full and drained sockets, catching
//! up, presence, coming back and leaving. Faults are planted to see that the model finds them.

mod audience;
mod client;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

use self::world::World;
use super::faults::{Fault, plant};

const FAULTS: [Fault; 10] = [
    Fault::JoinsInStep,
    Fault::BehindLosesBatch,
    Fault::CaughtUpHearsTwice,
    Fault::LeavingSkipsOne,
    Fault::ForgetsSkipped,
    Fault::ForgetsDrained,
    Fault::WatcherMissesChanges,
    Fault::StopsInTheMiddle,
    Fault::LeavesNobodyOut,
    Fault::ForgetsPlaces,
];

/// Interleavings that are tried.
const SEEDS: u64 = 2_000;

/// Steps of each.
const STEPS: usize = 120;

fn run(seed: u64) -> Result<(), String> {
    let mut world = World::new(seed);
    for _ in 0..STEPS {
        world.step()?;
    }
    world.settle()
}

#[test]
fn everybody_gets_what_the_kind_promises_however_it_comes() {
    for seed in 0..SEEDS {
        run(seed).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    }
}

#[test]
fn the_model_finds_planted_faults() {
    for fault in FAULTS {
        plant(Some(fault));
        // What is wrong may show as an index beyond a list as well.
        let found =
            (0..SEEDS).find(|&seed| !matches!(catch_unwind(AssertUnwindSafe(|| run(seed))), Ok(Ok(()))));
        plant(None);
        assert!(found.is_some(), "{fault:?} is not found");
    }
}
