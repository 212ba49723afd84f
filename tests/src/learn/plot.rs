//! Curves as SVG, written by hand: a frame, five grid lines a direction, a polyline with a whisker a point, a legend.
//! The same figures make the same bytes.

use std::fmt::Write;

/// One line: name and points, each (position on the x axis, value, low, high).
pub struct Curve {
    pub name: String,
    pub points: Vec<(f64, f64, f64, f64)>,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
/// Left, top, right, bottom of the plane.
const PLANE: (f64, f64, f64, f64) = (64.0, 48.0, 500.0, 368.0);
/// Okabe and Ito's colours, which colour-blind readers can tell apart.
const COLOURS: [&str; 8] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999999",
];

/// `ticks` are the labelled positions of the x axis.
pub fn svg(title: &str, x_name: &str, y_name: &str, ticks: &[(f64, String)], curves: &[Curve]) -> String {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    let (left, right) = range(points().map(|p| p.0).chain(ticks.iter().map(|tick| tick.0)));
    let (low, high) = range(points().flat_map(|p| [p.1, p.2, p.3]));
    let x = |at: f64| PLANE.0 + (at - left) / (right - left) * (PLANE.2 - PLANE.0);
    let y = |at: f64| PLANE.3 - (at - low) / (high - low) * (PLANE.3 - PLANE.1);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
         height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    text(&mut out, (PLANE.0, 28.0), "start", &format!("{title} ({y_name})"));
    text(&mut out, ((PLANE.0 + PLANE.2) / 2.0, HEIGHT - 12.0), "middle", x_name);
    for step in 0..=4 {
        let value = low + (high - low) * f64::from(step) / 4.0;
        line(&mut out, (PLANE.0, y(value)), (PLANE.2, y(value)), "#dddddd");
        text(&mut out, (PLANE.0 - 6.0, y(value) + 4.0), "end", &format!("{value:.3}"));
    }
    for (at, label) in ticks {
        line(&mut out, (x(*at), PLANE.1), (x(*at), PLANE.3), "#eeeeee");
        text(&mut out, (x(*at), PLANE.3 + 18.0), "middle", label);
    }
    for (i, curve) in curves.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let mut path = String::new();
        for (at, value, from, to) in &curve.points {
            // Writing to a string cannot fail.
            let _ = write!(path, "{:.1},{:.1} ", x(*at), y(*value));
            if from < to {
                // Beside each other, or the last would hide the others.
                let beside = x(*at) + 3.0 * i as f64;
                line(&mut out, (beside, y(*from)), (beside, y(*to)), colour);
            }
        }
        let path = path.trim_end();
        let _ = writeln!(
            out,
            "<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>"
        );
        let row = PLANE.1 + 12.0 + 18.0 * i as f64;
        line(&mut out, (PLANE.2 + 16.0, row), (PLANE.2 + 40.0, row), colour);
        text(&mut out, (PLANE.2 + 46.0, row + 4.0), "start", &curve.name);
    }
    out + "</svg>\n"
}

/// Widened a little, and never empty.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), x| (a.min(x), b.max(x)));
    if !(low.is_finite() && high.is_finite()) {
        return (0.0, 1.0);
    }
    let room = if high > low { (high - low) * 0.05 } else { 0.01 };
    (low - room, high + room)
}

fn line(out: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ = writeln!(
        out,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\" stroke-width=\"1.5\"/>"
    );
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, what: &str) {
    let what = what.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{what}</text>"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_holds_every_curve_and_no_nonsense() {
        let points = vec![(0.0, 0.8, 0.7, 0.9), (1.0, 0.85, 0.85, 0.85)];
        let name = "a < b".to_owned();
        let ticks = [(0.0, "1".to_owned()), (1.0, "3".to_owned())];
        let plot = svg("heart", "epsilon", "auc", &ticks, &[Curve { name, points }]);
        assert!(plot.contains("a &lt; b") && plot.contains("<polyline") && !plot.contains("NaN"));
        assert!(!svg("", "", "", &[], &[]).contains("NaN"));
    }
}
