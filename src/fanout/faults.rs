//! Faults that the model test plants to see that it finds them. There are none in the product: all of it is a constant there.

/// What somebody might get wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    /// Who joins while a pass is under way is taken to be in step.
    JoinsInStep,
    /// Who falls behind is taken to have the batch that its socket did not take.
    BehindLosesBatch,
    /// Who has caught up goes on with everything that comes, whether it has it already.
    CaughtUpHearsTwice,
    /// Whoever leaves during a pass moves the cursor over somebody who has not been served.
    LeavingSkipsOne,
    /// Values left out for somebody slow are not counted.
    ForgetsSkipped,
    /// A drained connection is not looked at again.
    ForgetsDrained,
    /// Who watches misses what came while its socket was full.
    WatcherMissesChanges,
    /// A pass after whose batch there is more is the last one.
    StopsInTheMiddle,
    /// A message that leaves somebody out reaches them with the batch of the others.
    LeavesNobodyOut,
    /// Another subscription of a connection that left one keeps its old place.
    ForgetsPlaces,
}

#[cfg(not(test))]
#[inline(always)]
pub(super) const fn planted(_: Fault) -> bool {
    false
}

#[cfg(test)]
pub(super) use planting::{plant, planted};

#[cfg(test)]
mod planting {
    use std::cell::Cell;

    use super::Fault;

    thread_local! {
        static PLANTED: Cell<Option<Fault>> = const { Cell::new(None) };
    }

    /// Whether this is what is wrong in the test that runs on this thread.
    pub(in crate::fanout) fn planted(fault: Fault) -> bool {
        PLANTED.get() == Some(fault)
    }

    /// From now on this is wrong on this thread.
    pub(in crate::fanout) fn plant(fault: Option<Fault>) {
        PLANTED.set(fault);
    }
}
