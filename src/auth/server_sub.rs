//! Subscriptions that the server makes for a client: as a token names them, or as a back end asks for them.

use std::{collections::BTreeMap, sync::Arc};

use fanwire_proto::{Epoch, MAX_RATE_MIN, Offset, Payload, Position, TopicName};
use serde::{Deserialize, Serialize};

use super::claims::{info_of, numeric_date};
use crate::defaults;

/// A subscription that the server makes.
#[derive(Clone, PartialEq, Debug)]
pub struct ServerSub {
    /// To what.
    pub topic: TopicName,
    /// Begin after this position.
    pub since: Option<Position>,
    /// Without `since`: begin with this many past messages.
    pub last: Option<u32>,
    /// Whether it comes with members, joins and leaves.
    pub presence: bool,
    /// Kind `latest`: at most this many updates a second.
    pub max_rate: Option<f64>,
    /// Whether it brings what its own connection publishes.
    pub echo: bool,
    /// When it ends, in milliseconds since 1970, if before its connection.
    pub expires_ms: Option<u64>,
    /// What others see of the client on this topic, instead of what they see of it elsewhere.
    pub info: Option<Arc<Payload>>,
}

impl ServerSub {
    /// Whether it wants something of the past.
    pub fn wants_past(&self) -> bool {
        self.since.is_some() || self.last.is_some()
    }

    /// Whether its time is over.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_ms.is_some_and(|end| end <= now_ms)
    }
}

/// A subscription as it is written, without its topic and its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SubOptions {
    /// Begin after this position.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
    /// Without `since`: begin with this many past messages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<u32>,
    /// Members now, and joins and leaves from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<bool>,
    /// Kind `latest`: at most this many updates a second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<f64>,
    /// `false`: without what the connection publishes itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub echo: Option<bool>,
    /// What others see of the client on this topic: any JSON of at most a kilobyte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<serde_json::Value>,
}

/// A position as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// The topic's epoch.
    pub epoch: String,
    /// The last message that is not wanted.
    pub offset: u64,
}

/// Which option cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be used")]
pub struct BadOption(&'static str);

impl SubOptions {
    /// The subscription to this topic, until this time.
    pub fn of(self, topic: TopicName, expires_ms: Option<u64>) -> Result<ServerSub, BadOption> {
        if self.max_rate.is_some_and(|rate| !rate.is_finite() || rate < MAX_RATE_MIN) {
            return Err(BadOption("max_rate"));
        }
        let position =
            // An epoch that is none reads as one that no topic has, so the client is told that it may have missed
            // something.
            |since: Since| Position { epoch: Epoch::read(&since.epoch), offset: Offset(since.offset) };
        let Self { since, last, presence, max_rate, echo, info } = self;
        Ok(ServerSub {
            topic,
            since: since.map(position),
            last,
            presence: presence.unwrap_or(false),
            max_rate,
            echo: echo.unwrap_or(true),
            expires_ms,
            info: info.map(|info| info_of(&info).ok_or(BadOption("info"))).transpose()?,
        })
    }
}

/// A subscription as a token names it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SubClaim {
    /// What it comes with.
    #[serde(flatten)]
    pub options: SubOptions,
    /// When it ends, in seconds since 1970; with its connection when absent.
    #[serde(default, deserialize_with = "numeric_date", skip_serializing_if = "Option::is_none")]
    pub expire_at: Option<u64>,
}

/// The subscriptions that a token names, by their topics.
pub(super) type SubClaims = BTreeMap<String, SubClaim>;

/// Reads the subscriptions that a token names, or says which of them cannot be.
pub(super) fn subs_of(claims: SubClaims) -> Result<Arc<Vec<ServerSub>>, String> {
    if claims.len() > defaults::TOKEN_SUBS {
        return Err(format!("it names {} topics, and may name {}", claims.len(), defaults::TOKEN_SUBS));
    }
    let sub = |(name, SubClaim { options, expire_at }): (String, SubClaim)| {
        let topic = TopicName::new(&name).map_err(|error| format!("`{name}`: {error}"))?;
        let expires_ms = expire_at.map(|seconds| seconds.saturating_mul(1_000));
        options.of(topic, expires_ms).map_err(|error| format!("`{name}`: {error}"))
    };
    claims.into_iter().map(sub).collect::<Result<_, _>>().map(Arc::new)
}
