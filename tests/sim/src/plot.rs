//! Curves over time as SVG: a few panels, one below the other, with axes, grid and legend.

use std::fmt::Write;

use serde::Serialize;

const WIDTH: f64 = 760.0;
const PANEL: f64 = 220.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 150.0;
const TOP: f64 = 34.0;
const BOTTOM: f64 = 34.0;
const TICKS: u32 = 4;
/// Colours that the colour-blind tell apart (M. Okabe, K. Ito, *Color Universal Design*, 2008).
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/// One panel.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Plot {
    /// What it shows.
    pub title: String,
    /// What the vertical axis counts.
    pub unit: String,
    /// Curves by name: seconds and values.
    pub curves: Vec<(String, Vec<(f64, f64)>)>,
}

impl Plot {
    /// An empty panel.
    pub fn new(title: &str, unit: &str) -> Self {
        Self {
            title: title.to_owned(),
            unit: unit.to_owned(),
            curves: Vec::new(),
        }
    }

    /// Adds a curve. Of each value four digits are kept: more cannot be seen.
    pub fn curve(mut self, name: &str, points: Vec<(f64, f64)>) -> Self {
        let points = points.into_iter().map(|(time, value)| (time, rounded(value)));
        self.curves.push((name.to_owned(), points.collect()));
        self
    }
}

/// Draws all panels into one picture.
pub fn draw(title: &str, plots: &[Plot]) -> String {
    let height = PANEL * plots.len() as f64 + 24.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"sans-serif\" font-size=\"11\">\n<title>{0}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n<text x=\"8\" y=\"16\" font-size=\"13\">{0}</text>\n",
        escape(title)
    );
    for (number, plot) in plots.iter().enumerate() {
        panel(&mut svg, plot, 20.0 + PANEL * number as f64);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Writing to a `String` cannot fail, so the results of `write!` are let go.
fn panel(svg: &mut String, plot: &Plot, top: f64) {
    let points = || plot.curves.iter().flat_map(|(_, points)| points);
    let most = |value: fn(&(f64, f64)) -> f64| points().map(value).fold(0.0, f64::max).max(1e-9);
    let (x_max, y_max) = (most(|point| point.0), most(|point| point.1) * 1.05);
    let y_min = points().map(|point| point.1).fold(0.0, f64::min);
    let (wide, high) = (WIDTH - LEFT - RIGHT, PANEL - TOP - BOTTOM);
    let x = |value: f64| LEFT + value / x_max * wide;
    let y = |value: f64| top + TOP + high - (value - y_min) / (y_max - y_min) * high;
    let _ = writeln!(
        svg,
        "<text x=\"{LEFT}\" y=\"{}\" font-weight=\"bold\">{} ({})</text>",
        top + 24.0,
        escape(&plot.title),
        escape(&plot.unit)
    );
    for tick in 0..=TICKS {
        let part = f64::from(tick) / f64::from(TICKS);
        let (value, time) = (y_min + (y_max - y_min) * part, x_max * part);
        let at = y(value);
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {at:.1}h{wide}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{time:.0} s</text>",
            LEFT - 6.0,
            at + 4.0,
            short(value),
            x(time),
            top + PANEL - BOTTOM + 16.0
        );
    }
    for (number, (name, points)) in plot.curves.iter().enumerate() {
        let colour = COLOURS[number % COLOURS.len()];
        let path: Vec<String> = points
            .iter()
            .map(|(time, value)| format!("{:.1},{:.1}", x(*time), y(*value)))
            .collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.6\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\">{}</text>",
            path.join(" "),
            WIDTH - RIGHT + 10.0,
            top + TOP + 14.0 * number as f64 + 10.0,
            escape(name)
        );
    }
}

fn rounded(value: f64) -> f64 {
    let unit = match value.abs() {
        size if size >= 1e3 => 1.0,
        size if size >= 10.0 => 100.0,
        _ => 1e4,
    };
    (value * unit).round() / unit
}

fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{:.1} M", value / 1e6),
        size if size >= 1e4 => format!("{:.0} k", value / 1e3),
        size if size >= 10.0 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_lies_between_the_axes() {
        let plot = Plot::new("prices & more", "mc").curve("a<b", vec![(0.0, 0.0), (10.0, 5.0)]);
        let svg = draw("test", &[plot]);
        assert!(svg.contains("a&lt;b") && svg.contains("prices &amp; more"));
        let points = svg
            .split("points=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .unwrap();
        let bottom = format!("{:.1},{:.1}", LEFT, 20.0 + PANEL - BOTTOM);
        assert!(points.starts_with(&bottom), "{points}");
    }

    #[test]
    fn nothing_to_draw_is_drawn() {
        assert!(draw("empty", &[Plot::new("none", "")]).ends_with("</svg>\n"));
    }
}
