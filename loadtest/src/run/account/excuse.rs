//! Why what is missing is no loss.

use super::Message;

/// An offset within an epoch; epochs are numbered as they are met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) epoch: u32,
    pub(super) offset: u64,
}

/// What the server or the tester said about messages that a subscriber did not get.
#[derive(Clone, Debug)]
pub(super) enum Excuse {
    /// The server said that these offsets `[from, to)` of a topic are gone.
    Signalled { topic: usize, epoch: u32, from: u64, to: u64 },
    /// The server said that positions started over: everything behind `before` is gone, up to `now` and to message
    /// number `until` of the run.
    StartedOver { topic: usize, before: Option<Place>, now: Option<Place>, until: usize },
    /// The subscriber was not there and did not ask for them: offsets `[from, to)`.
    Away { topic: usize, epoch: u32, from: u64, to: u64 },
}

impl Excuse {
    /// Whether it is about this message, number `number` of the run.
    pub(super) fn covers(&self, at_topic: usize, number: usize, message: &Message) -> bool {
        match *self {
            Self::Signalled { topic, epoch, from, to } | Self::Away { topic, epoch, from, to } => {
                let within = |place: Place| place.epoch == epoch && (from..to).contains(&place.offset);
                topic == at_topic && message.place.is_some_and(within)
            }
            Self::StartedOver { topic, before, now, until } => {
                let behind = |place: Place| match (before, now) {
                    (Some(before), _) if before.epoch == place.epoch => place.offset > before.offset,
                    (_, Some(now)) if now.epoch == place.epoch => place.offset <= now.offset,
                    _ => true,
                };
                // Without an answer nobody knows where it was placed, if at all.
                topic == at_topic && number < until && message.place.is_none_or(behind)
            }
        }
    }
}
