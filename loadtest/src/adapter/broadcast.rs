//! A server without topics that sends whatever it gets to everyone, publishers included.

use super::{Adapter, Publication};
use crate::error::Result;
use crate::wire::Reply;

/// The adapter.
#[derive(Clone, Copy, Debug)]
pub struct Broadcast;

impl Adapter for Broadcast {
    fn name(&self) -> &'static str {
        "broadcast"
    }

    fn greets(&self) -> bool {
        false
    }

    fn publish(&self, publication: &Publication<'_>) -> Result<Vec<u8>> {
        Ok(publication.data.as_bytes().to_vec())
    }

    fn acknowledges(&self) -> bool {
        false
    }

    fn publishers_listen(&self) -> bool {
        true
    }

    fn decode(&self, _payload: &[u8]) -> std::result::Result<Vec<Reply>, String> {
        // A frame is a message and nothing else.
        Ok(vec![Reply { kind: "message".into(), ..Reply::default() }])
    }
}
