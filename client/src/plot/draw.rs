//! One layout for both formats: title, then for each panel a plane at the left and a legend at the right. Text that has no room is
//! cut with an ellipsis, never drawn over something else.

use std::sync::OnceLock;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, register_font};

use super::scale::Scale;
use super::{Figure, Mark, Panel, marks, raster};

/// Canvas pixels for one pixel that is read, and for one of the PNG.
pub(super) const SCALE: u32 = 4;
const SHRINK: u32 = 2;

const FONT: &str = "sans-serif";
const INK: RGBColor = RGBColor(34, 34, 34);
const QUIET: RGBColor = RGBColor(96, 96, 96);
const GRID: RGBColor = RGBColor(228, 228, 228);
pub(super) type Area<DB> = DrawingArea<DB, Shift>;
pub(super) type Drawn<DB> = Result<(), DrawingAreaErrorKind<<DB as DrawingBackend>::ErrorType>>;

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
    marks::series(&mut chart, panel, &x, &y)
}

fn legend_in<DB: DrawingBackend>(panel: &Panel, area: &Area<DB>, drop: i32) -> Drawn<DB> {
    let room = area.dim_in_pixel().0 - px(52) as u32;
    for (row, (series, pen)) in marks::pens(panel).into_iter().enumerate() {
        let y = px(20 + 24 * row as i32);
        marks::sample(area, series.mark, &pen, y)?;
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

pub(super) fn px(read: i32) -> i32 {
    read * SCALE as i32
}
