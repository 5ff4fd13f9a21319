//! Certificates of providers that sign with one: fetched when first needed, kept for a day, and fetched again when a
//! signature does not fit any more. Addresses were checked before: only the hosts of the provider are asked, over TLS that
//! proves it is them, so that no request makes the broker look into the network it is in.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use dashmap::DashMap;

use super::turns::Turns;
use crate::{
    clock::unix_ms,
    defaults,
    fetch::{FetchError, fetch_with},
    provider::{CERTIFICATE_BYTES_MAX, Certificate, Certificates, Source},
};

/// How long a certificate is used, in milliseconds: providers change theirs about once a year.
const USED_MS: u64 = 24 * 3_600 * 1_000;

/// How long an address is not asked again, in milliseconds: anybody can name one, or sign with another key. Less than the
/// 20 seconds after which SNS comes again.
const ASKED_AGAIN_MS: u64 = 5_000;

/// Time for one: less than the most impatient of these providers waits.
const TIMEOUT: Duration = Duration::from_millis(2_000);

struct Found {
    /// With the time it was fetched at.
    certificate: Option<(Arc<Certificate>, u64)>,
    asked_ms: u64,
}

impl Found {
    fn usable(&self, now_ms: u64) -> Option<&Arc<Certificate>> {
        let (certificate, fetched_ms) = self.certificate.as_ref()?;
        (now_ms.saturating_sub(*fetched_ms) < USED_MS).then_some(certificate)
    }
}

/// Those at hand, by source and address: what one source trusts, another one may not.
pub(super) struct Fetched {
    found: DashMap<(String, String), Found>,
    turns: Turns,
}

impl Default for Fetched {
    fn default() -> Self {
        Self { found: DashMap::new(), turns: Turns::new(defaults::WEBHOOK_FETCHES) }
    }
}

/// Those of one source, and which of them was asked for.
pub(super) struct OfSource<'a> {
    fetched: &'a Fetched,
    source: &'a Source,
    asked: OnceLock<String>,
}

impl Certificates for OfSource<'_> {
    fn find(&self, address: &str) -> Option<Arc<Certificate>> {
        // The first that was asked for counts; a request names one.
        let _ = self.asked.set(address.to_owned());
        let found = self.fetched.found.get(&key(self.source, address))?;
        found.usable(unix_ms()).cloned()
    }
}

impl OfSource<'_> {
    /// The address whose certificate did not fit, if it is time to fetch it again.
    pub(super) fn outdated(self) -> Option<String> {
        let address = self.asked.into_inner()?;
        let asked_lately = self.fetched.asked_lately(self.source, &address);
        (!asked_lately).then_some(address)
    }
}

fn key(source: &Source, address: &str) -> (String, String) {
    (source.name.clone(), address.to_owned())
}

impl Fetched {
    pub(super) fn of<'a>(&'a self, source: &'a Source) -> OfSource<'a> {
        OfSource { fetched: self, source, asked: OnceLock::new() }
    }

    fn asked_lately(&self, source: &Source, address: &str) -> bool {
        let found = self.found.get(&key(source, address));
        found.is_some_and(|found| unix_ms().saturating_sub(found.asked_ms) < ASKED_AGAIN_MS)
    }

    /// Fetches the certificate at an address that was checked; the error says why it could not be had.
    pub(super) async fn fetch(&self, source: &Source, address: &str) -> Result<(), String> {
        if self.asked_lately(source, address) {
            return Err("it could not be fetched a moment ago".into());
        }
        // By source: a sender who makes up addresses uses up the turns of its own source, nobody else's.
        let turn = self.turns.take(&source.name).ok_or_else(|| "too many are being fetched".to_owned())?;
        let outcome = read(source, address).await;
        drop(turn);
        let asked_ms = unix_ms();
        let has_room = || {
            let of_source = self.found.iter().filter(|found| found.key().0 == source.name);
            of_source.count() < defaults::WEBHOOK_CERTIFICATES
        };
        if !has_room() {
            self.found.retain(|(name, _), found| *name != source.name || found.usable(asked_ms).is_some());
        }
        // A certificate that was good stays so while there is no other one.
        let before = self.found.get(&key(source, address)).and_then(|found| found.certificate.clone());
        let fetched = outcome.as_ref().ok().map(|certificate| (Arc::new(certificate.clone()), asked_ms));
        // Looked at again after making room. Without any, it is not remembered, and the request that needs it fails as
        // busy.
        if has_room() {
            self.found.insert(key(source, address), Found { certificate: fetched.or(before), asked_ms });
        }
        outcome.map(|_| ()).map_err(|error| error.to_string())
    }
}

async fn read(source: &Source, address: &str) -> Result<Certificate, FetchError> {
    let pem = fetch_with(&address.parse()?, CERTIFICATE_BYTES_MAX, TIMEOUT, source.authorities()).await?;
    Ok(Certificate::from_pem(&pem)?)
}

/// Confirms a subscription at an address that was checked.
pub(super) async fn confirm(source: &Source, address: &str) -> Result<(), String> {
    let confirmed = async {
        fetch_with(&address.parse()?, CERTIFICATE_BYTES_MAX, TIMEOUT, source.authorities()).await?;
        Ok::<_, FetchError>(())
    };
    confirmed.await.map_err(|error| error.to_string())
}
