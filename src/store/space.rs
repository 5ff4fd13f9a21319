//! The maps that a store has, each with a number and a name on the disk.

/// A map of its own. The numbers are on disk: never reuse one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub enum Space {
    /// What is known of each durable topic.
    Topics = 0,
    /// Messages of durable `log` topics.
    Messages = 1,
    /// Values of durable `latest` topics.
    Values = 2,
    /// Webhook deliveries.
    Deliveries = 3,
    /// What was seen before: delivery ids and idempotency keys.
    Seen = 4,
    /// Documents: base states, updates, versions.
    Documents = 5,
    /// The store's own notes, such as whether the last run ended in order.
    Store = 6,
}

impl Space {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Topics,
        Self::Messages,
        Self::Values,
        Self::Deliveries,
        Self::Seen,
        Self::Documents,
        Self::Store,
    ];

    /// Its name on disk and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Topics => "topics",
            Self::Messages => "messages",
            Self::Values => "values",
            Self::Deliveries => "deliveries",
            Self::Seen => "seen",
            Self::Documents => "documents",
            Self::Store => "store",
        }
    }
}
