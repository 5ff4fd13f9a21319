//! Pings and their deadlines, spread evenly: each tick looks after the connections whose slot falls on it, so ten
//! thousand pings are not one burst, and no connection needs a timer of its own.

use std::{io, num::NonZeroU32, time::Duration};

use fanwire_proto::{ClientId, CloseCode};
use mio::Token;

use super::{
    core::{Core, slot32},
    socket::Socket,
};
use crate::{defaults, wire::Framing};

/// Time between two ticks.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// Which connections a tick looks after.
pub(super) struct Sweep {
    /// Ticks of one ping interval.
    period: u64,
    /// Ticks that a ping waits for its answer.
    patience: u64,
    tick: u64,
}

impl Sweep {
    /// The same rounds with other times: who was pinged before keeps its place in them, and is not judged early.
    pub(super) fn with(&self, ping: Duration, pong_timeout: Duration) -> Self {
        Self { tick: self.tick, ..Self::new(ping, pong_timeout) }
    }

    pub(super) fn new(ping: Duration, pong_timeout: Duration) -> Self {
        let ticks =
            |time: Duration| u64::try_from(time.as_millis() / TICK.as_millis()).unwrap_or(u64::MAX).max(1);
        Self { period: ticks(ping), patience: ticks(pong_timeout), tick: 0 }
    }

    /// The slots to judge and those to ping, in this order, for `slots` slots in all.
    fn next(&mut self, slots: usize) -> (Vec<usize>, Vec<usize>) {
        self.tick += 1;
        let share = |tick: u64| {
            let first = usize::try_from(tick % self.period).unwrap_or(0);
            (first..slots).step_by(usize::try_from(self.period).unwrap_or(usize::MAX)).collect()
        };
        // Whoever was pinged `patience` ticks ago; the period is added to stay above zero.
        (share(self.tick + self.period - self.patience.min(self.period)), share(self.tick))
    }
}

impl Core {
    /// One tick; returns the connections that were pinged.
    pub(super) fn keep_alive(&mut self, sweep: &mut Sweep) -> Vec<u32> {
        // Judged first: with a timeout of a whole interval both are the same slots, and none is judged by a ping that
        // has only just been sent.
        let (judged, due) = sweep.next(self.out.conns.capacity());
        for slot in judged {
            self.judge(slot);
        }
        let (mut pinged, micros) = (Vec::new(), self.micros());
        // One entry in the table for each framing, not for each connection.
        let mut pings: Vec<(Framing, u32)> = Vec::new();
        for slot in due {
            let Some(conn) = self.out.conns.get_mut(slot).filter(|conn| conn.is_open()) else { continue };
            let framing = conn.encoding.framing;
            pinged.push(slot32(slot));
            let Some(ping) = framing.ping() else {
                // Nobody answers: whoever takes nothing of what waits for them is as silent.
                (conn.pinged, conn.heard) = (conn.is_blocked(), false);
                continue;
            };
            conn.pinged = true;
            conn.heard = false;
            conn.pinged_us = micros;
            let frame = match pings.iter().find(|(of, _)| *of == framing) {
                Some((_, frame)) => *frame,
                None => {
                    let frame = self.out.frames.add(ping);
                    pings.push((framing, frame));
                    frame
                }
            };
            self.out.stage(slot32(slot), frame);
        }
        pinged
    }

    /// A pong came: how long it took. One that nobody asked for (RFC 6455 §5.5.3) measures nothing.
    pub(super) fn hear_pong(&mut self, slot: u32) {
        let micros = self.micros();
        let Some(conn) = self.out.conns.get_mut(slot as usize) else { return };
        if conn.pinged {
            conn.round_trip_us = NonZeroU32::new(micros.wrapping_sub(conn.pinged_us).max(1));
        }
    }

    /// Lets the system watch a connection. Where no ping is answered, what was sent has to be acknowledged in a time that,
    /// together with the heartbeat, is as long as an answer to a ping may take.
    pub(super) fn watch(&mut self, slot: usize) -> io::Result<()> {
        let conn = &mut self.out.conns[slot];
        if !conn.encoding.framing.is_websocket() {
            let limit = self.out.limits.ping + self.out.limits.pong_timeout;
            let heartbeat = Duration::from_secs(defaults::HEARTBEAT_S).min(self.out.limits.ping);
            conn.socket.give_up_after(limit.saturating_sub(heartbeat))?;
        }
        conn.socket.register(&self.registry, Token(slot))
    }

    /// Gives a connection the socket it waits for; what has piled up for it is sent.
    pub(super) fn attach(&mut self, slot: u32, client: ClientId, socket: Socket) {
        if !self.out.is_still(slot, client) {
            return;
        }
        self.out.conns[slot as usize].socket = socket;
        match self.watch(slot as usize) {
            Ok(()) => {
                // What has piled up goes now: it is as if the socket had just become writable.
                self.handle_writable(slot);
                self.want_read(slot);
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be watched");
                self.out.dead.push(slot);
            }
        }
    }

    /// Closes a connection that was silent since its last ping.
    fn judge(&mut self, slot: usize) {
        let Some(conn) = self.out.conns.get_mut(slot).filter(|conn| conn.is_open() && conn.pinged) else {
            return;
        };
        conn.pinged = false;
        // While its door waits for another thread nobody reads its pongs.
        if !conn.heard && !conn.paused {
            self.out.tally.closed_ping += 1;
            let slot = slot32(slot);
            self.close(slot, CloseCode::PingTimeout);
            self.out.stage_replies(slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_is_pinged_once_a_period_and_judged_between() {
        let mut sweep = Sweep::new(Duration::from_secs(1), Duration::from_millis(300));
        let mut events = vec![Vec::new(); 25];
        for tick in 0..30 {
            let (judged, pinged) = sweep.next(25);
            judged.into_iter().for_each(|slot| events[slot].push((tick, "judge")));
            pinged.into_iter().for_each(|slot| events[slot].push((tick, "ping")));
        }
        for slot in events {
            let pings: Vec<i32> =
                slot.iter().filter(|(_, what)| *what == "ping").map(|(tick, _)| *tick).collect();
            assert_eq!(pings.len(), 3);
            assert!(pings.windows(2).all(|pair| pair[1] - pair[0] == 10));
            assert!(slot.contains(&(pings[0] + 3, "judge")));
        }
    }
}
