//! API keys: long random secrets for back ends, of which the configuration holds hashes only.
//!
//! A key has 256 random bits, so a plain SHA-256 is enough: there is nothing to guess, and the check costs a
//! microsecond.

use std::{fmt, num::NonZeroU32, sync::Arc};

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};

use super::grant::{Allowed, Credential, Grant};

/// What every key starts with; no JWT does.
pub const KEY_PREFIX: &str = "fwk_";

/// What a hash starts with in the configuration.
const HASH_PREFIX: &str = "sha256:";

const SECRET_BYTES: usize = 32;

/// The hash of a key.
#[derive(Clone, PartialEq, Eq)]
pub struct KeyHash([u8; SHA256_OUTPUT_LEN]);

impl KeyHash {
    /// Of a key.
    pub fn of(key: &str) -> Self {
        let mut hash = [0; SHA256_OUTPUT_LEN];
        hash.copy_from_slice(digest(&SHA256, key.as_bytes()).as_ref());
        Self(hash)
    }

    /// Reads what [`Display`](fmt::Display) writes.
    pub fn read(text: &str) -> Option<Self> {
        let hex = text.strip_prefix(HASH_PREFIX)?;
        let bytes = data_encoding::HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?;
        bytes.try_into().ok().map(Self)
    }

    /// Takes the same time whatever differs. Comparing hashes gives nothing away about keys in any case.
    pub fn matches(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).fold(0, |different, (a, b)| different | (a ^ b)) == 0
    }
}

impl fmt::Display for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{HASH_PREFIX}{}", data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash(hidden)")
    }
}

/// A back end's key.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// Its name, for logs and limits.
    pub name: Arc<str>,
    /// What it hashes to.
    pub hash: KeyHash,
    /// Topics to publish to.
    pub publish: Allowed,
    /// Topics to subscribe to and to read.
    pub subscribe: Allowed,
    /// Documents to delete, and versions of them.
    pub delete: Allowed,
    /// Whether connections of others may be ended, and tokens revoked.
    pub admin: bool,
    /// HTTP requests a second with this key, wherever they come from.
    pub max_requests_per_second: Option<NonZeroU32>,
}

impl ApiKey {
    /// What the bearer may do.
    pub fn grant(&self) -> Grant {
        Grant {
            user: None,
            info: None,
            credential: Some(Credential::Key(self.name.clone())),
            expires_ms: None,
            subscribe: self.subscribe.clone(),
            publish: self.publish.clone(),
            history: self.subscribe.clone(),
            presence: self.subscribe.clone(),
            delete: self.delete.clone(),
            max_rate: None,
            subs: None,
            admin: self.admin,
        }
    }
}

/// A key that was just made; the only moment at which it can be read.
pub struct NewKey {
    /// The key, for the back end.
    pub key: String,
    /// Its hash, for the configuration.
    pub hash: KeyHash,
}

impl NewKey {
    /// Makes a key.
    pub fn generate() -> Result<Self, getrandom::Error> {
        let mut secret = [0; SECRET_BYTES];
        getrandom::fill(&mut secret)?;
        let key = format!("{KEY_PREFIX}{}", data_encoding::BASE64URL_NOPAD.encode(&secret));
        let hash = KeyHash::of(&key);
        Ok(Self { key, hash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_fits_its_own_hash_only() {
        let (a, b) = (NewKey::generate().unwrap(), NewKey::generate().unwrap());
        let configured = KeyHash::read(&a.hash.to_string()).unwrap();
        assert!(configured.matches(&KeyHash::of(&a.key)));
        assert!(!configured.matches(&KeyHash::of(&b.key)));
        assert!(a.key.starts_with(KEY_PREFIX) && a.key.len() > 40);
    }

    #[test]
    fn hashes_are_read_strictly() {
        for wrong in ["", "sha256:", "sha256:00", "md5:00", "sha256:zz"] {
            assert!(KeyHash::read(wrong).is_none(), "{wrong}");
        }
    }
}
