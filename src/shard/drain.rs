//! Ending a shard in order: deliver what was accepted, say goodbye in waves, let the last bytes out.

use std::time::{Duration, Instant};

use fanwire_proto::{CloseCode, ErrorCode};

use super::core::{Core, slot32};
use crate::{defaults, wire::Notice};

/// Share of the time that goodbyes are spread over; the rest is for the slow.
const WAVES_SHARE: u32 = 4;

/// Reconnects are spread over this many milliseconds by the hint in the goodbye.
const RETURN_SPREAD_MS: u64 = 5_000;

/// The end of a shard.
pub(super) struct Drain {
    /// When the shard ends whatever is left.
    end: Instant,
    /// When those hear goodbye who have not got everything yet.
    deadline: Instant,
    /// Goodbyes per tick.
    wave: usize,
    /// Slots before this one have been offered their goodbye in this round.
    cursor: usize,
    allowance: usize,
}

impl Drain {
    pub(super) fn begin(core: &mut Core, limit: Duration) -> Self {
        let ticks = (limit / WAVES_SHARE).as_millis() / super::keepalive::TICK.as_millis();
        // At least a hundred, so that a broker with few connections does not take a quarter of the time for them.
        let wave = core.out.conns.len().div_ceil(usize::try_from(ticks.max(1)).unwrap_or(1)).max(100);
        core.fanout.drain(core.now);
        // The last goodbyes get the time that a peer has to answer them.
        let patience =
            limit.saturating_sub(Duration::from_millis(defaults::LINGER_MS).min(limit / WAVES_SHARE));
        Self { end: core.now + limit, deadline: core.now + patience, wave, cursor: 0, allowance: wave }
    }

    pub(super) fn next_wave(&mut self, core: &mut Core) {
        self.allowance = self.wave;
        self.cursor = 0;
        self.go_on(core);
    }

    /// Says goodbye to connections that have everything, up to the wave's size; to all of them at the deadline.
    pub(super) fn go_on(&mut self, core: &mut Core) {
        let out_of_time = core.now >= self.deadline;
        // What was accepted before comes first: a goodbye ends the subscriptions, and so what passes still carry.
        if !out_of_time && !core.fanout.is_idle() {
            return;
        }
        let slots = core.out.conns.capacity();
        while self.cursor < slots && (self.allowance > 0 || out_of_time) {
            let slot = self.cursor;
            // Whoever is passed over as blocked or behind is looked at again in the next tick's round.
            self.cursor += 1;
            let Some(conn) = core.out.conns.get(slot) else { continue };
            let has_everything = !conn.is_blocked() && !core.fanout.is_lagging(slot32(slot));
            if conn.is_open() && (has_everything || out_of_time) {
                say_goodbye(core, slot32(slot));
                self.allowance = self.allowance.saturating_sub(1);
            }
        }
    }

    /// Nothing is left, or there is no time left.
    pub(super) fn is_over(&self, core: &Core) -> bool {
        core.out.conns.is_empty() || core.now >= self.end
    }
}

fn say_goodbye(core: &mut Core, slot: u32) {
    // 37 and the spread have no factor in common, so of 5 000 slots in a row no two are told the same.
    let after_ms = u64::from(slot) * 37 % RETURN_SPREAD_MS;
    core.out.reply_notice(slot, None, &Notice::Goodbye { code: ErrorCode::Draining, after_ms });
    core.close(slot, CloseCode::GoingAway);
    core.out.stage_replies(slot);
}
