//! What a program holds: the calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fanwire_proto::{
    Ack, Command, Direction, Epoch, History as HistoryCommand, Member, Message, Offset, Payload, Position,
    Publish, Reply, Tags, TopicName,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};

use crate::backoff::random;
use crate::driver::Driver;
use crate::error::{Code, Error};
use crate::options::{ORDERS, Options, SubscribeOptions};
use crate::outbox::{Answer, Resend};
use crate::publisher::Publisher;
use crate::socket::Address;
use crate::subscription::Subscription;

/// Where the connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// On the way.
    Connecting,
    /// Usable.
    Open,
    /// Pausing before the next attempt.
    Waiting,
    /// Over for good.
    Closed,
}

/// A call on its way to the driver.
#[derive(Debug)]
pub(crate) enum Order {
    Subscribe(TopicName, SubscribeOptions, oneshot::Sender<Result<Subscription, Error>>),
    Unsubscribe(TopicName, u64),
    /// A command to be answered; the permit keeps the calls under way bounded.
    Ask(Command, Resend, Answer, OwnedSemaphorePermit),
    Close(oneshot::Sender<()>),
}

/// A client of a broker: one connection that comes back, and everything that goes over it. Clones are the same client;
/// when the last one is dropped the connection ends, and what waits for an answer fails.
#[derive(Clone, Debug)]
pub struct Client {
    orders: mpsc::UnboundedSender<Order>,
    room: Arc<Semaphore>,
    state: watch::Receiver<State>,
    ids: Arc<Ids>,
}

/// Message ids that no other client has.
#[derive(Debug)]
struct Ids {
    prefix: String,
    next: AtomicU64,
}

/// One publish.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The content.
    pub payload: Payload,
    /// Kind `latest`: which value this replaces.
    pub key: Option<String>,
    /// Makes the publish idempotent; absent: the client makes one.
    pub message_id: Option<String>,
    /// Labels for subscribers.
    pub tags: Option<Tags>,
    /// What the answer has to mean; absent: as safe as the topic promises.
    pub ack: Option<Ack>,
    /// Keep it until it is answered. False: now or never.
    pub queue: bool,
}

impl From<Payload> for Publication {
    fn from(payload: Payload) -> Self {
        Self { payload, key: None, message_id: None, tags: None, ack: None, queue: true }
    }
}

/// Where a published message stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The topic's epoch.
    pub epoch: Epoch,
    /// The message's place.
    pub offset: Offset,
    /// The broker knew its id already.
    pub duplicate: bool,
}

/// Who is subscribed to a topic.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Presence {
    /// One entry per client, as many as the broker lists.
    pub members: Vec<Member>,
    /// How many clients.
    pub clients: usize,
    /// How many different users.
    pub users: usize,
}

/// Which past messages to read.
#[derive(Clone, Debug)]
pub struct HistoryOptions {
    /// Only what is newer than this (older, when reading backwards).
    pub since: Option<Position>,
    /// How many at most.
    pub limit: Option<u32>,
    /// Which end comes first.
    pub direction: Direction,
}

impl Default for HistoryOptions {
    fn default() -> Self {
        Self { since: None, limit: None, direction: Direction::Forward }
    }
}

/// Past messages.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// The messages.
    pub messages: Vec<Message>,
    /// Whether there are more in this direction.
    pub more: bool,
    /// Where the topic stands.
    pub position: Position,
    /// With `since`: whether nothing between it and the first message is gone.
    pub recovered: Option<bool>,
}

impl Client {
    /// Makes a client of the broker at a `ws://` or `wss://` URL and starts connecting. Needs a tokio runtime.
    ///
    /// # Errors
    /// When the URL is none, or one with TLS while the options say nothing of it.
    pub fn connect(url: &str, options: Options) -> Result<Self, Error> {
        let address = Address::read(url, &options)?;
        let (orders, receiver) = mpsc::unbounded_channel();
        let (state_sender, state) = watch::channel(State::Connecting);
        // Weak, so that the driver does not keep alive what it ends with: the last clone's sender.
        let driver = Driver::new(address, options, orders.downgrade(), receiver, state_sender);
        tokio::spawn(driver.run());
        let ids = Ids { prefix: format!("{:x}{:x}", random(), random()), next: AtomicU64::new(0) };
        Ok(Self { orders, room: Arc::new(Semaphore::new(ORDERS)), state, ids: Arc::new(ids) })
    }

    /// Where the connection is, now and as it changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<State> {
        self.state.clone()
    }

    /// Listens to a topic; waits for no connection. A client listens to a topic once.
    ///
    /// # Errors
    /// When the topic's name is none, it is subscribed to already, or the client is closed.
    pub async fn subscribe(&self, topic: &str, options: SubscribeOptions) -> Result<Subscription, Error> {
        let (answer, subscription) = oneshot::channel();
        self.order(Order::Subscribe(name(topic)?, options, answer))?;
        subscription.await.map_err(|_| Error::closed())?
    }

    /// Sends a message; answered when the broker took it. While there is no connection it waits in a bounded queue; if
    /// the connection is lost before the answer, it is sent again with the same message id. Once polled, it goes out even
    /// if nobody waits for the answer any more.
    ///
    /// # Errors
    /// When the broker refuses, the queue is full, or the outcome cannot be found out.
    pub async fn publish(
        &self,
        topic: &str,
        publication: impl Into<Publication>,
    ) -> Result<Published, Error> {
        let Publication { payload, key, message_id, tags, ack, queue } = publication.into();
        // Made before the first attempt, so that every attempt has the same; one that is never sent again needs none.
        let message_id = message_id.or_else(|| queue.then(|| self.ids.next()));
        let command = Publish { topic: name(topic)?, payload, key, message_id, tags, ack, except: None };
        let resend = if queue { Resend::Write } else { Resend::Once };
        let reply = self.ask(Command::Publish(command), resend).await?;
        let (epoch, offset) = reply.epoch.zip(reply.offset).ok_or_else(incomplete)?;
        Ok(Published { epoch, offset, duplicate: reply.duplicate })
    }

    /// A sink that publishes to a topic, one message after the other.
    ///
    /// # Errors
    /// When the topic's name is none.
    pub fn publisher(&self, topic: &str) -> Result<Publisher, Error> {
        Ok(Publisher::new(self.clone(), name(topic)?))
    }

    /// Who is subscribed to a topic now.
    ///
    /// # Errors
    /// When the broker refuses, or the client is closed.
    pub async fn presence(&self, topic: &str) -> Result<Presence, Error> {
        let reply = self.ask(Command::Presence { topic: name(topic)? }, Resend::Read).await?;
        let Reply { members, clients, users, .. } = reply;
        Ok(Presence {
            members: members.unwrap_or_default(),
            clients: clients.unwrap_or_default(),
            users: users.unwrap_or_default(),
        })
    }

    /// Reads past messages.
    ///
    /// # Errors
    /// When the broker refuses, or the client is closed.
    pub async fn history(&self, topic: &str, options: HistoryOptions) -> Result<History, Error> {
        let HistoryOptions { since, limit, direction } = options;
        let command = Command::History(HistoryCommand { topic: name(topic)?, since, limit, direction });
        let reply = self.ask(command, Resend::Read).await?;
        let (epoch, offset) = reply.epoch.zip(reply.offset).ok_or_else(incomplete)?;
        Ok(History {
            messages: reply.messages.unwrap_or_default(),
            more: reply.more.unwrap_or_default(),
            position: Position { epoch, offset },
            recovered: reply.recovered,
        })
    }

    /// Ends everything for good, all clones included. What was sent and has no answer fails with
    /// [`Code::OutcomeUnknown`], what was not sent with [`Code::Closed`].
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        if self.order(Order::Close(done)).is_ok() {
            // A driver that is gone is closed, too.
            let _ = closed.await;
        }
    }

    async fn ask(&self, command: Command, resend: Resend) -> Result<Reply, Error> {
        let (answer, outcome) = oneshot::channel();
        // The semaphore is fair, so commands go out in the order in which they were called for, also when there are more
        // than fit.
        let permit = Arc::clone(&self.room).acquire_owned().await.map_err(|_| Error::closed())?;
        self.order(Order::Ask(command, resend, answer, permit))?;
        outcome.await.map_err(|_| Error::closed())?
    }

    fn order(&self, order: Order) -> Result<(), Error> {
        self.orders.send(order).map_err(|_| Error::closed())
    }
}

impl Ids {
    fn next(&self) -> String {
        // Relaxed: only that no two are the same matters; the order of publishes is that of the queue.
        format!("{}-{}", self.prefix, self.next.fetch_add(1, Ordering::Relaxed))
    }
}

fn name(topic: &str) -> Result<TopicName, Error> {
    TopicName::new(topic).map_err(|error| Error::new(Code::Invalid, error))
}

fn incomplete() -> Error {
    Error::new(Code::Protocol, "the broker's answer lacks what it must have")
}
