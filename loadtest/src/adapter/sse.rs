//! fanwire's Server-Sent Events at `/v1/events`, published to by HTTP; and what an event says, whoever sent it.

use super::{Adapter, HttpPost, Publication, Subscription};
use crate::wire::Reply;

/// The adapter: all topics of a subscriber in one stream.
#[derive(Clone, Copy, Debug)]
pub struct FanwireSse;

impl Adapter for FanwireSse {
    fn name(&self) -> &'static str {
        "fanwire-sse"
    }

    fn streams_events(&self) -> bool {
        true
    }

    fn path(&self, _base: &str, subscriptions: &[Subscription]) -> String {
        let topic = |subscription: &Subscription| format!("topic={}", subscription.topic);
        let topics: Vec<String> = subscriptions.iter().map(topic).collect();
        format!("/v1/events?{}", topics.join("&"))
    }

    fn greets(&self) -> bool {
        false
    }

    fn http_publish<'a>(&self, publication: &Publication<'a>) -> Option<HttpPost<'a>> {
        Some(HttpPost::fanwire(publication))
    }

    fn decode(&self, payload: &[u8]) -> Result<Vec<Reply>, String> {
        decode(payload)
    }
}

/// One event, without the blank line behind it.
pub(super) fn decode(payload: &[u8]) -> Result<Vec<Reply>, String> {
    let text = std::str::from_utf8(payload).map_err(|_| "an event that is not text")?;
    let mut data = Vec::new();
    let mut name = None;
    for line in text.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => data.push(value),
            "event" => name = Some(value),
            _ => {}
        }
    }
    if data.is_empty() {
        return Ok(Vec::new());
    }
    // Whatever is not JSON is a message of a server that sends payloads bare.
    let mut reply: Reply = serde_json::from_str(&data.join("\n")).unwrap_or_default();
    reply.kind = name.unwrap_or("message").to_owned();
    // Nobody asked for anything by number: an `ok` tells of a subscription.
    reply.id = None;
    Ok(vec![reply])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_have_names_and_comments_are_nothing() {
        let one = |text: &str| decode(text.as_bytes()).unwrap();
        assert!(one(":").is_empty() && one("retry: 2000").is_empty());
        let message = one("id: t=a:5\ndata: {\"type\":\"message\",\"topic\":\"t\",\"offset\":5}");
        assert_eq!((message[0].kind.as_str(), message[0].offset), ("message", Some(5)));
        let gap = one("event: gap\ndata: {\"topic\":\"t\",\"after\":5,\"next\":9}");
        assert_eq!((gap[0].kind.as_str(), gap[0].after, gap[0].next), ("gap", Some(5), Some(9)));
        assert_eq!(one("data: plain text")[0].kind, "message");
    }
}
