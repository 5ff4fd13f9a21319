//! Server-Sent Events (WHATWG HTML §9.2): events of the native protocol as lines of text, and the positions in
//! `Last-Event-ID` that a browser hands back when it reconnects.
//!
//! Messages have no event name, so that `EventSource.onmessage` gets them; everything else is named after its type.

use std::{collections::BTreeMap, fmt::Write};

use fanwire_proto::{Epoch, Event, Offset, Position, TopicName};

/// Time between two comments on a quiet stream, in seconds: below what proxies allow.
pub const HEARTBEAT_S: u64 = 15;

/// A comment that keeps the connection open.
pub const HEARTBEAT: &str = ":\n\n";

/// The first words: how long to wait before reconnecting, in milliseconds.
pub const PREAMBLE: &str = "retry: 2000\n\n";

/// Where a client stands in each topic. As text: `topic=epoch:offset`, joined by `&`, names percent-encoded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Positions(BTreeMap<TopicName, Position>);

impl Positions {
    /// Reads what [`text`](Self::text) wrote; anything else is passed over, as if nothing had been received.
    pub fn read(text: &str) -> Self {
        let position = |value: &str| {
            let (epoch, offset) = value.split_once(':')?;
            Some(Position { epoch: Epoch::read(epoch), offset: Offset(offset.parse().ok()?) })
        };
        let pairs = form_urlencoded::parse(text.as_bytes());
        Self(
            pairs
                .filter_map(|(name, value)| Some((TopicName::new(&name).ok()?, position(&value)?)))
                .collect(),
        )
    }

    /// As text for the `id` field.
    pub fn text(&self) -> String {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        for (topic, position) in &self.0 {
            pairs.append_pair(topic.as_str(), &format!("{}:{}", position.epoch, position.offset));
        }
        pairs.finish()
    }

    /// Where the client stands in a topic.
    pub fn of(&self, topic: &TopicName) -> Option<Position> {
        self.0.get(topic).copied()
    }

    /// Forgets topics that are not among these.
    pub fn retain(&mut self, topics: &[TopicName]) {
        self.0.retain(|topic, _| topics.contains(topic));
    }

    /// The longest that [`text`](Self::text) can become for these topics.
    pub fn text_bytes_max(topics: &[TopicName]) -> usize {
        let position = Position { epoch: Epoch(u64::MAX), offset: Offset(u64::MAX) };
        let furthest = topics.iter().map(|topic| (topic.clone(), position)).collect();
        Self(furthest).text().len()
    }

    /// Notes where the client stands.
    pub fn set(&mut self, topic: &TopicName, position: Position) {
        self.0.insert(topic.clone(), position);
    }

    /// Notes what an event moves.
    fn follow(&mut self, event: &Event) {
        let (topic, offset) = match event {
            Event::Message(message) => (&message.topic, message.offset),
            Event::Gap(gap) => (&gap.topic, Offset(gap.next.0.saturating_sub(1))),
            _ => return,
        };
        if let Some(position) = self.0.get_mut(topic) {
            position.offset = position.offset.max(offset);
        }
    }
}

/// Writes an event, given also as the JSON text it came as.
pub fn append(out: &mut String, event: &Event, json: &str, positions: &mut Positions) {
    positions.follow(event);
    let name = match event {
        Event::Message(_) => None,
        Event::Join { .. } => Some("join"),
        Event::Leave { .. } => Some("leave"),
        Event::Gap(_) => Some("gap"),
        Event::End { .. } => Some("end"),
        Event::Goodbye { .. } => Some("goodbye"),
        Event::Error(_) => Some("failure"),
        Event::Reply(_) => Some("subscribed"),
        _ => return,
    };
    if let Event::Goodbye { after_ms, .. } = event {
        let _ = writeln!(out, "retry: {after_ms}");
    }
    if let Some(name) = name {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "event: {name}");
    }
    let _ = writeln!(out, "id: {}", positions.text());
    for line in json.split(['\n', '\r']) {
        let _ = writeln!(out, "data: {line}");
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use fanwire_proto::Format;
    use proptest::prelude::*;

    use super::*;

    fn event(json: &str) -> Event {
        Format::Json.decode_events(json.as_bytes()).unwrap().remove(0)
    }

    fn position(offset: u64) -> Position {
        Position { epoch: Epoch(0xe), offset: Offset(offset) }
    }

    #[test]
    fn positions_survive_as_text_whatever_the_names() {
        let mut positions = Positions::default();
        for (index, name) in ["chat:a", "a=b&c", "日本:東京 ☂", "%2a+"].into_iter().enumerate() {
            positions.set(&name.parse().unwrap(), position(index as u64));
        }
        let text = positions.text();
        assert!(text.is_ascii() && !text.contains(['\n', ' ']));
        assert_eq!(Positions::read(&text), positions);
        for garbage in ["", "&&&", "x", "a=b", "=1:2", "chat:a=zz:zz"] {
            assert_eq!(Positions::read(garbage), Positions::default(), "{garbage}");
        }
    }

    proptest! {
        /// Whatever a client sends as its last event id is read as positions, which are then written as they were.
        #[test]
        fn any_text_is_read(text in ".*") {
            let positions = Positions::read(&text);
            prop_assert_eq!(Positions::read(&positions.text()), positions);
        }
    }

    #[test]
    fn a_message_moves_the_position_and_keeps_its_lines() {
        let json = "{\"type\":\"message\",\"topic\":\"t\",\"offset\":7,\"time\":1,\"data\":{\n\"a\":1}}";
        let mut positions = Positions::default();
        positions.set(&"t".parse().unwrap(), position(3));
        let mut out = String::new();
        append(&mut out, &event(json), json, &mut positions);
        assert_eq!(
            out,
            "id: t=000000000000000e%3A7\n\
             data: {\"type\":\"message\",\"topic\":\"t\",\"offset\":7,\"time\":1,\"data\":{\n\
             data: \"a\":1}}\n\n"
        );
    }

    #[test]
    fn a_gap_is_named_and_moves_the_position() {
        let json = r#"{"type":"gap","topic":"t","epoch":"000000000000000e","after":3,"next":9}"#;
        let mut positions = Positions::default();
        positions.set(&"t".parse().unwrap(), position(3));
        let mut out = String::new();
        append(&mut out, &event(json), json, &mut positions);
        assert!(out.starts_with("event: gap\nid: t=000000000000000e%3A8\n"), "{out}");
    }
}
