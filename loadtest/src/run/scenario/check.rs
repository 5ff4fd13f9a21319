//! Whether the values of a scenario fit together.

use super::{Ack, Kind, Scenario, Via};
use crate::adapter::Name;
use crate::error::{Error, Result};
use crate::run::units::Span;
use crate::stamp;

impl Scenario {
    /// Checks that everything fits together.
    ///
    /// # Errors
    /// When it does not, with the reason.
    pub fn check(&self) -> Result<()> {
        let finite = [self.rate, self.max_rate, self.warmup.0, self.duration.0, self.drain.0];
        let legs = self.legs();
        let problem = if self.size.min < stamp::LENGTH || self.size.max > stamp::MAX_SIZE {
            format!("size must be {} (the stamp) to {} bytes", stamp::LENGTH, stamp::MAX_SIZE)
        } else if finite.iter().any(|value| !value.is_finite() || *value < 0.0) {
            "rates and times must be numbers that are not negative".into()
        } else if self.load.iter().any(|stage| stage.rate.is_some() == stage.ramp_to.is_some()) {
            "each stage of the load has either `rate` or `ramp_to`".into()
        } else if legs.iter().any(|leg| leg.from.min(leg.to) < 0.0 || leg.seconds <= 0.0) {
            "a stage of the load has a negative rate or no length".into()
        } else if self.topics == 0 || self.subscribers == 0 || self.publishers == 0 || self.keys == 0 {
            "topics, subscribers, publishers and keys must not be 0".into()
        } else if self.topics_per_subscriber == 0 || self.topics_per_subscriber > self.topics {
            "topics_per_subscriber must be from 1 to the number of topics".into()
        } else if self.kind != Kind::Latest && (self.keys > 1 || self.max_rate > 0.0) {
            "keys and max_rate are for kind latest".into()
        } else if self.churn.is_some_and(|churn| !churn.rate.is_finite() || churn.rate <= 0.0) {
            "churn.rate must be positive".into()
        } else if self.kind == Kind::Document
            && (self.adapter != Name::FanwireMsgpack || self.publish != Via::Socket || self.restarts())
        {
            "kind document is for adapter fanwire-msgpack, published to by socket, and not for restarts"
                .into()
        } else if self.churn.is_some_and(|churn| churn.resume) && self.kind != Kind::Log {
            "only kind log can be resumed".into()
        } else if self.slow.iter().map(|slow| slow.share.0).sum::<f64>() > 0.9 {
            "at most 90% of the subscribers may be slow".into()
        } else if !self.adapter.is_fanwire() && (self.breaks() || self.kind == Kind::Latest) {
            format!("adapter {} has neither churn, storms, restarts nor kind latest", self.adapter)
        } else if self.ack == Ack::Durable && !self.adapter.is_fanwire() && self.adapter != Name::FanwireSse {
            format!("adapter {} knows no durable acknowledgements", self.adapter)
        } else if let Some(problem) = self.disturbance_problem() {
            problem.into()
        } else if self.adapter.only_http() && self.publish == Via::Socket {
            format!("adapter {} publishes by HTTP only: --publish http", self.adapter)
        } else if self.publish == Via::Webhook
            && !self.adapter.is_fanwire()
            && self.adapter != Name::FanwireSse
        {
            format!("adapter {} takes no webhooks", self.adapter)
        } else if !self.adapter.is_fanwire() && self.publish == Via::Http && !self.adapter.only_http() {
            format!("adapter {} has no publishing by HTTP", self.adapter)
        } else if self.adapter == Name::Broadcast && self.topics > 1 {
            "adapter broadcast has no topics: --topics 1".into()
        } else if self.adapter.one_topic() && self.topics_per_subscriber > 1 {
            format!("adapter {} has one topic per connection", self.adapter)
        } else {
            return Ok(());
        };
        Err(Error::Usage(format!("scenario {}: {problem}", self.name)))
    }

    /// What is wrong with storms and restarts.
    fn disturbance_problem(&self) -> Option<&'static str> {
        let spans = |all: &[Span]| all.iter().all(|span| span.0.is_finite());
        if self.storm.iter().any(|storm| !spans(&[storm.at, storm.away, storm.spread])) {
            return Some("a storm's times must be finite");
        }
        let outages = self.server.as_ref()?;
        if !spans(&outages.kill_at) || !spans(&[outages.restart_after, outages.spread]) {
            Some("the server's times must be finite")
        } else if outages.kill_every.is_some_and(|every| !(every.0.is_finite() && every.0 >= 0.01)) {
            Some("server.kill_every must be at least 10ms")
        } else if outages.kill() && !self.slow.is_empty() {
            Some("slow readers do not notice that the server died: leave out `slow` or the restarts")
        } else if outages.kill_at.iter().any(|at| at.0 >= self.seconds()) {
            Some("server.kill_at must lie before the end of the load")
        } else if outages.audit && !self.adapter.is_fanwire() {
            Some("only topics of fanwire's own protocol can be read from their beginning: leave out `audit`")
        } else if outages.audit && self.kind != Kind::Log {
            Some("only kind log can be audited")
        } else {
            None
        }
    }
}
