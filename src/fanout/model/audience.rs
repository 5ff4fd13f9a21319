//! Connections that note what they are sent, and take as much as they have room for.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use bytes::Bytes;
use fanwire_proto::{ClientId, Delivery, Offset};

use crate::{
    fanout::{Connections, Item, Receiver, SubKey, notice_of},
    wire::{Body, Dialect, Dialects, Encoding, Framing, Limits, Notice, Speaker, Spoken, Variant},
};

/// What a connection was sent on some subscription.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Heard {
    Message { topic: String, offset: Offset, skipped: u64 },
    Joined { topic: String, client: ClientId },
    Left { topic: String, client: ClientId },
    Gap { topic: String, after: Offset, next: Offset },
    Ended { topic: String },
}

/// A line for each thing said.
struct Lines;

impl Dialect for Lines {
    fn name(&self) -> &'static str {
        "lines"
    }

    fn reads(&self, _: &Limits) -> usize {
        0
    }

    fn delivery(&self, delivery: Delivery<'_>, _: Variant) -> Body {
        let Delivery { message, skipped } = delivery;
        Body::text(format!("M {} {} {skipped}\n", message.topic, message.offset.0).into_bytes())
    }

    fn tells_skipped(&self) -> bool {
        true
    }

    fn notice(&self, notice: &Notice<'_>) -> Body {
        match notice {
            Notice::Joined { topic, member } => line("J", topic.as_str(), member.client.0),
            Notice::Left { topic, member } => line("L", topic.as_str(), member.client.0),
            _ => Body::Nothing,
        }
    }
}

fn line(word: &str, topic: &str, client: u64) -> Body {
    Body::text(format!("{word} {topic} {client} 0\n").into_bytes())
}

fn read(line: &str) -> Heard {
    let words: Vec<&str> = line.split(' ').collect();
    let [word, topic, number, skipped] = words[..] else { panic!("{line:?}") };
    let (topic, number) = (topic.to_owned(), number.parse().unwrap());
    match word {
        "M" => Heard::Message { topic, offset: Offset(number), skipped: skipped.parse().unwrap() },
        "J" => Heard::Joined { topic, client: ClientId(number) },
        _ => Heard::Left { topic, client: ClientId(number) },
    }
}

/// One connection.
pub(super) struct Conn {
    pub(super) client: ClientId,
    pub(super) blocked: bool,
    /// Sends until its socket is full.
    pub(super) room: usize,
    pub(super) heard: Vec<Heard>,
}

/// All connections, by slots.
pub(super) struct Audience {
    pub(super) conns: Vec<Option<Conn>>,
    pub(super) now: Cell<Instant>,
    spoken: Spoken,
    shared: Vec<Bytes>,
}

impl Audience {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            conns: (0..slots).map(|_| None).collect(),
            now: Cell::new(Instant::now()),
            spoken: Dialects::default().register(Lines, Framing::Raw),
            shared: Vec::new(),
        }
    }

    fn send(&mut self, conn: u32, heard: impl IntoIterator<Item = Heard>) {
        let Some(conn) = &mut self.conns[conn as usize] else { panic!("nobody is there") };
        conn.heard.extend(heard);
        conn.room = conn.room.saturating_sub(1);
    }
}

impl Connections for Audience {
    fn receiver(&self, conn: u32) -> Option<Receiver> {
        let conn = self.conns[conn as usize].as_ref()?;
        Some(Receiver { client: conn.client, encoding: self.spoken.encoding(), blocked: conn.blocked })
    }

    fn speaker(&self, _: Encoding) -> Speaker<'_> {
        self.spoken.speaker()
    }

    fn share(&mut self, bytes: Bytes) -> u32 {
        self.shared.push(bytes);
        u32::try_from(self.shared.len() - 1).unwrap()
    }

    fn send_shared(&mut self, conn: u32, shared: u32) {
        let bytes = self.shared[shared as usize].clone();
        let text = std::str::from_utf8(&bytes).unwrap();
        self.send(conn, text.lines().map(read));
    }

    fn send_own<'a>(&mut self, conn: u32, _: SubKey, items: impl Iterator<Item = Item<'a>>) {
        let heard: Vec<Heard> = items.map(of_item).collect();
        if !heard.is_empty() {
            self.send(conn, heard);
        }
    }

    fn flush(&mut self, conn: u32) {
        if let Some(conn) = &mut self.conns[conn as usize] {
            conn.blocked |= conn.room == 0;
        }
    }

    fn flush_all(&mut self) {
        self.conns.iter_mut().flatten().for_each(|conn| conn.blocked |= conn.room == 0);
        self.shared.clear();
    }

    /// Time passes while a slice runs, enough for a pause after some passes.
    fn now(&self) -> Instant {
        self.now.set(self.now.get() + Duration::from_micros(350));
        self.now.get()
    }
}

fn of_item(item: Item<'_>) -> Heard {
    match item {
        Item::Message(message, skipped) => {
            let message = &message.message;
            Heard::Message { topic: message.topic.to_string(), offset: message.offset, skipped }
        }
        Item::Change(change) => of_item(Item::Notice(notice_of(change))),
        Item::Notice(Notice::Joined { topic, member }) => {
            Heard::Joined { topic: topic.to_string(), client: member.client }
        }
        Item::Notice(Notice::Left { topic, member }) => {
            Heard::Left { topic: topic.to_string(), client: member.client }
        }
        Item::Notice(Notice::Gap { topic, after, next, .. }) => {
            Heard::Gap { topic: topic.to_string(), after, next }
        }
        Item::Notice(Notice::Ended { topic, .. }) => Heard::Ended { topic: topic.to_string() },
        Item::Notice(Notice::Goodbye { .. }) => panic!("nobody is sent away here"),
    }
}
