//! What a document is made of: the encodings of Yjs, checked before anything is allocated for them, and the merging of
//! updates. Pure: bytes in, bytes out.
//!
//! A document is the set of its updates; their order and how often one is applied make no difference. So a topic of kind
//! `document` is a log whose beginning may be replaced by one update that stands for all of it ([`compact`]).
//!
//! - [`lib0`]: numbers, text and values as lib0 writes them
//! - [`update`]: one pass over an update (v1) that accepts what every decoder accepts, and says what is in it
//! - [`coverage`]: which insertions and deletions a set of updates has
//! - [`vector`]: state vectors
//! - [`message`]: the messages of y-websocket
//! - [`awareness`]: who is there, with cursor and name
//! - [`compact`]: many updates into one, what a client lacks
//!
//! - [`content`], [`edit`]: a document as JSON and text, and made into something else
//!
//! Only `compact`, `content` and `edit` decode into a document, with `yrs`; they do it where a panic can be caught.

pub mod awareness;
pub mod compact;
pub mod content;
pub mod coverage;
pub mod edit;
pub mod lib0;
pub mod message;
pub mod update;
pub mod vector;

pub use lib0::Malformed;
pub use update::check;
