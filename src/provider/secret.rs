//! Secrets, and comparing what somebody presents with what is known.

use std::{fmt, sync::LazyLock};

use ring::hmac;

/// A secret of a source, or its public key. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Takes these bytes; `None` if there are none, since anybody knows nothing.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        (!bytes.is_empty()).then(|| Self(bytes.into()))
    }

    /// Whether it can be a segment of an address as it is (RFC 3986 §2.3), and has at least so many bytes.
    pub fn is_path_segment(&self, bytes_min: usize) -> bool {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
        self.0.len() >= bytes_min && self.0.iter().all(plain)
    }

    /// The bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// Tags of two texts are equal exactly when the texts are, and comparing tags takes the same time whatever they are.
static BLIND: LazyLock<hmac::Key> = LazyLock::new(|| hmac::Key::new(hmac::HMAC_SHA256, b"comparison"));

/// Whether two texts are the same; the time it takes depends on their lengths only.
pub(super) fn same(presented: &[u8], known: &[u8]) -> bool {
    // `ring` has deprecated its comparison of slices, but not the one of tags.
    hmac::verify(&BLIND, presented, hmac::sign(&BLIND, known).as_ref()).is_ok()
}

/// Whether a text is one of the secrets; all of them are compared.
pub fn is_one_of(presented: &[u8], secrets: &[Secret]) -> bool {
    // With `|`, which goes on after a match: how long it takes must not tell which of them it was.
    secrets.iter().fold(false, |found, secret| found | same(presented, secret.bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_compared_and_not_shown() {
        let secrets = [Secret::new(b"old").unwrap(), Secret::new(b"new").unwrap()];
        assert!(is_one_of(b"old", &secrets) && is_one_of(b"new", &secrets));
        assert!(!is_one_of(b"ne", &secrets) && !is_one_of(b"", &secrets));
        assert!(Secret::new(b"").is_none());
        assert!(!format!("{secrets:?}").contains("old"));
    }
}
