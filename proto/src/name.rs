//! Names and positions: topics, patterns over topics, offsets, epochs and client ids.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Serialize, Serializer};

/// Longest topic or pattern, in bytes of UTF-8.
pub const TOPIC_BYTES_MAX: usize = 200;

/// A topic: 1–200 bytes of UTF-8 without control characters and without `*`; `:` separates segments.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName(Arc<str>);

/// Why a string is not a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTopic {
    /// The string has no characters.
    #[error("a topic needs at least one character")]
    Empty,
    /// The string is over [`TOPIC_BYTES_MAX`].
    #[error("a topic has at most {TOPIC_BYTES_MAX} bytes; this one has {0}")]
    TooLong(usize),
    /// A control character stands at this byte.
    #[error("a topic may not contain control characters (byte {0})")]
    Control(usize),
    /// `*` is for patterns.
    #[error("a topic may not contain `*` (byte {0}); it is for patterns only")]
    Wildcard(usize),
}

impl TopicName {
    /// Checks and takes a name.
    pub fn new(name: &str) -> Result<Self, InvalidTopic> {
        check_length(name)?;
        match name.char_indices().find(|(_, c)| *c == '*' || c.is_control()) {
            Some((at, '*')) => Err(InvalidTopic::Wildcard(at)),
            Some((at, _)) => Err(InvalidTopic::Control(at)),
            None => Ok(Self(name.into())),
        }
    }

    /// A name that nobody can say: it has a control character, which [`new`](Self::new) refuses. For channels within a broker.
    #[must_use]
    pub fn hidden(what: &str) -> Self {
        Self(format!("\u{1}{what}").into())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check_length(name: &str) -> Result<(), InvalidTopic> {
    match name.len() {
        0 => Err(InvalidTopic::Empty),
        length if length > TOPIC_BYTES_MAX => Err(InvalidTopic::TooLong(length)),
        _ => Ok(()),
    }
}

impl FromStr for TopicName {
    type Err = InvalidTopic;

    fn from_str(name: &str) -> Result<Self, InvalidTopic> {
        Self::new(name)
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Serialize for TopicName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// A set of topics: `*` stands for exactly one segment, a final `**` for one or more.
///
/// ```
/// use fanwire_proto::{Pattern, TopicName};
/// let pattern: Pattern = "chat:**".parse().unwrap();
/// assert!(pattern.matches(&"chat:a:b".parse::<TopicName>().unwrap()));
/// assert!(!pattern.matches(&"chat".parse::<TopicName>().unwrap()));
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern(Box<str>);

/// Why a string is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    /// Apart from its wildcards a pattern obeys the rules of topics.
    #[error(transparent)]
    Topic(InvalidTopic),
    /// `*` mixed with other characters in one segment.
    #[error("`*` and `**` must be a whole segment, but a segment is `{0}`")]
    PartOfSegment(String),
    /// `**` before the end.
    #[error("`**` may only be the last segment")]
    RestNotLast,
}

impl Pattern {
    /// Checks and takes a pattern. A topic is the pattern that matches itself alone.
    pub fn new(pattern: &str) -> Result<Self, InvalidPattern> {
        check_length(pattern).map_err(InvalidPattern::Topic)?;
        if let Some((at, _)) = pattern.char_indices().find(|(_, c)| c.is_control()) {
            return Err(InvalidPattern::Topic(InvalidTopic::Control(at)));
        }
        let mut segments = pattern.split(':').peekable();
        while let Some(segment) = segments.next() {
            match segment {
                "*" => {}
                "**" if segments.peek().is_some() => return Err(InvalidPattern::RestNotLast),
                "**" => {}
                other if other.contains('*') => return Err(InvalidPattern::PartOfSegment(other.into())),
                _ => {}
            }
        }
        Ok(Self(pattern.into()))
    }

    /// Whether the topic is in the set.
    pub fn matches(&self, topic: &TopicName) -> bool {
        let mut wanted = self.0.split(':');
        let mut given = topic.as_str().split(':');
        loop {
            match (wanted.next(), given.next()) {
                (Some("**"), Some(_)) | (None, None) => return true,
                (Some("*"), Some(_)) => {}
                (Some(want), Some(got)) if want == got => {}
                _ => return false,
            }
        }
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(pattern: &str) -> Result<Self, InvalidPattern> {
        Self::new(pattern)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A message's place in its topic: strictly increasing within an [`Epoch`], starting above [`Offset::ZERO`].
/// Consecutive messages need not have consecutive offsets.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize)]
pub struct Offset(pub u64);

impl Offset {
    /// Before the first message.
    pub const ZERO: Self = Self(0);
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names one run of offsets of a topic; a topic whose positions start over gets another one. Opaque to clients.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Epoch(pub u64);

impl Epoch {
    /// What an epoch that no broker issued is read as; it equals no topic's epoch.
    pub const FOREIGN: Self = Self(0);

    /// Reads what [`Display`](fmt::Display) writes; anything else is [`Epoch::FOREIGN`].
    pub fn read(text: &str) -> Self {
        read_hex(text).map_or(Self::FOREIGN, Self)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for Epoch {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Names one connection for as long as the broker runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientId(pub u64);

impl ClientId {
    /// Reads what [`Display`](fmt::Display) writes.
    pub fn read(text: &str) -> Option<Self> {
        read_hex(text).map(Self)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Serialize for ClientId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn read_hex(text: &str) -> Option<u64> {
    let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if text.len() != 16 || !text.bytes().all(lower_hex) {
        return None;
    }
    u64::from_str_radix(text, 16).ok()
}

/// Where a subscriber stood: it has everything of this epoch up to and including the offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Position {
    /// The epoch the offset belongs to.
    pub epoch: Epoch,
    /// The last message seen.
    pub offset: Offset,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> TopicName {
        name.parse().unwrap()
    }

    #[test]
    fn topics_are_bounded_and_plain() {
        assert!(TopicName::new(&"x".repeat(200)).is_ok());
        assert_eq!(TopicName::new(&"x".repeat(201)), Err(InvalidTopic::TooLong(201)));
        assert_eq!(TopicName::new(""), Err(InvalidTopic::Empty));
        assert_eq!(TopicName::new("a\u{7}b"), Err(InvalidTopic::Control(1)));
        assert_eq!(TopicName::new("a\u{85}b"), Err(InvalidTopic::Control(1)));
        assert_eq!(TopicName::new("chat:*"), Err(InvalidTopic::Wildcard(5)));
        assert!(TopicName::new("日本:東京 ☂").is_ok());
    }

    #[test]
    fn patterns_match_by_segment() {
        let check = |pattern: &str, name: &str, expect: bool| {
            assert_eq!(Pattern::new(pattern).unwrap().matches(&topic(name)), expect, "{pattern} {name}");
        };
        check("chat:*", "chat:a", true);
        check("chat:*", "chat:a:b", false);
        check("chat:*", "chat", false);
        check("chat:**", "chat:a:b", true);
        check("chat:**", "chat", false);
        check("**", "anything:at:all", true);
        check("*:price", "btc:price", true);
        check("chat:a", "chat:a", true);
        check("chat:a", "chat:A", false);
        check("chat:*", "chat:", true);
    }

    #[test]
    fn patterns_are_checked() {
        assert_eq!(Pattern::new("a**"), Err(InvalidPattern::PartOfSegment("a**".into())));
        assert_eq!(Pattern::new("**:a"), Err(InvalidPattern::RestNotLast));
        assert_eq!(Pattern::new(""), Err(InvalidPattern::Topic(InvalidTopic::Empty)));
        assert_eq!(Pattern::new("a\nb"), Err(InvalidPattern::Topic(InvalidTopic::Control(1))));
    }

    #[test]
    fn ids_read_only_their_own_text() {
        let epoch = Epoch(0xfeed);
        assert_eq!(Epoch::read(&epoch.to_string()), epoch);
        for foreign in ["", "feed", "+00000000000feed", "000000000000FEED", "zzzzzzzzzzzzzzzz"] {
            assert_eq!(Epoch::read(foreign), Epoch::FOREIGN, "{foreign}");
        }
    }
}
