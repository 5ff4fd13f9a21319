//! How fan-out reaches connections, and how what goes to one of them is put together with what is its own.

use std::time::Instant;

use bytes::Bytes;

use super::{
    outgoing::Outgoing,
    stamp::{APART_BYTES, Said},
    table::Begun,
};
use crate::{
    fanout::{Connections, Item, Receiver, SubKey, change_frame, notice_of},
    wire::{Encoding, Frame, Part, Speaker},
};

/// Where something goes that one connection gets.
enum Way {
    /// Behind what its door said.
    Reply,
    /// To its stage; what is small is put together since then.
    Stage(Begun),
}

impl Connections for Outgoing {
    fn receiver(&self, conn: u32) -> Option<Receiver> {
        let conn = self.conns.get(conn as usize)?;
        Some(Receiver { client: conn.member.client, encoding: conn.encoding, blocked: conn.is_blocked() })
    }

    fn speaker(&self, encoding: Encoding) -> Speaker<'_> {
        self.speaker_in(encoding)
    }

    fn share(&mut self, bytes: Bytes) -> u32 {
        self.frames.add(bytes)
    }

    fn send_shared(&mut self, conn: u32, shared: u32) {
        self.stage(conn, shared);
    }

    /// As for [others](Outgoing::stage), nothing is allocated but where a table grows, and large parts are not copied.
    fn send_own<'a>(&mut self, conn: u32, key: SubKey, items: impl Iterator<Item = Item<'a>>) {
        let mut way = Way::Stage(self.frames.begin());
        self.put(conn, Some(key), items, &mut way);
        if let Way::Stage(begun) = way
            && let Some(entry) = self.frames.finish(begun)
        {
            self.stage(conn, entry);
        }
    }

    fn flush(&mut self, conn: u32) {
        self.write(conn);
    }

    fn flush_all(&mut self) {
        self.flush_dirty();
    }

    fn now(&self) -> Instant {
        Instant::now()
    }
}

impl Outgoing {
    /// Adds something to what the connection is about to be sent.
    pub(super) fn reply<'a>(
        &mut self,
        slot: u32,
        key: Option<SubKey>,
        items: impl Iterator<Item = Item<'a>>,
    ) {
        self.put(slot, key, items, &mut Way::Reply);
    }

    fn put<'a>(
        &mut self,
        slot: u32,
        key: Option<SubKey>,
        items: impl Iterator<Item = Item<'a>>,
        way: &mut Way,
    ) {
        let Some(encoding) = self.conns.get(slot as usize).map(|conn| conn.encoding) else { return };
        for item in items {
            // Declared out here, since the frame may be borrowed from one of them.
            let (made, notice);
            let speaker = self.speaker_in(encoding);
            let (said, frame) = match item {
                Item::Message(message, 0) => (Said::Message(&message.message), message.frame(speaker)),
                Item::Message(message, skipped) => {
                    made = message.frame_after(speaker, skipped);
                    (Said::Message(&message.message), &made)
                }
                Item::Change(change) => {
                    notice = notice_of(change);
                    (Said::Notice(&notice), change_frame(speaker, change))
                }
                Item::Notice(other) => {
                    notice = other;
                    made = speaker.notice(&notice);
                    (Said::Notice(&notice), &made)
                }
            };
            match frame {
                Frame::Shared(bytes) => self.put_bytes(slot, bytes, way),
                Frame::Mixed(parts) => self.put_parts((slot, key), encoding, said, parts, way),
            }
        }
    }

    fn put_parts(
        &mut self,
        (slot, key): (u32, Option<SubKey>),
        encoding: Encoding,
        said: Said<'_>,
        parts: &[Part],
        way: &mut Way,
    ) {
        // Taken so that the stamp can write to it while the connection, which is in `self` too, lends the stamp.
        let mut own = std::mem::take(&mut self.own);
        own.clear();
        if let Some(stamp) = self.conns.get_mut(slot as usize).and_then(|conn| conn.stamp()) {
            stamp.stamp(key, said, &mut own);
        }
        for part in parts {
            match part {
                Part::Shared(bytes) => self.put_bytes(slot, bytes, way),
                part => encoding.framing.append_part(self.small(way), part, &own),
            }
        }
        self.own = own;
    }

    fn put_bytes(&mut self, slot: u32, bytes: &Bytes, way: &mut Way) {
        if bytes.len() < APART_BYTES {
            return self.small(way).extend_from_slice(bytes);
        }
        match way {
            Way::Reply => {
                // What was said before goes out before.
                self.stage_replies(slot);
                self.stage_own(slot, bytes.clone());
            }
            Way::Stage(begun) => {
                // Ends the entry of small things, so that the large one, which is not copied, keeps its place.
                let (small, large) = (self.frames.finish(*begun), self.frames.add(bytes.clone()));
                small.into_iter().chain([large]).for_each(|entry| self.stage(slot, entry));
                *begun = self.frames.begin();
            }
        }
    }

    /// Where small things are put together.
    fn small(&mut self, way: &Way) -> &mut Vec<u8> {
        match way {
            Way::Reply => &mut self.replies,
            Way::Stage(_) => self.frames.growing(),
        }
    }
}
