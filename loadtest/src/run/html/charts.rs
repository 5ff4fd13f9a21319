//! The charts of a report.

use crate::run::chart::{Chart, Line, Scale};
use crate::run::result::{RunResult, Sample};

/// Those that there is anything to show in.
pub(super) fn charts(result: &RunResult) -> Vec<Chart> {
    let over_time = |pick: fn(&Sample) -> f64| -> Vec<(f64, f64)> {
        result.timeline.iter().map(|sample| (sample.at_s, pick(sample))).collect()
    };
    // Intervals in which nothing arrived have no latency.
    let latency = |pick: fn(&Sample) -> f64| -> Vec<(f64, f64)> {
        over_time(pick).into_iter().filter(|&(_, ms)| ms > 0.0).collect()
    };
    let time = |title: &str, y, y_scale, lines| Chart {
        title: title.into(),
        x: "seconds",
        y,
        x_scale: Scale::Even,
        y_scale,
        lines,
        events: result.kills_s.clone(),
    };
    let mut charts = Vec::new();
    if result.latency.samples > 0 {
        charts.push(time(
            "Response latency over time",
            "ms",
            Scale::Log,
            vec![
                Line::new("max", 3, latency(|s| s.max_ms)),
                Line::new("p99", 1, latency(|s| s.p99_ms)),
                Line::new("p50", 0, latency(|s| s.p50_ms)),
            ],
        ));
        charts.push(Chart {
            title: "Latency by percentile".into(),
            x: "percentile",
            y: "ms",
            x_scale: Scale::Nines,
            y_scale: Scale::Log,
            events: Vec::new(),
            lines: vec![
                Line::new("response", 0, result.curve.clone()),
                Line::new("service", 2, result.service_curve.clone()),
            ],
        });
    }
    if result.counts.sent > 0 {
        let delivered = Line::new("delivered", 2, over_time(|s| s.deliveries_per_second));
        charts.push(time("Deliveries", "per second", Scale::Even, vec![delivered]));
        let sent = Line::new("sent", 0, over_time(|s| s.sent_per_second));
        charts.push(time("Messages published", "per second", Scale::Even, vec![sent]));
    }
    if result.ledger.missing > 0 {
        let lost = Line { bars: true, ..Line::new("lost", 3, over_time(|s| s.lost as f64)) };
        charts.push(time("Losses, by when they were due", "deliveries lost", Scale::Even, vec![lost]));
    }
    if result.cost.is_some() {
        let cpu = Line::new("server", 4, over_time(|s| s.server_cpu_percent));
        charts.push(time("Server CPU", "% of a core", Scale::Even, vec![cpu]));
        let memory = Line::new("server", 5, over_time(|s| s.server_mib));
        charts.push(time("Server memory", "MiB", Scale::Even, vec![memory]));
    }
    if result.counts.cuts + result.counts.disconnects + result.counts.kills > 0 {
        let connected = Line::new("connected", 0, over_time(|s| s.connected as f64));
        charts.push(time("Subscribers connected", "subscribers", Scale::Even, vec![connected]));
    }
    charts
}
