//! Commands that are kept until they are answered, in the order of the calls: sent while there is a connection, and all
//! of them again, in the same order, on the next one. Bounded in count and bytes; what exceeds is refused.

use std::collections::BTreeMap;
use std::time::Duration;

use fanwire_proto::{ErrorCode, ErrorReply, Reply};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::error::{Code, Error};
use crate::options::Options;

/// What becomes of a command whose answer was lost with the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resend {
    /// It is asked again at any time.
    Read,
    /// It is sent again while the broker still knows its message id.
    Write,
    /// It is never sent again, nor kept without a connection.
    Once,
}

/// Where the answer goes.
pub(crate) type Answer = oneshot::Sender<Result<Reply, Error>>;

#[derive(Debug)]
struct Entry {
    frame: Vec<u8>,
    resend: Resend,
    sent_at: Option<Instant>,
    answer: Answer,
}

#[derive(Debug)]
pub(crate) struct Outbox {
    /// By id, and so in the order of the calls.
    entries: BTreeMap<u64, Entry>,
    bytes: usize,
    max_count: usize,
    max_bytes: usize,
    dedupe: Duration,
}

impl Outbox {
    pub(crate) fn new(options: &Options) -> Self {
        let (max_count, max_bytes) = (options.queue_count, options.queue_bytes);
        Self { entries: BTreeMap::new(), bytes: 0, max_count, max_bytes, dedupe: options.dedupe }
    }

    /// Takes a command.
    pub(crate) fn add(&mut self, id: u64, frame: Vec<u8>, resend: Resend, online: bool, answer: Answer) {
        let refusal = if resend == Resend::Once && !online {
            Error::new(Code::Offline, "there is no connection")
        } else if self.entries.len() >= self.max_count || self.bytes + frame.len() > self.max_bytes {
            Error::new(Code::QueueFull, "too many commands wait for an answer")
        } else {
            self.bytes += frame.len();
            self.entries.insert(id, Entry { frame, resend, sent_at: None, answer });
            return;
        };
        // Whoever does not wait for the answer does not get it.
        let _ = answer.send(Err(refusal));
    }

    /// Every command that waits, in order.
    pub(crate) fn waiting(&self) -> Vec<u64> {
        self.entries.keys().copied().collect()
    }

    /// The frame to send for command `id`, unless it is better not sent.
    pub(crate) fn frame(&mut self, id: u64, max_bytes: usize, now: Instant) -> Option<Vec<u8>> {
        let entry = self.entries.get_mut(&id)?;
        let late = entry.sent_at.is_some_and(|sent_at| now - sent_at > self.dedupe);
        let error = if entry.frame.len() > max_bytes {
            Error::new(Code::TooLarge, format!("the broker reads frames of up to {max_bytes} bytes"))
        } else if late && entry.resend != Resend::Read {
            Error::lost()
        } else {
            // The first time it was sent counts: the broker's memory of its id began at the earliest then.
            entry.sent_at.get_or_insert(now);
            return Some(entry.frame.clone());
        };
        self.finish(id, Err(error));
        None
    }

    /// A success. False: it answers nothing here.
    pub(crate) fn succeed(&mut self, reply: Reply) -> bool {
        match reply.id.filter(|id| self.entries.contains_key(id)) {
            Some(id) => {
                self.finish(id, Ok(reply));
                true
            }
            None => false,
        }
    }

    /// A refusal. False: it answers nothing here.
    pub(crate) fn refuse(&mut self, reply: &ErrorReply) -> bool {
        let Some(id) = reply.id else { return false };
        let Some(entry) = self.entries.get_mut(&id) else { return false };
        if reply.code == ErrorCode::Draining && entry.resend != Resend::Once {
            // It was not carried out; the next connection is for it.
            entry.sent_at = None;
        } else {
            self.finish(id, Err(Error::refused(reply)));
        }
        true
    }

    /// The connection is gone.
    pub(crate) fn offline(&mut self) {
        let once = |(id, entry): (&u64, &Entry)| (entry.resend == Resend::Once).then_some(*id);
        for id in self.entries.iter().filter_map(once).collect::<Vec<_>>() {
            self.finish(id, Err(Error::lost()));
        }
    }

    /// Gives everything up.
    pub(crate) fn clear(&mut self, error: &Error) {
        for id in self.waiting() {
            // What was sent may have been carried out; only of what was not can it be said that it was not.
            let sent = self.entries.get(&id).is_some_and(|e| e.sent_at.is_some() && e.resend != Resend::Read);
            self.finish(id, Err(if sent { Error::lost() } else { error.clone() }));
        }
    }

    fn finish(&mut self, id: u64, outcome: Result<Reply, Error>) {
        if let Some(entry) = self.entries.remove(&id) {
            self.bytes -= entry.frame.len();
            let _ = entry.answer.send(outcome);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox() -> Outbox {
        Outbox::new(&Options { queue_count: 2, queue_bytes: 100, ..Options::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_sent_too_long_ago_is_not_sent_again_but_a_question_is() {
        let mut outbox = outbox();
        let (write, mut written) = oneshot::channel();
        let (read, _answer) = oneshot::channel();
        outbox.add(1, vec![0; 10], Resend::Write, false, write);
        outbox.add(2, vec![0; 10], Resend::Read, false, read);
        assert_eq!(outbox.waiting(), [1, 2]);
        assert!(outbox.waiting().into_iter().all(|id| outbox.frame(id, 1000, Instant::now()).is_some()));
        outbox.offline();
        tokio::time::advance(Duration::from_secs(111)).await;
        assert!(outbox.frame(1, 1000, Instant::now()).is_none());
        assert!(outbox.frame(2, 1000, Instant::now()).is_some());
        assert_eq!(written.try_recv().unwrap().unwrap_err().code, Code::OutcomeUnknown);
    }

    #[tokio::test]
    async fn what_does_not_fit_is_refused_and_nothing_accepted_is_dropped() {
        let mut outbox = outbox();
        let mut add = |id, bytes, resend| {
            let (answer, outcome) = oneshot::channel();
            outbox.add(id, vec![0; bytes], resend, false, answer);
            outcome
        };
        let (mut first, mut long) = (add(1, 60, Resend::Write), add(2, 41, Resend::Write));
        let (mut second, mut third) = (add(3, 40, Resend::Write), add(4, 0, Resend::Write));
        let mut now_or_never = add(5, 0, Resend::Once);
        let code = |outcome: &mut oneshot::Receiver<Result<Reply, Error>>| {
            outcome.try_recv().ok().map(|outcome| outcome.unwrap_err().code)
        };
        assert_eq!((code(&mut first), code(&mut second)), (None, None));
        assert_eq!((code(&mut long), code(&mut third)), (Some(Code::QueueFull), Some(Code::QueueFull)));
        assert_eq!(code(&mut now_or_never), Some(Code::Offline));
        assert!(outbox.succeed(Reply { id: Some(1), ..Reply::default() }));
        assert!(!outbox.succeed(Reply { id: Some(1), ..Reply::default() }));
    }
}
