//! The comparison as a page with charts.

use std::fmt::Write;

use super::{Comparison, FIGURES, Relation};
use crate::run::chart::{Chart, Line, Scale, escape, short};
use crate::run::html;
use crate::run::result::{RunResult, Sample};
use crate::verdict::Spread;

/// The comparison as a page with charts.
#[must_use]
pub fn page(comparison: &Comparison) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write_page(&mut out, comparison);
    let names: Vec<&str> = comparison.servers.iter().map(|server| server.name.as_str()).collect();
    html::document(&format!("Comparison: {}", names.join(", ")), &out)
}

fn write_page(out: &mut String, comparison: &Comparison) -> std::fmt::Result {
    let Some((first, _)) = comparison.servers.split_first() else { return Ok(()) };
    let Some(sample) = first.runs.first() else { return Ok(()) };
    let names: Vec<String> = comparison.servers.iter().map(|server| escape(&server.name)).collect();
    let scenario = &sample.scenario;
    write!(out, "<header><h1>{}</h1></header>", names.join(" · "))?;
    write!(
        out,
        "<p class=soft>scenario {}: {} subscribers, {} publishers, {} topics, {} messages a second of {} bytes, {:.1} s; \
         {} repeats, taking turns. Medians; ratios to {} with 95 % confidence intervals, grey where they show no significant difference.</p>",
        escape(&scenario.name),
        scenario.subscribers,
        scenario.publishers,
        scenario.topics,
        scenario.rate,
        scenario.size,
        sample.seconds,
        first.runs.len(),
        names[0]
    )?;
    write_figures(out, comparison, &names)?;
    out.push_str("</tr></table></div><h2>Course</h2><div class=charts>");
    for chart in charts(comparison) {
        out.push_str(&chart.html());
    }
    out.push_str("</div><h2>Runs</h2><div class=card><table><tr><th>server<th>repeat<th>p50 ms<th>p99 ms<th>µs per delivery<th>lost<th class=text></tr>");
    for server in &comparison.servers {
        for (repeat, run) in server.runs.iter().enumerate() {
            write!(
                out,
                "<tr><td>{}<td>{}<td>{:.2}<td>{:.2}<td>{}<td>{}<td class=text>{}</tr>",
                escape(&server.name),
                repeat + 1,
                run.latency.p50_ms,
                run.latency.p99_ms,
                short(run.cost.map_or(0.0, |cost| cost.cpu_us_per_delivery)),
                run.ledger.missing,
                run.verdict.word()
            )?;
        }
    }
    out.push_str("</table></div>");
    let machine = &sample.environment;
    write!(
        out,
        "<h2>Machine and run</h2><p>{} × {}, {}<br><code>{}</code></p><ul>",
        machine.cpus,
        escape(&machine.cpu),
        escape(&machine.kernel),
        escape(&machine.command)
    )?;
    for server in &comparison.servers {
        let command = server.runs.first().map_or("", |run| run.server.as_str());
        write!(out, "<li>{}: <code>{}</code></li>", escape(&server.name), escape(command))?;
    }
    out.push_str("</ul>");
    Ok(())
}

fn write_figures(out: &mut String, comparison: &Comparison, names: &[String]) -> std::fmt::Result {
    let Some((first, _)) = comparison.servers.split_first() else { return Ok(()) };
    out.push_str("<h2>Figures</h2><div class=card><table class=figures><tr><th>");
    for name in names {
        write!(out, "<th>{name}")?;
    }
    out.push_str("</tr>");
    for (figure, title, unit, factor, _) in FIGURES {
        write!(out, "<tr><td>{title} <span class=soft>{unit}</span>")?;
        for server in &comparison.servers {
            let spread = Spread::of(server.figures(figure));
            let (low, high) = (short(spread.min * factor), short(spread.max * factor));
            write!(out, "<td><b>{}</b> <small>{low}–{high}</small>", short(spread.median * factor))?;
            if let Some(relation) = Relation::of(server, first, figure) {
                let class = match relation.better {
                    None => "soft",
                    Some(true) => "good",
                    Some(false) => "bad",
                };
                let (text, remark) = (&relation.text, relation.remark());
                write!(out, "<br><small class={class}>{text}<span class=wide>{remark}</span></small>")?;
            }
        }
        out.push_str("</tr>");
    }
    out.push_str("<tr><td>lost messages, verdict");
    for server in &comparison.servers {
        let lost: u64 = server.runs.iter().map(|run| run.ledger.missing).sum();
        write!(out, "<td>{} lost<br>{}", lost, html::badge(server.verdict()))?;
    }
    Ok(())
}

fn charts(comparison: &Comparison) -> Vec<Chart> {
    let lines = |pick: &dyn Fn(&RunResult) -> Vec<(f64, f64)>| -> Vec<Line> {
        let middle = comparison.servers.iter().map(|server| (server, server.middle()));
        middle
            .zip(0..)
            .filter_map(|((server, run), colour)| Some(Line::new(&server.name, colour % 6, pick(run?))))
            .collect()
    };
    let over_time = |title: &str, y, y_scale, pick: fn(&Sample) -> f64| Chart {
        title: title.into(),
        x: "seconds",
        y,
        x_scale: Scale::Even,
        y_scale,
        events: Vec::new(),
        lines: lines(&|run| {
            let points = run.timeline.iter().map(|sample| (sample.at_s, pick(sample)));
            points.filter(|&(_, value)| y_scale != Scale::Log || value > 0.0).collect()
        }),
    };
    vec![
        Chart {
            title: "Response latency by percentile, middle run".into(),
            x: "percentile",
            y: "ms",
            x_scale: Scale::Nines,
            y_scale: Scale::Log,
            events: Vec::new(),
            lines: lines(&|run| run.curve.clone()),
        },
        over_time("p99 over time, middle run", "ms", Scale::Log, |sample| sample.p99_ms),
        over_time("Server CPU", "% of a core", Scale::Even, |sample| sample.server_cpu_percent),
        over_time("Server memory", "MiB", Scale::Even, |sample| sample.server_mib),
    ]
}
