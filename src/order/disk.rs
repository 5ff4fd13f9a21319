//! Durable topics: a message is placed when the commit that it is in has succeeded, see [`durable`](crate::durable).

use std::sync::Arc;

use super::{
    Place, Submission, Submitted,
    here::{Here, Seen},
};
use crate::{
    durable::{Durable, Trouble},
    topic::{Keeping, NotPublished, Topic},
};

pub(super) struct Disk {
    pub(super) here: Arc<Here>,
    pub(super) durable: Arc<Durable>,
}

impl Place for Disk {
    fn check(&self) -> Result<(), Trouble> {
        self.durable.check()
    }

    fn submit(&self, topic: &Arc<Topic>, submission: Submission<'_>) -> Result<Submitted, NotPublished> {
        let seen = if topic.keeping == Keeping::Durable { Seen::Later } else { Seen::AtOnce };
        let taken = self.here.take(topic, submission, seen)?;
        match taken.begin_commit {
            true => self.durable.begin_commit(topic),
            // A commit is queued already. What it waits for is company, and this is some.
            false => self.durable.committer().more(),
        }
        Ok(taken.into())
    }
}
