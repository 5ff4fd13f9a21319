//! The keys of what belongs to a topic; the layout is the module's documentation.

use bytes::Bytes;
use fanwire_proto::{Offset, TopicName};

/// Ends the name in keys that go on after it; no name contains it.
pub(super) const END_OF_NAME: u8 = 0;

/// The key prefix of everything that belongs to a topic.
pub fn prefix_of(name: &TopicName) -> Vec<u8> {
    let mut prefix = name.as_str().as_bytes().to_vec();
    prefix.push(END_OF_NAME);
    prefix
}

pub(super) fn block_key(name: &TopicName, first: Offset) -> Bytes {
    let mut key = prefix_of(name);
    // Big-endian: keys are in the order of their bytes, and blocks in that of their offsets.
    key.extend_from_slice(&first.0.to_be_bytes());
    key.into()
}

/// A document's merged updates.
pub(super) fn state_key(name: &TopicName) -> Bytes {
    let mut key = prefix_of(name);
    key.extend_from_slice(b"state");
    key.into()
}

pub(super) fn value_key(name: &TopicName, key: &str) -> Bytes {
    let mut whole = prefix_of(name);
    whole.extend_from_slice(key.as_bytes());
    whole.into()
}
