//! How a run's progress is shown on standard error: a few lines drawn over and over on a terminal, a line a second
//! elsewhere.

use std::io::{IsTerminal, Write};

use crate::clock::{self, SECOND};
use crate::run::result::Sample;
use crate::run::scenario::Scenario;

/// How often a plain line is printed.
const LINE_NS: u64 = SECOND;
/// The most intervals that bars show.
const RECENT: usize = 40;
/// What stands before the bars.
const LABEL: usize = 24;
/// Cells of the bar of progress.
const PROGRESS: usize = 30;
/// Of a terminal that does not say its size.
const USUAL_SIZE: (usize, usize) = (80, 24);
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::run) enum Show {
    /// Not at all.
    Nothing,
    /// A line a second.
    Lines,
    /// A few lines that are drawn over and over.
    Live,
}

impl Show {
    /// What standard error can do.
    pub(in crate::run) fn fitting() -> Self {
        let plain = std::env::var_os("CI").is_some() || std::env::var_os("TERM").is_none_or(|t| t == "dumb");
        if std::io::stderr().is_terminal() && !plain { Self::Live } else { Self::Lines }
    }
}

/// What there is to show besides the samples.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    pub(super) faults: u64,
    /// What others of its stream have overtaken, where that is no one's right.
    pub(super) not_arrived: u64,
    /// Whether there is a server to measure.
    pub(super) measured: bool,
}

/// The view of a run.
pub(super) struct View {
    show: Show,
    name: String,
    seconds: f64,
    warmup: f64,
    line_ns: u64,
    /// Lines on the terminal that the next drawing goes over.
    drawn: usize,
}

impl View {
    pub(super) fn new(scenario: &Scenario, show: Show) -> Self {
        let (name, seconds, warmup) = (scenario.name.clone(), scenario.seconds(), scenario.warmup.0);
        Self { show, name, seconds, warmup, line_ns: 0, drawn: 0 }
    }

    pub(super) fn connected(&self, connections: usize, per_second: f64) {
        if self.show != Show::Nothing {
            eprintln!("{}: {connections} connections, {per_second:.0} a second", self.name);
        }
    }

    pub(super) fn start(&mut self, start_ns: u64) {
        self.line_ns = start_ns + LINE_NS;
    }

    pub(super) fn killed(&self, at_s: f64) {
        if self.show == Show::Lines {
            eprintln!("{at_s:6.1}s  the server is killed");
        }
    }

    /// There is a new sample.
    pub(super) fn turn(&mut self, now_ns: u64, samples: &[Sample], state: State) {
        match self.show {
            Show::Lines if now_ns < self.line_ns => {}
            _ => {
                self.line_ns = now_ns - now_ns.saturating_sub(self.line_ns) % LINE_NS + LINE_NS;
                self.finish(samples, state);
            }
        }
    }

    /// Shows the last sample.
    pub(super) fn finish(&mut self, samples: &[Sample], state: State) {
        let Some(sample) = samples.last() else { return };
        match self.show {
            Show::Nothing => {}
            Show::Lines => eprintln!("{}", line(sample, state)),
            Show::Live => {
                let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok();
                let size = size.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)));
                let size = size.filter(|&(columns, rows)| columns > 0 && rows > 1).unwrap_or(USUAL_SIZE);
                self.draw(&self.picture(sample, samples, state, size));
            }
        }
    }

    /// The lines of the live view, as many and as long as the terminal of `size` has room for.
    fn picture(
        &self,
        sample: &Sample,
        samples: &[Sample],
        state: State,
        (columns, rows): (usize, usize),
    ) -> Vec<String> {
        let room = columns.saturating_sub(LABEL).min(RECENT);
        let from = samples.len().saturating_sub(room);
        let recent = |pick: fn(&Sample) -> f64| bars(samples[from..].iter().map(pick));
        let row = |name: &str, value: String, rest: String| format!("{name:<12}{value:>10}  {rest}");
        let mut lines = vec![
            self.progress(sample, columns),
            row("sent/s", format!("{:.0}", sample.sent_per_second), recent(|s| s.sent_per_second)),
            row(
                "delivered/s",
                format!("{:.0}", sample.deliveries_per_second),
                recent(|s| s.deliveries_per_second),
            ),
            row("p50 ms", ms(sample.p50_ms), recent(|s| s.p50_ms)),
            row("p99 ms", ms(sample.p99_ms), recent(|s| s.p99_ms)),
        ];
        if state.measured {
            let cpu = format!("{:.0}", sample.server_cpu_percent);
            lines.push(row("server CPU %", cpu, recent(|s| s.server_cpu_percent)));
            lines.push(row("server MiB", format!("{:.1}", sample.server_mib), recent(|s| s.server_mib)));
        }
        let rest = format!(
            "not arrived {}, connected {}, lag p99 {:.2} ms",
            state.not_arrived, sample.connected, sample.lag_ms
        );
        lines.push(row("faults", state.faults.to_string(), rest));
        // A line that is wrapped, or scrolled away, could not be drawn over.
        lines.truncate(rows - 1);
        lines.into_iter().map(|line| line.chars().take(columns).collect()).collect()
    }

    fn progress(&self, sample: &Sample, columns: usize) -> String {
        let phase = if sample.at_s <= self.warmup {
            ", warming up"
        } else if sample.at_s > self.seconds {
            ", draining"
        } else {
            ""
        };
        let time = format!("{:.1} of {:.1} s{phase}", sample.at_s.min(self.seconds), self.seconds);
        let taken = self.name.chars().count() + time.chars().count() + 4;
        let cells = columns.saturating_sub(taken).min(PROGRESS);
        let share = (sample.at_s / self.seconds.max(0.001)).min(1.0);
        let done = usize::try_from(clock::whole(share * cells as f64)).unwrap_or(0).min(cells);
        format!("{}  {}{}  {time}", self.name, "━".repeat(done), "┄".repeat(cells - done))
    }

    fn draw(&mut self, lines: &[String]) {
        let mut text = String::new();
        if self.drawn > 0 {
            text += &format!("\x1b[{}A", self.drawn);
        }
        for line in lines {
            text += &format!("\x1b[2K{line}\n");
        }
        self.drawn = lines.len();
        let mut out = std::io::stderr().lock();
        // A terminal that went away is no reason to stop measuring.
        let _ = out.write_all(text.as_bytes());
    }
}

fn line(sample: &Sample, state: State) -> String {
    let cpu = format!(", server {:.0}% CPU", sample.server_cpu_percent);
    format!(
        "{:6.1}s  {:.0} sent/s, {:.0} delivered/s, p50 {} ms, p99 {} ms, faults {}, not arrived {}{}",
        sample.at_s,
        sample.sent_per_second,
        sample.deliveries_per_second,
        ms(sample.p50_ms),
        ms(sample.p99_ms),
        state.faults,
        state.not_arrived,
        if state.measured { &cpu } else { "" }
    )
}

/// An interval in which nothing arrived that counts has no latency.
fn ms(value: f64) -> String {
    if value > 0.0 { format!("{value:.2}") } else { "–".into() }
}

fn bars(values: impl Iterator<Item = f64>) -> String {
    let values: Vec<f64> = values.collect();
    let most = values.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    let bar = |value: &f64| {
        let step = usize::try_from(clock::whole(value / most * 7.0)).unwrap_or(0);
        BARS[step.min(7)]
    };
    values.iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_relative_to_the_highest() {
        assert_eq!(bars([0.0, 5.0, 10.0].into_iter()), "▁▅█");
        assert_eq!(bars([0.0, 0.0].into_iter()), "▁▁");
    }

    #[test]
    fn the_live_view_fits_any_terminal() {
        let view = View::new(&Scenario::default(), Show::Live);
        let sample = Sample { at_s: 4.0, sent_per_second: 100.0, p50_ms: 1.5, ..Sample::default() };
        let samples = vec![sample; 60];
        let state = State { measured: true, not_arrived: 7, ..State::default() };
        for (columns, rows) in [(1, 2), (20, 3), (44, 16), (80, 24), (300, 80)] {
            let lines = view.picture(&sample, &samples, state, (columns, rows));
            assert!(lines.len() < rows && lines.iter().all(|line| line.chars().count() <= columns));
        }
        let lines = view.picture(&sample, &samples, state, (80, 24));
        assert!(lines[0].starts_with("custom  ━") && lines[0].ends_with("4.0 of 9.0 s"), "{}", lines[0]);
        assert!(lines[3].contains("1.50") && lines[4].contains('–'), "{lines:?}");
        assert!(lines[7].contains("not arrived 7"), "{lines:?}");
    }

    #[test]
    fn a_line_says_what_the_live_view_says() {
        let sample = Sample { at_s: 2.0, deliveries_per_second: 40.0, p50_ms: 0.25, ..Sample::default() };
        let state = State { faults: 3, ..State::default() };
        assert_eq!(
            line(&sample, state),
            "   2.0s  0 sent/s, 40 delivered/s, p50 0.25 ms, p99 – ms, faults 3, not arrived 0"
        );
    }
}
