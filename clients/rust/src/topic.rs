//! One subscription from the driver's side: what to ask for, what to pass on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fanwire_proto::{ClientId, Command, Gap, Member, Message, Position, Reply, Subscribe, TopicName};
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::cursor::Cursor;
use crate::error::{Code, Error};
use crate::options::{Options, SubscribeOptions};
use crate::subscription::{Event, Shared};

#[derive(Debug)]
pub(crate) struct Topic {
    name: TopicName,
    /// Tells it apart from an earlier subscription of the same topic.
    pub(crate) number: u64,
    options: SubscribeOptions,
    cursor: Cursor,
    members: BTreeMap<ClientId, Member>,
    live: bool,
    events: mpsc::Sender<Event>,
    shared: Arc<Mutex<Shared>>,
    backoff: Backoff,
    /// When to ask again after a refusal that passes.
    pub(crate) again_at: Option<Instant>,
}

impl Topic {
    pub(crate) fn new(
        name: TopicName,
        number: u64,
        options: SubscribeOptions,
        client: &Options,
    ) -> (Self, mpsc::Receiver<Event>, Arc<Mutex<Shared>>) {
        let (sender, receiver) = mpsc::channel(options.buffer.max(1));
        let shared = Arc::new(Mutex::new(Shared { position: options.since, ..Shared::default() }));
        let topic = Self {
            name,
            number,
            cursor: Cursor::new(&options),
            options,
            members: BTreeMap::new(),
            live: false,
            events: sender,
            shared: Arc::clone(&shared),
            backoff: Backoff::new(client.backoff_min, client.backoff_max),
            again_at: None,
        };
        (topic, receiver, shared)
    }

    /// The command that begins it or goes on with it.
    pub(crate) fn request(&mut self) -> Command {
        let (since, last) = self.cursor.request();
        self.again_at = None;
        let SubscribeOptions { presence, max_rate, .. } = self.options;
        Command::Subscribe(Subscribe {
            topic: self.name.clone(),
            since,
            last,
            presence,
            max_rate,
            echo: true,
        })
    }

    /// The broker confirmed.
    pub(crate) fn confirmed(&mut self, reply: &Reply) -> Result<(), Error> {
        self.backoff.reset();
        let whole = self.cursor.confirm(reply);
        self.live = true;
        self.note_position();
        if let (Some(whole), Some(epoch), Some(offset)) = (whole, reply.epoch, reply.offset) {
            self.pass_on(Event::Recovered { whole, position: Position { epoch, offset } })?;
        }
        match &reply.members {
            Some(members) => self.compare(members),
            None => Ok(()),
        }
    }

    /// The broker refused, or ended it. An error that comes back is for good.
    pub(crate) fn refused(&mut self, error: Error, now: Instant) -> Result<(), Error> {
        self.live = false;
        if !error.retry {
            return Err(error);
        }
        self.again_at = Some(now + self.backoff.next());
        self.pass_on(Event::Refused(error))
    }

    pub(crate) fn message(&mut self, message: Message) -> Result<(), Error> {
        // Before the confirmation, what comes is of a subscription that was given up or that the broker made by itself.
        if !self.live || !self.cursor.advance(message.offset, message.key.is_some()) {
            return Ok(());
        }
        // The position is noted after that, so it never says that the stream has something which did not fit into it.
        self.pass_on(Event::Message(message))?;
        self.note_position();
        Ok(())
    }

    pub(crate) fn gap(&mut self, gap: Gap) -> Result<(), Error> {
        if !self.live {
            return Ok(());
        }
        self.cursor.skip(gap.epoch, gap.next);
        self.pass_on(Event::Gap(gap))?;
        self.note_position();
        Ok(())
    }

    pub(crate) fn join(&mut self, member: Member) -> Result<(), Error> {
        // The list of the confirmation and the first changes may tell of the same client.
        if !self.live || self.members.contains_key(&member.client) {
            return Ok(());
        }
        self.members.insert(member.client, member.clone());
        self.shared().members = self.members.values().cloned().collect();
        self.pass_on(Event::Join(member))
    }

    pub(crate) fn leave(&mut self, member: &Member) -> Result<(), Error> {
        let Some(known) = self.members.remove(&member.client).filter(|_| self.live) else { return Ok(()) };
        self.shared().members = self.members.values().cloned().collect();
        self.pass_on(Event::Leave(known))
    }

    /// The connection is gone.
    pub(crate) fn offline(&mut self) {
        self.live = false;
        self.again_at = None;
    }

    /// It is over. What the stream holds is still read.
    pub(crate) fn end(self, error: Error) {
        // Before the sender is dropped with `self`: whoever reads the end of the stream looks for the reason next.
        self.shared().ended = Some(error);
    }

    /// After a reconnection, those who came and went meanwhile are told apart by the list.
    fn compare(&mut self, now: &[Member]) -> Result<(), Error> {
        let gone = |known: &&Member| now.iter().all(|member| member.client != known.client);
        for member in self.members.values().filter(gone).cloned().collect::<Vec<_>>() {
            self.leave(&member)?;
        }
        now.iter().try_for_each(|member| self.join(member.clone()))
    }

    fn pass_on(&self, event: Event) -> Result<(), Error> {
        self.events.try_send(event).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => {
                Error::new(Code::Overflow, "the reader is slower than the subscription's buffer allows")
            }
            // The program has dropped it, and the order that unsubscribes is on its way.
            mpsc::error::TrySendError::Closed(_) => Error::closed(),
        })
    }

    fn note_position(&self) {
        self.shared().position = self.cursor.position().cloned();
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
