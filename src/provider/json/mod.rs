//! JSON as others send it: numbers with all their digits, and nothing silently lost of what is legal but awkward.
//!
//! Everything here takes a square of nothing and recurses with nothing that a sender chooses: a text is checked without
//! going deeper with it, looked up in without a tree, and made into a tree only within stated bounds.

mod ends;
mod lookup;
mod names;
mod number;
mod text;
mod tree;

pub(super) use lookup::{at, scalars, split};
pub(super) use number::Number;
pub(super) use text::{is_json_like, portable, read};
pub(super) use tree::{Json, TooMuch};
