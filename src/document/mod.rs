//! What a document is made of: the encodings of Yjs, checked before anything is allocated for them, and the merging of
//! updates. Pure: bytes in, bytes out.
//!
//! A document is the set of its updates; their order and how often one is applied make no difference. So a topic of kind
//! `document` is a log whose beginning may be replaced by one update that stands for all of it ([`compact`]).
//!
//! - [`lib0`]: numbers, text and values as lib0 writes them; `any`: values as JSON
//! - [`update`]: one pass over an update (v1) that accepts what every decoder accepts, and says what is in it; `item`: its parts
//! - [`coverage`]: which insertions and deletions a set of updates has
//! - [`vector`]: state vectors
//! - [`message`]: the messages of y-websocket
//! - [`awareness`]: who is there, with cursor and name
//! - [`compact`]: many updates into one, what a client lacks; `apart`: which of them are incomplete; `structs`, `places`: what
//!   they have together, and what each part is in
//! - [`content`]: a document as JSON and text; `tree`: put together in order; `budget`: what that may cost
//! - [`edit`]: a document made into something else; `write`: as an update
//!
//! Everything here may be given any bytes: it answers with an error, or with what they mean. Nothing recurses deeper than a
//! stated bound, nothing takes longer than a few passes over its input but for what is counted against a budget, and memory
//! stays within a fixed multiple of the input.

mod any;
mod apart;
pub mod awareness;
mod budget;
pub mod compact;
pub mod content;
pub mod coverage;
pub mod edit;
mod item;
pub mod lib0;
pub mod message;
mod places;
mod structs;
mod tree;
pub mod update;
pub mod vector;
pub mod working;
mod write;

pub use budget::CannotRead;
pub use lib0::Malformed;
pub use update::check;
