//! What the processes of a run agree on, and say to each other meanwhile.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Engine, LEAD_NS, UNCONFIRMED_LEAD_NS};
use crate::clock;
use crate::error::{Error, Result};
use crate::run::crew::{Company, Follower, Order, Ready, Report};

impl Engine<'_> {
    /// Agrees with the others when the first message is due; that, and what everybody says of themselves.
    pub(super) fn agree(&mut self, company: &mut Company, own: Ready) -> Result<(u64, Vec<Ready>)> {
        let confirmed = self.subject.target.adapter.greets();
        let lead_ns = if confirmed { LEAD_NS } else { UNCONFIRMED_LEAD_NS };
        let (pool, account) = (&mut self.pool, &mut self.account);
        let stop = &self.means.stop;
        let idle = || {
            pool.turn(Some(Duration::from_millis(1)), account)?;
            if stop.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
        };
        let mut ready = vec![own.clone()];
        let start_ns = match company {
            Company::Alone => clock::now_ns() + lead_ns,
            Company::Lead(lead) => {
                // Longer than alone, as the others have to hear of it before it comes.
                let (start_ns, others) = lead.begin(lead_ns + LEAD_NS, idle)?;
                for other in &others {
                    self.account.learn_epochs(&other.epochs);
                }
                ready.extend(others);
                start_ns
            }
            Company::Follower(line) => line.begin(own, idle)?,
        };
        Ok((start_ns, ready))
    }

    /// Hears from the others, or tells how things are; looks at the server where it is time.
    pub(super) fn keep_company(&mut self, company: &mut Company, now_ns: u64) -> Result<()> {
        match company {
            Company::Alone => {}
            Company::Lead(lead) => self.course.elsewhere = lead.look(&mut self.account.interval)?,
            Company::Follower(line) => {
                while let Some(order) = line.hear()? {
                    self.obey(order, line)?;
                }
                return line.tell(now_ns, &mut self.account);
            }
        }
        self.course.turn(now_ns, &mut self.account);
        Ok(())
    }

    fn obey(&mut self, order: Order, line: &Follower) -> Result<()> {
        match order {
            Order::Stop => {
                self.means.stop.store(true, Ordering::Relaxed);
                self.outage.cancel();
            }
            Order::Brace { deadly } => {
                self.brace(deadly);
                line.braced()?;
            }
            Order::Back(back) => self.hear_of_return(back),
            Order::Lost => self.outage.hear_of_loss(),
            // These have their own time.
            Order::Task(_) | Order::Go(_) | Order::Fates(_) => {}
        }
        Ok(())
    }

    /// Publishes no more, and leaves the server alone.
    pub(super) fn break_off(&mut self, company: &mut Company) -> Result<()> {
        self.outage.cancel();
        if let Company::Lead(lead) = company { lead.stop() } else { Ok(()) }
    }

    /// Tells the others what became of the messages, or is told; what the others measured.
    pub(super) fn settle(&mut self, company: &mut Company) -> Result<Vec<Report>> {
        let (pool, account) = (&mut self.pool, &mut self.account);
        let mut idle = || pool.turn(Some(Duration::from_millis(1)), account);
        match company {
            Company::Alone => Ok(Vec::new()),
            Company::Lead(lead) => {
                lead.wait_for_the_last(&mut idle)?;
                let fates = self.account.fates();
                let (pool, account) = (&mut self.pool, &mut self.account);
                lead.settle(fates, || pool.turn(Some(Duration::from_millis(1)), account))
            }
            Company::Follower(line) => {
                let fates = line.settle(&mut idle)?;
                self.account.adopt(&fates);
                Ok(Vec::new())
            }
        }
    }
}
