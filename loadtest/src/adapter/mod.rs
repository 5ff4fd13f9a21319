//! How a broker is spoken to. An adapter turns subscriptions and publications into bytes and bytes into replies;
//! it owns no socket. Messages themselves are found by their stamp, whatever is around them.

pub mod broadcast;
pub mod centrifugo;
pub mod fanwire;
pub mod mqtt;
pub mod nats;
pub mod nchan;
pub mod pusher;
pub mod socketio;
pub mod sse;
pub mod webhook;

use std::borrow::Cow;
use std::fmt::{self, Write};
use std::rc::Rc;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::wire::{Encoding, Position, Reply};
use crate::ws::frame;

/// The adapters there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// fanwire, JSON.
    #[default]
    FanwireJson,
    /// fanwire, MessagePack.
    FanwireMsgpack,
    /// fanwire, Server-Sent Events.
    FanwireSse,
    /// NATS over WebSocket.
    Nats,
    /// nchan.
    Nchan,
    /// nchan, Server-Sent Events.
    NchanSse,
    /// MQTT 3.1.1 over WebSocket.
    Mqtt,
    /// Socket.IO with rooms.
    #[value(name = "socketio")]
    #[serde(rename = "socketio")]
    SocketIo,
    /// The Pusher Channels protocol.
    Pusher,
    /// Centrifugo's protocol, JSON.
    Centrifugo,
    /// A server that sends everything to everyone.
    Broadcast,
}

impl Name {
    /// The adapter.
    #[must_use]
    pub fn adapter(self) -> Rc<dyn Adapter> {
        match self {
            Self::FanwireJson => Rc::new(Encoding::Json),
            Self::FanwireMsgpack => Rc::new(Encoding::Msgpack),
            Self::FanwireSse => Rc::new(sse::FanwireSse),
            Self::Nats => Rc::new(nats::Nats),
            Self::Nchan => Rc::new(nchan::Nchan::WebSocket),
            Self::NchanSse => Rc::new(nchan::Nchan::Events),
            Self::Mqtt => Rc::new(mqtt::Mqtt),
            Self::SocketIo => Rc::new(socketio::SocketIo),
            Self::Pusher => Rc::new(pusher::Pusher::from_environment()),
            Self::Centrifugo => Rc::new(centrifugo::Centrifugo),
            Self::Broadcast => Rc::new(broadcast::Broadcast),
        }
    }

    /// Whether it speaks fanwire's own protocol, with offsets, gaps and keys.
    #[must_use]
    pub fn is_fanwire(self) -> bool {
        matches!(self, Self::FanwireJson | Self::FanwireMsgpack)
    }

    /// Whether a connection has one topic only.
    #[must_use]
    pub fn one_topic(self) -> bool {
        matches!(self, Self::Nchan | Self::NchanSse)
    }

    /// Whether there is no publishing but by HTTP.
    #[must_use]
    pub fn only_http(self) -> bool {
        matches!(self, Self::Nchan | Self::NchanSse | Self::FanwireSse | Self::Pusher)
    }
}

impl Name {
    /// Whether a colon in a topic's name is a letter like others: Pusher has none, and in Centrifugo what is before it
    /// is a namespace, which has to be configured.
    #[must_use]
    pub fn has_colons(self) -> bool {
        !matches!(self, Self::Pusher | Self::Centrifugo)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.adapter().name())
    }
}

/// One topic a connection listens to.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// The topic.
    pub topic: String,
    /// Where to go on, for one that was there before.
    pub since: Option<Position>,
    /// The most batches a second it wants.
    pub max_rate: Option<f64>,
}

impl Subscription {
    /// A subscription to what is published from now on.
    #[must_use]
    pub fn to(topic: &str) -> Self {
        Self { topic: topic.to_owned(), since: None, max_rate: None }
    }
}

/// One message to publish.
#[derive(Clone, Copy, Debug)]
pub struct Publication<'a> {
    /// The number under which it is acknowledged.
    pub id: u64,
    /// The topic.
    pub topic: &'a str,
    /// Which value it is, where the topic has several.
    pub key: Option<&'a str>,
    /// By which the server knows it when it is sent again.
    pub message_id: Option<&'a str>,
    /// Whether it has to survive the server's death once it is acknowledged.
    pub durable: bool,
    /// Of an update of a document: who wrote it, and how much they had written before.
    pub update: Option<Author>,
    /// Whether it comes as a provider's webhook.
    pub webhook: bool,
    /// The payload.
    pub data: &'a str,
}

/// Bytes in hexadecimal.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whose update of a document something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Author {
    /// The Yjs client.
    pub client: u64,
    /// UTF-16 units it had written before.
    pub clock: u64,
}

/// A POST request that publishes.
#[derive(Clone, Debug)]
pub struct HttpPost<'a> {
    /// The path with its query.
    pub path: String,
    /// Of the body.
    pub content_type: &'static str,
    /// What is published, or says what is.
    pub body: Cow<'a, str>,
    /// Header lines of its own.
    pub headers: String,
}

impl<'a> HttpPost<'a> {
    /// A request whose body is the payload.
    #[must_use]
    pub fn raw(path: String, publication: &Publication<'a>) -> Self {
        Self {
            path,
            content_type: "text/plain",
            body: Cow::Borrowed(publication.data),
            headers: String::new(),
        }
    }

    /// fanwire's.
    #[must_use]
    pub fn fanwire(publication: &Publication<'a>) -> Self {
        if publication.webhook {
            return webhook::post(publication);
        }
        let query = if publication.durable { "?ack=durable" } else { "" };
        Self::raw(format!("/v1/topics/{}/messages{query}", publication.topic), publication)
    }
}

/// A broker's protocol over one WebSocket per client.
pub trait Adapter: fmt::Debug {
    /// What the command line calls it.
    fn name(&self) -> &'static str;

    /// The WebSocket subprotocol to ask for.
    fn subprotocol(&self) -> Option<&'static str> {
        None
    }

    /// Whether subscribers get a stream of Server-Sent Events instead of a WebSocket.
    fn streams_events(&self) -> bool {
        false
    }

    /// The path for a client with these subscriptions.
    fn path(&self, base: &str, _subscriptions: &[Subscription]) -> String {
        base.to_owned()
    }

    /// The opcode of its frames.
    fn opcode(&self) -> u8 {
        frame::TEXT
    }

    /// Whether the server speaks first, with what [`Adapter::decode`] calls a `welcome`.
    fn greets(&self) -> bool {
        true
    }

    /// What the client sends as soon as the WebSocket is there, for servers that greet only then.
    fn first_words(&self) -> Option<Vec<u8>> {
        None
    }

    /// What the client sends before anything else, once it has been greeted.
    fn hello(&self) -> Option<Vec<u8>> {
        None
    }

    /// A request for `subscription`; the reply to it decodes to an `ok` of the same id. `None` when connecting
    /// was enough.
    ///
    /// # Errors
    /// When it cannot be encoded.
    fn subscribe(&self, _id: u64, _subscription: &Subscription) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    /// A request to publish.
    ///
    /// # Errors
    /// When it cannot be encoded, or there is no publishing but by HTTP.
    fn publish(&self, _publication: &Publication<'_>) -> Result<Vec<u8>> {
        Err(Error::Usage(format!("{} is published to by HTTP: --publish http", self.name())))
    }

    /// Whether publications on the WebSocket are answered one by one.
    fn acknowledges(&self) -> bool {
        true
    }

    /// Whether publishers get what is published, without asking for it.
    fn publishers_listen(&self) -> bool {
        false
    }

    /// The request that publishes by HTTP, where there is such a way.
    fn http_publish<'a>(&self, _publication: &Publication<'a>) -> Option<HttpPost<'a>> {
        None
    }

    /// Whether its HTTP server answers one request before it takes the next, and may close the connection after each.
    fn one_request_at_a_time(&self) -> bool {
        false
    }

    /// Everything a frame says, in the words of fanwire's protocol. A `ping` comes with the answer to send in `code`.
    ///
    /// # Errors
    /// When the frame is not of this protocol.
    fn decode(&self, payload: &[u8]) -> std::result::Result<Vec<Reply>, String>;
}
