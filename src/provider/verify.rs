//! Verifying: over raw bytes, with every live secret, in constant time, fresh as of the moment of receipt.

use std::borrow::Cow;

use ring::digest;

use super::{
    Certificate, Request,
    address::variants,
    certificate::{CertificateError, check_certificate_address},
    key::{Encoding, Key, base64},
    place::{Place, View},
    scheme::Scheme,
    secret::same,
    signed::Parts,
};

/// Signatures in one request that are tried; a rotation needs two.
const SIGNATURES_MAX: usize = 8;

/// Why a request is not from the provider, or not of this hour.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// Nothing to check.
    #[error("there is no signature at {0}")]
    Missing(String),
    /// Nothing to compare.
    #[error("there is no token or password at {0}")]
    MissingToken(String),
    /// It cannot be a signature.
    #[error("what stands at {0} is not written as it should be")]
    Malformed(String),
    /// A part of what is signed is missing.
    #[error("there is no {0}, which is part of what is signed")]
    Incomplete(&'static str),
    /// It is not a signature of this body with any of the secrets.
    #[error("the signature does not match: another secret, another public address, or a changed body")]
    Mismatch,
    /// It is none of the tokens or passwords.
    #[error("the token or password is not one of the source's")]
    WrongToken,
    /// The body is not the one whose hash is signed.
    #[error("the body does not match its signed hash")]
    BodyHash,
    /// The time cannot be read.
    #[error("the timestamp is missing or unreadable")]
    Timestamp,
    /// Captured long ago, or a wrong clock.
    #[error("the signature is {age_s} s old; {tolerance_s} s are allowed")]
    Old {
        /// Its age when the request came.
        age_s: u64,
        /// What is allowed.
        tolerance_s: u64,
    },
    /// From a clock that is fast.
    #[error("the signature is {ahead_s} s in the future; {tolerance_s} s are allowed")]
    Early {
        /// How far ahead it is.
        ahead_s: u64,
        /// What is allowed.
        tolerance_s: u64,
    },
    /// The certificate is not one to be used.
    #[error("the certificate is refused: {0}")]
    Certificate(#[from] CertificateError),
    /// The certificate has ended or not begun.
    #[error("the certificate was not valid when the request came")]
    CertificateDates,
    /// The certificate has to be fetched first; try again with it.
    #[error("the certificate at {0} is needed")]
    NeedsCertificate(String),
    /// It comes from another account, application or topic.
    #[error("it is not one of the values that `expect` allows")]
    Unexpected,
}

impl Unverified {
    /// How far verifying came: of several ways, the one that came farthest says most.
    pub(super) fn progress(&self) -> u8 {
        match self {
            Self::Missing(_) | Self::MissingToken(_) => 0,
            Self::Malformed(_) | Self::Incomplete(_) => 1,
            _ => 2,
        }
    }

    /// The cause as programs read it.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) | Self::MissingToken(_) => "signature_missing",
            Self::Malformed(_) | Self::Incomplete(_) => "signature_malformed",
            Self::Mismatch | Self::WrongToken | Self::BodyHash => "signature_mismatch",
            Self::Timestamp => "timestamp_malformed",
            Self::Old { .. } => "timestamp_old",
            Self::Early { .. } => "timestamp_early",
            Self::Certificate(_) | Self::CertificateDates | Self::NeedsCertificate(_) => "certificate",
            Self::Unexpected => "unexpected",
        }
    }
}

/// Certificates that are at hand, by address.
pub trait Certificates {
    /// The certificate from an address, if it was fetched.
    fn find(&self, address: &str) -> Option<std::sync::Arc<Certificate>>;
}

/// None are at hand.
pub struct NoCertificates;

impl Certificates for NoCertificates {
    fn find(&self, _: &str) -> Option<std::sync::Arc<Certificate>> {
        None
    }
}

/// What a scheme is tried with.
pub(super) struct Attempt<'a> {
    pub(super) scheme: &'a Scheme,
    pub(super) keys: &'a [Key],
    /// A certificate that the configuration names.
    pub(super) pinned: Option<&'a Certificate>,
    pub(super) certificates: &'a dyn Certificates,
    /// Values that the signature may be about; one empty text if it is about none.
    pub(super) expected: &'a [String],
    pub(super) tolerance_s: Option<u64>,
}

/// What a hash of SHA-256 is.
pub type Hash = [u8; 32];

pub(super) fn sha256(parts: &[&[u8]]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// How a request was verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fresh {
    /// When it was signed, in milliseconds since 1970, if that is known.
    pub signed_ms: Option<u64>,
    /// Of all that was signed; the same for a request that is sent once more as it was.
    pub signed: Option<Hash>,
}

impl Attempt<'_> {
    /// Whether the scheme is meant for the request at all.
    pub(super) fn applies(&self, request: &Request<'_>) -> bool {
        let (Some(place), Some(wanted)) = (&self.scheme.when, &self.scheme.when_is) else { return true };
        place.find(View::whole(request)).is_some_and(|found| *found == *wanted.as_bytes())
    }

    pub(super) fn verify(&self, request: &Request<'_>) -> Result<Fresh, Unverified> {
        if self.scheme.algorithm.is_bearer() {
            self.verify_bearer(request)?;
            return Ok(Fresh { signed_ms: None, signed: None });
        }
        let presented = self.presented(request)?;
        let list = presented.list();
        let view = View { request, element: None, list: &list };
        let part = |places: &Option<super::Places>, name| match places {
            None => Ok(Cow::Borrowed(&b""[..])),
            Some(places) => places.find(view).ok_or(Unverified::Incomplete(name)),
        };
        let timestamp = part(&self.scheme.timestamp, "timestamp")?;
        let id = part(&self.scheme.id, "id")?;
        let signatures = presented.signatures(self.scheme, &list);
        if signatures.is_empty() {
            return Err(Unverified::Malformed(self.where_it_stands()));
        }
        // After the cheap refusals: only what looks like a signature may make us fetch a certificate.
        let fetched = self.fetched_key(request)?;
        let keys = fetched.as_ref().map_or(self.keys, std::slice::from_ref);
        let signed = self.find_match(request, keys, &signatures, &timestamp, &id)?;
        // After the signature, which covers the hash; before it, the hash is anybody's claim.
        self.check_body_hash(request)?;
        // Last: a time means something only once it is known to be signed, and then its age is what is worth telling.
        let signed_ms = self.check_freshness(&timestamp, request.received_ms)?;
        Ok(Fresh { signed_ms, signed: Some(signed) })
    }

    fn where_it_stands(&self) -> String {
        let places = self.scheme.signature.0.iter().flatten().map(|place| format!("`{place}`"));
        places.collect::<Vec<_>>().join(" or ")
    }

    fn verify_bearer(&self, request: &Request<'_>) -> Result<(), Unverified> {
        let found = self.scheme.signature.find(View::whole(request));
        let found = found.ok_or_else(|| Unverified::MissingToken(self.where_it_stands()))?;
        let prefix = self.scheme.prefix.as_deref().unwrap_or_default().as_bytes();
        let malformed = || Unverified::Malformed(self.where_it_stands());
        // Upper and lower case alike, as with the names of HTTP's schemes (RFC 9110 §11.1).
        let given = found.get(..prefix.len()).filter(|given| given.eq_ignore_ascii_case(prefix));
        given.ok_or_else(malformed)?;
        let mut token = Cow::Borrowed(found[prefix.len()..].trim_ascii());
        if self.scheme.algorithm == super::Algorithm::Basic {
            token = base64(&token).ok_or_else(malformed)?.into();
        }
        let matches = self.keys.iter().fold(false, |found, key| found | same(&token, key.shared()));
        if matches { Ok(()) } else { Err(Unverified::WrongToken) }
    }

    fn presented(&self, request: &Request<'_>) -> Result<Presented<'_>, Unverified> {
        let places = self.scheme.signature.0.iter().filter_map(|alternative| alternative.first());
        let values: Vec<String> = places
            .flat_map(|place| match place {
                Place::Header(name) => {
                    // Several headers of one name are several signatures, while a provider changes its secret.
                    let all = request.headers.get_all(name).iter();
                    all.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).collect()
                }
                other => {
                    let found = other.find(View::whole(request));
                    found.map(|found| vec![String::from_utf8_lossy(&found).into_owned()]).unwrap_or_default()
                }
            })
            // Each costs an attempt with every key, every address and every body, and a stranger chooses how many there
            // are.
            .take(SIGNATURES_MAX)
            .collect();
        match values.iter().any(|value| !value.is_empty()) {
            true => Ok(Presented { values, scheme: ListFormat::of(self.scheme) }),
            false => Err(Unverified::Missing(self.where_it_stands())),
        }
    }

    /// The key of the certificate that the request names, unless one is pinned.
    fn fetched_key(&self, request: &Request<'_>) -> Result<Option<Key>, Unverified> {
        let Some(place) = &self.scheme.certificate else { return Ok(None) };
        let usable = |certificate: &Certificate| match certificate.is_valid_at(request.received_ms) {
            true => Ok(Some(Key::Rsa(certificate.key.clone()))),
            false => Err(Unverified::CertificateDates),
        };
        if let Some(pinned) = self.pinned {
            return usable(pinned);
        }
        let address = place.text(View::whole(request)).ok_or(Unverified::Incomplete("certificate"))?;
        let suffix = self.scheme.certificate_suffix.as_deref().unwrap_or_default();
        // Before anything is looked for: otherwise what was fetched for another purpose could be named here.
        check_certificate_address(&address, &self.scheme.certificate_hosts, suffix)?;
        match self.certificates.find(&address) {
            Some(certificate) => usable(&certificate),
            None => Err(Unverified::NeedsCertificate(address)),
        }
    }

    /// The hash of the message that one of the signatures belongs to.
    fn find_match(
        &self,
        request: &Request<'_>,
        keys: &[Key],
        signatures: &[Vec<u8>],
        timestamp: &[u8],
        id: &[u8],
    ) -> Result<Hash, Unverified> {
        let Some(signed) = &self.scheme.signed else { return Err(Unverified::Mismatch) };
        // Each way costs a hash over the body, so addresses are only varied where one is signed.
        let urls = match self.scheme.covers_address() {
            true => variants(request.url),
            false => vec![String::new()],
        };
        let nothing = [String::new()];
        let expected = if self.scheme.covers_expected() { self.expected } else { &nothing };
        let ways = request.bodies().flat_map(|body| urls.iter().map(move |url| (body, url)));
        let ways = ways.flat_map(|(body, url)| expected.iter().map(move |expect| (body, url, expect)));
        for (body, url, expect) in ways {
            for key in keys {
                let parts = Parts { id, timestamp, url, secret: key.shared(), expect, body };
                let message = signed.message(request, &parts);
                let message = message.ok_or(Unverified::Incomplete("signed part of the body"))?;
                let verifies = |signature: &Vec<u8>| key.verifies(self.scheme.algorithm, &message, signature);
                if signatures.iter().any(verifies) {
                    return Ok(sha256(&[&message]));
                }
            }
        }
        Err(Unverified::Mismatch)
    }

    fn check_body_hash(&self, request: &Request<'_>) -> Result<(), Unverified> {
        let Some(place) = &self.scheme.body_hash else { return Ok(()) };
        let expected = match place.find(View::whole(request)) {
            Some(found) => Encoding::Hex.decode(&found).ok_or(Unverified::BodyHash)?,
            // A form's fields are part of what is signed.
            None if request.is_form() || request.body.is_empty() => return Ok(()),
            None => return Err(Unverified::BodyHash),
        };
        let hash = |body| digest::digest(&digest::SHA256, body);
        let matches = request.bodies().any(|body| same(&expected, hash(body).as_ref()));
        if matches { Ok(()) } else { Err(Unverified::BodyHash) }
    }

    fn check_freshness(&self, timestamp: &[u8], received_ms: u64) -> Result<Option<u64>, Unverified> {
        if self.scheme.timestamp.is_none() {
            return Ok(None);
        }
        let signed_ms = self.scheme.timestamp_format.read(timestamp).ok_or(Unverified::Timestamp)?;
        let Some(tolerance_s) = self.tolerance_s else { return Ok(Some(signed_ms)) };
        let tolerance_ms = tolerance_s.saturating_mul(1_000);
        let (age_ms, ahead_ms) =
            (received_ms.saturating_sub(signed_ms), signed_ms.saturating_sub(received_ms));
        match () {
            // Whole seconds: a time without fractions may be almost a second older than it says.
            () if age_ms / 1_000 * 1_000 > tolerance_ms => {
                Err(Unverified::Old { age_s: age_ms / 1_000, tolerance_s })
            }
            () if ahead_ms > tolerance_ms => {
                Err(Unverified::Early { ahead_s: ahead_ms / 1_000, tolerance_s })
            }
            () => Ok(Some(signed_ms)),
        }
    }
}

/// How a list in a header is written.
#[derive(Clone, Copy)]
struct ListFormat<'a> {
    separator: &'a str,
    pair: &'a str,
}

impl<'a> ListFormat<'a> {
    fn of(scheme: &'a Scheme) -> Option<Self> {
        let separator = scheme.list_separator.as_deref()?;
        Some(Self { separator, pair: scheme.list_pair.as_deref()? })
    }
}

/// What stands where the signature should.
struct Presented<'a> {
    values: Vec<String>,
    scheme: Option<ListFormat<'a>>,
}

impl Presented<'_> {
    /// The entries of the list; none if it is not one.
    fn list(&self) -> Vec<(&str, &str)> {
        let Some(format) = self.scheme else { return Vec::new() };
        let entries = self.values.iter().flat_map(|value| value.split(format.separator));
        entries.take(4 * SIGNATURES_MAX).filter_map(|entry| entry.trim().split_once(format.pair)).collect()
    }

    fn signatures(&self, scheme: &Scheme, list: &[(&str, &str)]) -> Vec<Vec<u8>> {
        let prefix = scheme.prefix.as_deref().unwrap_or_default();
        let decode = |text: &str| scheme.encoding.decode(text.trim().strip_prefix(prefix)?.as_bytes());
        match &scheme.list_name {
            None => self.values.iter().filter_map(|value| decode(value)).collect(),
            Some(name) => {
                let named = list.iter().filter(|(known, _)| known == name);
                named.filter_map(|(_, value)| decode(value)).take(SIGNATURES_MAX).collect()
            }
        }
    }
}
