//! Waiting for a receipt without a connection: requests, webhooks, edits.

use tokio::sync::oneshot;

use super::Submitted;
use crate::topic::{Asker, NotPlaced, Outcome, Receipt};

/// A publish that somebody waits for. What becomes of it does not depend on whether this is kept.
#[derive(Debug)]
#[must_use = "a receipt may be in here"]
pub enum Placing {
    /// It is where it has to be.
    Placed(Receipt),
    /// Says what becomes of it.
    Pending(oneshot::Receiver<Outcome>),
}

impl Placing {
    /// Submits something in a way that its outcome can be waited for. Nothing is allocated for what is placed at once.
    pub fn of<E>(submit: impl FnOnce(&mut dyn FnMut() -> Asker) -> Result<Submitted, E>) -> Result<Self, E> {
        let mut later = None;
        let mut asker = || {
            let (tell, outcome) = oneshot::channel();
            later = Some(outcome);
            Asker::call(move |outcome| {
                // Whoever asked may not be waiting any more.
                let _ = tell.send(outcome);
            })
        };
        let submitted = submit(&mut asker)?;
        Ok(match submitted {
            Submitted::Placed(receipt) => Self::Placed(receipt),
            // Without an asker nobody will ever tell: the channel is closed from the start.
            Submitted::Pending => Self::Pending(later.unwrap_or_else(|| oneshot::channel().1)),
        })
    }

    /// What becomes of it.
    pub async fn outcome(self) -> Outcome {
        match self {
            Self::Placed(receipt) => Ok(receipt),
            Self::Pending(outcome) => outcome.await.unwrap_or(Err(NotPlaced::Lost)),
        }
    }
}
