//! Charts as inline SVG: lines over a shared pair of axes, with a legend, readable in light and dark.

use std::fmt::Write;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 270.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 28.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 44.0;
/// Closer to an end of the axis, what is written at a mark stands beside it.
const EDGE: f64 = 20.0;
/// About as many marks on an axis.
const MARKS: f64 = 5.0;

/// One line of a chart.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// Where it goes, in order of x.
    pub points: Vec<(f64, f64)>,
    /// Number of its colour, from 0.
    pub colour: usize,
    /// Drawn as bars from zero.
    pub bars: bool,
}

impl Line {
    /// A line through `points`.
    #[must_use]
    pub fn new(name: impl Into<String>, colour: usize, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, colour, bars: false }
    }
}

/// How an axis runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Evenly, from 0.
    Even,
    /// By powers of ten.
    Log,
    /// Percentiles: each nine takes as much room as the one before.
    Nines,
}

/// A chart.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// What x is.
    pub x: &'static str,
    /// What y is.
    pub y: &'static str,
    /// How x runs.
    pub x_scale: Scale,
    /// How y runs.
    pub y_scale: Scale,
    /// What is in it.
    pub lines: Vec<Line>,
    /// Moments, on the axis of x, at which something happened.
    pub events: Vec<f64>,
}

/// An axis with its bounds.
struct Axis {
    scale: Scale,
    low: f64,
    high: f64,
}

impl Axis {
    fn over(scale: Scale, values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = (f64::INFINITY, 0.0_f64);
        for value in values.filter(|value| value.is_finite()) {
            high = high.max(value);
            // Of those above zero, which has no place on a logarithmic axis.
            low = if value > 0.0 { low.min(value) } else { low };
        }
        match scale {
            Scale::Even => Self { scale, low: 0.0, high: round_up(high) },
            Scale::Nines => Self { scale, low: 0.0, high: high.clamp(90.0, 99.9999) },
            Scale::Log => {
                let low = if low.is_finite() { low } else { 0.1 };
                let low = 10_f64.powf(low.log10().floor());
                Self { scale, low, high: 10_f64.powf(high.max(low * 10.0).log10().ceil()) }
            }
        }
    }

    /// Where `value` lies, from 0 to 1.
    fn place(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Even => value / self.high,
            Scale::Log => (value.max(self.low) / self.low).log10() / (self.high / self.low).log10(),
            Scale::Nines => nines(value) / nines(self.high),
        };
        share.clamp(0.0, 1.0)
    }

    fn marks(&self) -> Vec<f64> {
        match self.scale {
            Scale::Even => {
                let step = round_up(self.high / MARKS);
                let mark = |mark: i32| f64::from(mark) * step;
                (0..=10).map(mark).take_while(|mark| *mark <= self.high * 1.001).collect()
            }
            Scale::Log => std::iter::successors(Some(self.low), |mark| Some(mark * 10.0))
                .take_while(|mark| *mark <= self.high * 1.001)
                .collect(),
            Scale::Nines => {
                let marks = [50.0, 90.0, 99.0, 99.9, 99.99, 99.999];
                marks.into_iter().filter(|mark| *mark <= self.high).collect()
            }
        }
    }
}

fn nines(percent: f64) -> f64 {
    -(1.0 - percent.min(99.9999) / 100.0).log10()
}

/// The next number at or above `value` that divides well by five.
fn round_up(value: f64) -> f64 {
    if value <= 0.0 {
        return 1.0;
    }
    let magnitude = 10_f64.powf(value.log10().floor());
    let steps = [1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 7.5, 10.0];
    steps.into_iter().map(|step| step * magnitude).find(|step| *step >= value * 0.999).unwrap_or(value)
}

/// A number with as few digits as tell it.
#[must_use]
pub fn short(value: f64) -> String {
    let size = value.abs();
    let (number, unit) = match size {
        _ if size >= 1e6 => (value / 1e6, "M"),
        _ if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = match number.abs() {
        n if n >= 100.0 => 0,
        n if n >= 10.0 => 1,
        n if n >= 0.1 => 2,
        _ => 4,
    };
    let text = format!("{number:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{unit}")
}

/// Text as HTML shows it.
#[must_use]
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

impl Chart {
    /// The chart as a figure of HTML.
    #[must_use]
    pub fn html(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        let points = || self.lines.iter().flat_map(|line| line.points.iter());
        let mut x_axis = Axis::over(self.x_scale, points().map(|point| point.0));
        if self.x_scale == Scale::Even {
            // Time ends where it ends, at no round number.
            x_axis.high = points().map(|point| point.0).fold(1e-9, f64::max);
        }
        let y_axis = Axis::over(self.y_scale, points().map(|point| point.1));
        let x_of = |value: f64| LEFT + x_axis.place(value) * (WIDTH - LEFT - RIGHT);
        let y_of = |value: f64| HEIGHT - BOTTOM - y_axis.place(value) * (HEIGHT - TOP - BOTTOM);
        let title = escape(&self.title);
        write!(out, "<figure><figcaption>{title}<span class=legend>")?;
        for line in &self.lines {
            write!(out, "<span><i class=\"c{}\"></i>{}</span>", line.colour, escape(&line.name))?;
        }
        write!(
            out,
            "</span></figcaption><svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=img aria-label=\"{title}\">"
        )?;
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for mark in y_axis.marks() {
            let (y, text) = (y_of(mark), short(mark));
            write!(out, "<line class=grid x1={LEFT} x2={right} y1={y:.1} y2={y:.1} />")?;
            write!(out, "<text x={} y={:.1} text-anchor=end>{text}</text>", LEFT - 7.0, y + 5.0)?;
        }
        for mark in x_axis.marks() {
            let (x, text) = (x_of(mark), short_x(mark, self.x_scale));
            write!(out, "<line class=grid x1={x:.1} x2={x:.1} y1={TOP} y2={bottom} />")?;
            // At the ends there is no room on both sides.
            let anchor = match x {
                _ if x < LEFT + EDGE => "start",
                _ if x > right - EDGE => "end",
                _ => "middle",
            };
            write!(out, "<text x={x:.1} y={} text-anchor={anchor}>{text}</text>", bottom + 18.0)?;
        }
        for x in self.events.iter().map(|&at| x_of(at)) {
            write!(out, "<line class=event x1={x:.1} x2={x:.1} y1={TOP} y2={bottom} />")?;
        }
        let (middle, below) = (f64::midpoint(LEFT, right), HEIGHT - 6.0);
        write!(out, "<text class=axis x={middle} y={below} text-anchor=middle>{}</text>", escape(self.x))?;
        let middle = f64::midpoint(TOP, bottom);
        write!(
            out,
            "<text class=\"axis upright\" transform=\"translate(15 {middle}) rotate(-90)\" text-anchor=middle>"
        )?;
        write!(out, "{}</text>", escape(self.y))?;
        for line in &self.lines {
            if line.bars {
                let width = (0.7 * (WIDTH - LEFT - RIGHT) / line.points.len().max(1) as f64).max(1.0);
                for &(x, y) in line.points.iter().filter(|(_, y)| *y > 0.0) {
                    let (left, top) = (x_of(x) - width / 2.0, y_of(y));
                    let height = bottom - top;
                    write!(
                        out,
                        "<rect class=\"b{}\" x={left:.1} y={top:.1} width={width:.1} height={height:.1} />",
                        line.colour
                    )?;
                }
                continue;
            }
            write!(out, "<polyline class=\"l{}\" points=\"", line.colour)?;
            for &(x, y) in line.points.iter().filter(|(x, y)| x.is_finite() && y.is_finite()) {
                write!(out, "{:.1},{:.1} ", x_of(x), y_of(y))?;
            }
            write!(out, "\" />")?;
        }
        write!(out, "</svg></figure>")
    }
}

fn short_x(mark: f64, scale: Scale) -> String {
    if scale == Scale::Nines { format!("p{mark}") } else { short(mark) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers_and_nines_are_even() {
        assert!((round_up(0.13) - 0.15).abs() < 1e-9 && (round_up(740.0) - 750.0).abs() < 1e-9);
        let axis = Axis::over(Scale::Nines, [99.9].into_iter());
        let step = |a: f64, b: f64| axis.place(b) - axis.place(a);
        assert!((step(0.0, 90.0) - step(90.0, 99.0)).abs() < 1e-9);
        let axis = Axis::over(Scale::Log, [0.2, 30.0].into_iter());
        assert_eq!((axis.low, axis.high, axis.marks().len()), (0.1, 100.0, 4));
    }

    #[test]
    fn numbers_are_short_and_text_is_escaped() {
        let texts = [0.0, 0.25, 12.34, 250.0, 5000.0, 24_000.0, 1.5e6].map(short);
        assert_eq!(texts, ["0", "0.25", "12.3", "250", "5000", "24k", "1.5M"]);
        assert_eq!(escape("<a & \"b\">"), "&lt;a &amp; &quot;b&quot;&gt;");
    }

    #[test]
    fn a_chart_without_points_is_still_a_chart() {
        let chart = Chart {
            title: "t".into(),
            x: "x",
            y: "y",
            x_scale: Scale::Even,
            y_scale: Scale::Log,
            lines: vec![Line::new("nothing", 0, Vec::new())],
            events: Vec::new(),
        };
        assert!(chart.html().ends_with("</svg></figure>"));
    }
}
