//! Keys that tokens are checked with. A key is good for one algorithm, the one its kind says: what a token claims about
//! itself never chooses how it is checked (RFC 8725 §3.1).

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use arc_swap::ArcSwap;

use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};

/// Shortest secret, in bytes: the size of the hash (RFC 7518 §3.2).
const SECRET_BYTES_MIN: usize = 32;

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InvalidKey {
    /// A shared secret that could be guessed.
    #[error("a secret must have at least {SECRET_BYTES_MIN} bytes")]
    TooShort,
    /// Not a public key in PEM that we know.
    #[error("not a public key in PEM of type RSA, EC P-256 or Ed25519")]
    NotAPublicKey,
    /// Not a set of keys.
    #[error("not a JSON Web Key Set: {0}")]
    NotAKeySet(#[from] serde_json::Error),
    /// A set of keys without any that tokens could be checked with.
    #[error("the JSON Web Key Set has no key for RS256, ES256 or EdDSA")]
    NoUsableKey,
}

/// A shared secret that never shows itself.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl Secret {
    /// Takes a secret of at least 32 bytes.
    pub fn new(secret: &[u8]) -> Result<Self, InvalidKey> {
        match secret.len() {
            0..SECRET_BYTES_MIN => Err(InvalidKey::TooShort),
            _ => Ok(Self(secret.into())),
        }
    }

    pub(super) fn signing_key(&self) -> EncodingKey {
        EncodingKey::from_secret(&self.0)
    }
}

/// A key with its one algorithm and the name it goes by, if any.
#[derive(Clone)]
pub struct VerifyingKey {
    pub(super) id: Option<String>,
    pub(super) algorithm: Algorithm,
    pub(super) key: DecodingKey,
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey").field("id", &self.id).field("algorithm", &self.algorithm).finish()
    }
}

impl From<&Secret> for VerifyingKey {
    fn from(secret: &Secret) -> Self {
        Self { id: None, algorithm: Algorithm::HS256, key: DecodingKey::from_secret(&secret.0) }
    }
}

impl VerifyingKey {
    /// Reads a public key in PEM; its type says for which algorithm it is.
    pub fn from_pem(pem: &[u8]) -> Result<Self, InvalidKey> {
        let text = std::str::from_utf8(pem).map_err(|_| InvalidKey::NotAPublicKey)?;
        // A private key would be accepted by some readers; it must not lie around here.
        if text.contains("PRIVATE KEY") {
            return Err(InvalidKey::NotAPublicKey);
        }
        let found = [
            (Algorithm::RS256, DecodingKey::from_rsa_pem(pem)),
            (Algorithm::ES256, DecodingKey::from_ec_pem(pem)),
            (Algorithm::EdDSA, DecodingKey::from_ed_pem(pem)),
        ];
        let usable = found.into_iter().find_map(|(algorithm, key)| Some((algorithm, key.ok()?)));
        let (algorithm, key) = usable.ok_or(InvalidKey::NotAPublicKey)?;
        Ok(Self { id: None, algorithm, key })
    }

    /// `None` for keys of other types, for other algorithms, or for encryption.
    fn from_jwk(jwk: &Jwk) -> Option<Self> {
        let algorithm = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(curve) if curve.curve == EllipticCurve::P256 => {
                Algorithm::ES256
            }
            AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => {
                Algorithm::EdDSA
            }
            _ => return None,
        };
        // RFC 7517 §4.2 to §4.4: `use`, `key_ops` and `alg` are optional, but where they are given the key is for nothing
        // else.
        let named = jwk.common.key_algorithm.map(|name| name.to_string().parse::<Algorithm>().ok());
        let for_another_algorithm = named.is_some_and(|named| named != Some(algorithm));
        let usage = &jwk.common.public_key_use;
        let not_for_signatures = usage.as_ref().is_some_and(|usage| *usage != PublicKeyUse::Signature);
        let operations = &jwk.common.key_operations;
        let not_to_verify = operations.as_ref().is_some_and(|all| !all.contains(&KeyOperations::Verify));
        if for_another_algorithm || not_for_signatures || not_to_verify {
            return None;
        }
        let key = DecodingKey::from_jwk(jwk).ok()?;
        Some(Self { id: jwk.common.key_id.clone(), algorithm, key })
    }
}

/// Keys that an identity provider publishes and rotates; somebody else fetches them.
#[derive(Debug, Default)]
pub struct Published {
    keys: ArcSwap<KeySet>,
    /// A token named a key that is not here.
    wanted: AtomicBool,
}

impl Published {
    /// Replaces the keys.
    pub fn replace(&self, keys: KeySet) {
        self.keys.store(Arc::new(keys));
    }

    /// The keys of the moment.
    pub fn keys(&self) -> Arc<KeySet> {
        self.keys.load_full()
    }

    /// Notes that a token names a key; if it is not here, it may have been published since.
    pub(crate) fn look_for(&self, id: Option<&str>) {
        let known = id.is_none_or(|id| self.keys.load().iter().any(|key| key.id.as_deref() == Some(id)));
        if !known {
            // Relaxed: a hint to somebody who looks every now and then, and the keys themselves come through the
            // `ArcSwap`.
            self.wanted.store(true, Ordering::Relaxed);
        }
    }

    /// Whether a key was missed since this was last asked.
    pub fn take_wanted(&self) -> bool {
        self.wanted.swap(false, Ordering::Relaxed)
    }
}

/// Keys to try.
#[derive(Clone, Debug, Default)]
pub struct KeySet(Vec<VerifyingKey>);

impl KeySet {
    /// Reads a JSON Web Key Set (RFC 7517 §5); keys of no use here are passed over.
    pub fn from_jwks(text: &[u8]) -> Result<Self, InvalidKey> {
        /// A set whose keys may be of types that come after us.
        #[derive(serde::Deserialize)]
        struct AnySet {
            keys: Vec<serde_json::Value>,
        }
        // RFC 7517 §5: keys of types that are not understood are to be ignored, so one of them must not fail the whole
        // set.
        let set: AnySet = serde_json::from_slice(text)?;
        let known = set.keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
        let keys: Vec<_> = known.filter_map(|key| VerifyingKey::from_jwk(&key)).collect();
        if keys.is_empty() { Err(InvalidKey::NoUsableKey) } else { Ok(Self(keys)) }
    }

    /// Adds a key.
    pub fn push(&mut self, key: VerifyingKey) {
        self.0.push(key);
    }

    /// Adds all keys of another set.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// The keys.
    pub fn iter(&self) -> impl Iterator<Item = &VerifyingKey> {
        self.0.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
