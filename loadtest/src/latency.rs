//! A latency record with a fixed amount of memory.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::clock::{MILLISECOND, SECOND};
use crate::error::{Error, Result};

/// Samples in nanoseconds, 1 µs to 60 s at three digits. Larger ones count as 60 s.
#[derive(Clone, Debug)]
pub struct Latency {
    histogram: Histogram<u64>,
    max_ns: u64,
    /// Samples below zero: the clock or the stamp was wrong. Counted, never dropped silently.
    negative: u64,
}

/// A record in a form that travels: values and how often each occurred.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    counts: Vec<(u64, u64)>,
    max_ns: u64,
    negative: u64,
}

/// The figures of one record, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Number of samples.
    pub samples: u64,
    /// Half of the samples are at or below.
    pub p50_ms: f64,
    /// 9 of 10 are at or below.
    pub p90_ms: f64,
    /// 99 of 100 are at or below.
    pub p99_ms: f64,
    /// 999 of 1000 are at or below.
    pub p999_ms: f64,
    /// The largest.
    pub max_ms: f64,
    /// Samples below zero.
    pub negative: u64,
}

impl Latency {
    /// Makes an empty record.
    ///
    /// # Errors
    /// Never in practice: the bounds are constants.
    pub fn new() -> Result<Self> {
        let histogram = Histogram::new_with_bounds(1000, 60 * SECOND, 3)
            .map_err(|error| Error::Setup(format!("histogram: {error}")))?;
        Ok(Self { histogram, max_ns: 0, negative: 0 })
    }

    /// Enters the span from `due_ns` to `at_ns`.
    pub fn enter(&mut self, due_ns: u64, at_ns: u64) {
        let span = at_ns.saturating_sub(due_ns);
        self.negative += u64::from(at_ns < due_ns);
        self.max_ns = self.max_ns.max(span);
        self.histogram.saturating_record(span);
    }

    /// Adds the samples of another record.
    pub fn add(&mut self, other: &Self) {
        // The bounds are the same, so this cannot fail.
        let _ = self.histogram.add(&other.histogram);
        self.max_ns = self.max_ns.max(other.max_ns);
        self.negative += other.negative;
    }

    /// The record in a form that travels.
    #[must_use]
    pub fn record(&self) -> Record {
        let counts = self.histogram.iter_recorded();
        let counts = counts.map(|step| (step.value_iterated_to(), step.count_at_value())).collect();
        Record { counts, max_ns: self.max_ns, negative: self.negative }
    }

    /// Adds what another process recorded.
    pub fn add_record(&mut self, record: &Record) {
        for &(value, count) in &record.counts {
            self.histogram.saturating_record_n(value, count);
        }
        self.max_ns = self.max_ns.max(record.max_ns);
        self.negative += record.negative;
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.histogram.reset();
        (self.max_ns, self.negative) = (0, 0);
    }

    /// The percentile curve: pairs of a share in percent and milliseconds, denser towards 100.
    #[must_use]
    pub fn curve(&self) -> Vec<(f64, f64)> {
        if self.histogram.is_empty() {
            return Vec::new();
        }
        // Each decade of nines in ten steps, as far as there are samples for it.
        let decades = (self.histogram.len() as f64).log10().clamp(1.0, 6.0);
        let steps = crate::clock::whole(decades * 10.0);
        (0..=steps)
            .map(|step| {
                let share = 1.0 - 10_f64.powf(-(step as f64) / 10.0);
                // The histogram gives the upper end of a step, which may lie beyond the largest sample.
                let ns = self.histogram.value_at_quantile(share).min(self.max_ns);
                (share * 100.0, ns as f64 / MILLISECOND as f64)
            })
            .collect()
    }

    /// The figures so far.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let ms = |ns: u64| ns as f64 / MILLISECOND as f64;
        let quantile = |q| ms(self.histogram.value_at_quantile(q).min(self.max_ns));
        Figures {
            samples: self.histogram.len(),
            p50_ms: quantile(0.5),
            p90_ms: quantile(0.9),
            p99_ms: quantile(0.99),
            p999_ms: quantile(0.999),
            max_ms: ms(self.max_ns),
            negative: self.negative,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_in_milliseconds_and_negative_samples_are_counted() {
        let mut latency = Latency::new().unwrap();
        for sample in 1..=100 {
            latency.enter(0, sample * MILLISECOND);
        }
        latency.enter(5, 4);
        let figures = latency.figures();
        assert!((figures.p99_ms - 99.0).abs() < 0.2, "{figures:?}");
        assert!((figures.max_ms - 100.0).abs() < 0.01);
        assert_eq!((figures.samples, figures.negative), (101, 1));
        let mut other = Latency::new().unwrap();
        other.add_record(&latency.record());
        assert_eq!(other.figures(), figures);
    }
}
