//! What a program holds of a subscription: a stream of events, and where it is.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use fanwire_proto::{Gap, Member, Message, Position, TopicName};
use futures_util::Stream;
use tokio::sync::mpsc;

use crate::client::Order;
use crate::error::{Code, Error};

/// What happens in a subscription.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A message.
    Message(Message),
    /// What lies between is gone.
    Gap(Gap),
    /// Back after a lost connection, or begun with a position.
    Recovered {
        /// False: something may be missing before the messages that follow.
        whole: bool,
        /// Where the topic stands.
        position: Position,
    },
    /// With presence: a client came, or was there at the beginning.
    Join(Member),
    /// With presence: a client left.
    Leave(Member),
    /// The broker refused for now; the client asks again by itself, after growing pauses.
    Refused(Error),
}

/// What both sides see.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) position: Option<Position>,
    pub(crate) members: Vec<Member>,
    pub(crate) ended: Option<Error>,
}

/// A topic that the client listens to, over all its connections.
///
/// Messages come by increasing offset, each at most once. The stream ends quietly when the subscription is dropped or
/// the client closed, otherwise with an error that says why. Dropping it unsubscribes.
#[derive(Debug)]
pub struct Subscription {
    topic: TopicName,
    number: u64,
    events: mpsc::Receiver<Event>,
    shared: Arc<Mutex<Shared>>,
    orders: mpsc::WeakUnboundedSender<Order>,
    over: bool,
}

impl Subscription {
    pub(crate) fn new(
        topic: TopicName,
        number: u64,
        events: mpsc::Receiver<Event>,
        shared: Arc<Mutex<Shared>>,
        orders: mpsc::WeakUnboundedSender<Order>,
    ) -> Self {
        Self { topic, number, events, shared, orders, over: false }
    }

    /// What it listens to.
    #[must_use]
    pub fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// The place of the last message that was put into the stream, or where it began: a `since` for a later session,
    /// once what the stream holds has been read.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).position
    }

    /// With presence: who is there, this client included.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).members.clone()
    }
}

impl Stream for Subscription {
    type Item = Result<Event, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        match self.events.poll_recv(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(event)) => Poll::Ready(Some(Ok(event))),
            Poll::Ready(None) => {
                self.over = true;
                // Said before the channel was closed (`Topic::end`), so it is there to be read now.
                let ended = self.shared.lock().unwrap_or_else(PoisonError::into_inner).ended.clone();
                Poll::Ready(ended.filter(|error| error.code != Code::Closed).map(Err))
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(orders) = self.orders.upgrade() {
            // A client that is gone has no subscriptions.
            let _ = orders.send(Order::Unsubscribe(self.topic.clone(), self.number));
        }
    }
}
