//! Thresholds such as `lost == 0` or `latency.p99 < 20ms`, and what they make of a run.

use std::fmt;
use std::str::FromStr;

use super::finding::{Class, Finding};
use super::result::RunResult;
use super::scenario::Ack;
use super::units::{self, Unit};
use crate::error::{Error, Result};

/// What must hold unless the user says otherwise: the server's promises.
const INTEGRITY: [&str; 14] = [
    "missing",
    "acked_missing",
    "duplicate",
    "reordered",
    "corrupt",
    "phantom",
    "wrong_topic",
    "last_value_missing",
    "skipped_mismatch",
    "stale",
    "redelivered",
    "failed_restarts",
    "unaudited_topics",
    "documents_differ",
];
/// What must also hold, but breaks no message.
const HEALTH: [&str; 7] = [
    "refused == 0",
    "errors == 0",
    "disconnects == 0",
    "stranded == 0",
    "late_subscribers == 0",
    "silence < 1s",
    "latency.negative == 0",
];
/// When these do not hold, the tester was the bottleneck.
const TESTER: &str = "lag.p99 < 50ms";
const TESTER_CPU: f64 = 95.0;
const TESTER_BEHIND: f64 = 50.0;

/// How a figure relates to its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `<`
    Below,
    /// `<=`
    AtMost,
    /// `==`
    Equal,
    /// `!=`
    Unequal,
    /// `>=`
    AtLeast,
    /// `>`
    Above,
}

const RELATIONS: [(&str, Relation); 6] = [
    ("<=", Relation::AtMost),
    (">=", Relation::AtLeast),
    ("==", Relation::Equal),
    ("!=", Relation::Unequal),
    // Behind those that begin with them, since the first that fits is taken.
    ("<", Relation::Below),
    (">", Relation::Above),
];

/// One threshold as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    /// The figure's name.
    pub metric: String,
    relation: Relation,
    limit: f64,
    unit: String,
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let wrong =
            || format!("`{text}` is no threshold; write one like `lost == 0` or `latency.p99 < 20ms`");
        let at = text.find(['<', '>', '=', '!']).ok_or_else(wrong)?;
        let found = RELATIONS.iter().find(|(sign, _)| text[at..].starts_with(sign)).ok_or_else(wrong)?;
        let metric = text[..at].trim();
        let (limit, unit) = units::split(&text[at + found.0.len()..])
            .map_err(|problem| format!("`{text}` is no threshold: {problem}"))?;
        if metric.is_empty() {
            return Err(wrong());
        }
        Ok(Self { metric: metric.to_owned(), relation: found.1, limit, unit: unit.to_owned() })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = RELATIONS.iter().find(|(_, r)| *r == self.relation).map_or("?", |(sign, _)| sign);
        write!(f, "{} {sign} {}{}", self.metric, self.limit, self.unit)
    }
}

impl Threshold {
    /// The limit in the figure's own unit.
    fn limit_in(&self, unit: Unit) -> std::result::Result<f64, String> {
        let factor = match (unit, self.unit.as_str()) {
            (_, "") | (Unit::Milliseconds, "ms") | (Unit::Bytes, "B") | (Unit::Percent, "%") => 1.0,
            (Unit::Number, "/s") => 1.0,
            (Unit::Milliseconds, "us" | "µs") => 1e-3,
            (Unit::Milliseconds, "s") => 1e3,
            (Unit::Milliseconds, "m") => 60e3,
            (Unit::Bytes, "KiB") => 1024.0,
            (Unit::Bytes, "MiB") => 1024.0 * 1024.0,
            (_, unit) => return Err(format!("`{unit}` does not measure {}", self.metric)),
        };
        Ok(self.limit * factor)
    }

    fn holds(&self, value: f64, limit: f64) -> bool {
        match self.relation {
            Relation::Below => value < limit,
            Relation::AtMost => value <= limit,
            Relation::Equal => (value - limit).abs() < f64::EPSILON,
            Relation::Unequal => (value - limit).abs() >= f64::EPSILON,
            Relation::AtLeast => value >= limit,
            Relation::Above => value > limit,
        }
    }

    /// The figure it is about, and the limit in the same unit.
    fn figure_and_limit(&self, result: &RunResult) -> Result<(f64, f64)> {
        let metrics = result.metrics();
        let found = metrics.iter().find(|(name, ..)| *name == self.metric);
        let Some((_, value, unit)) = found else {
            let names: Vec<&str> = metrics.iter().map(|(name, ..)| name.as_str()).collect();
            let message = format!("there is no figure `{}`; there are {}", self.metric, names.join(", "));
            return Err(Error::Usage(message));
        };
        let limit = self.limit_in(*unit).map_err(Error::Usage)?;
        Ok((*value, limit))
    }

    /// Holds the result against it.
    ///
    /// # Errors
    /// When there is no such figure, or the unit is not its.
    pub fn check(&self, result: &RunResult, class: Class) -> Result<Finding> {
        let (value, limit) = self.figure_and_limit(result)?;
        Ok(Finding { threshold: self.to_string(), value, met: self.holds(value, limit), class })
    }
}

/// Reads thresholds as written, before anything is measured.
///
/// # Errors
/// When one is none, names no figure, or has a unit that is not its figure's.
pub fn parse(texts: &[String]) -> Result<Vec<Threshold>> {
    // Whether a figure exists, and in what unit, is the same in every result.
    let nothing = RunResult::default();
    let parse = |text: &String| {
        let threshold: Threshold = text.parse().map_err(Error::Usage)?;
        threshold.figure_and_limit(&nothing)?;
        Ok(threshold)
    };
    texts.iter().map(parse).collect()
}

/// Holds everything against a result: the user's thresholds, and of the usual ones those whose figure the user has
/// not spoken about.
///
/// # Errors
/// When a threshold names no figure.
pub fn findings(result: &RunResult, own: &[Threshold]) -> Result<Vec<Finding>> {
    let alias = |metric: &str| if metric == "lost" { "missing".to_owned() } else { metric.to_owned() };
    let spoken = |metric: &str| own.iter().any(|threshold| alias(&threshold.metric) == metric);
    let mut findings = Vec::new();
    // Who only accepts a message need not know it again after its own death.
    let promised = |metric: &str| metric != "redelivered" || result.scenario.ack == Ack::Durable;
    for metric in INTEGRITY.into_iter().filter(|metric| !spoken(metric) && promised(metric)) {
        let threshold = Threshold::from_str(&format!("{metric} == 0")).map_err(Error::Usage)?;
        findings.push(threshold.check(result, Class::Integrity)?);
    }
    for text in HEALTH {
        let threshold = Threshold::from_str(text).map_err(Error::Usage)?;
        if !spoken(&threshold.metric) {
            findings.push(threshold.check(result, Class::Threshold)?);
        }
    }
    for threshold in own {
        let broken = INTEGRITY.contains(&alias(&threshold.metric).as_str());
        let class = if broken { Class::Integrity } else { Class::Threshold };
        findings.push(threshold.check(result, class)?);
    }
    if result.counts.sent > 0 {
        let lag = Threshold::from_str(TESTER).map_err(Error::Usage)?;
        findings.push(lag.check(result, Class::Tester)?);
    }
    if result.tester.behind_percent > TESTER_BEHIND {
        findings.push(Finding {
            threshold: format!("tester.cpu < {TESTER_CPU}%"),
            value: result.tester.cpu_percent,
            met: result.tester.cpu_percent < TESTER_CPU,
            class: Class::Tester,
        });
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threshold(text: &str) -> Threshold {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_written_is_what_is_meant() {
        assert_eq!(threshold("lost==0").to_string(), "lost == 0");
        assert_eq!(threshold(" latency.p99 <  20ms ").to_string(), "latency.p99 < 20ms");
        assert_eq!(threshold("latency.p99<0.5s").limit_in(Unit::Milliseconds), Ok(500.0));
        assert_eq!(threshold("server.memory<=64MiB").limit_in(Unit::Bytes), Ok(67_108_864.0));
        assert!(threshold("lost<5ms").limit_in(Unit::Number).is_err());
        for text in ["lost", "==0", "lost == many", "lost = 0", ""] {
            assert!(text.parse::<Threshold>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_relation_holds_where_it_should() {
        for (text, below, equal, above) in [
            ("x<5", true, false, false),
            ("x<=5", true, true, false),
            ("x==5", false, true, false),
            ("x!=5", true, false, true),
            ("x>=5", false, true, true),
            ("x>5", false, false, true),
        ] {
            let threshold = threshold(text);
            let holds = [4.0, 5.0, 6.0].map(|value| threshold.holds(value, 5.0));
            assert_eq!(holds, [below, equal, above], "{text}");
        }
        assert!(!threshold("x<5").holds(f64::NAN, 5.0), "what was not measured meets nothing");
    }
}
