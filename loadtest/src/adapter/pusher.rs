//! The Pusher Channels protocol, version 7: events in JSON, public channels, published to by signed HTTP requests.
//! (pusher.com, "Pusher Channels Protocol" and "HTTP API Reference".)

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use md5::{Digest, Md5};
use serde::Deserialize;
use serde_json::json;

use super::{Adapter, HttpPost, Publication, Subscription, hex};
use crate::error::Result;
use crate::wire::Reply;

/// Which application to be, as `ID:KEY:SECRET`.
const VARIABLE: &str = "LOADTEST_PUSHER_APP";

/// The adapter: the application that it publishes as.
#[derive(Clone, Debug)]
pub struct Pusher {
    id: String,
    key: String,
    secret: String,
}

impl Pusher {
    /// The application named in the environment, or one that self-hosted servers have by default.
    #[must_use]
    pub fn from_environment() -> Self {
        let named = std::env::var(VARIABLE).unwrap_or_default();
        let mut parts = named.split(':');
        let mut part = |usual: &str| parts.next().filter(|part| !part.is_empty()).unwrap_or(usual).to_owned();
        Self { id: part("app-id"), key: part("app-key"), secret: part("app-secret") }
    }

    /// The path of a request with `body` at `seconds` since 1970, signed as the HTTP API wants it.
    fn signed(&self, body: &str, seconds: u64) -> String {
        let Self { id, key, secret } = self;
        let path = format!("/apps/{id}/events");
        let digest = hex(&Md5::digest(body));
        // In the order of their names, as the parameters are signed.
        let query = format!("auth_key={key}&auth_timestamp={seconds}&auth_version=1.0&body_md5={digest}");
        let signing = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
        let signature = ring::hmac::sign(&signing, format!("POST\n{path}\n{query}").as_bytes());
        format!("{path}?{query}&auth_signature={}", hex(signature.as_ref()))
    }
}

#[derive(Deserialize)]
struct Event {
    event: String,
    channel: Option<String>,
    data: Option<serde_json::Value>,
}

impl Event {
    fn reply(self) -> Reply {
        let Self { event, channel: topic, data } = self;
        let reply = |kind: &str| Reply { kind: kind.into(), ..Reply::default() };
        match event.as_str() {
            "pusher:connection_established" => reply("welcome"),
            "pusher_internal:subscription_succeeded" => Reply { topic, ..reply("ok") },
            "pusher:ping" => {
                Reply { code: Some(r#"{"event":"pusher:pong","data":{}}"#.into()), ..reply("ping") }
            }
            "pusher:error" | "pusher:subscription_error" => {
                let data = data.unwrap_or_default();
                let text = |name: &str| data.get(name).map(ToString::to_string);
                Reply {
                    topic,
                    code: text("code").or_else(|| text("status")),
                    message: text("message"),
                    ..reply("error")
                }
            }
            _ if event.starts_with("pusher") => reply("other"),
            _ => Reply { topic, ..reply("message") },
        }
    }
}

impl Adapter for Pusher {
    fn name(&self) -> &'static str {
        "pusher"
    }

    fn path(&self, base: &str, _subscriptions: &[Subscription]) -> String {
        if base != "/" {
            return base.into();
        }
        format!(
            "/app/{}?protocol=7&client=loadtest&version={}&flash=false",
            self.key,
            env!("CARGO_PKG_VERSION")
        )
    }

    fn subscribe(&self, _id: u64, subscription: &Subscription) -> Result<Option<Vec<u8>>> {
        let event = json!({ "event": "pusher:subscribe", "data": { "channel": subscription.topic } });
        Ok(Some(event.to_string().into_bytes()))
    }

    fn http_publish<'a>(&self, publication: &Publication<'a>) -> Option<HttpPost<'a>> {
        let Publication { topic, data, .. } = publication;
        let body = json!({ "name": "message", "channel": topic, "data": data }).to_string();
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |span| span.as_secs());
        let path = self.signed(&body, seconds);
        Some(HttpPost {
            path,
            content_type: "application/json",
            body: Cow::Owned(body),
            headers: String::new(),
        })
    }

    /// sockudo closes the connection behind every answer.
    fn one_request_at_a_time(&self) -> bool {
        true
    }

    fn decode(&self, payload: &[u8]) -> std::result::Result<Vec<Reply>, String> {
        let event: Event = serde_json::from_slice(payload).map_err(|error| error.to_string())?;
        Ok(vec![event.reply()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the HTTP API's own reference.
    #[test]
    fn a_request_is_signed_as_the_reference_has_it() {
        let app = Pusher {
            id: "3".into(),
            key: "278d425bdf160c739803".into(),
            secret: "7ad3773142a6692b25b8".into(),
        };
        let body = r#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#;
        let path = app.signed(body, 1_353_088_179);
        assert!(path.contains("body_md5=ec365a775a4cd0599faeb73354201b6f"), "{path}");
        let signature = "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c";
        assert!(path.ends_with(&format!("auth_signature={signature}")), "{path}");
    }

    #[test]
    fn events_are_told_apart() {
        let one = |text: &str| {
            let app = Pusher::from_environment();
            app.decode(text.as_bytes()).unwrap().remove(0)
        };
        let welcome = r#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.2\"}"}"#;
        assert_eq!(one(welcome).kind, "welcome");
        let subscribed = r#"{"event":"pusher_internal:subscription_succeeded","channel":"a","data":"{}"}"#;
        assert_eq!((one(subscribed).kind.as_str(), one(subscribed).topic.as_deref()), ("ok", Some("a")));
        assert_eq!(one(r#"{"event":"message","channel":"a","data":"x"}"#).kind, "message");
        let error = one(r#"{"event":"pusher:error","data":{"code":4001,"message":"no such app"}}"#);
        assert_eq!((error.kind.as_str(), error.code.as_deref()), ("error", Some("4001")));
        assert_eq!(one(r#"{"event":"pusher:ping","data":{}}"#).kind, "ping");
    }
}
