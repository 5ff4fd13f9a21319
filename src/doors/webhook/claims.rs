//! Deliveries being worked on. Of two that are the same at the same time the second waits for the first, and then
//! finds it among those that were seen.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::provider::Hash;

type Held = Arc<Mutex<HashMap<Hash, watch::Receiver<()>>>>;

/// What deliveries under way are known by.
#[derive(Default)]
pub(super) struct Claims(Held);

/// Some of it, given back when dropped.
pub(super) struct Claim {
    held: Held,
    names: Vec<Hash>,
    _working: watch::Sender<()>,
}

impl Claims {
    /// Waits until nobody else works on any of these; all of them are claimed at once, so that nobody waits in a circle.
    pub(super) async fn claim(&self, names: Vec<Hash>) -> Claim {
        loop {
            let mut other = match self.try_claim(&names) {
                Ok(claim) => return claim,
                Err(other) => other,
            };
            // Nothing is ever sent: the channel ends with the other one's work.
            let _ = other.changed().await;
        }
    }

    fn try_claim(&self, names: &[Hash]) -> Result<Claim, watch::Receiver<()>> {
        let mut held = self.0.lock();
        if let Some(other) = names.iter().find_map(|name| held.get(name)) {
            return Err(other.clone());
        }
        let (working, over) = watch::channel(());
        held.extend(names.iter().map(|name| (*name, over.clone())));
        Ok(Claim { held: self.0.clone(), names: names.to_vec(), _working: working })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut held = self.held.lock();
        // Under the lock, and before `_working` is dropped, which wakes those who wait: they look again and find the
        // names free.
        for name in &self.names {
            held.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn the_second_waits_for_the_first() {
        let claims = Arc::new(Claims::default());
        let first = claims.claim(vec![[1; 32], [2; 32]]).await;
        let others = claims.clone();
        let second = tokio::spawn(async move { drop(others.claim(vec![[2; 32], [3; 32]]).await) });
        drop(claims.claim(vec![[3; 32]]).await);
        tokio::task::yield_now().await;
        assert!(!second.is_finished());
        drop(first);
        tokio::time::timeout(Duration::from_secs(5), second).await.unwrap().unwrap();
        assert!(claims.0.lock().is_empty());
    }
}
