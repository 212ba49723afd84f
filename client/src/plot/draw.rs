//! One layout for both formats: title, then for each panel a plane at the left and a legend at the right. Text that has no room is
//! cut with an ellipsis, never drawn over something else.

use std::sync::OnceLock;

use plotters::chart::ChartContext;
use plotters::coord::Shift;
use plotters::element::{Circle, DashedPathElement, ErrorBar, PathElement, Polygon, Rectangle};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};

use super::scale::Scale;
use super::{Figure, Mark, Panel, Point, Series, raster};

/// Canvas pixels for one pixel that is read, and for one of the PNG.
pub(super) const SCALE: u32 = 4;
const SHRINK: u32 = 2;

const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(34, 34, 34);
const QUIET: RGBColor = RGBColor(96, 96, 96);
const GRID: RGBColor = RGBColor(228, 228, 228);
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
/// With fewer points than this, a line shows where they are.
const DOTTED_BELOW: usize = 13;

type Area<DB> = DrawingArea<DB, Shift>;
type Chart<'a, DB> = ChartContext<'a, DB, Cartesian2d<Scale, Scale>>;
type Drawn<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

pub(super) fn svg(figure: &Figure) -> Result<String, String> {
    let mut text = String::new();
    letters()?;
    figure_on(figure, SVGBackend::with_string(&mut text, canvas(figure)), 0)?;
    Ok(text)
}

pub(super) fn png(figure: &Figure) -> Result<Vec<u8>, String> {
    let (width, height) = canvas(figure);
    let mut pixels = vec![0; (width * height * 3) as usize];
    letters()?;
    figure_on(figure, BitMapBackend::with_buffer(&mut pixels, (width, height)), px(3))?;
    let small = raster::shrink(&pixels, width as usize, SHRINK as usize);
    raster::png(&small, (width / SHRINK) as usize).map_err(|error| error.to_string())
}

fn canvas(figure: &Figure) -> (u32, u32) {
    let (width, height) = figure.size();
    (width * SCALE, height * SCALE)
}

/// Registers our font once: nothing is asked of the system.
fn letters() -> Result<(), String> {
    static DONE: OnceLock<bool> = OnceLock::new();
    let sans = include_bytes!("font/sans.ttf");
    match DONE.get_or_init(|| register_font(FONT, FontStyle::Normal, sans).is_ok()) {
        true => Ok(()),
        false => Err("the font of this build is damaged".to_owned()),
    }
}

/// `drop`: `plotters` sets letters that it draws itself this much too high where they are centred.
fn figure_on<DB: DrawingBackend>(figure: &Figure, backend: DB, drop: i32) -> Result<(), String> {
    let root = backend.into_drawing_area();
    figure_in(figure, &root, drop).map_err(|error| error.to_string())
}

fn figure_in<DB: DrawingBackend>(figure: &Figure, root: &Area<DB>, drop: i32) -> Drawn<DB> {
    root.fill(&WHITE)?;
    let room = root.dim_in_pixel().0 - px(32) as u32;
    let title = fitted(root, &figure.title, 17, room)?;
    root.draw_text(&title, &text(17, &INK), (px(16), px(14)))?;
    let mut top = 44;
    if !figure.note.is_empty() {
        let note = fitted(root, &figure.note, 12, room)?;
        root.draw_text(&note, &text(12, &QUIET), (px(16), px(38)))?;
        top = 60;
    }
    let (_, below) = root.split_vertically(px(top));
    let mut widest = 0;
    for series in figure.panels.iter().flat_map(|panel| &panel.series) {
        widest = widest.max(below.estimate_text_size(&series.name, &text(13, &INK))?.0);
    }
    // The plane keeps two thirds of the width.
    let legend = (widest as i32 + px(56)).min(room as i32 / 3);
    let rows = below.split_evenly((figure.panels.len().max(1), 1));
    for (panel, area) in figure.panels.iter().zip(rows) {
        let (plane, names) = area.split_horizontally(area.dim_in_pixel().0 as i32 - legend);
        panel_in(panel, &plane, drop)?;
        legend_in(panel, &names, drop)?;
    }
    root.present()
}

fn panel_in<DB: DrawingBackend>(panel: &Panel, area: &Area<DB>, drop: i32) -> Drawn<DB> {
    let points = || panel.series.iter().flat_map(|series| &series.points);
    let x = Scale::new(&panel.x, points().map(|p| p.x));
    let zero = panel
        .series
        .iter()
        .any(|series| series.mark == Mark::Bars)
        .then_some(0.0);
    let y = Scale::new(&panel.y, points().flat_map(|p| [p.y, p.low, p.high]).chain(zero));
    let mut chart = ChartBuilder::on(area)
        .margin_left(px(12))
        .margin_right(px(14))
        .margin_top(px(8))
        .margin_bottom(px(12))
        .x_label_area_size(px(48))
        .y_label_area_size(px(68))
        .build_cartesian_2d(x.clone(), y.clone())?;
    chart
        .configure_mesh()
        .bold_line_style(GRID.stroke_width(SCALE))
        .axis_style(QUIET.stroke_width(SCALE))
        .label_style(text(13, &INK))
        .axis_desc_style(text(14, &INK))
        .x_desc(&panel.x.label)
        .y_desc(&panel.y.label)
        .set_all_tick_mark_size(px(4))
        .y_label_offset(drop)
        .draw()?;
    // Bands and bars first, so that no line is hidden.
    for (series, colour) in coloured(panel) {
        let shown = runs(&series.points, &x, &y);
        match series.mark {
            Mark::Line => bands(&mut chart, &shown, colour)?,
            Mark::Bars => bars(&mut chart, &shown, y.base(), colour)?,
            Mark::Reference | Mark::Dots => {}
        }
    }
    for (series, colour) in coloured(panel) {
        let shown = runs(&series.points, &x, &y);
        match series.mark {
            Mark::Line => lines(&mut chart, &shown, colour)?,
            Mark::Reference => dashes(&mut chart, &shown, colour)?,
            Mark::Dots => whiskers(&mut chart, &shown, colour)?,
            Mark::Bars => {}
        }
    }
    Ok(())
}

fn coloured(panel: &Panel) -> impl Iterator<Item = (&Series, RGBColor)> {
    panel.series.iter().zip(COLOURS.into_iter().cycle())
}

/// Points that have a place, in stretches without a gap.
fn runs(points: &[Point], x: &Scale, y: &Scale) -> Vec<Vec<Point>> {
    points
        .split(|p| !(x.shows(p.x) && y.shows(p.y)))
        .filter(|run| !run.is_empty())
        .map(|run| {
            let inside = |p: &Point| match y.shows(p.low) && y.shows(p.high) {
                true => *p,
                false => Point::new(p.x, p.y),
            };
            run.iter().map(inside).collect()
        })
        .collect()
}

fn bands<DB: DrawingBackend>(chart: &mut Chart<'_, DB>, runs: &[Vec<Point>], colour: RGBColor) -> Drawn<DB> {
    for run in runs.iter().filter(|run| run.iter().any(|p| p.low < p.high)) {
        let there = run.iter().map(|p| (p.x, p.high));
        let back = run.iter().rev().map(|p| (p.x, p.low));
        let outline: Vec<_> = there.chain(back).collect();
        chart.draw_series([Polygon::new(outline, colour.mix(0.15).filled())])?;
    }
    Ok(())
}

fn lines<DB: DrawingBackend>(chart: &mut Chart<'_, DB>, runs: &[Vec<Point>], colour: RGBColor) -> Drawn<DB> {
    for run in runs {
        let points: Vec<_> = run.iter().map(|p| (p.x, p.y)).collect();
        if run.len() < DOTTED_BELOW {
            chart.draw_series(points.iter().map(|p| Circle::new(*p, px(4), colour.filled())))?;
        }
        chart.draw_series([PathElement::new(points, colour.stroke_width(2 * SCALE))])?;
    }
    Ok(())
}

fn dashes<DB: DrawingBackend>(chart: &mut Chart<'_, DB>, runs: &[Vec<Point>], colour: RGBColor) -> Drawn<DB> {
    for run in runs {
        let points: Vec<_> = run.iter().map(|p| (p.x, p.y)).collect();
        chart.draw_series([dashed(points, colour)])?;
    }
    Ok(())
}

fn dashed<C: Clone>(points: Vec<C>, colour: RGBColor) -> DashedPathElement<std::vec::IntoIter<C>, i32> {
    DashedPathElement::new(points, px(7), px(5), colour.stroke_width(3 * SCALE / 2))
}

fn bars<DB: DrawingBackend>(chart: &mut Chart<'_, DB>, runs: &[Vec<Point>], base: f64, colour: RGBColor) -> Drawn<DB> {
    for run in runs {
        let gap = run.windows(2).map(|pair| (pair[1].x - pair[0].x).abs());
        let half = 0.42 * gap.fold(f64::INFINITY, f64::min).min(1.0);
        let bar = |p: &Point| Rectangle::new([(p.x - half, base), (p.x + half, p.y)], colour.mix(0.55).filled());
        chart.draw_series(run.iter().map(bar))?;
    }
    whiskers(chart, runs, colour)
}

fn whiskers<DB: DrawingBackend>(chart: &mut Chart<'_, DB>, runs: &[Vec<Point>], colour: RGBColor) -> Drawn<DB> {
    for p in runs.iter().flatten() {
        if p.low < p.high {
            let style = colour.stroke_width(3 * SCALE / 2).filled();
            chart.draw_series([ErrorBar::new_vertical(p.x, p.low, p.y, p.high, style, px(8) as u32)])?;
        }
        chart.draw_series([Circle::new((p.x, p.y), px(4), colour.filled())])?;
    }
    Ok(())
}

fn legend_in<DB: DrawingBackend>(panel: &Panel, area: &Area<DB>, drop: i32) -> Drawn<DB> {
    let room = area.dim_in_pixel().0 - px(52) as u32;
    for (row, (series, colour)) in coloured(panel).enumerate() {
        let y = px(20 + 24 * row as i32);
        let ends = vec![(px(4), y), (px(32), y)];
        let (line, solid) = (colour.stroke_width(2 * SCALE), colour.filled());
        match series.mark {
            Mark::Line => area.draw(&PathElement::new(ends, line))?,
            Mark::Reference => area.draw(&dashed(ends, colour))?,
            Mark::Dots => area.draw(&Circle::new((px(18), y), px(4), solid))?,
            Mark::Bars => area.draw(&Rectangle::new(
                [(px(8), y - px(6)), (px(28), y + px(6))],
                colour.mix(0.55).filled(),
            ))?,
        }
        let name = fitted(area, &series.name, 13, room)?;
        let beside = text(13, &INK).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw_text(&name, &beside, (px(40), y + drop))?;
    }
    Ok(())
}

/// As much of `words` as there is room for.
fn fitted<DB: DrawingBackend>(
    area: &Area<DB>,
    words: &str,
    size: i32,
    room: u32,
) -> Result<String, DrawingAreaErrorKind<DB::ErrorType>> {
    let style = text(size, &INK);
    let mut kept = words.to_owned();
    let mut shown = kept.clone();
    while area.estimate_text_size(&shown, &style)?.0 > room && kept.pop().is_some() {
        shown = format!("{}...", kept.trim_end());
    }
    Ok(shown)
}

/// Letters of so many pixels; `plotters` counts the height of a line, which is 1.24 of them.
fn text(size: i32, colour: &RGBColor) -> TextStyle<'_> {
    let height = f64::from(size) * 1.24 * f64::from(SCALE);
    TextStyle::from((FONT, height).into_font()).color(colour)
}

fn px(read: i32) -> i32 {
    read * SCALE as i32
}
