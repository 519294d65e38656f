//! The seconds as a picture: plain SVG, three panels over one time axis.

use super::second::Second;
use std::fmt::Write;

const WIDTH: f64 = 960.0;
const PANEL_HEIGHT: f64 = 170.0;
const GAP: f64 = 46.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;

/// A line of a panel.
struct Line {
    name: &'static str,
    colour: &'static str,
    values: Vec<f64>,
}

/// How values become heights.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Scale {
    Linear,
    /// Powers of ten, from 0.1 on.
    Log,
}

struct Panel {
    title: &'static str,
    scale: Scale,
    /// A value worth a line across.
    limit: Option<f64>,
    lines: Vec<Line>,
}

/// The picture of a run.
pub(super) fn svg(seconds: &[Second], title: &str) -> String {
    let panels = panels(seconds);
    let height = TOP + panels.len() as f64 * (PANEL_HEIGHT + GAP);
    let mut text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"20\" font-size=\"14\">{}</text>\n",
        title.replace('&', "&amp;").replace('<', "&lt;")
    );
    for (place, panel) in panels.iter().enumerate() {
        let top = TOP + place as f64 * (PANEL_HEIGHT + GAP);
        draw(&mut text, panel, top, seconds.len());
    }
    text.push_str("</svg>\n");
    text
}

fn panels(seconds: &[Second]) -> Vec<Panel> {
    let line = |name, colour, value: &dyn Fn(&Second) -> f64| Line {
        name,
        colour,
        values: seconds.iter().map(value).collect(),
    };
    vec![
        Panel {
            title: "thousand writes a second",
            scale: Scale::Linear,
            limit: None,
            lines: vec![line("writes", "#1f77b4", &|row| row.writes as f64 / 1e3)],
        },
        Panel {
            title: "latency, milliseconds (limit of p99.9: 20)",
            scale: Scale::Log,
            limit: Some(20.0),
            lines: vec![
                line("max", "#d62728", &|row| row.max_us / 1e3),
                line("p99.9", "#ff7f0e", &|row| row.p999_us / 1e3),
                line("p50", "#2ca02c", &|row| row.p50_us / 1e3),
            ],
        },
        Panel {
            title: "backlog (100 MiB), depth of level 0",
            scale: Scale::Linear,
            limit: None,
            lines: vec![
                line("backlog", "#9467bd", &|row| {
                    row.backlog_bytes as f64 / f64::from(100 << 20)
                }),
                line("depth", "#8c564b", &|row| row.level0_depth as f64),
            ],
        },
    ]
}

fn draw(text: &mut String, panel: &Panel, top: f64, count: usize) {
    let values = panel.lines.iter().flat_map(|line| &line.values);
    let highest = values.copied().chain(panel.limit).fold(1.0_f64, f64::max);
    let bottom = top + PANEL_HEIGHT;
    let width = WIDTH - LEFT - RIGHT;
    let share = |value: f64| match panel.scale {
        Scale::Linear => value / highest,
        Scale::Log => (value.max(0.1) * 10.0).log10() / (highest * 10.0).log10(),
    };
    let height = |value: f64| bottom - share(value) * PANEL_HEIGHT;
    let mut put = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    put(format!(
        "<rect x=\"{LEFT}\" y=\"{top}\" width=\"{width}\" height=\"{PANEL_HEIGHT}\" fill=\"none\" \
         stroke=\"#999\"/><text x=\"{LEFT}\" y=\"{:.1}\">{}</text>",
        top - 6.0,
        panel.title
    ));
    for value in ticks(panel.scale, highest) {
        let y = height(value);
        put(format!(
            "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/><text \
             x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{value}</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            y + 4.0
        ));
    }
    if let Some(limit) = panel.limit {
        let y = height(limit);
        put(format!(
            "<line x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#d62728\" \
             stroke-dasharray=\"6 4\"/>",
            WIDTH - RIGHT
        ));
    }
    for (place, line) in panel.lines.iter().enumerate() {
        let step = width / count.max(2) as f64;
        let mut points = String::new();
        for (second, value) in line.values.iter().enumerate() {
            let x = LEFT + step * (second as f64 + 0.5);
            write!(points, "{x:.1},{:.1} ", height(*value)).expect("a string takes all");
        }
        put(format!(
            "<polyline points=\"{points}\" fill=\"none\" stroke=\"{}\"/><text x=\"{:.1}\" \
             y=\"{:.1}\" fill=\"{}\">{}</text>",
            line.colour,
            WIDTH - RIGHT - 70.0 * (place as f64 + 1.0),
            top - 6.0,
            line.colour,
            line.name
        ));
    }
    put(format!(
        "<text x=\"{LEFT}\" y=\"{:.1}\">0 s</text><text x=\"{:.1}\" y=\"{:.1}\" \
         text-anchor=\"end\">{count} s</text>",
        bottom + 16.0,
        WIDTH - RIGHT,
        bottom + 16.0
    ));
}

/// Values with a line across.
fn ticks(scale: Scale, highest: f64) -> Vec<f64> {
    match scale {
        Scale::Linear => (1..=4)
            .map(|part| rounded(highest * f64::from(part) / 4.0))
            .collect(),
        Scale::Log => (-1..=6)
            .map(|power| 10_f64.powi(power))
            .filter(|value| *value <= highest)
            .collect(),
    }
}

fn rounded(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_a_point_for_each_second_and_line() {
        let seconds: Vec<Second> = (0..30)
            .map(|at_s| Second {
                at_s,
                writes: 1000 * at_s,
                max_us: 30_000.0,
                ..Second::default()
            })
            .collect();
        let text = svg(&seconds, "a < b");
        assert_eq!(text.matches("<polyline").count(), 6);
        let points = text
            .split("points=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        assert_eq!(
            points.map(|points| points.split_whitespace().count()),
            Some(30)
        );
        assert!(text.contains("a &lt; b") && text.ends_with("</svg>\n"));
        assert!(svg(&[], "").contains("0 s"));
    }
}
