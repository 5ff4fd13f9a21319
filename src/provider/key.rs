//! From a secret to what a signature is checked with.

use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER_PERMISSIVE};
use ring::{
    digest, hmac,
    signature::{
        ECDSA_P256_SHA256_ASN1, ED25519, RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY,
        RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey,
    },
};
use serde::{Deserialize, Serialize};
use x509_parser::{prelude::FromDer, x509::SubjectPublicKeyInfo};

use super::secret::{Secret, same};

/// How a request is proved to come from the provider.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// HMAC with SHA-1 (RFC 2104): unbroken as a signature, unlike SHA-1 itself.
    HmacSha1,
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-512.
    HmacSha512,
    /// SHA-256 of a text that begins with the secret. Weaker than an HMAC; two old providers use it.
    Sha256,
    /// Ed25519 (RFC 8032).
    Ed25519,
    /// ECDSA on P-256 with SHA-256, the signature in DER.
    EcdsaP256,
    /// RSA, PKCS #1 v1.5, with SHA-1.
    RsaSha1,
    /// RSA, PKCS #1 v1.5, with SHA-256.
    RsaSha256,
    /// The secret itself is sent.
    Token,
    /// `name:password` is sent as HTTP's basic authentication (RFC 7617).
    Basic,
}

impl Algorithm {
    /// Whether a whole request is as good as its sender, because nothing of it is signed: it is the connection that
    /// is trusted.
    pub(super) fn is_bearer(self) -> bool {
        matches!(self, Self::Token | Self::Basic)
    }

    /// Whether what it is checked with may be known to everybody.
    pub(super) fn is_public_key(self) -> bool {
        matches!(self, Self::Ed25519 | Self::EcdsaP256 | Self::RsaSha1 | Self::RsaSha256)
    }
}

/// How a secret is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyFormat {
    /// Its bytes are the key.
    #[default]
    Text,
    /// Base64.
    Base64,
    /// Hexadecimal.
    Hex,
    /// A public key as `SubjectPublicKeyInfo` (RFC 5280) in base64.
    Spki,
}

/// How signatures are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// Hexadecimal, in either case.
    #[default]
    Hex,
    /// Base64, with or without padding.
    Base64,
}

impl Encoding {
    pub(super) fn decode(self, text: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Hex => HEXLOWER_PERMISSIVE.decode(text).ok(),
            Self::Base64 => base64(text),
        }
    }
}

pub(super) fn base64(text: &[u8]) -> Option<Vec<u8>> {
    BASE64.decode(text).or_else(|_| BASE64_NOPAD.decode(text)).ok()
}

/// What a signature is checked with.
#[derive(Clone, Debug)]
pub(super) enum Key {
    Hmac(hmac::Key),
    /// For hashes that begin with the secret, for tokens and for passwords.
    Shared(Secret),
    Ed25519([u8; 32]),
    /// An uncompressed point.
    P256(Vec<u8>),
    Rsa(PublicKey),
}

/// An RSA key in DER, as in a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey(pub(super) Vec<u8>);

impl Key {
    /// The key that a secret is for an algorithm; `None` if it is none.
    pub(super) fn read(algorithm: Algorithm, format: KeyFormat, secret: &[u8]) -> Option<Self> {
        let bytes = match format {
            KeyFormat::Text => secret.to_vec(),
            KeyFormat::Base64 => base64(secret)?,
            KeyFormat::Hex => HEXLOWER_PERMISSIVE.decode(secret).ok()?,
            KeyFormat::Spki => spki(&base64(secret)?)?,
        };
        let hmac = |algorithm| Some(Self::Hmac(hmac::Key::new(algorithm, &bytes)));
        // An HMAC can have an empty key, which everybody knows.
        if bytes.is_empty() {
            return None;
        }
        match algorithm {
            Algorithm::HmacSha1 => hmac(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            Algorithm::HmacSha256 => hmac(hmac::HMAC_SHA256),
            Algorithm::HmacSha512 => hmac(hmac::HMAC_SHA512),
            Algorithm::Sha256 | Algorithm::Token => Secret::new(&bytes).map(Self::Shared),
            Algorithm::Basic => Secret::new(&bytes).filter(|_| bytes.contains(&b':')).map(Self::Shared),
            Algorithm::Ed25519 => bytes.try_into().ok().map(Self::Ed25519),
            // An uncompressed point begins with 4 (SEC 1 §2.3.3); ring takes no other form.
            Algorithm::EcdsaP256 => (bytes.len() == 65 && bytes[0] == 4).then_some(Self::P256(bytes)),
            Algorithm::RsaSha1 | Algorithm::RsaSha256 => Some(Self::Rsa(PublicKey(bytes))),
        }
    }

    /// Whether this is the signature of a message. Compares in constant time wherever a secret is compared.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::Hmac(key) => hmac::verify(key, message, signature).is_ok(),
            // The secret is in the message already, as `{secret}` of what is signed.
            Self::Shared(_) if algorithm == Algorithm::Sha256 => {
                same(signature, digest::digest(&digest::SHA256, message).as_ref())
            }
            Self::Shared(secret) => same(signature, secret.bytes()),
            Self::Ed25519(key) => UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok(),
            Self::P256(key) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key).verify(message, signature).is_ok()
            }
            Self::Rsa(PublicKey(key)) if algorithm == Algorithm::RsaSha1 => {
                let legacy = &RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY;
                UnparsedPublicKey::new(legacy, key).verify(message, signature).is_ok()
            }
            Self::Rsa(PublicKey(key)) => {
                UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key).verify(message, signature).is_ok()
            }
        }
    }

    /// The shared text, for what is hashed together with it.
    pub(super) fn shared(&self) -> &[u8] {
        match self {
            Self::Shared(secret) => secret.bytes(),
            _ => &[],
        }
    }
}

/// The key inside a `SubjectPublicKeyInfo`.
fn spki(der: &[u8]) -> Option<Vec<u8>> {
    let (rest, info) = SubjectPublicKeyInfo::from_der(der).ok()?;
    rest.is_empty().then(|| info.subject_public_key.data.to_vec())
}
