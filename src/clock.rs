//! The wall clock as the rest of the code takes it: a number that is handed to pure rules as an argument.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970; a clock before that reads as 1970.
pub fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
