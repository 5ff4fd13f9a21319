//! Documents in use: who is in one, merging its updates, changing it from outside, its versions. What topics and bytes of documents
//! are is below ([`crate::topic`], [`crate::document`]); looking them up and publishing is the broker's.
//!
//! - [`Room`]: editors of a document, with their awareness
//! - [`merge`]: a topic's updates into one
//! - [`Workspace`]: the memory for that, and for reading
//! - [`NewContent`], [`Condition`]: what a document is to become, and when
//! - [`Version`]: what it was when somebody asked for it to be kept
//! - [`Conversions`]: how much of this is under way

#[cfg(test)]
mod conditions_test;
mod conversions;
mod editing;
#[cfg(test)]
mod hostile_test;
mod merging;
mod room;
mod versions;

pub use conversions::{Busy, Conversions};
pub use editing::{CannotChange, Condition, NewContent, root_or_only, update_to};
pub use merging::{NoSpace, NoState, Workspace, merge, state_of};
pub use room::Room;
pub use versions::{NewVersions, Numbered, TooManyVersions, Version};
