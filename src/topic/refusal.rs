//! Why a topic refuses something.

use fanwire_proto::Position;

/// Why a topic took no message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The topic was forgotten between looking it up and this; look it up again.
    #[error("the topic was just closed")]
    Closed,
    /// Shards have too much still to take over.
    #[error("subscribers of this topic are served more slowly than it is published to")]
    Overloaded,
    /// Kind `latest` has as many keys as it may.
    #[error("the topic has {0} keys already, the most it may have")]
    TooManyKeys(usize),
    /// Kind `document`: it is as large as it may be.
    #[error("the document has the {0} bytes that it may have")]
    DocumentFull(usize),
    /// A key on a kind without keys.
    #[error("`key` is for topics of kind `latest`")]
    KeyNotWanted,
    /// Kind `document`: all of them together are as large as they may be.
    #[error("all documents together have the {0} bytes that they may have in memory")]
    DocumentsFull(usize),
    /// Kind `document`: all of them together are nearly as large as they may be, and those of its owner are among the largest.
    #[error(
        "all documents together have three quarters of the {0} bytes that they may have in memory, and those of whoever made this one have more than others'"
    )]
    DocumentsTight(usize),
    /// All topics together are as large as they may be.
    #[error("all topics together have the {0} bytes that they may have of `max_memory_bytes`")]
    TopicsFull(usize),
    /// Those of the publisher are.
    #[error(
        "the topics or documents that this publisher has made have the {0} bytes that they may have of `max_memory_bytes`"
    )]
    OwnerFull(usize),
    /// It is not where the publisher takes it to be.
    #[error("the topic is at {}:{}", .0.epoch, .0.offset)]
    Moved(Position),
    /// A durable acknowledgement from a topic that is not.
    #[error("the rule of this topic does not make it durable, so `ack` cannot be `durable`")]
    NotDurable,
}
