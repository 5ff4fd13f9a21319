//! Fetches the keys that an identity provider publishes (RFC 7517), and fetches them again as it rotates them.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use axum::http::Uri;

use crate::{
    auth::{KeySet, Published},
    fetch::{self, FetchError},
};

/// How long keys are used before they are fetched again.
const REFRESH: Duration = Duration::from_secs(300);

/// How soon after a fetch a token with an unknown key may cause another.
const REFRESH_EARLY: Duration = Duration::from_secs(5);

/// How often is looked whether either is due.
const POLL: Duration = Duration::from_secs(1);

/// How long a fetch may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Largest set of keys, in bytes: providers have a handful, of about a kilobyte each.
const BYTES_MAX: usize = 256 * 1024;

/// Fetches keys now and then for as long as somebody uses them.
pub(super) fn keep_fetched(url: &str, published: &Arc<Published>) {
    let Ok(url) = url.parse::<Uri>() else { return };
    tokio::spawn(refresh(url, Arc::downgrade(published)));
}

async fn refresh(url: Uri, published: Weak<Published>) {
    // So that the first round fetches at once.
    let mut age = REFRESH;
    while let Some(published) = published.upgrade() {
        if is_due(age, &published) {
            match fetch(&url).await {
                Ok(keys) => published.replace(keys),
                Err(error) => {
                    tracing::warn!(%url, %error, "keys could not be fetched; the old ones stay in use")
                }
            }
            age = Duration::ZERO;
        }
        // Not held while sleeping: a reload that replaces the keys drops the last reference, and this task ends.
        drop(published);
        tokio::time::sleep(POLL).await;
        age += POLL;
    }
}

/// Whether keys are to be fetched, so long after the last time.
fn is_due(age: Duration, published: &Published) -> bool {
    // Asked last, as that takes the wish away: one from within the pause is granted at its end.
    age >= REFRESH || (age >= REFRESH_EARLY && published.take_wanted())
}

async fn fetch(url: &Uri) -> Result<KeySet, FetchError> {
    // The configuration allows `http:` on loopback only.
    Ok(KeySet::from_jwks(&fetch::fetch(url, BYTES_MAX, TIMEOUT).await?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Published;

    #[test]
    fn a_key_that_is_missed_soon_after_a_fetch_is_looked_for_at_the_end_of_the_pause() {
        let published = Published::default();
        published.look_for(Some("new"));
        assert!(!is_due(REFRESH_EARLY - POLL, &published));
        assert!(is_due(REFRESH_EARLY, &published));
        assert!(!is_due(REFRESH_EARLY, &published), "once");
        assert!(is_due(REFRESH, &published));
    }
}
