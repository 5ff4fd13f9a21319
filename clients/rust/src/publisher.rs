//! A sink of messages for one topic.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use fanwire_proto::TopicName;
use futures_util::Sink;

use crate::client::{Client, Publication, Published};
use crate::error::Error;

type Sending = Pin<Box<dyn Future<Output = Result<Published, Error>> + Send>>;

/// Publishes to a topic. It is ready when the message before has been acknowledged, so what it took when `flush` has
/// returned is with the broker. For more under way at once, call [`Client::publish`] from several tasks.
pub struct Publisher {
    client: Client,
    topic: TopicName,
    sending: Option<Sending>,
}

impl Publisher {
    pub(crate) fn new(client: Client, topic: TopicName) -> Self {
        Self { client, topic, sending: None }
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("topic", &self.topic).finish_non_exhaustive()
    }
}

impl<T: Into<Publication>> Sink<T> for Publisher {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Some(sending) = &mut self.sending else { return Poll::Ready(Ok(())) };
        let outcome = std::task::ready!(sending.as_mut().poll(context));
        self.sending = None;
        Poll::Ready(outcome.map(drop))
    }

    fn start_send(mut self: Pin<&mut Self>, publication: T) -> Result<(), Error> {
        let (client, topic, publication) = (self.client.clone(), self.topic.clone(), publication.into());
        self.sending = Some(Box::pin(async move { client.publish(topic.as_str(), publication).await }));
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Sink::<T>::poll_ready(self, context)
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Sink::<T>::poll_ready(self, context)
    }
}
