//! What a scenario is made of besides plain values: stages of the load, and everything that disturbs it.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::run::units::{Bytes, Share, Span};

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

/// What the acknowledgement of a message has to mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ack {
    /// The server has it.
    #[default]
    Accepted,
    /// It survives the server's death: the publisher asks for that, and the ledger holds the server to it.
    Durable,
}

/// Many connections that break at once and come back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storm {
    /// When, from the first due message.
    pub at: Span,
    /// How many of all.
    #[serde(default = "Storm::everyone")]
    pub share: Share,
    /// How long each stays away at least.
    #[serde(default = "Churn::away")]
    pub away: Span,
    /// Over how long they come back, evenly; 0: all at once.
    #[serde(default)]
    pub spread: Span,
}

impl Storm {
    fn everyone() -> Share {
        Share(1.0)
    }
}

/// How a server is made to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    /// SIGKILL: it gets no chance to do anything.
    #[default]
    Kill,
    /// SIGTERM: it may finish what it is at.
    Term,
    /// SIGSTOP, and SIGCONT when it would be restarted: it stands still.
    Stop,
}

/// The server's own troubles. The tester has to be the one who starts it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Outages {
    /// What starts it; `--serve` wins over it. `{dir}` becomes a folder that lives as long as the run, `{fanwire}` the
    /// fanwire beside this program, `{config}` a file with what `config` says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serve: Option<String>,
    /// The server's configuration file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// When it is killed, from the first due message.
    pub kill_at: Vec<Span>,
    /// Also at random moments, this far apart on average: half of it to one and a half.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kill_every: Option<Span>,
    /// How.
    pub signal: Signal,
    /// How long it stays away at least.
    pub restart_after: Span,
    /// Over how long the subscribers come back, evenly; 0: all at once. Publishers are back at once.
    pub spread: Span,
    /// At the end, read every topic from its beginning: all that was acknowledged must be there.
    pub audit: bool,
}

impl Default for Outages {
    fn default() -> Self {
        Self {
            serve: None,
            config: None,
            kill_at: Vec::new(),
            kill_every: None,
            signal: Signal::Kill,
            restart_after: Span(0.2),
            spread: Span(0.0),
            audit: false,
        }
    }
}

impl Outages {
    /// Whether it is killed at all.
    #[must_use]
    pub fn kill(&self) -> bool {
        !self.kill_at.is_empty() || self.kill_every.is_some()
    }
}
