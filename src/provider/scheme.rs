//! The declarative verifier: what a provider signs, where the signature stands and how it is written. A preset fills this
//! in, and a custom source writes it in its `verify` table.

use serde::{Deserialize, Serialize};

use super::{
    key::{Algorithm, Encoding, Key, KeyFormat},
    place::{Place, Places},
    secret::Secret,
    signed::{Piece, Signed},
    time::TimeFormat,
};

/// One way to prove where a request comes from.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scheme {
    /// How it is proved.
    pub algorithm: Algorithm,
    /// Where the signature, token or password stands. Several headers of one name are several signatures.
    pub signature: Places,
    /// What stands before the signature, such as `sha256=`; of a token it is compared in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// The signature stands in a list of entries that this separates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_separator: Option<String>,
    /// What separates an entry's name from its value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_pair: Option<String>,
    /// The name of the entries that are signatures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub list_name: Option<String>,
    /// How a signature is written.
    #[serde(default)]
    pub encoding: Encoding,
    /// How a secret is written.
    #[serde(default)]
    pub key: KeyFormat,
    /// What a secret may begin with that is not part of the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_prefix: Option<String>,
    /// Whether a secret must begin with it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub key_prefix_required: bool,
    /// What is signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
    /// Where the time of the signature stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Places>,
    /// How it is written.
    #[serde(default)]
    pub timestamp_format: TimeFormat,
    /// Seconds it may be off, in either direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance_s: Option<u64>,
    /// Where `{id}` stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Places>,
    /// The scheme is only for requests that have this value...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Places>,
    /// ...and it is this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_is: Option<String>,
    /// Where the SHA-256 of the body stands, in hexadecimal. Unless the body is a form it must be there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_hash: Option<Places>,
    /// Where the address of the certificate stands that holds the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Places>,
    /// Whose certificates are taken: hosts, `*` for one label, `**.` before a domain for all below it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificate_hosts: Vec<String>,
    /// How such an address ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate_suffix: Option<String>,
}

impl Scheme {
    /// What makes it useless or unsafe.
    pub(super) fn mistake(&self) -> Option<&'static str> {
        let bearer = self.algorithm.is_bearer();
        let signed = self.signed.as_ref();
        let parts = [&self.list_separator, &self.list_pair, &self.list_name];
        let list = parts.iter().filter(|part| part.as_ref().is_some_and(|text| !text.is_empty())).count();
        let needs = |piece: &Piece| signed.is_some_and(|signed| signed.has(piece));
        match () {
            () if self.signature.0.is_empty() => Some("`signature` names no place"),
            () if signed.is_none() && !bearer => Some("`signed` is missing: what the signature covers"),
            () if signed.is_some() && bearer => Some("`signed` does not belong to a token or password"),
            () if list != 0 && list != 3 => {
                Some("`list_separator`, `list_pair` and `list_name` belong together")
            }
            () if needs(&Piece::Timestamp) && self.timestamp.is_none() => {
                Some("`signed` has `{timestamp}`, but `timestamp` says not where it stands")
            }
            () if needs(&Piece::Id) && self.id.is_none() => {
                Some("`signed` has `{id}`, but `id` says not where it stands")
            }
            // In front of the text, for which `sha256` stands; with any other algorithm the secret would be in what is
            // signed for nothing.
            () if needs(&Piece::Secret) != (self.algorithm == Algorithm::Sha256) => {
                Some("`sha256` needs `{secret}` in `signed`, and nothing else may have it")
            }
            () if self.tolerance_s.is_some() && self.timestamp.is_none() => {
                Some("`tolerance_s` without `timestamp`")
            }
            () if self.tolerance_s.is_some() && !self.signs_time() => Some(
                "`tolerance_s`, but the time at `timestamp` is not part of what is signed, so that anybody could \
                 change it: `signed` needs `{timestamp}`",
            ),
            () if self.certificate.is_some() && self.certificate_hosts.is_empty() => {
                Some("`certificate` without `certificate_hosts`: anybody's would be taken")
            }
            () if self.when.is_some() != self.when_is.is_some() => {
                Some("`when` and `when_is` belong together")
            }
            () => None,
        }
    }

    /// What a secret is to this scheme; `None` if it is for another one.
    pub(super) fn key(&self, secret: &Secret) -> Option<Key> {
        let bytes = secret.bytes();
        let bare = match self.key_prefix.as_deref().map(|prefix| bytes.strip_prefix(prefix.as_bytes())) {
            Some(Some(bare)) => bare,
            // Of several schemes, the prefix says which one a secret is for.
            Some(None) if self.key_prefix_required => return None,
            Some(None) | None => bytes,
        };
        Key::read(self.algorithm, self.key, bare)
    }

    /// The same for a key that everybody may know: never one to make signatures with.
    pub(super) fn public_key(&self, key: &Secret) -> Option<Key> {
        // With a symmetric algorithm everybody who knows the key could sign, and a public key is known to everybody.
        self.algorithm.is_public_key().then(|| self.key(key))?
    }

    /// Whether the key comes with the request.
    pub(super) fn has_certificate(&self) -> bool {
        self.certificate.is_some()
    }

    /// Whether the address of the request is signed.
    pub(super) fn covers_address(&self) -> bool {
        self.signed.as_ref().is_some_and(|signed| signed.has(&Piece::Url))
    }

    /// Whether it proves when a request was signed.
    pub(super) fn signs_time(&self) -> bool {
        let Some(time) = &self.timestamp else { return false };
        let is_signed = |place: &Place| match place {
            Place::Json(_) | Place::Form(_) => self.covers_body(),
            Place::Query(_) => self.covers_address(),
            // What stands beside a signature, in its header or in another one, is signed only where `signed` repeats it.
            Place::Header(_) | Place::List(_) => false,
        };
        let repeated = self.signed.as_ref().is_some_and(|signed| signed.has(&Piece::Timestamp));
        repeated || !self.algorithm.is_bearer() && time.0.iter().flatten().all(is_signed)
    }

    /// Whether it proves a delivery's own name, found at these places.
    pub(super) fn covers_id(&self, places: &Places) -> bool {
        let repeated = self.signed.as_ref().is_some_and(|signed| signed.has(&Piece::Id));
        // The very same places: of two headers that a request may have, `{id}` is only the first.
        (repeated && self.id.as_ref() == Some(places)) || (self.covers_body() && !places.are_beside_body())
    }

    /// Whether it proves the value that the source expects.
    pub(super) fn covers_expected(&self) -> bool {
        self.signed.as_ref().is_some_and(|signed| signed.has(&Piece::Expect))
    }

    /// Whether the content is proved. What only a connection proves is as good as its sender.
    pub(super) fn covers_body(&self) -> bool {
        self.algorithm.is_bearer()
            || self.body_hash.is_some()
            || self.signed.as_ref().is_some_and(Signed::covers_body)
    }
}
