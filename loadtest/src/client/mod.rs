//! Thousands of WebSocket clients on one thread: [`connection`] is one of them, [`pool`] is the loop around all.

pub mod connection;
mod events;
pub mod fetch;
pub mod http;
pub mod pool;
pub mod stream;
pub mod trust;

use crate::stamp::{Corrupt, Stamp};
use crate::wire::Reply;

/// Takes what the connections receive.
pub trait Sink {
    /// A stamped message arrived on connection `at`; false when it was not the next one, so that the frame around it
    /// is worth a closer look.
    fn stamped(&mut self, at: usize, stamp: &Stamp, arrived_ns: u64) -> bool;
    /// A message arrived whose stamp is damaged or absent.
    fn damaged(&mut self, at: usize, damage: Corrupt);
    /// A message arrived in a frame that was worth a closer look.
    fn message(&mut self, _at: usize, _message: &Reply) {}
    /// The reply to a subscription of connection `at` arrived.
    fn subscribed(&mut self, _at: usize, _reply: &Reply) {}
    /// Anything but a message arrived.
    fn reply(&mut self, at: usize, reply: &Reply);
    /// `bytes` were read from the socket of connection `at`.
    fn read(&mut self, at: usize, bytes: usize);
    /// The connection ended, for the reason given.
    fn ended(&mut self, at: usize, reason: &str);
}

/// A sink for what is of no interest.
#[derive(Debug, Default)]
pub struct Ignore;

impl Sink for Ignore {
    fn stamped(&mut self, _: usize, _: &Stamp, _: u64) -> bool {
        true
    }
    fn damaged(&mut self, _: usize, _: Corrupt) {}
    fn reply(&mut self, _: usize, _: &Reply) {}
    fn read(&mut self, _: usize, _: usize) {}
    fn ended(&mut self, _: usize, _: &str) {}
}
