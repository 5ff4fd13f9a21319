//! The ways in: one module per wire protocol. A door decodes, asks the broker, and answers in its own dialect; it owns
//! no topic state and no fan-out.

pub mod control;
mod entrance;
pub mod errors;
pub mod http;
#[cfg(test)]
mod later_test;
pub mod native;
mod notices;
pub mod sse;
mod standing;
pub mod webhook;
pub mod yjs;

use std::sync::Arc;

pub use entrance::{Entrance, Guest, Opening, Visit};

use self::{native::entrance::NativeEntrance, sse::entrance::SseEntrance, yjs::entrance::YjsEntrance};
use crate::{broker::Broker, wire::Dialects};

/// All ways in. Whoever adds a protocol adds a line here.
pub fn all(broker: &Arc<Broker>) -> Vec<Arc<dyn Entrance>> {
    let dialects = Dialects::default();
    vec![
        Arc::new(NativeEntrance::new(broker.clone(), &dialects)),
        Arc::new(SseEntrance::new(broker.clone(), &dialects)),
        Arc::new(YjsEntrance::new(broker.clone(), &dialects)),
    ]
}
