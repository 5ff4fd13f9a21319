//! The end: everyone reads on until all has come, or nothing comes any more.

use std::time::Duration;

use super::Engine;
use crate::clock::{self, MILLISECOND, SECOND};
use crate::error::Result;
use crate::run::crew::Company;
use crate::run::scenario::{Kind, Via};

/// When everything has arrived, wait this long for what should not arrive any more.
const GRACE_NS: u64 = 150 * MILLISECOND;
/// A server this far behind at the end has failed.
const DRAIN_LIMIT_NS: u64 = 60 * SECOND;

impl Engine<'_> {
    /// Lets everyone read to the end, and waits for what is missing.
    pub(super) fn drain(&mut self, company: &mut Company) -> Result<()> {
        for sipper in std::mem::take(&mut self.sippers) {
            if !self.account.has_ended(sipper.at) {
                self.pool.unmute(sipper.at)?;
            }
        }
        let mut begin_ns = clock::now_ns();
        let patience_ns = self.patience_ns();
        let mut progress_ns = begin_ns;
        let mut before = (0, 0);
        loop {
            self.pool.turn(Some(Duration::from_millis(5)), &mut self.account)?;
            let now_ns = clock::now_ns();
            self.keep_company(company, now_ns)?;
            self.outage(company, now_ns)?;
            self.bring_back(now_ns)?;
            let state = (self.account.accepted, self.account.unanswered());
            let under_way = self.outage.is_under_way() || self.absent.anyone();
            if state != before || under_way {
                (before, progress_ns) = (state, now_ns);
            }
            if under_way {
                // A server has its time to catch up from when everyone is back.
                begin_ns = now_ns;
            }
            // Only who publishes gets answers; the others have entered the same messages and hear no more of them.
            let answered = state.1 == 0 || !self.acknowledged() || !company.publishes();
            if now_ns < progress_ns + GRACE_NS {
                continue;
            }
            let patience_ns = if answered && self.account.is_whole() { GRACE_NS } else { patience_ns };
            if now_ns - progress_ns > patience_ns || now_ns - begin_ns > DRAIN_LIMIT_NS {
                return Ok(());
            }
        }
    }

    /// How long without any arrival until what is missing counts as missing. Kind volatile never delivers
    /// everything to everyone, so there the end is when nothing has come for a while.
    fn patience_ns(&self) -> u64 {
        let scenario = self.means.scenario;
        let patience = match scenario.kind {
            Kind::Volatile => scenario.drain.0.min(1.0),
            Kind::Log | Kind::Latest | Kind::Document => scenario.drain.0,
        };
        clock::span_ns(patience)
    }

    fn acknowledged(&self) -> bool {
        self.means.scenario.publish != Via::Socket || self.subject.target.adapter.acknowledges()
    }
}
