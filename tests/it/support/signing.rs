//! Signatures of providers, made with nothing but standard cryptography.

use std::time::{SystemTime, UNIX_EPOCH};

use data_encoding::{BASE64, HEXLOWER};
use ring::hmac;

/// Seconds since 1970.
pub(crate) fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn hmac_sha256(key: &[u8], parts: &[&[u8]]) -> Vec<u8> {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    parts.iter().for_each(|part| context.update(part));
    context.sign().as_ref().to_vec()
}

/// HMAC-SHA256 in hexadecimal.
pub(crate) fn hex(key: &str, parts: &[&[u8]]) -> String {
    HEXLOWER.encode(&hmac_sha256(key.as_bytes(), parts))
}

/// HMAC-SHA256 in base64.
pub(crate) fn base64(key: &str, parts: &[&[u8]]) -> String {
    BASE64.encode(&hmac_sha256(key.as_bytes(), parts))
}

/// GitHub's headers.
pub(crate) fn github(key: &str, event: &str, delivery: &str, body: &[u8]) -> String {
    format!(
        "Content-Type: application/json\r\nX-GitHub-Event: {event}\r\nX-GitHub-Delivery: {delivery}\r\n\
         X-Hub-Signature-256: sha256={}\r\n",
        hex(key, &[body])
    )
}

/// Stripe's header.
pub(crate) fn stripe(key: &str, at_s: u64, body: &[u8]) -> String {
    let at = at_s.to_string();
    format!("Stripe-Signature: t={at},v1={}\r\n", hex(key, &[at.as_bytes(), b".", body]))
}
