//! A message that has its place in a topic, as everyone holds it who reads or passes it on.

use fanwire_proto::{ClientId, Message, Offset};

use crate::wire::{Encoded, Frame, Speaker};

/// The number of a message among those with the same key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyCount {
    /// The offset of the key's first message since the key last was unknown.
    pub run: Offset,
    /// One for that first message, and so on.
    pub number: u64,
}

impl KeyCount {
    /// How many messages of the key lie between this one and the one that was seen before, if any was.
    pub fn skipped_since(self, seen: Option<Self>) -> u64 {
        // Numbers of an earlier run were given before the key was forgotten.
        let before = seen.filter(|seen| seen.run == self.run).map_or(0, |seen| seen.number);
        self.number.saturating_sub(before + 1)
    }
}

/// A message at its place. What it looks like to subscribers is filled in by those who send it.
#[derive(Debug)]
pub struct Placed {
    /// The message.
    pub message: Message,
    /// Its number among the messages of its key; nothing where keys play no part.
    pub count: KeyCount,
    /// The client that does not get it. Boxed, since few messages have one.
    pub not_to: Option<Box<ClientId>>,
    /// Its bytes, by encoding. Nothing of a topic depends on them.
    pub encoded: Encoded,
}

impl Placed {
    /// Takes a message; nothing is encoded yet.
    pub fn new(message: Message, count: KeyCount) -> Self {
        Self { message, count, not_to: None, encoded: Encoded::default() }
    }

    /// Leaves a client out.
    #[must_use]
    pub fn except(self, client: Option<ClientId>) -> Self {
        Self { not_to: client.map(Box::new), ..self }
    }

    /// What all subscribers with an encoding get, made on first use.
    pub fn frame(&self, speaker: Speaker<'_>) -> &Frame {
        speaker.delivery(&self.message, &self.encoded)
    }

    /// The same behind `skipped` conflated values.
    pub fn frame_after(&self, speaker: Speaker<'_>, skipped: u64) -> Frame {
        speaker.delivery_after(&self.message, &self.encoded, skipped)
    }

    /// What it counts for in a history's byte bound.
    pub fn cost(&self) -> usize {
        let tags = self.message.tags.iter().flat_map(|tags| tags.iter()).map(|(k, v)| k.len() + v.len());
        self.message.payload.len()
            + self.message.key.as_ref().map_or(0, |key| key.len())
            + tags.sum::<usize>()
    }

    /// About how many bytes it is on the wire, for budgets.
    pub fn weight(&self) -> usize {
        /// Field names, offset and time of a message in JSON.
        const ENVELOPE: usize = 64;
        /// The publisher's client id and field names.
        const PUBLISHER: usize = 40;
        let from = self
            .message
            .from
            .as_ref()
            .map_or(0, |from| PUBLISHER + from.user.as_ref().map_or(0, |user| user.len()));
        self.cost() + self.message.topic.as_str().len() + from + ENVELOPE
    }
}
