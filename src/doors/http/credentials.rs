//! Who sends a request, and what they may do.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};

use crate::{auth::Grant, broker::Broker, doors::errors::Failure};

/// What is known of whoever sends a request beside its credential.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    /// The client's address; not that of a proxy that is trusted.
    pub address: IpAddr,
    /// Everybody may do everything here because only this machine is meant, but the request came through a proxy.
    pub through_proxy: bool,
}

/// What the bearer of a request may do.
pub(super) fn authorize(
    broker: &Broker,
    headers: &HeaderMap,
    sender: Sender,
    now_ms: u64,
) -> Result<Grant, Failure> {
    match bearer(headers) {
        Some(token) => Ok(broker.authenticate(token, sender.address, now_ms)?),
        None => broker.anonymous().ok_or_else(Failure::unauthorized),
    }
}

/// The token of an `Authorization: Bearer` header (RFC 6750 §2.1).
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
