//! Secrets, keys and what tokens must say: read from their files and checked.

use std::{path::PathBuf, sync::Arc};

use super::{KeySettings, Settings, secret_file::without_line_end, wording::Place};
use crate::auth::{ApiKey, Authenticator, Expect, InvalidKey, KeySet, Secret, VerifyingKey};

/// What can be checked, and the secret to sign with.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    pub(super) secret: Option<Secret>,
    keys: KeySet,
    api_keys: Vec<ApiKey>,
}

impl Credentials {
    /// Reads all files and collects every mistake.
    pub(super) fn read(settings: &Settings, place: &Place<'_>, mistakes: &mut Vec<String>) -> Self {
        let mut found = Self { secret: read_secret(settings, place, mistakes), ..Self::default() };
        if let Some(secret) = &found.secret {
            found.keys.push(secret.into());
        }
        let mut from_file = |key: &str,
                             path: &Option<PathBuf>,
                             read: fn(&[u8]) -> Result<KeySet, InvalidKey>| {
            let Some(path) = path else { return };
            let told = |error: &dyn std::fmt::Display| format!("names a file that cannot be used: {error}");
            // Whether it cannot be read or makes no sense, all mistakes of a configuration are told at once, so nothing
            // returns early here.
            match std::fs::read(path).map_err(|error| told(&error)).map(|bytes| read(&bytes)) {
                Ok(Ok(keys)) => found.keys.extend(keys),
                Ok(Err(error)) => mistakes.push(place.mistake(key, &told(&error))),
                Err(error) => mistakes.push(place.mistake(key, &error)),
            }
        };
        from_file("auth_public_key_file", &settings.auth_public_key_file, |pem| {
            let mut keys = KeySet::default();
            keys.push(VerifyingKey::from_pem(pem)?);
            Ok(keys)
        });
        from_file("auth_jwks_file", &settings.auth_jwks_file, KeySet::from_jwks);
        if let Some(url) = &settings.auth_jwks_url
            && !is_safe(url)
        {
            mistakes.push(place.mistake(
                "auth_jwks_url",
                "must be an `https:` address without a password, or `http:` on loopback",
            ));
        }
        found.api_keys = settings.key.iter().flatten().filter_map(KeySettings::to_api_key).collect();
        found
    }

    /// Who may come in. Without any credential configured, everybody may.
    pub(super) fn authenticator(&self, settings: &Settings) -> Authenticator {
        let mut authenticator = Authenticator {
            keys: self.keys.clone(),
            expect: Expect { audience: settings.auth_audience.clone(), issuer: settings.auth_issuer.clone() },
            api_keys: self.api_keys.clone(),
            published_at: settings.auth_jwks_url.clone(),
            published: settings.auth_jwks_url.as_ref().map(|_| Arc::default()),
            anonymous: settings.auth_anonymous.unwrap_or(false),
        };
        // Where no credential is configured, any token is taken (`verify`); then none has to be shown either.
        authenticator.anonymous |= !authenticator.is_configured();
        authenticator
    }
}

/// Keys from an address that others can answer for would let them sign tokens.
fn is_safe(url: &str) -> bool {
    let Ok(url) = url.parse::<axum::http::Uri>() else { return false };
    // A name and a password would be shown with the rest of the configuration.
    if url.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return false;
    }
    match (url.scheme_str(), url.host()) {
        (Some("https"), Some(_)) => true,
        (Some("http"), Some(host)) => matches!(host, "localhost" | "127.0.0.1" | "[::1]"),
        _ => false,
    }
}

fn read_secret(settings: &Settings, place: &Place<'_>, mistakes: &mut Vec<String>) -> Option<Secret> {
    let (key, bytes) = match (&settings.auth_hmac_secret, &settings.auth_hmac_secret_file) {
        (Some(_), Some(_)) => {
            mistakes
                .push(place.mistake("auth_hmac_secret_file", "and `auth_hmac_secret` exclude each other"));
            return None;
        }
        (Some(secret), None) => ("auth_hmac_secret", secret.clone().into_bytes()),
        (None, Some(path)) => match std::fs::read(path) {
            Ok(bytes) => ("auth_hmac_secret_file", without_line_end(&bytes).to_vec()),
            Err(error) => {
                let what = format!("names a file that cannot be read: {error}");
                mistakes.push(place.mistake("auth_hmac_secret_file", &what));
                return None;
            }
        },
        (None, None) => return None,
    };
    match Secret::new(&bytes) {
        Ok(secret) => Some(secret),
        Err(error) => {
            mistakes.push(place.mistake(key, &format!("cannot be used: {error}")));
            None
        }
    }
}
