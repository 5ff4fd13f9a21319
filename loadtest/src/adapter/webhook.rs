//! Publishing as a provider's webhooks do: signed as GitHub signs its deliveries. (GitHub, "Validating webhook
//! deliveries".) The topic is in the body; the source's configuration takes it from there.

use std::borrow::Cow;

use serde_json::json;

use super::{HttpPost, Publication, hex};

/// Where the source named `loadtest` takes deliveries.
const PATH: &str = "/in/loadtest";
/// What deliveries are signed with; the preset gives the server the same.
const SECRET: &[u8] = b"loadtest-signs-with-this";

/// The delivery of a message.
pub(super) fn post<'a>(publication: &Publication<'a>) -> HttpPost<'a> {
    let Publication { id, topic, message_id, data, .. } = publication;
    let body = json!({ "topic": topic, "data": data }).to_string();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET);
    let signature = hex(ring::hmac::sign(&key, body.as_bytes()).as_ref());
    // A provider that tries again does so under the same name; two runs against one server do not.
    let delivery = message_id.map_or_else(|| format!("{topic}-{id}"), str::to_owned);
    let headers = format!(
        "X-GitHub-Event: push\r\nX-GitHub-Delivery: {delivery}\r\nX-Hub-Signature-256: sha256={signature}\r\n"
    );
    HttpPost { path: PATH.into(), content_type: "application/json", body: Cow::Owned(body), headers }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_signed_over_its_body() {
        let publication = Publication {
            id: 7,
            topic: "a",
            key: None,
            message_id: None,
            durable: false,
            update: None,
            webhook: true,
            data: "x",
        };
        let post = post(&publication);
        assert_eq!(post.body, r#"{"data":"x","topic":"a"}"#);
        assert!(post.headers.contains("X-GitHub-Delivery: a-7\r\n"), "{}", post.headers);
        let signature = post.headers.split("sha256=").nth(1).map(str::len);
        assert_eq!(signature, Some(64 + 2));
    }
}
