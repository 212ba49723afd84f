//! Series as marks on a plane: lines with bands, dashed references, dots with whiskers, bars.

use plotters::chart::ChartContext;
use plotters::element::{
    Circle, DashedPathElement, DynElement, ErrorBar, IntoDynElement, PathElement, Polygon, Rectangle,
};
use plotters::prelude::*;

use super::draw::{Area, Drawn, SCALE, px};
use super::scale::Scale;
use super::{Mark, Panel, Point, Series};

type Chart<'a, DB> = ChartContext<'a, DB, Cartesian2d<Scale, Scale>>;

/// Okabe and Ito's colours, which colour-blind readers can tell apart; without yellow, which nobody sees on white.
const COLOURS: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];
const BAND: f64 = 0.15;
const BAR: f64 = 0.55;
/// With fewer points than this, a line shows where they are.
const DOTTED_BELOW: usize = 13;
/// With more lines than this, every second one is dashed and drawn last: of two that coincide, both are seen.
const SOLID_UP_TO: usize = 4;

/// Dash and gap of the first, second and third reference: those that coincide show through each other's gaps.
const DASHES: [(i32, i32); 3] = [(10, 4), (3, 5), (6, 6)];

pub(super) struct Pen {
    colour: RGBColor,
    width: u32,
    /// Lengths of a dash and of the gap after it; none: a solid line.
    dash: Option<(i32, i32)>,
}

/// How each series is drawn, in the plane and in the legend.
pub(super) fn pens(panel: &Panel) -> Vec<(&Series, Pen)> {
    let lines = panel.series.iter().filter(|series| series.mark == Mark::Line).count();
    let mut references = 0;
    let pen = |(i, (series, colour)): (usize, (&'_ Series, RGBColor))| {
        let second = lines > SOLID_UP_TO && i % 2 == 1;
        match series.mark {
            Mark::Reference => {
                let (dash, gap) = DASHES[references % DASHES.len()];
                references += 1;
                Pen::new(colour, 3 * SCALE / 2, Some((px(dash), px(gap))))
            }
            Mark::Line if second => Pen::new(colour, 2 * SCALE, Some((px(13), px(6)))),
            _ => Pen::new(colour, 2 * SCALE, None),
        }
    };
    let coloured = panel.series.iter().zip(COLOURS.into_iter().cycle());
    panel.series.iter().zip(coloured.enumerate().map(pen)).collect()
}

/// What covers most is drawn first, so that no line is hidden.
pub(super) fn series<DB: DrawingBackend>(chart: &mut Chart<'_, DB>, panel: &Panel, x: &Scale, y: &Scale) -> Drawn<DB> {
    let all: Vec<_> = pens(panel)
        .into_iter()
        .map(|(series, pen)| (series.mark, runs(&series.points, x, y), pen))
        .collect();
    for (mark, runs, pen) in &all {
        match mark {
            Mark::Line => bands(chart, runs, pen)?,
            Mark::Bars => bars(chart, runs, y.base(), pen)?,
            Mark::Reference | Mark::Dots => {}
        }
    }
    for dashed in [false, true] {
        for (mark, runs, pen) in all.iter().filter(|(_, _, pen)| pen.dash.is_some() == dashed) {
            match mark {
                Mark::Line => lines(chart, runs, pen)?,
                Mark::Reference => traces(chart, runs, pen)?,
                Mark::Dots => whiskers(chart, runs, pen)?,
                Mark::Bars => {}
            }
        }
    }
    Ok(())
}

/// The mark of a series beside its name.
pub(super) fn sample<DB: DrawingBackend>(area: &Area<DB>, mark: Mark, pen: &Pen, y: i32) -> Drawn<DB> {
    match mark {
        Mark::Line | Mark::Reference => area.draw(&pen.trace(vec![(px(2), y), (px(34), y)])),
        Mark::Dots => area.draw(&Circle::new((px(18), y), px(4), pen.colour.filled())),
        Mark::Bars => {
            let corners = [(px(8), y - px(6)), (px(28), y + px(6))];
            area.draw(&Rectangle::new(corners, pen.colour.mix(BAR).filled()))
        }
    }
}

impl Pen {
    fn new(colour: RGBColor, width: u32, dash: Option<(i32, i32)>) -> Self {
        Self { colour, width, dash }
    }

    fn trace<DB: DrawingBackend, C: Clone + 'static>(&self, points: Vec<C>) -> DynElement<'static, DB, C> {
        let style = self.colour.stroke_width(self.width);
        match self.dash {
            None => PathElement::new(points, style).into_dyn(),
            Some((dash, gap)) => DashedPathElement::new(points, dash, gap, style).into_dyn(),
        }
    }
}

/// Points that have a place, in stretches without a gap.
fn runs(points: &[Point], x: &Scale, y: &Scale) -> Vec<Vec<Point>> {
    let stretches = points.split(|p| !(x.shows(p.x) && y.shows(p.y)));
    let inside = |p: &Point| match y.shows(p.low) && y.shows(p.high) {
        true => *p,
        false => Point::new(p.x, p.y),
    };
    let shown = stretches.filter(|run| !run.is_empty());
    shown.map(|run| run.iter().map(inside).collect()).collect()
}

fn bands<DB: DrawingBackend>(chart: &mut Chart<'_, DB>, runs: &[Vec<Point>], pen: &Pen) -> Drawn<DB> {
    for run in runs.iter().filter(|run| run.iter().any(|p| p.low < p.high)) {
        let there = run.iter().map(|p| (p.x, p.high));
        let back = run.iter().rev().map(|p| (p.x, p.low));
        let outline: Vec<_> = there.chain(back).collect();
        chart.draw_series([Polygon::new(outline, pen.colour.mix(BAND).filled())])?;
    }
    Ok(())
}

fn lines<DB: DrawingBackend>(chart: &mut Chart<'_, DB>, runs: &[Vec<Point>], pen: &Pen) -> Drawn<DB> {
    for p in runs.iter().filter(|run| run.len() < DOTTED_BELOW).flatten() {
        chart.draw_series([Circle::new((p.x, p.y), px(4), pen.colour.filled())])?;
    }
    traces(chart, runs, pen)
}

fn traces<DB: DrawingBackend>(chart: &mut Chart<'_, DB>, runs: &[Vec<Point>], pen: &Pen) -> Drawn<DB> {
    for run in runs {
        chart.draw_series([pen.trace(run.iter().map(|p| (p.x, p.y)).collect())])?;
    }
    Ok(())
}

fn bars<DB: DrawingBackend>(chart: &mut Chart<'_, DB>, runs: &[Vec<Point>], base: f64, pen: &Pen) -> Drawn<DB> {
    for run in runs {
        let gap = run.windows(2).map(|pair| (pair[1].x - pair[0].x).abs());
        let half = 0.42 * gap.fold(f64::INFINITY, f64::min).min(1.0);
        let bar = |p: &Point| Rectangle::new([(p.x - half, base), (p.x + half, p.y)], pen.colour.mix(BAR).filled());
        chart.draw_series(run.iter().map(bar))?;
    }
    whiskers(chart, runs, pen)
}

fn whiskers<DB: DrawingBackend>(chart: &mut Chart<'_, DB>, runs: &[Vec<Point>], pen: &Pen) -> Drawn<DB> {
    for p in runs.iter().flatten() {
        if p.low < p.high {
            let style = pen.colour.stroke_width(3 * SCALE / 2).filled();
            chart.draw_series([ErrorBar::new_vertical(p.x, p.low, p.y, p.high, style, px(8) as u32)])?;
        }
        chart.draw_series([Circle::new((p.x, p.y), px(4), pen.colour.filled())])?;
    }
    Ok(())
}
