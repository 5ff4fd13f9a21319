//! The task that keeps a client going: connects, serves calls, pauses, comes back. What happens on one connection is
//! in `line`, how one comes about in `opening`.

mod line;
mod opening;

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use fanwire_proto::{Command, Request, TopicName};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, timeout};

use self::line::Line;
use crate::backoff::Backoff;
use crate::client::{Order, State};
use crate::error::{Code, Error};
use crate::options::{Options, SubscribeOptions};
use crate::outbox::Outbox;
use crate::socket::Address;
use crate::subscription::Subscription;
use crate::topic::Topic;

/// How a connection, or an attempt at one, ended.
#[derive(Debug)]
enum End {
    /// The program wants no more; whom to tell when it is done.
    Closed(Option<oneshot::Sender<()>>),
    /// For good, for this reason.
    Stopped(Error),
    /// It will be tried again, after this pause where the broker asked for one.
    Lost(Option<Duration>),
}

/// Everything that outlives a connection.
pub(crate) struct Driver {
    address: Arc<Address>,
    options: Options,
    /// For subscriptions, which outlive nobody.
    sender: mpsc::WeakUnboundedSender<Order>,
    /// Bounded by the callers: each of them waits for its answer.
    orders: mpsc::UnboundedReceiver<Order>,
    state: watch::Sender<State>,
    topics: HashMap<TopicName, Topic>,
    outbox: Outbox,
    backoff: Backoff,
    last_id: u64,
    last_number: u64,
}

impl Driver {
    pub(crate) fn new(
        address: Address,
        options: Options,
        sender: mpsc::WeakUnboundedSender<Order>,
        orders: mpsc::UnboundedReceiver<Order>,
        state: watch::Sender<State>,
    ) -> Self {
        Self {
            address: Arc::new(address),
            outbox: Outbox::new(&options),
            backoff: Backoff::new(options.backoff_min, options.backoff_max),
            options,
            sender,
            orders,
            state,
            topics: HashMap::new(),
            last_id: 0,
            last_number: 0,
        }
    }

    /// Goes on until the client is closed or told to stay away.
    pub(crate) async fn run(mut self) {
        let (error, done) = loop {
            let mut end = self.connection().await;
            self.offline();
            if let End::Lost(asked) = end {
                self.state.send_replace(State::Waiting);
                let pause = self.backoff.after(asked);
                // Calls are taken during the pause as well: they wait in the outbox, or fail at once where they were not
                // to be kept.
                match self.serve_while(sleep(pause)).await {
                    Ok(()) => continue,
                    Err(closed) => end = closed,
                }
            }
            match end {
                End::Stopped(error) => break (error, None),
                End::Closed(done) => break (Error::closed(), done),
                End::Lost(_) => {}
            }
        };
        self.finish(&error);
        if let Some(done) = done {
            // Whoever closed it may have gone on.
            let _ = done.send(());
        }
    }

    /// One connection from the attempt to its end.
    async fn connection(&mut self) -> End {
        self.state.send_replace(State::Connecting);
        let opening = opening::open(Arc::clone(&self.address), self.options.clone());
        let opening = timeout(self.options.connect_timeout, opening);
        let line = match self.serve_while(opening).await {
            Err(closed) => return closed,
            Ok(Err(_elapsed)) => return End::Lost(None),
            Ok(Ok(Err(end))) => return end,
            Ok(Ok(Ok(line))) => line,
        };
        let opened_at = Instant::now();
        self.state.send_replace(State::Open);
        let end = self.serve(line).await;
        // Not as soon as it is open: a broker that takes connections and loses them at once would be asked without
        // pauses.
        if opened_at.elapsed() >= self.options.stable {
            self.backoff.reset();
        }
        end
    }

    /// Takes calls until `future` is done, without a connection.
    async fn serve_while<T>(&mut self, future: impl Future<Output = T>) -> Result<T, End> {
        let mut future = pin!(future);
        loop {
            tokio::select! {
                outcome = &mut future => return Ok(outcome),
                order = self.orders.recv() => {
                    if let Some(end) = self.take(order, None).await {
                        return Err(end);
                    }
                }
            }
        }
    }

    /// Takes a call, and passes it on where there is a connection; how that ended, if it did.
    async fn take(&mut self, order: Option<Order>, line: Option<&mut Line>) -> Option<End> {
        match order {
            None => return Some(End::Closed(None)),
            Some(Order::Close(done)) => return Some(End::Closed(Some(done))),
            Some(Order::Subscribe(topic, options, answer)) => {
                let subscription = self.subscribe(&topic, options);
                let made = subscription.is_ok();
                // Whoever does not wait for it any more drops it, which unsubscribes.
                let _ = answer.send(subscription);
                if made && let Some(line) = line {
                    return self.ask_for(&topic, line).await.err();
                }
            }
            Some(Order::Unsubscribe(topic, number)) => {
                // By number: it may have been dropped after another one of the same topic was made.
                if self.topics.get(&topic).is_none_or(|known| known.number != number) {
                    return None;
                }
                self.topics.remove(&topic);
                if let Some(line) = line {
                    return self.leave(topic, line).await.err();
                }
            }
            Some(Order::Ask(command, resend, answer, _permit)) => {
                let id = self.next_id();
                let request = Request { id: Some(id), command };
                match self.options.format.encode_request(&request) {
                    Err(error) => drop(answer.send(Err(Error::new(Code::Invalid, error)))),
                    Ok(frame) => {
                        let online = line.as_ref().is_some_and(|line| !line.is_leaving());
                        self.outbox.add(id, frame, resend, online, answer);
                        if let Some(line) = line {
                            return self.send_waiting(id, line).await.err();
                        }
                    }
                }
            }
        }
        None
    }

    fn subscribe(&mut self, topic: &TopicName, options: SubscribeOptions) -> Result<Subscription, Error> {
        if self.topics.contains_key(topic) {
            return Err(Error::new(Code::AlreadySubscribed, format!("already subscribed to {topic}")));
        }
        self.last_number += 1;
        let number = self.last_number;
        let (made, events, shared) = Topic::new(topic.clone(), number, options, &self.options);
        self.topics.insert(topic.clone(), made);
        Ok(Subscription::new(topic.clone(), number, events, shared, self.sender.clone()))
    }

    /// Sends a command that waits in the outbox.
    async fn send_waiting(&mut self, id: u64, line: &mut Line) -> Result<(), End> {
        if line.is_leaving() {
            return Ok(());
        }
        match self.outbox.frame(id, line.max_bytes, Instant::now()) {
            Some(frame) => line.send(frame).await,
            None => Ok(()),
        }
    }

    /// Sends the `subscribe` of a topic.
    async fn ask_for(&mut self, topic: &TopicName, line: &mut Line) -> Result<(), End> {
        let id = self.next_id();
        match self.topics.get_mut(topic) {
            Some(known) => {
                line.ask(id, known.request(), line::Asked::Subscribe(topic.clone(), known.number)).await
            }
            None => Ok(()),
        }
    }

    /// Sends the `unsubscribe` of a topic.
    async fn leave(&mut self, topic: TopicName, line: &mut Line) -> Result<(), End> {
        let id = self.next_id();
        line.ask(id, Command::Unsubscribe { topic }, line::Asked::Nothing).await
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn offline(&mut self) {
        self.outbox.offline();
        self.topics.values_mut().for_each(Topic::offline);
    }

    fn finish(&mut self, error: &Error) {
        self.outbox.clear(error);
        for (_, topic) in self.topics.drain() {
            topic.end(error.clone());
        }
        // From here on calls fail at once; those that are in the queue already fail as their answers are dropped with it.
        self.orders.close();
        self.state.send_replace(State::Closed);
    }
}
