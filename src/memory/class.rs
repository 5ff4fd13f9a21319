//! The classes of what is kept.

use crate::defaults;

/// What memory is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Messages, values, members and message ids of all topics but documents.
    Topics,
    /// Content of documents.
    Documents,
    /// Merging, reading and comparing documents, while it goes on.
    Merging,
    /// Bodies of HTTP requests.
    Bodies,
    /// What waits for connections that read slower than they are written to.
    Outboxes,
    /// Answers kept for requests with an `Idempotency-Key`.
    Idempotency,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Topics, Self::Documents, Self::Merging, Self::Bodies, Self::Outboxes, Self::Idempotency];

    /// Its name for people and programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Topics => "topics",
            Self::Documents => "documents",
            Self::Merging => "merging",
            Self::Bodies => "bodies",
            Self::Outboxes => "outboxes",
            Self::Idempotency => "idempotency",
        }
    }

    pub(super) const fn index(self) -> usize {
        match self {
            Self::Topics => 0,
            Self::Documents => 1,
            Self::Merging => 2,
            Self::Bodies => 3,
            Self::Outboxes => 4,
            Self::Idempotency => 5,
        }
    }

    /// Hundredths of the whole, and the most bytes that are of use.
    pub(super) const fn part(self) -> (usize, usize) {
        match self {
            Self::Topics => (defaults::MEMORY_FOR_TOPICS, usize::MAX),
            Self::Documents => (defaults::MEMORY_FOR_DOCUMENTS, usize::MAX),
            Self::Merging => (defaults::MEMORY_FOR_MERGING, usize::MAX),
            Self::Bodies => (defaults::MEMORY_FOR_BODIES, defaults::HTTP_BODIES_BYTES),
            Self::Outboxes => (defaults::MEMORY_FOR_OUTBOXES, usize::MAX),
            Self::Idempotency => (defaults::MEMORY_FOR_IDEMPOTENCY, defaults::IDEMPOTENCY_BYTES),
        }
    }
}
