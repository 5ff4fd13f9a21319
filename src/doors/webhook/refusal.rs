//! Why a request is not taken.

use crate::{
    provider::{Refused, Uncodable, Unverified},
    store::StoreError,
};

/// Why a request is not taken.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NotTaken {
    /// It does not come from the provider.
    #[error("{0}")]
    Unverified(Unverified),
    /// A question that has no answer.
    #[error("{0}")]
    Refused(Refused),
    /// What was sent cannot be decompressed.
    #[error("{0}")]
    Body(Uncodable),
    /// It may be taken later.
    #[error("{0}")]
    Busy(String),
}

impl From<StoreError> for NotTaken {
    fn from(error: StoreError) -> Self {
        Self::Busy(format!("it cannot be kept: {error}"))
    }
}
