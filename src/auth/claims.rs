//! What claims of different kinds are read by.

use std::sync::Arc;

use fanwire_proto::Payload;
use serde::{Deserialize, Deserializer};

/// Largest `info`, in bytes of JSON: it is repeated to everybody who watches presence.
const INFO_BYTES_MAX: usize = 1_024;

/// A date may have a fraction (RFC 7519 §2), which is of no use here.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be in range")]
pub(super) fn numeric_date<'de, D: Deserializer<'de>>(source: D) -> Result<Option<u64>, D::Error> {
    match Option::<f64>::deserialize(source)? {
        None => Ok(None),
        Some(date) if (0.0..9e15).contains(&date) => Ok(Some(date as u64)),
        Some(_) => Err(serde::de::Error::custom("a date is a number of seconds since 1970")),
    }
}

/// What others see of a client; nothing if it is too long.
pub(super) fn info_of(info: &serde_json::Value) -> Option<Arc<Payload>> {
    let payload = Payload::json(&info.to_string()).ok().filter(|payload| payload.len() <= INFO_BYTES_MAX);
    payload.map(Arc::new)
}
