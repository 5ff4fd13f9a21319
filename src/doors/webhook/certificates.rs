//! Certificates of providers that sign with one: fetched when first needed, kept for a day.

use std::{sync::Arc, time::Duration};

use dashmap::DashMap;
use tokio::sync::Semaphore;

use crate::{
    clock::unix_ms,
    fetch::{FetchError, fetch},
    webhook::{CERTIFICATE_BYTES_MAX, Certificate, Certificates},
};

/// How long a certificate is used, in milliseconds: providers change theirs about once a year.
const USED_MS: u64 = 24 * 3_600 * 1_000;

/// How long an address where there is none is not asked again, in milliseconds: anybody can name one.
const FAILED_MS: u64 = 60_000;

/// Certificates and failures remembered; beyond it the old ones go.
const REMEMBERED_MAX: usize = 256;

/// Fetches at a time.
const FETCHES: usize = 4;

/// Time for one: less than the most impatient of these providers waits.
const TIMEOUT: Duration = Duration::from_millis(2_000);

struct Found {
    certificate: Option<Arc<Certificate>>,
    at_ms: u64,
}

/// Those at hand.
pub(super) struct Fetched {
    found: DashMap<String, Found>,
    turns: Semaphore,
}

impl Default for Fetched {
    fn default() -> Self {
        Self { found: DashMap::new(), turns: Semaphore::new(FETCHES) }
    }
}

impl Certificates for Fetched {
    fn find(&self, address: &str) -> Option<Arc<Certificate>> {
        let found = self.found.get(address)?;
        let fresh = unix_ms().saturating_sub(found.at_ms) < USED_MS;
        found.certificate.clone().filter(|_| fresh)
    }
}

impl Fetched {
    /// Fetches the certificate at an address that was checked; the error says why it could not be had.
    pub(super) async fn fetch(&self, address: &str) -> Result<(), String> {
        let failed_lately =
            |found: &Found| found.certificate.is_none() && unix_ms().saturating_sub(found.at_ms) < FAILED_MS;
        if self.found.get(address).is_some_and(|found| failed_lately(&found)) {
            return Err("it could not be fetched a moment ago".into());
        }
        let turn = self.turns.try_acquire().map_err(|_| "too many are being fetched".to_owned())?;
        let outcome = read(address).await;
        drop(turn);
        if self.found.len() >= REMEMBERED_MAX {
            let now_ms = unix_ms();
            self.found.retain(|_, found| {
                found.certificate.is_some() && now_ms.saturating_sub(found.at_ms) < USED_MS
            });
        }
        let certificate = outcome.as_ref().ok().cloned().map(Arc::new);
        if self.found.len() < REMEMBERED_MAX {
            self.found.insert(address.to_owned(), Found { certificate, at_ms: unix_ms() });
        }
        outcome.map(|_| ()).map_err(|error| error.to_string())
    }
}

async fn read(address: &str) -> Result<Certificate, FetchError> {
    let pem = fetch(&address.parse()?, CERTIFICATE_BYTES_MAX, TIMEOUT).await?;
    Ok(Certificate::from_pem(&pem)?)
}

/// Confirms a subscription at an address that was checked.
pub(super) async fn confirm(address: &str) -> Result<(), String> {
    let confirmed = async {
        fetch(&address.parse()?, CERTIFICATE_BYTES_MAX, TIMEOUT).await?;
        Ok::<_, FetchError>(())
    };
    confirmed.await.map_err(|error| error.to_string())
}
