//! What providers ask before they send events, and the answers.

use axum::http::{HeaderName, HeaderValue, header};
use data_encoding::HEXLOWER;
use ring::hmac;
use serde::{Deserialize, Serialize};

use super::{
    Request, json,
    key::base64,
    secret::{Secret, is_one_of},
};

/// A provider's way to make sure that somebody is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Handshake {
    /// `GET ?hub.mode=subscribe&hub.verify_token=…&hub.challenge=…`: the challenge, if the token is ours.
    MetaChallenge,
    /// `{"type":"url_verification","challenge":"…"}`: the challenge.
    SlackChallenge,
    /// `{"type":1}`: the same.
    DiscordPing,
    /// `{"type":0}`: 204.
    DiscordEventsPing,
    /// A message of type `SubscriptionConfirmation`: its `SubscribeURL` is fetched.
    SnsConfirm,
    /// `OPTIONS` with `WebHook-Request-Origin` (CloudEvents HTTP webhook §4).
    CloudeventsOptions,
    /// An event `Microsoft.EventGrid.SubscriptionValidationEvent` with a `validationCode`: the same as `validationResponse`.
    EventgridValidation,
    /// `ssl_check=1` in a form or an address: Slack looks at the certificate now and then, and signs nothing.
    SlackSslCheck,
    /// The form `webhook_id=…` and nothing else: sent unsigned when the webhook is saved, which fails where it is refused.
    WoocommercePing,
    /// `X-Event-Key: diagnostics:ping`: "Test connection" of a Bitbucket server, unsigned.
    BitbucketPing,
    /// "Test webhook" before there is a secret of one's own, signed with one that is in Zendesk's documentation.
    ZendeskTest,
}

/// Zendesk: "Verifying webhook authenticity".
const ZENDESK_TEST_SECRET: &[u8] = b"dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==";

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The body.
    pub body: Vec<u8>,
    /// An address to fetch first, at the provider's own host.
    pub fetch: Option<String>,
}

impl Answer {
    /// A body of a type.
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static(content_type))];
        Self { status, headers, body: body.into(), fetch: None }
    }

    /// The body and its type, for people.
    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap_or_else(|_| HEXLOWER.encode(&self.body))
    }
}

/// A question that was not answered as it wants to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Whoever asks does not know our token.
    #[error("`hub.verify_token` is not one of this source's")]
    VerifyToken,
    /// The request is neither a question nor a delivery.
    #[error("this is neither a handshake nor a delivery")]
    NotUnderstood,
    /// The address to confirm is not at the provider's.
    #[error("`SubscribeURL` leads elsewhere")]
    Elsewhere,
}

/// Hosts of SNS, unless a source has others.
const SNS_HOSTS: [&str; 2] = ["sns.*.amazonaws.com", "sns.*.amazonaws.com.cn"];

impl Handshake {
    /// The answer to a question that comes without a signature; `None` if it is not one.
    pub(super) fn before_verifying(
        self,
        request: &Request<'_>,
        tokens: &[Secret],
    ) -> Option<Result<Answer, Refused>> {
        match (self, request.method) {
            (Self::MetaChallenge, "GET") => Some(meta(request, tokens)),
            (Self::CloudeventsOptions, "OPTIONS") => Some(cloudevents(request)),
            // An empty 200, and nothing is kept: whoever forges one gains nothing.
            _ if self.is_unsigned_ping(request) => Some(Ok(Answer { status: 200, ..Answer::default() })),
            _ => None,
        }
    }

    /// A question that says nothing and changes nothing, so that anybody may ask it.
    fn is_unsigned_ping(self, request: &Request<'_>) -> bool {
        let header = |name: &str| request.headers.get(name).map(|value| value.as_bytes());
        let form = |name: &str| request.form_field(name);
        match self {
            Self::SlackSslCheck => {
                let asked = form("ssl_check").is_some_and(|value| *value == *b"1");
                asked || request.parameter("ssl_check").as_deref() == Some("1")
            }
            Self::WoocommercePing => {
                let number = request.body.strip_prefix(b"webhook_id=");
                let is_number = number.is_some_and(|text| text.iter().all(u8::is_ascii_digit));
                // What is signed is no ping, whatever it looks like: it goes the way of all deliveries.
                is_number && header("x-wc-webhook-signature").is_none()
            }
            Self::BitbucketPing => {
                header("x-event-key") == Some(b"diagnostics:ping") && header("x-hub-signature").is_none()
            }
            Self::ZendeskTest => is_zendesk_test(request),
            _ => false,
        }
    }

    /// The answer to a question inside a verified body; `None` if it is not one.
    pub(super) fn after_verifying(
        self,
        request: &Request<'_>,
        provider_hosts: &[String],
    ) -> Option<Result<Answer, Refused>> {
        let body = request.json()?;
        let kind = json::at(body, "/type").map(|kind| kind.get());
        let text = |pointer: &str| json::scalars(body, pointer);
        match self {
            Self::SlackChallenge if text("/type").as_deref() == Some("url_verification") => {
                let challenge = text("/challenge")?;
                Some(Ok(Answer::new(200, "text/plain; charset=utf-8", challenge)))
            }
            Self::DiscordPing if kind == Some("1") => {
                Some(Ok(Answer::new(200, "application/json", r#"{"type":1}"#)))
            }
            Self::DiscordEventsPing if kind == Some("0") => {
                Some(Ok(Answer::new(204, "application/json", "")))
            }
            Self::EventgridValidation => {
                // In the schema of Event Grid a list, in that of CloudEvents the event itself.
                let event = json::at(body, "/0").unwrap_or(body);
                let of = |pointer| json::scalars(event, pointer);
                let kind = of("/eventType").or_else(|| of("/type"))?;
                if kind != "Microsoft.EventGrid.SubscriptionValidationEvent" {
                    return None;
                }
                let answer = serde_json::json!({ "validationResponse": of("/data/validationCode")? });
                Some(Ok(Answer::new(200, "application/json", answer.to_string())))
            }
            Self::SnsConfirm if text("/Type").as_deref() == Some("SubscriptionConfirmation") => {
                let address = text("/SubscribeURL").unwrap_or_default();
                let usual = SNS_HOSTS.map(str::to_owned);
                let hosts = if provider_hosts.is_empty() { &usual } else { provider_hosts };
                // The address is signed, but by whoever owns the topic at SNS; it must not make us ask its host for
                // anything else.
                let confirms = address.contains("Action=ConfirmSubscription");
                Some(match super::certificate::check_address(&address, hosts) {
                    Ok(()) if confirms => {
                        let fetch = Some(address);
                        Ok(Answer { fetch, ..Answer::new(200, "text/plain; charset=utf-8", "") })
                    }
                    _ => Err(Refused::Elsewhere),
                })
            }
            _ => None,
        }
    }
}

fn is_zendesk_test(request: &Request<'_>) -> bool {
    let header = |name: &str| request.headers.get(name).map(|value| value.as_bytes());
    let signature = header("x-zendesk-webhook-signature").and_then(base64);
    let timestamp = header("x-zendesk-webhook-signature-timestamp");
    let (Some(signature), Some(timestamp)) = (signature, timestamp) else { return false };
    let key = hmac::Key::new(hmac::HMAC_SHA256, ZENDESK_TEST_SECRET);
    hmac::verify(&key, &[timestamp, request.body].concat(), &signature).is_ok()
}

fn meta(request: &Request<'_>, tokens: &[Secret]) -> Result<Answer, Refused> {
    let parameter = |name| request.parameter(name);
    if parameter("hub.mode").as_deref() != Some("subscribe") {
        return Err(Refused::NotUnderstood);
    }
    let token = parameter("hub.verify_token").unwrap_or_default();
    // Only for somebody who knows the token: otherwise anybody could have us say what they like, from our own address.
    match is_one_of(token.as_bytes(), tokens) {
        true => {
            let challenge = parameter("hub.challenge").ok_or(Refused::NotUnderstood)?;
            let mut answer = Answer::new(200, "text/plain; charset=utf-8", challenge);
            // The text is the asker's own: no browser may take it for a page.
            let nosniff = HeaderValue::from_static("nosniff");
            answer.headers.push((header::X_CONTENT_TYPE_OPTIONS, nosniff));
            Ok(answer)
        }
        false => Err(Refused::VerifyToken),
    }
}

fn cloudevents(request: &Request<'_>) -> Result<Answer, Refused> {
    let origin = request.headers.get("webhook-request-origin").ok_or(Refused::NotUnderstood)?;
    let allowed = [
        (header::ALLOW, HeaderValue::from_static("POST")),
        (HeaderName::from_static("webhook-allowed-origin"), origin.clone()),
        // `*` is no limit (CloudEvents HTTP webhook §4.2.2): what is too much is refused when it comes, and sent again.
        (HeaderName::from_static("webhook-allowed-rate"), HeaderValue::from_static("*")),
    ];
    Ok(Answer { status: 200, headers: allowed.into(), ..Answer::default() })
}

/// `type/subtype` (RFC 9110 §8.3.1), with or without parameters.
pub(super) fn is_media_type(text: &str) -> bool {
    let token = |text: &str| {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        !text.is_empty() && text.bytes().all(allowed)
    };
    let essence = text.split(';').next().unwrap_or_default().trim();
    essence.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::provider::vectors::headers;

    fn reply(handshake: Handshake, body: &serde_json::Value) -> Option<Result<Answer, Refused>> {
        let (none, body) = (headers(&[]), body.to_string());
        handshake.after_verifying(&Request::new("POST", "", &none, body.as_bytes(), 0), &[])
    }

    #[test]
    fn subscriptions_are_confirmed_at_the_provider_only() {
        let confirmation = |url: &str| json!({ "Type": "SubscriptionConfirmation", "SubscribeURL": url });
        let ours = "https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn&Token=t";
        let answer = reply(Handshake::SnsConfirm, &confirmation(ours)).unwrap().unwrap();
        assert_eq!((answer.status, answer.fetch.as_deref()), (200, Some(ours)));
        for elsewhere in [
            "https://evil.example/?Action=ConfirmSubscription",
            "http://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription",
            "https://sns.eu-west-1.amazonaws.com/?Action=DeleteTopic",
            "http://169.254.169.254/latest/meta-data",
            "",
        ] {
            let answer = reply(Handshake::SnsConfirm, &confirmation(elsewhere));
            assert_eq!(answer, Some(Err(Refused::Elsewhere)), "{elsewhere}");
        }
        assert_eq!(reply(Handshake::SnsConfirm, &json!({ "Type": "Notification" })), None);
    }

    #[test]
    fn pings_are_not_events() {
        assert_eq!(
            reply(Handshake::DiscordPing, &json!({ "type": 1 })).unwrap().unwrap().text(),
            r#"{"type":1}"#
        );
        assert_eq!(reply(Handshake::DiscordPing, &json!({ "type": 2 })), None);
        assert_eq!(reply(Handshake::DiscordEventsPing, &json!({ "type": 0 })).unwrap().unwrap().status, 204);
        assert_eq!(reply(Handshake::DiscordEventsPing, &json!({ "type": 1 })), None);
        let challenge = json!({ "type": "url_verification", "challenge": "c" });
        assert_eq!(reply(Handshake::SlackChallenge, &challenge).unwrap().unwrap().text(), "c");
    }
}
