//! The kinds of topics.

use serde::Serialize;

/// What a topic promises; `PROTOCOL.md` tells them apart in full.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Every message, in order, resumable.
    Log,
    /// The newest value per key.
    Latest,
    /// Best effort, never late.
    Volatile,
    /// Updates that make a document, which converges wherever they all arrive.
    Document,
}

impl Kind {
    /// All of them.
    pub const ALL: &[Self] = &[Self::Log, Self::Latest, Self::Volatile, Self::Document];

    /// The name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Log => "log",
            Self::Latest => "latest",
            Self::Volatile => "volatile",
            Self::Document => "document",
        }
    }

    /// The kind of this name; `None` for names of later versions.
    pub fn read(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == name)
    }
}
