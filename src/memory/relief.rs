//! Having every thread give back what it keeps free.
//!
//! An allocator without locks keeps memory apart for each thread: what a thread has allocated comes back to it, whoever frees it, and
//! only the thread itself can hand it on. Threads whose peaks come one after the other keep the sum of their peaks: minutes
//! into a storm of documents, histories and listings at once, a fourth of all that was resident was free. So threads look here
//! whenever they come by, best before they rest, and give back what they have if they are asked to.

use std::{
    cell::Cell,
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// How often it was asked for.
static ROUND: AtomicU32 = AtomicU32::new(0);

/// What a thread does then; nothing where the program's allocator is not known.
static HOW: OnceLock<fn()> = OnceLock::new();

thread_local! {
    /// The last round that this thread took part in.
    static TAKEN: Cell<u32> = const { Cell::new(0) };
}

/// Says how a thread gives back what it keeps. Only the first who says so is heard.
pub fn relieve_with(how: fn()) {
    // A second one would be of the same program, whose allocator is the same.
    let _ = HOW.set(how);
}

/// Asks every thread to give back what it keeps.
pub fn ask_for_relief() {
    // Nothing else is read because of it, and a thread that sees it later is asked later.
    ROUND.fetch_add(1, Ordering::Relaxed);
}

/// Gives back what this thread keeps, once for each time that was asked for. For every thread's loop: it costs a look at a number
/// where nothing was.
pub fn relieve() {
    let round = ROUND.load(Ordering::Relaxed);
    if TAKEN.replace(round) != round
        && let Some(how) = HOW.get()
    {
        how();
    }
}
