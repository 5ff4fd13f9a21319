//! The protocol from outside: vectors, the specification's examples, hostile frames, and properties.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

mod catalog;
mod hostile;
mod properties;
mod spec;
mod strategy;
mod vectors;
