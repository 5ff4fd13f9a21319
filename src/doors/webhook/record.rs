//! A delivery as it is kept: what came, what became of it, and the bytes of both.

use std::fmt;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use bytes::Bytes;
use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    provider::{Request, Source},
    store::{Scan, Space},
};

/// A delivery's own name: its source, then 32 hexadecimal digits in the order of arrival.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct DeliveryId {
    /// The source.
    pub source: String,
    /// When it came and its number, big endian.
    pub(super) number: [u8; 16],
}

impl DeliveryId {
    pub(super) fn new(source: &str, received_ms: u64, sequence: u64) -> Self {
        let mut number = [0; 16];
        number[..8].copy_from_slice(&received_ms.to_be_bytes());
        number[8..].copy_from_slice(&sequence.to_be_bytes());
        Self { source: source.into(), number }
    }

    /// Reads a name; `None` if it is none.
    pub fn read(text: &str) -> Option<Self> {
        let (source, digits) = text.rsplit_once('-')?;
        let number = HEXLOWER.decode(digits.as_bytes()).ok()?.try_into().ok()?;
        Some(Self { source: source.into(), number })
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.source, HEXLOWER.encode(&self.number))
    }
}

/// Which entry of a delivery. The letters are in the store: never reuse one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Entry {
    /// [`Delivery`] as JSON.
    Head,
    /// The body.
    Body,
    /// There as long as it is not published.
    Pending,
    /// What is to be published; as long as that.
    Messages,
    /// [`Delivery`] as JSON, of one that was rejected.
    Rejected,
    /// Its body.
    RejectedBody,
}

impl Entry {
    fn letter(self) -> u8 {
        match self {
            Self::Head => b'h',
            Self::Body => b'b',
            Self::Pending => b'p',
            Self::Messages => b'm',
            Self::Rejected => b'r',
            Self::RejectedBody => b's',
        }
    }

    /// Where it is in [`Space::Deliveries`].
    pub(super) fn key(self, id: &DeliveryId) -> Bytes {
        [&self.prefix(&id.source)[..], &id.number].concat().into()
    }

    /// What the keys of a source begin with. Names of sources have no zero byte.
    pub(super) fn prefix(self, source: &str) -> Bytes {
        [&[self.letter()], source.as_bytes(), &[0]].concat().into()
    }

    /// Those of all sources.
    pub(super) fn all(self) -> Scan {
        Scan::prefix(Space::Deliveries, vec![self.letter()])
    }
}

/// The name inside a key.
pub(super) fn id_in(key: &[u8]) -> Option<DeliveryId> {
    let (name, number) = key.get(1..)?.split_last_chunk::<16>()?;
    let source = std::str::from_utf8(name.strip_suffix(&[0])?).ok()?.to_owned();
    Some(DeliveryId { source, number: *number })
}

/// What became of a delivery or of one of its events.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Verified and kept; it is published, or will be.
    Accepted,
    /// It had come before.
    Duplicate,
    /// Verified, but the filter does not let it pass.
    Filtered,
    /// Verified and kept, but a template does not fit it. It can be replayed.
    Failed,
    /// It is not from the provider, or not understood.
    Rejected,
    /// A question of the provider's, answered.
    Handshake,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Accepted, Self::Duplicate, Self::Filtered, Self::Failed, Self::Rejected, Self::Handshake];

    /// Its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Duplicate => "duplicate",
            Self::Filtered => "filtered",
            Self::Failed => "failed",
            Self::Rejected => "rejected",
            Self::Handshake => "handshake",
        }
    }
}

/// One event of a delivery and what became of it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct EventNote {
    /// From 0.
    pub index: usize,
    /// Which kind of event, if the provider says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub event: Option<String>,
    /// What became of it.
    pub outcome: Outcome,
    /// Where it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub topic: Option<String>,
    /// Why it was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub detail: Option<String>,
}

/// One header, as it came.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Header {
    /// In lower case.
    pub name: String,
    /// Bytes that are not ASCII stand as the characters with their numbers.
    pub value: String,
}

/// A delivery without its body.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Delivery {
    /// Its name.
    pub id: String,
    /// The source.
    pub source: String,
    /// The provider.
    pub provider: String,
    /// When it came, in milliseconds since 1970.
    pub received_at: u64,
    /// What became of it.
    pub outcome: Outcome,
    /// Why it was rejected, for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cause: Option<String>,
    /// The same for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub detail: Option<String>,
    /// HTTP method.
    pub method: String,
    /// The public address, secrets left out.
    pub url: String,
    /// Headers, secrets left out.
    pub headers: Vec<Header>,
    /// Size of the body.
    pub bytes: usize,
    /// Its events.
    #[serde(default)]
    pub events: Vec<EventNote>,
    /// Whether a signature, token or password proved where it comes from.
    pub verified: bool,
    /// Which delivery this one is a replay of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub replay_of: Option<String>,
    /// Accepted, but not yet published to all its topics.
    #[serde(default, skip_deserializing)]
    pub pending: bool,
}

/// The cause of what was rejected without reading its body, which is not there to replay.
pub(super) const NOT_READ: &str = "not_read";

/// Stands where a secret was.
const HIDDEN: &str = "(hidden)";

impl Delivery {
    /// What a request is before anything has become of it.
    pub(super) fn of(id: &DeliveryId, source: &Source, request: &Request<'_>) -> Self {
        let shown = |(name, value): (&HeaderName, &HeaderValue)| {
            // As Latin-1, so that all bytes survive being JSON and a replay signs the same ones.
            let text = value.as_bytes().iter().map(|byte| char::from(*byte)).collect();
            let value = if source.is_secret_header(name.as_str()) { HIDDEN.to_owned() } else { text };
            Header { name: name.as_str().to_owned(), value }
        };
        Self {
            id: id.to_string(),
            source: source.name.clone(),
            provider: source.preset.name.clone(),
            received_at: request.received_ms,
            outcome: Outcome::Accepted,
            cause: None,
            detail: None,
            method: request.method.to_owned(),
            url: shown_url(source, request.url),
            headers: request.headers.iter().map(shown).collect(),
            bytes: request.compressed.unwrap_or(request.body).len(),
            events: Vec::new(),
            verified: false,
            replay_of: None,
            pending: false,
        }
    }

    /// The headers again.
    pub(super) fn header_map(&self) -> HeaderMap {
        let pair = |header: &Header| {
            let bytes: Option<Vec<u8>> = header.value.chars().map(|c| u8::try_from(c).ok()).collect();
            Some((header.name.parse::<HeaderName>().ok()?, HeaderValue::from_bytes(&bytes?).ok()?))
        };
        self.headers.iter().filter_map(pair).collect()
    }
}

/// The address without the secret at its end and those among its parameters.
fn shown_url(source: &Source, url: &str) -> String {
    let (path, query) = url.split_once('?').map_or((url, None), |(path, query)| (path, Some(query)));
    let shown = |pair: &str| {
        let name = form_urlencoded::parse(pair.as_bytes()).next().map(|(name, _)| name.into_owned());
        match pair.split_once('=') {
            Some((written, _)) if name.is_some_and(|name| source.is_secret_parameter(&name)) => {
                format!("{written}={HIDDEN}")
            }
            _ => pair.to_owned(),
        }
    };
    let query = query.map(|query| query.split('&').map(shown).collect::<Vec<_>>().join("&"));
    let query = query.map_or(String::new(), |query| format!("?{query}"));
    format!("{}{query}", source.without_path_token(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back_and_keep_their_order() {
        let id = DeliveryId::new("my-shop", 1_700_000_000_000, 7);
        assert_eq!(DeliveryId::read(&id.to_string()), Some(id.clone()));
        assert!(DeliveryId::new("my-shop", 1_700_000_000_001, 0) > id);
        assert_eq!(id_in(&Entry::Head.key(&id)), Some(id.clone()));
        assert!(Entry::Pending.key(&id).starts_with(&Entry::Pending.prefix("my-shop")));
        for wrong in ["", "x", "x-", "x-00", "x-zz"] {
            assert_eq!(DeliveryId::read(wrong), None, "{wrong}");
        }
        assert_eq!(id_in(b"h"), None);
    }
}
