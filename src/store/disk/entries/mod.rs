//! The entries of a space, from all of its tables and the journals, in key order and in their newest version.

mod listed;
mod merged;
mod table;

pub(super) use listed::{newest_in_tables, tables_of};
pub use merged::{Entries, Found};
pub(super) use merged::{Journaled, sort};
pub(super) use table::{Next, TableReader};
