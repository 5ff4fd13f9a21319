//! Events of the native protocol as lines of text.

use std::io::Write;

use fanwire_proto::{Delivery, Event, Format};

use crate::{
    doors::notices::event_of,
    wire::{Body, Data, Dialect, Limits, Notice, Own, Variant},
};

/// How event streams put what the broker says.
pub struct SseDialect;

impl Dialect for SseDialect {
    fn name(&self) -> &'static str {
        "json"
    }

    /// Nothing is read from a client.
    fn reads(&self, _: &Limits) -> usize {
        0
    }

    fn delivery(&self, delivery: Delivery<'_>, _: Variant) -> Body {
        match Format::Json.encode_delivery(delivery) {
            Ok(json) => event(None, None, &json),
            Err(error) => {
                tracing::error!(%error, "a message was not sent");
                Body::Nothing
            }
        }
    }

    fn tells_skipped(&self) -> bool {
        true
    }

    fn notice(&self, notice: &Notice<'_>) -> Body {
        let (name, retry) = match notice {
            Notice::Joined { .. } => ("join", None),
            Notice::Left { .. } => ("leave", None),
            Notice::Gap { .. } => ("gap", None),
            Notice::Ended { .. } => ("end", None),
            Notice::Goodbye { after_ms, .. } => ("goodbye", Some(*after_ms)),
        };
        named(name, retry, &event_of(notice))
    }
}

/// An event of this name, behind a line of the connection's own.
pub(super) fn named(name: &str, retry: Option<u64>, said: &Event) -> Body {
    match Format::Json.encode_event(said) {
        Ok(json) => event(Some(name), retry, &json),
        Err(error) => {
            tracing::error!(%error, "an event was not sent");
            Body::Nothing
        }
    }
}

fn event(name: Option<&str>, retry: Option<u64>, json: &[u8]) -> Body {
    let mut lines = Vec::with_capacity(json.len() + 40);
    // Writing to a vector does not fail.
    if let Some(retry) = retry {
        let _ = writeln!(lines, "retry: {retry}");
    }
    if let Some(name) = name {
        let _ = writeln!(lines, "event: {name}");
    }
    // JSON as it was published may have line breaks between its tokens, and each line of an event's data needs the
    // field's name.
    for line in json.split(|byte| matches!(byte, b'\n' | b'\r')) {
        lines.extend_from_slice(b"data: ");
        lines.extend_from_slice(line);
        lines.push(b'\n');
    }
    lines.push(b'\n');
    Body::Own(Data::Text, lines.into(), Own::Head)
}

#[cfg(test)]
mod tests {
    use fanwire_proto::{Epoch, Message, Offset, Payload};

    use super::*;

    fn lines(body: Body) -> String {
        let Body::Own(Data::Text, lines, Own::Head) = body else { panic!("{body:?}") };
        String::from_utf8(lines.to_vec()).unwrap()
    }

    #[test]
    fn a_message_has_no_name_and_keeps_its_lines() {
        let message = Message {
            topic: "t".parse().unwrap(),
            offset: Offset(7),
            time: 1,
            payload: Payload::json("{\n\"a\":1}").unwrap(),
            key: None,
            tags: None,
            from: None,
            skipped: 0,
        };
        let body = SseDialect.delivery(Delivery { message: &message, skipped: 0 }, Variant::default());
        assert_eq!(
            lines(body),
            "data: {\"type\":\"message\",\"topic\":\"t\",\"offset\":7,\"time\":1,\"data\":{\n\
             data: \"a\":1}}\n\n"
        );
    }

    #[test]
    fn notices_are_named_and_a_goodbye_says_when_to_come_back() {
        let topic = "t".parse().unwrap();
        let gap = Notice::Gap { topic: &topic, epoch: Epoch(0xe), after: Offset(3), next: Offset(9) };
        let text = lines(SseDialect.notice(&gap));
        assert!(text.starts_with("event: gap\ndata: {\"type\":\"gap\""), "{text}");
        let goodbye = Notice::Goodbye { code: fanwire_proto::ErrorCode::Draining, after_ms: 40 };
        let text = lines(SseDialect.notice(&goodbye));
        assert!(text.starts_with("retry: 40\nevent: goodbye\ndata: "), "{text}");
    }
}
