//! `[[key]]` as people write it: keys of back ends.

use std::{num::NonZeroU32, sync::Arc};

use fanwire_proto::Pattern;
use serde::{Deserialize, Deserializer, Serialize};

use crate::auth::{Allowed, ApiKey, KeyHash};

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
    pub(super) fn to_api_key(&self) -> Option<ApiKey> {
        let allowed = |patterns: &[String]| {
            // Patterns were checked while they were read; none is left out here.
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
