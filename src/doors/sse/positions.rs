//! Where a client stands in each topic, as the `id` of an event says it and `Last-Event-ID` brings it back.

use std::collections::BTreeMap;

use fanwire_proto::{Epoch, Offset, Position, TopicName};

use crate::{
    shard::{Said, Stamp, SubKey},
    wire::Notice,
};

/// Where a client stands in each topic. As text: `topic=epoch:offset`, joined by `&`, names percent-encoded.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Positions(BTreeMap<TopicName, Position>);

impl Positions {
    /// Reads what [`text`](Self::text) wrote; anything else is passed over, as if nothing had been received.
    pub(super) fn read(text: &str) -> Self {
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
    fn text(&self) -> String {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        for (topic, position) in &self.0 {
            pairs.append_pair(topic.as_str(), &format!("{}:{}", position.epoch, position.offset));
        }
        pairs.finish()
    }

    /// Where the client stands in a topic.
    pub(super) fn of(&self, topic: &TopicName) -> Option<Position> {
        self.0.get(topic).copied()
    }

    /// Forgets topics that are not among these.
    pub(super) fn retain(&mut self, topics: &[TopicName]) {
        self.0.retain(|topic, _| topics.contains(topic));
    }

    /// The longest that [`text`](Self::text) can become for these topics.
    pub(super) fn text_bytes_max(topics: &[TopicName]) -> usize {
        let position = Position { epoch: Epoch(u64::MAX), offset: Offset(u64::MAX) };
        let furthest = topics.iter().map(|topic| (topic.clone(), position)).collect();
        Self(furthest).text().len()
    }
}

/// Where one connection stands, in each of its subscriptions by their keys: what the ids of its events say.
pub(super) struct Places(Vec<Place>);

struct Place {
    /// The topic's name, as the text has it, and from the beginning of the subscription on its epoch.
    lead: String,
    /// Nothing before it is subscribed to, nor while the first message is to tell.
    offset: Option<Offset>,
}

impl Places {
    /// Of a connection that is about to subscribe to these topics, under keys from 0 on.
    pub(super) fn new(topics: &[TopicName]) -> Self {
        let name = |topic: &TopicName| form_urlencoded::byte_serialize(topic.as_str().as_bytes()).collect();
        let place = |topic| Place { lead: name(topic), offset: None };
        Self(topics.iter().map(place).collect())
    }

    /// Where a subscription begins; without an offset, its first message tells.
    pub(super) fn begin(&mut self, SubKey(key): SubKey, epoch: Epoch, offset: Option<Offset>) {
        if let Some(place) = self.0.get_mut(key as usize) {
            place.lead = format!("{}={epoch}%3A", place.lead);
            place.offset = offset;
        }
    }

    /// Appends the line of an event that says where the client is.
    pub(super) fn append(&self, line: &mut Vec<u8>) {
        line.extend_from_slice(b"id: ");
        let mut between = &b""[..];
        for Place { lead, offset } in &self.0 {
            if let Some(Offset(offset)) = offset {
                line.extend_from_slice(between);
                line.extend_from_slice(lead.as_bytes());
                append_decimal(line, *offset);
                between = b"&";
            }
        }
        line.push(b'\n');
    }
}

/// What `write!` does, at a tenth of its cost: this is per delivery.
fn append_decimal(line: &mut Vec<u8>, mut number: u64) {
    let mut digits = [b'0'; 20];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] += (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return line.extend_from_slice(&digits[first..]);
        }
    }
}

impl Stamp for Places {
    fn stamp(&mut self, key: Option<SubKey>, said: Said<'_>, own: &mut Vec<u8>) {
        let reached = match said {
            Said::Message(message) => Some(message.offset),
            // What a gap has taken was told, so whoever comes back goes on behind it, instead of being told of the same
            // gap again.
            Said::Notice(Notice::Gap { next, .. }) => Some(Offset(next.0.saturating_sub(1))),
            Said::Notice(_) => None,
        };
        if let (Some(SubKey(key)), Some(reached)) = (key, reached)
            && let Some(place) = self.0.get_mut(key as usize)
        {
            place.offset = Some(place.offset.map_or(reached, |offset| offset.max(reached)));
        }
        self.append(own);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EPOCH: Epoch = Epoch(0xe);

    fn topics() -> Vec<TopicName> {
        ["chat:a", "a=b&c", "日本:東京 ☂", "%2a+"].into_iter().map(|name| name.parse().unwrap()).collect()
    }

    fn line(places: &Places) -> String {
        let mut line = Vec::new();
        places.append(&mut line);
        String::from_utf8(line).unwrap()
    }

    fn text(places: &Places) -> String {
        let line = line(places);
        line.strip_prefix("id: ").unwrap().strip_suffix('\n').unwrap().to_owned()
    }

    #[test]
    fn places_come_back_as_positions_whatever_the_names() {
        let topics = topics();
        let mut places = Places::new(&topics);
        assert_eq!(text(&places), "");
        for key in 0..4 {
            places.begin(SubKey(key), EPOCH, Some(Offset(u64::from(key))));
        }
        let text = text(&places);
        assert!(text.is_ascii() && !text.contains(['\n', ' ']));
        let read = Positions::read(&text);
        for (offset, topic) in (0..).zip(&topics) {
            assert_eq!(read.of(topic), Some(Position { epoch: EPOCH, offset: Offset(offset) }));
        }
        assert!(text.len() <= Positions::text_bytes_max(&topics));
        for garbage in ["", "&&&", "x", "a=b", "=1:2", "chat:a=zz:zz"] {
            assert_eq!(Positions::read(garbage), Positions::default(), "{garbage}");
        }
    }

    #[test]
    fn numbers_are_written_as_they_are() {
        for number in [0, 1, 9, 10, 1_234_567_890, u64::MAX] {
            let mut line = Vec::new();
            append_decimal(&mut line, number);
            assert_eq!(String::from_utf8(line).unwrap(), number.to_string());
        }
    }

    #[test]
    fn messages_and_gaps_move_a_place_forward_only() {
        let topics = topics();
        let mut places = Places::new(&topics[..1]);
        places.begin(SubKey(0), EPOCH, None);
        let message = |offset| fanwire_proto::Message {
            topic: topics[0].clone(),
            offset: Offset(offset),
            time: 0,
            payload: fanwire_proto::Payload::json("1").unwrap(),
            key: None,
            tags: None,
            from: None,
            skipped: 0,
        };
        let mut stamp = |said: Said<'_>| {
            let mut own = Vec::new();
            places.stamp(Some(SubKey(0)), said, &mut own);
            String::from_utf8(own).unwrap()
        };
        assert_eq!(stamp(Said::Message(&message(7))), "id: chat%3Aa=000000000000000e%3A7\n");
        assert_eq!(stamp(Said::Message(&message(3))), "id: chat%3Aa=000000000000000e%3A7\n");
        let gap = Notice::Gap { topic: &topics[0], epoch: EPOCH, after: Offset(7), next: Offset(12) };
        assert_eq!(stamp(Said::Notice(&gap)), "id: chat%3Aa=000000000000000e%3A11\n");
    }

    proptest! {
        /// Whatever a client sends as its last event id is read as positions, which are then written as they were.
        #[test]
        fn any_text_is_read(text in ".*") {
            let positions = Positions::read(&text);
            prop_assert_eq!(Positions::read(&positions.text()), positions);
        }
    }
}
