//! Topics in memory: a message is placed when it is numbered.

use std::sync::Arc;

use super::{
    Place, Submission, Submitted,
    here::{Here, Seen},
};
use crate::{
    durable::Trouble,
    topic::{NotPublished, Topic},
};

pub(super) struct Memory(pub(super) Arc<Here>);

impl Place for Memory {
    fn check(&self) -> Result<(), Trouble> {
        Ok(())
    }

    fn submit(&self, topic: &Arc<Topic>, submission: Submission<'_>) -> Result<Submitted, NotPublished> {
        Ok(self.0.take(topic, submission, Seen::AtOnce)?.into())
    }
}
