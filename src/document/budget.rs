//! What reading or changing a document may cost, counted in steps, so that the same document always costs the same.

use super::lib0::Malformed;
use crate::defaults;

/// Why a document cannot be read or changed here; whoever edits it is served all the same.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CannotRead {
    /// Its bytes are no update.
    #[error("an update is malformed: {0}")]
    Malformed(#[from] Malformed),
    /// Types within types.
    #[error("its types are nested more than {0} deep, the most that can be converted")]
    TooDeep(u32),
    /// Too many conflicts, or too much formatting.
    #[error("converting it takes more than {0} steps, the most that one document may take")]
    TooManySteps(u64),
}

/// Steps that are left.
pub(super) struct Budget(u64);

impl Budget {
    pub(super) fn full() -> Self {
        Self(defaults::CONVERSION_STEPS)
    }

    pub(super) fn spend(&mut self, steps: usize) -> Result<(), CannotRead> {
        let left = u64::try_from(steps).ok().and_then(|steps| self.0.checked_sub(steps));
        self.0 = left.ok_or(CannotRead::TooManySteps(defaults::CONVERSION_STEPS))?;
        Ok(())
    }
}
