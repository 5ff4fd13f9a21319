//! Secrets, keys and what tokens must say: read from their files and checked.

use std::{num::NonZeroU32, path::PathBuf, sync::Arc};

use fanwire_proto::Pattern;
use serde::{Deserialize, Deserializer, Serialize};

use super::{Settings, wording::Place};
use crate::auth::{
    Allowed, ApiKey, Authenticator, Expect, InvalidKey, KeyHash, KeySet, Secret, VerifyingKey,
};

/// One `[[key]]`: an API key of a back end. `fanwire key` makes one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeySettings {
    /// Its name, for logs.
    pub name: String,
    /// `sha256:` and the hash of the key in hexadecimal.
    #[serde(deserialize_with = "checked_hash")]
    pub hash: String,
    /// Patterns of topics to publish to; none when absent.
    #[serde(default, deserialize_with = "checked_patterns")]
    pub publish: Vec<String>,
    /// Patterns of topics to subscribe to and to read; none when absent.
    #[serde(default, deserialize_with = "checked_patterns")]
    pub subscribe: Vec<String>,
    /// Patterns of documents to delete, and versions of them; those of `publish` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "checked_optional")]
    pub delete: Option<Vec<String>>,
    /// Whether connections of others may be ended, and tokens revoked.
    #[serde(default)]
    pub admin: bool,
    /// HTTP requests a second with this key; only the limits of addresses when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_requests_per_second: Option<NonZeroU32>,
}

/// Checked while reading, so that the error has its line.
fn checked_hash<'de, D: Deserializer<'de>>(source: D) -> Result<String, D::Error> {
    let text = String::deserialize(source)?;
    match KeyHash::read(&text) {
        Some(_) => Ok(text),
        None => Err(serde::de::Error::custom("must be `sha256:` and 64 hexadecimal digits")),
    }
}

fn checked_patterns<'de, D: Deserializer<'de>>(source: D) -> Result<Vec<String>, D::Error> {
    let patterns = Vec::<String>::deserialize(source)?;
    for (index, pattern) in patterns.iter().enumerate() {
        let told = |error| serde::de::Error::custom(format!("pattern {}: {error}", index + 1));
        Pattern::new(pattern).map_err(told)?;
    }
    Ok(patterns)
}

fn checked_optional<'de, D: Deserializer<'de>>(source: D) -> Result<Option<Vec<String>>, D::Error> {
    checked_patterns(source).map(Some)
}

impl KeySettings {
    fn to_api_key(&self) -> Option<ApiKey> {
        let allowed = |patterns: &[String]| {
            Allowed::Some(patterns.iter().filter_map(|pattern| Pattern::new(pattern).ok()).collect())
        };
        Some(ApiKey {
            name: Arc::from(self.name.as_str()),
            hash: KeyHash::read(&self.hash)?,
            publish: allowed(&self.publish),
            subscribe: allowed(&self.subscribe),
            delete: allowed(self.delete.as_ref().unwrap_or(&self.publish)),
            admin: self.admin,
            max_requests_per_second: self.max_requests_per_second,
        })
    }
}

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
        authenticator.anonymous |= !authenticator.is_configured();
        authenticator
    }
}

pub(super) fn without_line_end(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
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
