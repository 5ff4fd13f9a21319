//! What a run does: a preset or a TOML file, with flags over it.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::schedule::Leg;
use super::units::{Bytes, Share, Sizes, Span};
use crate::adapter::Name;
use crate::error::{Error, Result};
use crate::stamp;

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
}

/// How messages follow each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arrival {
    /// Evenly.
    #[default]
    Constant,
    /// By chance, as from many people who know nothing of each other.
    Poisson,
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
}

/// A part of the load: either `rate` or `ramp_to`, for a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// Messages a second throughout.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// Messages a second at the end, from where the stage before left off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp_to: Option<f64>,
    /// How long.
    #[serde(rename = "for")]
    pub span: Span,
}

/// Subscribers that lose their connection again and again.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Churn {
    /// Connections cut a second.
    pub rate: f64,
    /// How long each stays away.
    #[serde(default = "Churn::away")]
    pub away: Span,
    /// Whether it asks for what it missed.
    #[serde(default = "Churn::resume")]
    pub resume: bool,
}

impl Churn {
    /// The default of [`Churn::away`].
    #[must_use]
    pub fn away() -> Span {
        Span(0.2)
    }

    fn resume() -> bool {
        true
    }
}

/// Subscribers that read too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slow {
    /// How many of all.
    pub share: Share,
    /// Bytes a second they read; absent or 0: nothing at all until the drain.
    #[serde(default)]
    pub read_rate: Bytes,
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
    /// Unmeasured time before.
    pub warmup: Span,
    /// Measured time.
    pub duration: Span,
    /// How long to wait without any arrival for what is missing.
    pub drain: Span,
    /// Subscribers that come and go.
    pub churn: Option<Churn>,
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
            warmup: Span(1.0),
            duration: Span(8.0),
            drain: Span(3.0),
            churn: None,
            slow: Vec::new(),
            seed: 1,
            thresholds: Vec::new(),
        }
    }
}

/// The presets: name, what it is, and the file it would be.
pub const PRESETS: [(&str, &str, &str); 8] = [
    ("chat", "rooms with many writers, every message counts", CHAT),
    ("ticker", "values by key, read at five batches a second", TICKER),
    ("game", "volatile state from many players, 20 times a second each", GAME),
    ("broadcast", "one topic, one writer, very many readers", BROADCAST),
    ("bridge", "a back end that publishes by HTTP to many readers", BRIDGE),
    ("idle", "connections that wait", IDLE),
    ("slow-readers", "a broadcast of which a tenth reads slowly or not at all", SLOW),
    ("churn", "chat whose readers lose their connection and resume", CHURN),
];

const CHAT: &str = r#"name = "chat"
topics = 20
publishers = 20
subscribers = 400
rate = 200
arrival = "poisson"
size = "64..512"
"#;
const TICKER: &str = r#"name = "ticker"
kind = "latest"
publishers = 4
subscribers = 300
keys = 20
max_rate = 5
rate = 1000
"#;
const GAME: &str = r#"name = "game"
kind = "volatile"
topics = 10
publishers = 50
subscribers = 200
rate = 1000
size = 64
"#;
const BROADCAST: &str = r#"name = "broadcast"
subscribers = 2000
rate = 20
"#;
const BRIDGE: &str = r#"name = "bridge"
topics = 50
publishers = 4
subscribers = 500
rate = 300
arrival = "poisson"
size = "128..1KiB"
publish = "http"
"#;
const IDLE: &str = r#"name = "idle"
topics = 100
subscribers = 2000
rate = 0
"#;
const SLOW: &str = r#"name = "slow-readers"
subscribers = 400
rate = 100
size = 512
slow = [{ share = "5%" }, { share = "5%", read_rate = "16KiB/s" }]
"#;
const CHURN: &str = r#"name = "churn"
topics = 20
publishers = 5
subscribers = 400
rate = 200
churn = { rate = 40, away = "200ms", resume = true }
"#;

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
            "rates and times must not be negative".into()
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
        } else if self.churn.is_some_and(|churn| churn.resume) && self.kind != Kind::Log {
            "only kind log can be resumed".into()
        } else if self.slow.iter().map(|slow| slow.share.0).sum::<f64>() > 0.9 {
            "at most 90% of the subscribers may be slow".into()
        } else if !self.adapter.is_fanwire() && (self.churn.is_some() || self.kind == Kind::Latest) {
            format!("adapter {} has neither churn nor kind latest", self.adapter)
        } else if self.adapter.only_http() && self.publish == Via::Socket {
            format!("adapter {} publishes by HTTP only: --publish http", self.adapter)
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

    /// What topic names begin with.
    #[must_use]
    pub fn prefix(&self) -> &str {
        match (self.topic_prefix.as_str(), self.kind) {
            ("", Kind::Log) => "bench:",
            ("", Kind::Latest) => "ticker:",
            ("", Kind::Volatile) => "game:",
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
