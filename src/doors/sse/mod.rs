//! Server-Sent Events (WHATWG HTML §9.2): subscriptions as a response that goes on, over `GET /v1/events`.
//!
//! Events are those of the native protocol as lines of text. Messages have no event name, so that `EventSource.onmessage`
//! gets them; everything else is named after its type. The id of each event says where the client stands in all its topics,
//! so it is the connection's own; the rest is encoded once for all.
//!
//! ```text
//! request ──► subscribes, on its shard ──► answered ──head of the response written──► gets its socket
//!                      └──refused──► an ordinary answer, the connection is gone
//! ```

mod dialect;
mod door;
pub(super) mod entrance;
mod positions;

pub use dialect::SseDialect;
pub use door::SseDoor;
