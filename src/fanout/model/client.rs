//! What one subscriber must have heard: the simple model.

use std::collections::{BTreeMap, BTreeSet};

use fanwire_proto::{ClientId, Kind, Offset};

use super::audience::Heard;

/// A message as it was published.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) key: usize,
    /// Its number among those of its key.
    pub(super) number: u64,
    pub(super) from: ClientId,
    pub(super) not_to: Option<ClientId>,
}

/// What a subscriber knows of one topic.
pub(super) struct Subscriber {
    pub(super) client: ClientId,
    pub(super) kind: Kind,
    pub(super) declines_own: bool,
    /// It has been sent, or told that it misses, everything up to here.
    pub(super) position: Offset,
    /// Kind `latest`: by key, the number of the value it has.
    pub(super) has: BTreeMap<usize, u64>,
    /// Kind `volatile`: its socket was full at some time.
    pub(super) was_blocked: bool,
    /// Who is there, if it watches.
    pub(super) members: Option<BTreeSet<ClientId>>,
    pub(super) ended: bool,
}

impl Subscriber {
    pub(super) fn is_left_out(&self, message: &Published) -> bool {
        message.not_to == Some(self.client) || self.declines_own && message.from == self.client
    }

    /// Takes what came, of a topic in which this was published and so many messages are kept.
    pub(super) fn hear(&mut self, heard: &Heard, published: &[Published], kept: usize) -> Result<(), String> {
        if self.ended {
            return Err(format!("{heard:?} after the end"));
        }
        match heard {
            Heard::Message { offset, skipped, .. } => self.message(*offset, *skipped, published),
            Heard::Gap { after, next, .. } => self.gap(*after, *next, published, kept),
            Heard::Joined { client, .. } => {
                // One that left and came back while its watcher was full may just have come.
                self.watching(heard)?.insert(*client);
                Ok(())
            }
            Heard::Left { client, .. } => match self.watching(heard)?.remove(client) {
                true => Ok(()),
                false => Err(format!("{client} left without having been there")),
            },
            Heard::Ended { .. } => {
                self.ended = true;
                Ok(())
            }
        }
    }

    fn watching(&mut self, heard: &Heard) -> Result<&mut BTreeSet<ClientId>, String> {
        self.members.as_mut().ok_or_else(|| format!("{heard:?} for somebody who does not watch"))
    }

    fn message(&mut self, offset: Offset, skipped: u64, published: &[Published]) -> Result<(), String> {
        let Some(message) = at(published, offset) else {
            return Err(format!("{offset} was never published"));
        };
        if self.is_left_out(message) {
            return Err(format!("{offset} is not for {}", self.client));
        }
        match self.kind {
            Kind::Log | Kind::Document => {
                if offset <= self.position {
                    return Err(format!("{offset} after {}", self.position));
                }
                self.missing(self.position, Offset(offset.0 - 1), published)?;
            }
            Kind::Volatile if offset <= self.position => {
                return Err(format!("{offset} after {}", self.position));
            }
            Kind::Volatile if !self.was_blocked => {
                self.missing(self.position, Offset(offset.0 - 1), published)?;
            }
            Kind::Volatile => {}
            Kind::Latest => self.value(message, skipped, published)?,
        }
        self.position = self.position.max(offset);
        Ok(())
    }

    /// Every value of a key is sent or counted; whether one counts that was not for this client is left open.
    fn value(&mut self, message: &Published, skipped: u64, published: &[Published]) -> Result<(), String> {
        let has = self.has.insert(message.key, message.number).unwrap_or(0);
        if message.number <= has {
            return Err(format!("value {} of key {} after value {has}", message.number, message.key));
        }
        let between = |other: &&Published| {
            other.key == message.key && (has + 1..message.number).contains(&other.number)
        };
        let missed = message.number - has - 1;
        let others = published.iter().filter(between).any(|other| self.is_left_out(other));
        match skipped == missed || others && skipped <= missed {
            true => Ok(()),
            false => Err(format!("{skipped} values skipped of key {}, and it were {missed}", message.key)),
        }
    }

    fn gap(
        &mut self,
        after: Offset,
        next: Offset,
        published: &[Published],
        kept: usize,
    ) -> Result<(), String> {
        if self.kind != Kind::Log || after < self.position || next.0 <= after.0 + 1 {
            return Err(format!("a gap from {after} to {next}, at {}", self.position));
        }
        self.missing(self.position, after, published)?;
        if (published.len() as u64) < next.0 - 1 + kept as u64 {
            return Err(format!("a gap up to {next}, and {kept} of {} are kept", published.len()));
        }
        self.position = Offset(next.0 - 1);
        Ok(())
    }

    /// What lies between has not come: nothing of it is for this client.
    fn missing(&self, after: Offset, upto: Offset, published: &[Published]) -> Result<(), String> {
        for offset in after.0 + 1..=upto.0 {
            if at(published, Offset(offset)).is_some_and(|message| !self.is_left_out(message)) {
                return Err(format!("{offset} has not come"));
            }
        }
        Ok(())
    }

    /// Nothing is on its way any more: it has what its kind promises.
    pub(super) fn settled(
        &self,
        published: &[Published],
        members: &BTreeSet<ClientId>,
    ) -> Result<(), String> {
        if self.ended {
            return Ok(());
        }
        if self.members.as_ref().is_some_and(|known| known != members) {
            return Err(format!("{:?} are there, not {:?}", members, self.members));
        }
        let last = Offset(published.len() as u64);
        match self.kind {
            Kind::Volatile if self.was_blocked => Ok(()),
            Kind::Log | Kind::Document | Kind::Volatile => self.missing(self.position, last, published),
            Kind::Latest => {
                let mut newest: BTreeMap<usize, &Published> = BTreeMap::new();
                newest.extend(published.iter().map(|message| (message.key, message)));
                for (key, value) in newest {
                    let has = self.has.get(&key).copied().unwrap_or(0);
                    if has != value.number && !self.is_left_out(value) {
                        return Err(format!("value {} of key {key} is the newest, not {has}", value.number));
                    }
                }
                Ok(())
            }
        }
    }
}

pub(super) fn at(published: &[Published], offset: Offset) -> Option<&Published> {
    published.get(usize::try_from(offset.0).ok()?.checked_sub(1)?)
}
