//! From frames to the socket: written once at the end of a turn, kept when the socket is full.
//!
//! Bounds: a connection whose backlog is not empty gets no fan-out and, beyond a little, is not read from. So a backlog
//! holds at most what one write was too large for, and the replies to one frame; replies that go beyond
//! `max_outbox_bytes` end the connection.

use std::io::{self, IoSlice};

use super::{backlog::Backlog, conn::STAGED_MAX, outgoing::Outgoing};

/// A ping or a goodbye is no reason to judge anybody.
const CONTROL_BYTES: usize = 256;

/// Frames of fewer bytes are put together before they are written; more are written as they lie, in one call too.
const TOGETHER_BYTES: usize = 8 * 1024;

impl Outgoing {
    /// Writes every connection that got something in this turn.
    pub(super) fn flush_dirty(&mut self) {
        let mut dirty = std::mem::take(&mut self.dirty);
        for slot in dirty.drain(..) {
            self.write(slot);
        }
        self.dirty = dirty;
        self.frames.clear();
    }

    /// Writes what is staged, in one call where the socket takes it.
    pub(super) fn write(&mut self, slot: u32) {
        let Some(conn) = self.conns.get_mut(slot as usize) else { return };
        let (staged, count) = conn.staged.take();
        let staged = &staged[..count];
        let frames = || staged.iter().map(|&frame| self.frames.get(frame));
        let bytes = match staged {
            // Written early, by `flush`; its place in `dirty` is still there.
            [] => return,
            // What most turns have for a connection.
            [frame] => self.frames.get(*frame).len(),
            _ => frames().map(<[u8]>::len).sum(),
        };
        // Behind what waits already, even if the socket takes bytes again by now: frames must not overtake each other.
        if let Some(backlog) = &mut conn.backlog {
            staged.iter().for_each(|&frame| self.frames.keep(frame, 0, backlog));
            return self.check_backlog(slot, bytes);
        }
        self.tally.writes += 1;
        let outcome = match staged {
            [frame] => write_all(&mut conn.socket, self.frames.get(*frame)),
            _ => write_frames(&mut conn.socket, frames(), bytes, &mut self.scratch),
        };
        match outcome {
            Ok(sent) => {
                self.tally.bytes_out += sent as u64;
                if sent < bytes {
                    self.keep_rest(slot, staged, sent);
                }
            }
            Err(_) => self.dead.push(slot),
        }
    }

    /// Keeps what the socket did not take of what was staged.
    #[cold]
    fn keep_rest(&mut self, slot: u32, staged: &[u32], mut sent: usize) {
        let mut backlog = Backlog::default();
        for &frame in staged {
            let done = sent.min(self.frames.get(frame).len());
            self.frames.keep(frame, done, &mut backlog);
            sent -= done;
        }
        if let Some(conn) = self.conns.get_mut(slot as usize) {
            conn.backlog = Some(Box::new(backlog));
        }
        self.tally.blocked += 1;
    }

    /// Judges replies that were added to a backlog. What one write was too large for does not count: fan-out stops at
    /// a backlog, whatever its size, and so does reading commands.
    fn check_backlog(&mut self, slot: u32, added: usize) {
        let Some(conn) = self.conns.get(slot as usize) else { return };
        let limit = self.speaker_in(conn.encoding).dialect().outbox(&self.limits.bytes);
        // What it begins with waits for the response's head, and is bounded by what a subscription begins with.
        let over = !conn.socket.is_awaited() && limit.is_some_and(|limit| conn.backlog_bytes() > limit);
        if over && added > CONTROL_BYTES {
            // Not here: a pass may be running over the subscriber lists.
            self.overflowed.push(slot);
        }
    }

    /// The socket takes bytes again; returns whether it has taken all.
    pub(super) fn drain(&mut self, slot: u32) -> bool {
        let Some(conn) = self.conns.get_mut(slot as usize) else { return false };
        while let Some(backlog) = &mut conn.backlog {
            // Until the socket says that it is full: only then does it announce that it has room again.
            let next = backlog.next(&mut self.scratch);
            let wanted = next.len();
            match write_all(&mut conn.socket, next) {
                Ok(sent) => {
                    self.tally.bytes_out += sent as u64;
                    // It is alive, although its pongs are not read while much waits for it.
                    conn.heard |= sent > 0;
                    backlog.taken(sent);
                    if sent < wanted {
                        return false;
                    }
                    if backlog.is_empty() {
                        conn.backlog = None;
                    }
                }
                Err(_) => {
                    self.dead.push(slot);
                    return false;
                }
            }
        }
        match conn.socket.flush() {
            // If not, the rest of the ciphertext goes when the socket is writable again.
            Ok(all) => all,
            Err(_) => {
                self.dead.push(slot);
                false
            }
        }
    }
}

/// Writes frames, in one call where the socket takes them; returns how much was sent.
#[inline(never)]
fn write_frames<'a>(
    socket: &mut super::socket::Socket,
    mut frames: impl Iterator<Item = &'a [u8]> + Clone,
    bytes: usize,
    scratch: &mut Vec<u8>,
) -> io::Result<usize> {
    let all = frames.clone();
    let Some(first) = frames.next() else { return Ok(0) };
    // The others are empty.
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
    // What the call left over, all of it on TLS: it may have stopped short of a full socket, which announces nothing.
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
