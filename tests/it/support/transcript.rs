//! What one subscriber was told about a topic of kind `log`, checked against what was published.

use std::{
    collections::BTreeMap,
    ops::{Bound, Range},
};

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};

use super::Client;

/// Offset → number, of every message that was acknowledged.
pub(crate) type Published = BTreeMap<u64, u64>;

#[derive(Debug)]
enum Entry {
    Subscribed { epoch: String, offset: u64, recovered: Option<bool> },
    Message { offset: u64, number: u64 },
    Gap { after: u64, next: u64 },
}

/// The events of one subscriber, over any number of connections.
#[derive(Default, Debug)]
pub(crate) struct Transcript(Vec<Entry>);

/// What a sound transcript amounts to.
#[derive(Default, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) received: usize,
    /// Messages that the broker said it would not deliver.
    pub(crate) declared_lost: usize,
}

impl Transcript {
    /// Notes the reply to `subscribe`.
    pub(crate) fn subscribed(&mut self, reply: &Value) {
        self.0.push(Entry::Subscribed {
            epoch: reply["epoch"].as_str().unwrap().into(),
            offset: reply["offset"].as_u64().unwrap(),
            recovered: reply["recovered"].as_bool(),
        });
    }

    /// Notes any other event; says the number of the message if it is one.
    pub(crate) fn note(&mut self, event: &Value) -> Option<u64> {
        match event["type"].as_str().unwrap() {
            "message" => {
                let number = event["data"]["n"].as_u64().unwrap();
                self.0.push(Entry::Message { offset: event["offset"].as_u64().unwrap(), number });
                Some(number)
            }
            "gap" => {
                let field = |name: &str| event[name].as_u64().unwrap();
                self.0.push(Entry::Gap { after: field("after"), next: field("next") });
                None
            }
            _ => panic!("unexpected {event}"),
        }
    }

    /// Reads until the message with this number.
    pub(crate) async fn read_until<S>(&mut self, client: &mut Client<S>, number: u64)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        while self.note(&client.next().await) != Some(number) {}
    }

    /// Where a resume continues.
    pub(crate) fn position(&self) -> (Value, Value) {
        let epoch = self.0.iter().rev().find_map(|entry| match entry {
            Entry::Subscribed { epoch, .. } => Some(epoch.clone()),
            _ => None,
        });
        let offset = self.0.iter().rev().find_map(|entry| match entry {
            Entry::Message { offset, .. }
            | Entry::Subscribed { offset, recovered: None | Some(false), .. } => Some(*offset),
            _ => None,
        });
        (epoch.unwrap().into(), offset.unwrap().into())
    }

    /// Fails unless every published message was delivered once, in order, or declared lost.
    pub(crate) fn check(&self, published: &Published) -> Tally {
        let after = |position| {
            published
                .range((Bound::Excluded(position), Bound::Unbounded))
                .next()
                .map(|(&offset, &n)| (offset, n))
        };
        let mut tally = Tally::default();
        let mut position = None;
        let mut epochs: Vec<&str> = Vec::new();
        for (at, entry) in self.0.iter().enumerate() {
            match *entry {
                Entry::Subscribed { ref epoch, offset, recovered } => {
                    epochs.push(epoch);
                    match (recovered, position) {
                        (Some(true), Some(old)) => {
                            assert!(offset >= old, "went back at entry {at}: {entry:?}")
                        }
                        (_, old) => {
                            let lost = published
                                .range(old.map_or(offset, |old| old + 1)..=offset.max(old.unwrap_or(0)));
                            tally.declared_lost += if old.is_some() { lost.count() } else { 0 };
                            position = Some(offset);
                        }
                    }
                }
                Entry::Message { offset, number } => {
                    let expected = after(position.unwrap());
                    assert_eq!(Some((offset, number)), expected, "at entry {at} after {position:?}");
                    position = Some(offset);
                    tally.received += 1;
                }
                Entry::Gap { after: from, next } => {
                    assert_eq!(Some(from), position, "a gap from elsewhere at entry {at}");
                    let lost = published.range(from + 1..next).count();
                    assert!(lost > 0, "a gap without a loss at entry {at}: {entry:?}");
                    assert!(published.contains_key(&next), "a gap to nowhere at entry {at}: {entry:?}");
                    tally.declared_lost += lost;
                    position = Some(next - 1);
                }
            }
        }
        epochs.dedup();
        assert_eq!(epochs.len(), 1, "the epoch changed: {epochs:?}");
        tally
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Publishes `{"n":…,"pad":…}` for each number as fast as replies come back, some dozens to a frame.
    pub(crate) async fn flood(&mut self, topic: &str, numbers: Range<u64>, padding: usize) -> Published {
        let pad = "x".repeat(padding);
        let per_frame = (24 * 1024 / (padding + 200)).clamp(1, 64);
        let numbers: Vec<u64> = numbers.collect();
        let mut published = Published::new();
        for batch in numbers.chunks(per_frame) {
            let command = |&n: &u64| json!({ "type": "publish", "id": FLOOD + n, "topic": topic, "data": { "n": n, "pad": pad } });
            self.send(&batch.iter().map(command).collect()).await;
            for &n in batch {
                let reply = self.reply(FLOOD + n).await;
                assert_eq!(reply["type"], "ok", "{reply}");
                published.insert(reply["offset"].as_u64().unwrap(), n);
            }
        }
        published
    }
}

/// Ids of flooding commands, apart from those that `call` uses.
const FLOOD: u64 = 1 << 40;
