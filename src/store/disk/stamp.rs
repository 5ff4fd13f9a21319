//! What every commit carries: its number, and which store it belongs to.

use std::fmt::Write;

/// The key of the stamp, in a space of its own.
pub(super) const STAMP_KEY: &[u8] = b"fanwire commit";

/// The name of that space; no [`Space`](crate::store::Space) has it.
pub(super) const STAMP_SPACE: &str = "commits";

/// A random number that a store has from its creation on. Nobody outside knows it, so no message can pass for a
/// record of the store's journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct StoreId(pub [u8; 16]);

impl StoreId {
    /// As 32 hexadecimal digits.
    pub(super) fn to_text(self) -> String {
        self.0.iter().fold(String::new(), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// From 32 hexadecimal digits.
    pub(super) fn from_text(text: &str) -> Option<Self> {
        let number = u128::from_str_radix(text, 16).ok()?;
        (text.len() == 32).then(|| Self(number.to_be_bytes()))
    }
}

/// The number of a commit. Numbers of one store follow each other without a gap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stamp {
    pub number: u64,
    pub store: StoreId,
}

impl Stamp {
    pub(super) fn encode(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        bytes[..8].copy_from_slice(&self.number.to_be_bytes());
        bytes[8..].copy_from_slice(&self.store.0);
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (number, store) = bytes.split_first_chunk::<8>()?;
        let store = StoreId(store.try_into().ok()?);
        Some(Self { number: u64::from_be_bytes(*number), store })
    }
}
