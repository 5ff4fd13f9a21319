//! Topics that nobody asks for: whether something of them is due to go.

use fanwire_proto::{Epoch, Kind, TopicName};

use super::{
    Durable, decode_block, decode_head,
    keys::{prefix_of, state_key},
    record::encode_head,
    salvage,
};
use crate::{
    defaults,
    store::{Batch, Scan, Space, StoreError},
    topic::{self, KindRule, Rule},
};

/// What is to be done with a topic that is only on the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// Nothing.
    Nothing,
    /// It has content that its rule keeps no longer: restoring it removes that.
    Restore,
    /// It has been empty for long: it can be forgotten.
    Forget,
}

impl Durable {
    /// Removes all that is known of a topic without content. Waits for the disk.
    pub fn forget(&self, name: &TopicName) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        batch.delete(Space::Topics, name.as_str().as_bytes().to_vec());
        self.committer.keep_now(batch)
    }

    /// What makes a document begin anew of which a part cannot be read: that stays where it is, and counts no more.
    pub fn discard(&self, name: &TopicName, epoch: Epoch, now_ms: u64) -> Result<Batch, StoreError> {
        let parts = salvage::parts(&**self.committer.store(), name, Kind::Document)?;
        let holes = parts.content.holes.iter().chain(&parts.state.holes);
        let damage = holes.map(|hole| hole.written).max().unwrap_or(0);
        // What cannot be read may have had any offset: the document goes on above all there can have been.
        let here = self.ceiling();
        let head =
            topic::Head { kind: Kind::Document, epoch, last: here, numbered: here, evicted: here, damage };
        let head = encode_head(&head, self.run.crashes, now_ms);
        let mut batch = Batch::default();
        let key = name.as_str().as_bytes().to_vec();
        batch.put(Space::Topics, key, head.map_err(|error| StoreError::Io(error.to_string().into()))?);
        batch.delete(Space::Documents, state_key(name));
        Ok(batch)
    }

    /// Looks at a topic's head and its oldest content.
    pub fn due(&self, name: &TopicName, rule: &Rule, now_ms: u64) -> Result<Due, StoreError> {
        let (space, age) = match &rule.kind {
            KindRule::Log(bounds) => (Space::Messages, Some(bounds.age)),
            KindRule::Latest { max_age, .. } => (Space::Values, *max_age),
            KindRule::Volatile { .. } | KindRule::Document(_) => return Ok(Due::Nothing),
        };
        let store = self.committer.store();
        let oldest = match store.scan(&Scan { limit: 1, ..Scan::prefix(space, prefix_of(name)) }) {
            // What is damaged stays as it is until somebody asks for it.
            Err(StoreError::Corrupt(_)) => return Ok(Due::Nothing),
            oldest => oldest?,
        };
        let is_over = |time_ms: u64, age_ms: u64| now_ms.saturating_sub(time_ms) > age_ms;
        let Some((_, value)) = oldest.first() else {
            let head = match store.get(Space::Topics, name.as_str().as_bytes()) {
                Err(StoreError::Corrupt(_)) => return Ok(Due::Nothing),
                head => head?,
            };
            let forgotten = head
                .and_then(|head| decode_head(&head).ok())
                .is_some_and(|head| is_over(head.written_ms, defaults::EMPTY_TOPIC_S * 1_000));
            return Ok(if forgotten { Due::Forget } else { Due::Nothing });
        };
        let Ok(block) = decode_block(name, value) else { return Ok(Due::Nothing) };
        // Values are in the order of their keys: any of them may be the oldest.
        let overdue = age.is_some_and(|age| {
            let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            space == Space::Values || block.messages.iter().any(|(message, _)| is_over(message.time, age_ms))
        });
        Ok(if overdue { Due::Restore } else { Due::Nothing })
    }
}
