//! How connections end: what was sent leaves, then a close frame, then the peer's end is waited for.

use fanwire_proto::{ClientId, CloseCode};

use super::{
    conn::{Conn, Phase},
    core::Core,
};
use crate::{
    defaults,
    wire::{Closing, websocket::Violation},
};

impl Core {
    /// Ends a connection for another thread, unless it is gone.
    pub(super) fn end(&mut self, slot: u32, client: ClientId, closing: Closing) {
        if self.out.is_still(slot, client) {
            self.close_with(slot, closing);
            self.out.stage_replies(slot);
        }
    }

    /// Ends the connections that let too much pile up in this turn.
    pub(super) fn close_overflowed(&mut self) {
        for slot in std::mem::take(&mut self.out.overflowed) {
            if self.out.conns.get(slot as usize).is_some_and(Conn::is_open) {
                tracing::debug!(slot, "closed: replies are not read");
                self.out.tally.closed_outbox += 1;
                self.close_now(slot, CloseCode::OutboxFull);
            }
        }
    }

    /// The socket takes bytes again.
    pub(super) fn handle_writable(&mut self, slot: u32) {
        if self.out.drain(slot) {
            self.after_drain(slot);
        }
    }

    /// Goes on with what waited for the backlog.
    fn after_drain(&mut self, slot: u32) {
        let Some(conn) = self.out.conns.get_mut(slot as usize) else { return };
        // Its last words are out, and nothing else is to follow them.
        if let Phase::Lingering { shut: false, .. } = conn.phase {
            return self.shut(slot);
        }
        if conn.unread.is_some() || conn.read_again {
            self.want_read(slot);
        }
        self.fanout.drained(slot);
    }

    /// Ends the connection in order: everything staged, then a close frame, then the peer's end.
    pub(super) fn close(&mut self, slot: u32, code: CloseCode) {
        if let Some(conn) = self.out.conns.get(slot as usize) {
            let closing = self.out.speaker_in(conn.encoding).dialect().closing(code);
            self.close_with(slot, closing);
        }
    }

    /// Ends the connection of a client that broke the rules, and says which.
    pub(super) fn refuse(&mut self, slot: u32, violation: Violation) {
        if self.out.conns.contains(slot as usize) {
            let closing = self.out.speaker_of(slot).dialect().closing(violation.code());
            self.close_with(slot, Closing { reason: violation.reason(), ..closing });
        }
    }

    /// The same with words of a door's own.
    pub(super) fn close_with(&mut self, slot: u32, closing: Closing) {
        if let Some(conn) = self.out.conns.get(slot as usize).filter(|conn| conn.is_open()) {
            conn.encoding.framing.append_closing(&mut self.out.replies, closing);
            self.linger(slot);
        }
    }

    /// Stops listening to the peer; what waits for it is still sent.
    pub(super) fn linger(&mut self, slot: u32) {
        let until = self.now + std::time::Duration::from_millis(defaults::LINGER_MS);
        if let Some(conn) = self.out.conns.get_mut(slot as usize)
            && conn.is_open()
        {
            // No timer: the sweep wakes the shard every tenth of a second anyway, and each turn looks at the deadlines.
            conn.phase = Phase::Lingering { until, shut: false };
            conn.unread = None;
            conn.partial = None;
            self.lingering.push(slot);
            // At once, since nothing may follow a close frame (RFC 6455 §5.5.1).
            self.leave_all(slot);
        }
    }

    /// Ends a connection whose backlog will not be read.
    fn close_now(&mut self, slot: u32, code: CloseCode) {
        let Some(conn) = self.out.conns.get(slot as usize) else { return };
        let (encoding, mut last_words) = (conn.encoding, Vec::new());
        let closing = self.out.speaker_in(encoding).dialect().closing(code);
        encoding.framing.append_closing(&mut last_words, closing);
        if let Some(backlog) = self.out.conns.get_mut(slot as usize).and_then(|conn| conn.backlog.as_mut()) {
            // Past the stage, which has been written for this turn, and may stay as it is until something else happens.
            backlog.append(&last_words.into(), 0);
        }
        self.linger(slot);
    }

    /// Ends our direction once everything is written.
    pub(super) fn shut(&mut self, slot: u32) {
        if let Some(conn) = self.out.conns.get_mut(slot as usize)
            && !conn.is_blocked()
            && conn.staged.is_empty()
            && let Phase::Lingering { until, shut: false } = conn.phase
        {
            // Not before the kernel has everything: nothing can be written behind this.
            match conn.socket.flush() {
                Ok(true) => {
                    conn.socket.shutdown();
                    conn.phase = Phase::Lingering { until, shut: true };
                }
                // The rest of the ciphertext goes when the socket is writable again.
                Ok(false) => {}
                Err(_) => self.out.dead.push(slot),
            }
        }
    }

    /// Looks after connections that are ending: shuts those that are written out, drops those out of time.
    pub(super) fn tend_lingering(&mut self) {
        let mut lingering = std::mem::take(&mut self.lingering);
        lingering.retain(|&slot| {
            let Some(conn) = self.out.conns.get(slot as usize) else { return false };
            match conn.phase {
                // It is gone, and the slot is another connection's by now.
                Phase::Open => false,
                Phase::Lingering { until, .. } if until <= self.now => {
                    self.out.dead.push(slot);
                    false
                }
                Phase::Lingering { .. } => true,
            }
        });
        for &slot in &lingering {
            self.shut(slot);
        }
        self.lingering.append(&mut lingering);
    }
}
