//! Putting together what one connection gets, with what is its own.

use bytes::Bytes;

use super::{
    core::Core,
    feed::Pass,
    options::SubKey,
    stamp::{APART_BYTES, Gather, Said},
};
use crate::wire::{Encoding, Frame, Notice, Part, Speaker};

impl Core {
    /// The bytes of what goes to one connection on one of its subscriptions.
    pub(super) fn gather(
        &mut self,
        slot: u32,
        key: Option<SubKey>,
        encoding: Encoding,
        fill: impl FnOnce(&mut Gather<'_>, Speaker<'_>),
    ) -> Vec<Bytes> {
        let Some(conn) = self.conns.get_mut(slot as usize) else { return Vec::new() };
        let mut gather = Gather::new(encoding.framing, key, conn.stamp());
        fill(&mut gather, Speaker::new(encoding, &*self.dialects[encoding.dialect.index()]));
        gather.finish()
    }

    /// The bytes of a notice to one connection.
    pub(super) fn notice(&mut self, slot: u32, key: Option<SubKey>, notice: &Notice<'_>) -> Vec<Bytes> {
        let Some(conn) = self.conns.get(slot as usize) else { return Vec::new() };
        let encoding = conn.encoding;
        self.gather(slot, key, encoding, |gather, speaker| {
            gather.add(Said::Notice(notice), &speaker.notice(notice));
        })
    }

    /// Adds what a connection whose bytes are partly its own gets of a pass. As for [others](Self::stage), nothing is
    /// allocated but where a table grows, and large parts are not copied.
    pub(super) fn stage_stamped(&mut self, slot: u32, key: SubKey, encoding: Encoding, pass: &Pass) {
        let mut begun = self.frames.begin();
        for (index, message) in pass.messages.iter().enumerate() {
            let Some(conn) = self.conns.get_mut(slot as usize) else { return };
            let speaker = Speaker::new(encoding, &*self.dialects[encoding.dialect.index()]);
            let skipped = pass.skipped.get(index).copied().unwrap_or(0);
            let made;
            let frame = match skipped {
                0 => message.frame(speaker),
                _ => {
                    made = message.frame_after(speaker, skipped);
                    &made
                }
            };
            let Frame::Mixed(parts) = frame else { continue };
            self.own.clear();
            if let Some(stamp) = conn.stamp() {
                stamp.stamp(Some(key), Said::Message(&message.message), &mut self.own);
            }
            for part in parts.iter() {
                match part {
                    Part::Shared(bytes) if bytes.len() >= APART_BYTES => {
                        let (small, large) = (self.frames.finish(begun), self.frames.add(bytes.clone()));
                        small.into_iter().chain([large]).for_each(|entry| self.stage(slot, entry));
                        begun = self.frames.begin();
                    }
                    part => encoding.framing.append_part(self.frames.growing(), part, &self.own),
                }
            }
        }
        if let Some(entry) = self.frames.finish(begun) {
            self.stage(slot, entry);
        }
    }
}
