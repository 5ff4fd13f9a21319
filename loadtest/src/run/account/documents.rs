//! What a document reads, held against the updates that make it.
//!
//! Every update inserts its message at the beginning of one text and names no neighbour. By the rules of Yjs such
//! insertions stand in the order of their clients' numbers, and of one client the newest first; so everyone who has
//! the same updates reads the same text, and it can be told without an engine for documents. Who got which updates is
//! the ledger's to say.

use super::{Account, Fate};
use crate::run::engine::documents::Served;
use crate::stamp::{self, Stamp};

impl Account {
    /// Enters what the server says that the documents read, by topic.
    pub(in crate::run) fn enter_documents(&mut self, served: &Served) {
        for (topic, text) in served.iter().enumerate() {
            let problem = match text {
                Ok(text) => {
                    let problem = self.difference(topic, text);
                    self.counts.documents_differ += u64::from(problem.is_some());
                    problem.map(|problem| format!("does not read as its updates make it: {problem}"))
                }
                Err(reason) => {
                    self.counts.unaudited_topics += 1;
                    Some(format!("cannot be read: {reason}"))
                }
            };
            if let Some(problem) = problem {
                let name = self.layout.topics[topic].clone();
                self.note(|| format!("document {name} {problem}"));
            }
        }
    }

    /// Where `text` is not what the updates of `topic` make.
    fn difference(&mut self, topic: usize, text: &[u8]) -> Option<String> {
        let found: Vec<Result<Stamp, _>> = stamp::scan(text).collect();
        let whole: Vec<Stamp> = found.iter().filter_map(|stamp| stamp.ok()).collect();
        self.counts.audited += whole.len() as u64;
        if found.len() > whole.len() {
            return Some(format!("{} updates are damaged", found.len() - whole.len()));
        }
        let mut rest = whole.as_slice();
        let mut length = 0;
        for slot in 0..self.layout.slots {
            let stream = topic * self.layout.slots + slot;
            let own = rest.iter().take_while(|stamp| self.is_of(stamp, stream)).count();
            if let Some(problem) = self.difference_of(stream, &rest[..own]) {
                return Some(problem);
            }
            length += self.sizes(stream, own);
            rest = &rest[own..];
        }
        if let Some(stranger) = rest.first() {
            return Some(format!(
                "update {} of stream {} is where it does not belong",
                stranger.sequence, stranger.stream
            ));
        }
        (length != text.len() as u64).then(|| format!("{} bytes, where {length} were written", text.len()))
    }

    fn is_of(&self, stamp: &Stamp, stream: usize) -> bool {
        stamp.run == self.run && stamp.stream as usize == stream
    }

    /// Where the updates of one client, as they are found, are not all of them, the newest first.
    fn difference_of(&self, stream: usize, found: &[Stamp]) -> Option<String> {
        let publisher = self.layout.publisher(stream % self.layout.slots);
        let count = found.len() as u64;
        let (owed, possible) = self.bounds(stream);
        let in_order = (0..count).rev().eq(found.iter().map(|stamp| stamp.sequence));
        if count < owed {
            Some(format!("of publisher {publisher}'s first {owed} updates it has {count}"))
        } else if count > possible {
            Some(format!("it has {count} updates of publisher {publisher}, who made {possible}"))
        } else if !in_order {
            Some(format!("the updates of publisher {publisher} are not in their order"))
        } else {
            None
        }
    }

    /// How many of a client's updates, from the first, have to be there, and how many can be. Each builds on the one
    /// before: behind one that the server refused it can do nothing with any, and behind one that nobody has heard of
    /// nobody knows.
    fn bounds(&self, stream: usize) -> (u64, u64) {
        let messages = || self.by_stream[stream].iter().map(|&number| &self.messages[number as usize]);
        let possible = messages().take_while(|message| message.state != Fate::Refused).count();
        let known = |message: &&super::Message| message.state == Fate::Acknowledged || message.last_ns > 0;
        let owed = messages().take(possible).take_while(known).count();
        (owed as u64, possible as u64)
    }

    /// Bytes of a client's first updates.
    fn sizes(&self, stream: usize, count: usize) -> u64 {
        let sent = self.by_stream[stream].iter().take(count);
        sent.map(|&number| u64::from(self.messages[number as usize].size)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Kind, Layout};
    use super::*;
    use crate::client::Sink;
    use crate::run::scenario::Scenario;
    use crate::wire::Reply;

    const RUN: u32 = 9;

    fn stamp(stream: u32, sequence: u64) -> Stamp {
        Stamp { run: RUN, stream, sequence, intended_ns: 1, lag_ns: 0 }
    }

    fn text(updates: &[(u32, u64)]) -> Vec<u8> {
        updates
            .iter()
            .flat_map(|&(stream, sequence)| stamp(stream, sequence).payload(64).into_bytes())
            .collect()
    }

    /// Two publishers of one document: two updates that were acknowledged, and three of which the second was not
    /// answered and the third `last`.
    fn account(last: Fate) -> Account {
        let scenario =
            Scenario { kind: Kind::Document, publishers: 2, subscribers: 1, ..Scenario::default() };
        let mut account = Account::new(RUN, &scenario, Layout::new(&scenario, RUN)).unwrap();
        for (stream, fate) in [
            (0, Fate::Acknowledged),
            (1, Fate::Acknowledged),
            (1, Fate::Sent),
            (0, Fate::Acknowledged),
            (1, last),
        ] {
            let (id, _) = account.send(stream, 64, 1, true);
            let kind = match fate {
                Fate::Sent => continue,
                Fate::Acknowledged => "ok",
                Fate::Refused => "error",
            };
            account.reply(1, &Reply { kind: kind.into(), id: Some(id), ..Reply::default() });
        }
        account
    }

    fn difference(account: &mut Account, updates: &[(u32, u64)]) -> String {
        account.difference(0, &text(updates)).unwrap_or_default()
    }

    #[test]
    fn a_document_has_every_update_that_was_acknowledged_in_the_order_of_yjs() {
        let mut account = account(Fate::Sent);
        assert_eq!(difference(&mut account, &[(0, 1), (0, 0), (1, 0)]), "");
        assert_eq!(
            difference(&mut account, &[(0, 1), (0, 0), (1, 1), (1, 0)]),
            "",
            "not answered, and there"
        );
        assert_eq!(difference(&mut account, &[(0, 1), (0, 0), (1, 2), (1, 1), (1, 0)]), "");
        assert!(
            difference(&mut account, &[(0, 0), (1, 0)]).contains("publisher 0's first 2 updates it has 1")
        );
        assert!(difference(&mut account, &[(0, 0), (0, 1), (1, 0)]).contains("order"));
        assert!(difference(&mut account, &[(1, 0), (0, 1), (0, 0)]).contains("first 2 updates it has 0"));
        assert!(difference(&mut account, &[(0, 1), (0, 0), (1, 0), (0, 0)]).contains("does not belong"));
        assert!(difference(&mut account, &[(0, 1), (0, 0), (1, 0), (1, 0)]).contains("order"));
        assert!(difference(&mut account, &[]).contains("it has 0"));
    }

    #[test]
    fn what_somebody_got_has_to_be_there_and_what_was_refused_ends_what_can_be() {
        let mut account = account(Fate::Refused);
        assert_eq!(account.bounds(1), (1, 2));
        assert!(difference(&mut account, &[(0, 1), (0, 0), (1, 2), (1, 1), (1, 0)]).contains("who made 2"));
        account.stamped(0, &stamp(1, 1), 5);
        assert_eq!(account.bounds(1), (2, 2));
        assert!(difference(&mut account, &[(0, 1), (0, 0), (1, 0)]).contains("first 2 updates it has 1"));
    }

    #[test]
    fn damage_and_foreign_text_show() {
        let mut account = account(Fate::Sent);
        let good = text(&[(0, 1), (0, 0), (1, 0)]);
        let mut damaged = good.clone();
        damaged[70] = b'.';
        assert!(account.difference(0, &damaged).is_some_and(|problem| problem.contains("damaged")));
        let foreign = [&good[..], b"!"].concat();
        assert!(account.difference(0, &foreign).is_some_and(|problem| problem.contains("193 bytes")));
        account.enter_documents(&vec![Ok(damaged)]);
        account.enter_documents(&vec![Err("no".into())]);
        assert_eq!((account.counts.documents_differ, account.counts.unaudited_topics), (1, 1));
    }
}
