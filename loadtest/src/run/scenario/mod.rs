//! What a run does: a preset or a TOML file, with flags over it.

mod check;
mod parts;
mod presets;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

pub use self::parts::{Ack, Churn, Outages, Signal, Slow, Stage, Storm};
pub use self::presets::PRESETS;
use super::schedule::{Arrival, Leg};
use super::units::{Sizes, Span};
use crate::adapter::Name;
use crate::error::{Error, Result};

/// What a topic promises, and so what the ledger demands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Every message, once, in order.
    #[default]
    Log,
    /// The newest value of each key, never an older one after a newer one.
    Latest,
    /// Best effort: may leave out, but neither repeats nor goes back.
    Volatile,
    /// Updates that make a document: every one, to everyone who is there.
    Document,
}

/// By which way messages are published.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// On the WebSocket of the publisher.
    #[default]
    Socket,
    /// By POST requests.
    Http,
    /// As a provider's webhooks, signed as GitHub signs, to fanwire's `/in/loadtest`.
    Webhook,
}

/// Everything a run needs to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// The protocol.
    pub adapter: Name,
    /// What the topics promise.
    pub kind: Kind,
    /// How many topics.
    pub topics: usize,
    /// Their names up to the number; empty: as fanwire's default rules have it for the kind.
    pub topic_prefix: String,
    /// Publishing connections.
    pub publishers: usize,
    /// Subscribing connections.
    pub subscribers: usize,
    /// Topics each of them listens to.
    pub topics_per_subscriber: usize,
    /// Values of a topic of kind latest.
    pub keys: usize,
    /// The most batches a second a subscriber of kind latest wants; 0: as they come.
    pub max_rate: f64,
    /// Messages a second, all publishers together.
    pub rate: f64,
    /// A load that changes; replaces `rate` and `duration`.
    pub load: Vec<Stage>,
    /// How messages follow each other.
    pub arrival: Arrival,
    /// Bytes of payload.
    pub size: Sizes,
    /// By which way messages are published.
    pub publish: Via,
    /// What an acknowledgement has to mean.
    pub ack: Ack,
    /// Unmeasured time before.
    pub warmup: Span,
    /// Measured time.
    pub duration: Span,
    /// How long to wait without any arrival for what is missing.
    pub drain: Span,
    /// Subscribers that come and go.
    pub churn: Option<Churn>,
    /// Many connections cut at once.
    pub storm: Vec<Storm>,
    /// The server itself: how to start it, and when it dies.
    pub server: Option<Outages>,
    /// Subscribers that read too slowly.
    pub slow: Vec<Slow>,
    /// Of everything left to chance.
    pub seed: u64,
    /// What must hold, such as `latency.p99 < 20ms`.
    pub thresholds: Vec<String>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            name: "custom".into(),
            adapter: Name::default(),
            kind: Kind::Log,
            topics: 1,
            topic_prefix: String::new(),
            publishers: 1,
            subscribers: 100,
            topics_per_subscriber: 1,
            keys: 1,
            max_rate: 0.0,
            rate: 100.0,
            load: Vec::new(),
            arrival: Arrival::Constant,
            size: Sizes { min: 128, max: 128 },
            publish: Via::Socket,
            ack: Ack::Accepted,
            warmup: Span(1.0),
            duration: Span(8.0),
            drain: Span(3.0),
            churn: None,
            storm: Vec::new(),
            server: None,
            slow: Vec::new(),
            seed: 1,
            thresholds: Vec::new(),
        }
    }
}

/// Loads a preset by name or a scenario file by path.
///
/// # Errors
/// When there is neither, or the file is not a scenario; the message has the line.
pub fn load(name: &str) -> Result<Scenario> {
    if let Some((_, _, text)) = PRESETS.iter().find(|(preset, ..)| *preset == name) {
        return parse(name, text);
    }
    let text = std::fs::read_to_string(name).map_err(|error| {
        let names: Vec<&str> = PRESETS.iter().map(|(preset, ..)| *preset).collect();
        Error::Usage(format!("`{name}` is no preset ({}) and no file: {error}", names.join(", ")))
    })?;
    parse(name, &text)
}

/// Reads a scenario file.
///
/// # Errors
/// When it is none, with the line.
pub fn parse(name: &str, text: &str) -> Result<Scenario> {
    toml::from_str(text).map_err(|error| Error::Usage(format!("{name}: {error}")))
}

impl Scenario {
    /// The load from warm-up to end.
    #[must_use]
    pub fn legs(&self) -> Vec<Leg> {
        let mut legs = Vec::new();
        let mut now = self.load.first().and_then(|stage| stage.rate).unwrap_or(self.rate);
        if self.warmup.0 > 0.0 {
            legs.push(Leg { from: now, to: now, seconds: self.warmup.0 });
        }
        if self.load.is_empty() {
            legs.push(Leg { from: now, to: now, seconds: self.duration.0 });
        }
        for stage in &self.load {
            now = stage.rate.unwrap_or(now);
            let to = stage.ramp_to.unwrap_or(now);
            legs.push(Leg { from: now, to, seconds: stage.span.0 });
            now = to;
        }
        legs
    }

    /// Seconds from the first due message to the last.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.legs().iter().map(|leg| leg.seconds).sum()
    }

    /// Whether clients lose their connections and come back.
    #[must_use]
    pub fn breaks(&self) -> bool {
        self.churn.is_some() || !self.storm.is_empty() || self.restarts()
    }

    /// Whether the server is killed and started again.
    #[must_use]
    pub fn restarts(&self) -> bool {
        self.server.as_ref().is_some_and(Outages::kill)
    }

    /// Whether who comes back asks for what was missed.
    #[must_use]
    pub fn resumes(&self) -> bool {
        self.kind == Kind::Log && self.breaks() && self.churn.is_none_or(|churn| churn.resume)
    }

    /// What topic names begin with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        match (self.topic_prefix.as_str(), self.kind) {
            ("", _) if !self.adapter.has_colons() => "bench-",
            ("", Kind::Log) => "bench:",
            ("", Kind::Latest) => "ticker:",
            ("", Kind::Volatile) => "game:",
            ("", Kind::Document) => "doc:",
            (prefix, _) => prefix,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_sound_and_bears_its_name() {
        for (name, ..) in PRESETS {
            let scenario = load(name).unwrap();
            scenario.check().unwrap();
            assert_eq!(scenario.name, name);
        }
    }

    #[test]
    fn a_mistake_in_a_file_is_named_with_its_line() {
        let error = parse("my.toml", "topics = 2\nsubscriber = 3\n").unwrap_err().to_string();
        assert!(
            error.contains("my.toml") && error.contains("line 2") && error.contains("subscriber"),
            "{error}"
        );
        let error = parse("my.toml", "\n\nwarmup = \"1 parsec\"\n").unwrap_err().to_string();
        assert!(error.contains("line 3") && error.contains("parsec"), "{error}");
        assert!(parse("x", "load = [{ rate = 5, for = \"1s\", until = 3 }]").is_err());
        assert!(load("chatt").unwrap_err().to_string().contains("slow-readers"));
    }

    #[test]
    fn stages_follow_each_other_after_the_warm_up() {
        let text = "warmup = 1\nload = [{ rate = 10, for = \"2s\" }, { ramp_to = 50, for = 3 }]";
        let legs = parse("x", text).unwrap().legs();
        let leg = |from, to, seconds| Leg { from, to, seconds };
        assert_eq!(legs, [leg(10.0, 10.0, 1.0), leg(10.0, 10.0, 2.0), leg(10.0, 50.0, 3.0)]);
    }

    #[test]
    fn a_scenario_survives_being_written() {
        let scenario = load("churn").unwrap();
        let text = toml::to_string(&scenario).unwrap();
        assert_eq!(parse("again", &text).unwrap(), scenario);
    }

    #[test]
    fn contradictions_are_refused() {
        for text in ["size = 10", "keys = 3", "subscribers = 0", "rate = -1", "load = [{ for = 1 }]"] {
            assert!(parse("x", text).unwrap().check().is_err(), "{text}");
        }
    }
}
