//! What became of messages, as answers say it.

use fanwire_proto::{Epoch, Offset, TopicName};
use serde::{Serialize, Serializer};
use utoipa::ToSchema;

use crate::{doors::http::problem::Problem, topic::Receipt};

/// What a publish answers.
#[derive(Serialize, ToSchema)]
pub(super) struct Published {
    /// Names the message among all messages.
    #[schema(value_type = String)]
    id: MessageId,
    #[schema(value_type = String)]
    topic: TopicName,
    /// Its place in the topic.
    #[schema(value_type = u64)]
    offset: Offset,
    /// Names the run of offsets.
    #[schema(value_type = String)]
    epoch: Epoch,
    /// Whether a message with this `message_id` was published before; `offset` is that one's.
    duplicate: bool,
    /// How many subscribers the topic had.
    subscribers: usize,
}

/// `EPOCH-OFFSET`: names a message among all messages. Written by hand, since formatting is a good part of what a message
/// of a batch costs.
struct MessageId {
    text: [u8; Self::LENGTH_MAX],
    length: usize,
}

impl MessageId {
    const EPOCH_LENGTH: usize = 16;
    /// The longest number has 20 digits.
    const LENGTH_MAX: usize = Self::EPOCH_LENGTH + 1 + 20;

    fn new(epoch: Epoch, offset: Offset) -> Self {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'-'; Self::LENGTH_MAX];
        for (place, byte) in text[..Self::EPOCH_LENGTH].iter_mut().enumerate() {
            *byte = DIGITS[nibble(epoch.0 >> (60 - 4 * place))];
        }
        let digits = offset.0.checked_ilog10().unwrap_or(0) as usize + 1;
        let length = Self::EPOCH_LENGTH + 1 + digits;
        let mut rest = offset.0;
        for byte in text[Self::EPOCH_LENGTH + 1..length].iter_mut().rev() {
            *byte = DIGITS[nibble(rest % 10)];
            rest /= 10;
        }
        Self { text, length }
    }

    fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..self.length]).unwrap_or_default()
    }
}

/// The lowest four bits, as an index.
fn nibble(number: u64) -> usize {
    usize::from(number.to_le_bytes()[0] & 0xf)
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl Published {
    pub(super) fn new(topic: TopicName, receipt: Receipt) -> Self {
        let Receipt { epoch, offset, duplicate, subscribers, .. } = receipt;
        Self { id: MessageId::new(epoch, offset), topic, offset, epoch, duplicate, subscribers }
    }
}

/// About how many bytes [`Published`] has as JSON.
pub(super) const ANSWER_BYTES: usize = 192;

/// What became of a message.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Outcome {
    /// It was published to its topic.
    Published(Published),
    /// It was not.
    Problem(Problem),
    /// One outcome for each of its `topics`, in their order.
    Topics {
        #[schema(no_recursion)]
        results: Vec<Outcome>,
    },
}

impl Outcome {
    /// Whether all of it was published.
    pub(super) fn is_success(&self) -> bool {
        match self {
            Self::Published(_) => true,
            Self::Problem(_) => false,
            Self::Topics { results } => results.iter().all(Self::is_success),
        }
    }
}

impl From<Result<Published, Problem>> for Outcome {
    fn from(result: Result<Published, Problem>) -> Self {
        result.map_or_else(Self::Problem, Self::Published)
    }
}

/// What became of the messages, in their order.
#[derive(Serialize, ToSchema)]
pub(super) struct Results {
    pub(super) results: Vec<Outcome>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_epoch_and_offset() {
        for epoch in [0, 1, 0xfeed, 0x0123_4567_89ab_cdef, u64::MAX] {
            for offset in [0, 1, 9, 10, 99, 100, 12_345, u64::MAX] {
                let (epoch, offset) = (Epoch(epoch), Offset(offset));
                assert_eq!(MessageId::new(epoch, offset).as_str(), format!("{epoch}-{offset}"));
            }
        }
    }
}
