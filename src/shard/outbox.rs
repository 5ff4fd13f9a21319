//! From frames to the socket: staged during a turn, written once at its end, kept when the socket is full.
//!
//! Bounds: a connection whose backlog is not empty gets no fan-out and, beyond a little, is not read from. So a backlog
//! holds at most what one write was too large for, and the replies to one frame; replies that go beyond
//! `max_outbox_bytes` end the connection.

use std::io::{self, IoSlice};

use bytes::Bytes;
use fanwire_proto::{ClientId, CloseCode};

use super::{
    backlog::Backlog,
    conn::{Phase, STAGED_MAX},
    core::Core,
    options::SubKey,
};
use crate::{
    defaults,
    wire::{Closing, Notice, websocket::Violation},
};

/// A ping or a goodbye is no reason to judge anybody.
const CONTROL_BYTES: usize = 256;

/// Frames of fewer bytes are put together before they are written; more are written as they lie, in one call too.
const TOGETHER_BYTES: usize = 8 * 1024;

impl Core {
    /// Adds a frame of this turn's table to what a connection gets.
    pub(super) fn stage(&mut self, slot: u32, frame: u32) {
        let Some(conn) = self.conns.get_mut(slot as usize) else { return };
        if conn.staged.is_full() {
            self.flush(slot);
            return self.stage_into_empty(slot, frame);
        }
        if conn.staged.is_empty() {
            self.dirty.push(slot);
        }
        conn.staged.push(frame);
    }

    fn stage_into_empty(&mut self, slot: u32, frame: u32) {
        if let Some(conn) = self.conns.get_mut(slot as usize) {
            conn.staged.push(frame);
        }
    }

    /// Adds bytes that only this connection gets.
    pub(super) fn stage_own(&mut self, slot: u32, bytes: Bytes) {
        if !bytes.is_empty() {
            let frame = self.frames.add(bytes);
            self.stage(slot, frame);
        }
    }

    /// The same of several.
    pub(super) fn stage_all(&mut self, slot: u32, frames: Vec<Bytes>) {
        frames.into_iter().for_each(|frame| self.stage_own(slot, frame));
    }

    /// Adds what another thread has for a client, unless it is gone.
    pub(super) fn deliver(&mut self, slot: u32, client: ClientId, frames: Vec<Bytes>) {
        if self.is_still(slot, client) {
            frames.into_iter().for_each(|frame| self.stage_own(slot, frame));
        }
    }

    /// Ends a connection for another thread, unless it is gone.
    pub(super) fn end(&mut self, slot: u32, client: ClientId, closing: Closing) {
        if self.is_still(slot, client) {
            self.close_with(slot, closing);
            self.stage_replies(slot);
        }
    }

    pub(super) fn is_still(&self, slot: u32, client: ClientId) -> bool {
        self.conns.get(slot as usize).is_some_and(|conn| conn.is_open() && conn.member.client == client)
    }

    /// Hands what the door said to the stage.
    pub(super) fn stage_replies(&mut self, slot: u32) {
        if !self.replies.is_empty() {
            let replies = Bytes::copy_from_slice(&self.replies);
            self.replies.clear();
            self.stage_own(slot, replies);
        }
    }

    /// Adds a notice to what the connection is about to be sent.
    pub(super) fn reply_notice(&mut self, slot: u32, key: Option<SubKey>, notice: &Notice<'_>) {
        for bytes in self.notice(slot, key, notice) {
            self.replies.extend_from_slice(&bytes);
        }
    }

    /// Writes early what a door said at length, so that it stops when the client does not read.
    pub(super) fn flush_if_much(&mut self, slot: u32) {
        let Some(conn) = self.conns.get(slot as usize) else { return };
        let staged: usize = conn.staged.indices().iter().map(|&frame| self.frames.get(frame).len()).sum();
        if staged > defaults::READ_PAUSE_BYTES {
            self.flush(slot);
        }
    }

    /// Writes every connection that got something in this turn.
    pub(super) fn flush_dirty(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for slot in dirty.drain(..) {
            self.flush(slot);
        }
        self.dirty = dirty;
        self.frames.clear();
    }

    /// Writes what is staged, in one call where the socket takes it.
    pub(super) fn flush(&mut self, slot: u32) {
        let Some(conn) = self.conns.get_mut(slot as usize) else { return };
        let (staged, count) = conn.staged.take();
        let frames = || staged[..count].iter().map(|&frame| self.frames.get(frame));
        let bytes: usize = frames().map(<[u8]>::len).sum();
        if let Some(backlog) = &mut conn.backlog {
            staged[..count].iter().for_each(|&frame| self.frames.keep(frame, 0, backlog));
            return self.check_backlog(slot, bytes);
        }
        if count == 0 {
            return;
        }
        self.tally.writes += 1;
        let outcome = write_frames(&mut conn.socket, frames(), bytes, &mut self.scratch);
        self.tally.bytes_out += *outcome.as_ref().unwrap_or(&0) as u64;
        match outcome {
            Ok(sent) if sent == bytes => {}
            Ok(mut sent) => {
                let mut backlog = Backlog::default();
                for &frame in &staged[..count] {
                    let done = sent.min(self.frames.get(frame).len());
                    self.frames.keep(frame, done, &mut backlog);
                    sent -= done;
                }
                conn.backlog = Some(Box::new(backlog));
                self.tally.blocked += 1;
            }
            Err(_) => self.dead.push(slot),
        }
    }

    /// Judges replies that were added to a backlog. What one write was too large for does not count: fan-out stops at
    /// a backlog, whatever its size, and so does reading commands.
    fn check_backlog(&mut self, slot: u32, added: usize) {
        let Some(conn) = self.conns.get(slot as usize) else { return };
        let limit = self.speaker(conn.encoding).dialect().outbox(&self.limits.bytes);
        // What it begins with waits for the response's head, and is bounded by what a subscription begins with.
        let over = !conn.socket.is_awaited() && limit.is_some_and(|limit| conn.backlog_bytes() > limit);
        if over && added > CONTROL_BYTES {
            // Not here: a pass may be running over the subscriber lists.
            self.overflowed.push(slot);
        }
    }

    /// Ends the connections that let too much pile up in this turn.
    pub(super) fn close_overflowed(&mut self) {
        for slot in std::mem::take(&mut self.overflowed) {
            if self.conns.get(slot as usize).is_some_and(super::conn::Conn::is_open) {
                tracing::debug!(slot, "closed: replies are not read");
                self.tally.closed_outbox += 1;
                self.close_now(slot, CloseCode::OutboxFull);
            }
        }
    }

    /// The socket takes bytes again.
    pub(super) fn handle_writable(&mut self, slot: u32) {
        let Some(conn) = self.conns.get_mut(slot as usize) else { return };
        while let Some(backlog) = &mut conn.backlog {
            let next = backlog.next(&mut self.scratch);
            let wanted = next.len();
            match write_all(&mut conn.socket, next) {
                Ok(sent) => {
                    self.tally.bytes_out += sent as u64;
                    conn.heard |= sent > 0;
                    backlog.taken(sent);
                    if sent < wanted {
                        return;
                    }
                    if backlog.is_empty() {
                        conn.backlog = None;
                    }
                }
                Err(_) => return self.dead.push(slot),
            }
        }
        match conn.socket.flush() {
            Ok(true) => self.after_drain(slot),
            // The rest of the ciphertext goes when the socket is writable again.
            Ok(false) => {}
            Err(_) => self.dead.push(slot),
        }
    }

    /// Goes on with what waited for the backlog.
    fn after_drain(&mut self, slot: u32) {
        let Some(conn) = self.conns.get_mut(slot as usize) else { return };
        if let Phase::Lingering { shut: false, .. } = conn.phase {
            return self.shut(slot);
        }
        let (reads, lagging) = (conn.unread.is_some() || conn.read_again, conn.lagging);
        if reads {
            self.want_read(slot);
        }
        if lagging {
            self.schedule_catch_up(slot);
        }
    }

    /// Ends the connection in order: everything staged, then a close frame, then the peer's end.
    pub(super) fn close(&mut self, slot: u32, code: CloseCode) {
        if let Some(conn) = self.conns.get(slot as usize) {
            let closing = self.speaker(conn.encoding).dialect().closing(code);
            self.close_with(slot, closing);
        }
    }

    /// Ends the connection of a client that broke the rules, and says which.
    pub(super) fn refuse(&mut self, slot: u32, violation: Violation) {
        if self.conns.contains(slot as usize) {
            let closing = self.speaker_of(slot).dialect().closing(violation.code());
            self.close_with(slot, Closing { reason: violation.reason(), ..closing });
        }
    }

    /// The same with words of a door's own.
    pub(super) fn close_with(&mut self, slot: u32, closing: Closing) {
        if let Some(conn) = self.conns.get(slot as usize).filter(|conn| conn.is_open()) {
            conn.encoding.framing.append_closing(&mut self.replies, closing);
            self.linger(slot);
        }
    }

    /// Stops listening to the peer; what waits for it is still sent.
    pub(super) fn linger(&mut self, slot: u32) {
        let until = self.now + std::time::Duration::from_millis(defaults::LINGER_MS);
        if let Some(conn) = self.conns.get_mut(slot as usize)
            && conn.is_open()
        {
            conn.phase = Phase::Lingering { until, shut: false };
            conn.unread = None;
            conn.partial = None;
            self.lingering.push(slot);
            self.leave_all(slot);
        }
    }

    /// Ends a connection whose backlog will not be read.
    fn close_now(&mut self, slot: u32, code: CloseCode) {
        let Some(conn) = self.conns.get(slot as usize) else { return };
        let (encoding, mut last_words) = (conn.encoding, Vec::new());
        let closing = self.speaker(encoding).dialect().closing(code);
        encoding.framing.append_closing(&mut last_words, closing);
        if let Some(backlog) = self.conns.get_mut(slot as usize).and_then(|conn| conn.backlog.as_mut()) {
            backlog.append(&last_words.into(), 0);
        }
        self.linger(slot);
    }

    /// Ends our direction once everything is written.
    pub(super) fn shut(&mut self, slot: u32) {
        if let Some(conn) = self.conns.get_mut(slot as usize)
            && !conn.is_blocked()
            && conn.staged.is_empty()
            && let Phase::Lingering { until, shut: false } = conn.phase
        {
            match conn.socket.flush() {
                Ok(true) => {
                    conn.socket.shutdown();
                    conn.phase = Phase::Lingering { until, shut: true };
                }
                // The rest of the ciphertext goes when the socket is writable again.
                Ok(false) => {}
                Err(_) => self.dead.push(slot),
            }
        }
    }

    /// Looks after connections that are ending: shuts those that are written out, drops those out of time.
    pub(super) fn tend_lingering(&mut self) {
        let mut lingering = std::mem::take(&mut self.lingering);
        lingering.retain(|&slot| {
            let Some(conn) = self.conns.get(slot as usize) else { return false };
            match conn.phase {
                Phase::Open => false,
                Phase::Lingering { until, .. } if until <= self.now => {
                    self.dead.push(slot);
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

/// Writes frames, in one call where the socket takes them; returns how much was sent.
fn write_frames<'a>(
    socket: &mut super::socket::Socket,
    mut frames: impl Iterator<Item = &'a [u8]> + Clone,
    bytes: usize,
    scratch: &mut Vec<u8>,
) -> io::Result<usize> {
    let all = frames.clone();
    let Some(first) = frames.next() else { return Ok(0) };
    if bytes == first.len() {
        return write_all(socket, first);
    }
    if bytes <= TOGETHER_BYTES {
        scratch.clear();
        scratch.extend_from_slice(first);
        frames.for_each(|frame| scratch.extend_from_slice(frame));
        return write_all(socket, scratch);
    }
    let mut slices = [IoSlice::new(&[]); STAGED_MAX];
    slices.iter_mut().zip(all.clone()).for_each(|(slice, frame)| *slice = IoSlice::new(frame));
    let mut sent = match socket.write_vectored(&slices) {
        Ok(sent) => sent,
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => 0,
        Err(error) => return Err(error),
    };
    let mut before = 0;
    for frame in all {
        let done = sent.saturating_sub(before).min(frame.len());
        before += frame.len();
        if done < frame.len() {
            let count = write_all(socket, &frame[done..])?;
            sent += count;
            if done + count < frame.len() {
                break;
            }
        }
    }
    Ok(sent)
}

/// Writes until everything is sent or the socket is full; returns how much was sent.
fn write_all(socket: &mut super::socket::Socket, bytes: &[u8]) -> io::Result<usize> {
    let mut sent = 0;
    while sent < bytes.len() {
        match socket.write(&bytes[sent..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => sent += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(sent)
}
