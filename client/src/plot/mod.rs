//! Charts for reports and experiments, on `plotters`: values in, SVG and PNG out, no files and no system libraries.
//!
//! ```text
//! Figure -> Panel -> Axis, Series -> Point        what is drawn
//! scale.rs    an axis: range, ticks, labels       draw.rs   one layout for both formats
//! raster.rs   pixels -> PNG                       marks.rs  lines, bands, dots, bars
//! font/       the letters of the PNG
//! ```
//! One layout is drawn four times larger than it is read. The SVG keeps its letters as text in the reader's sans-serif; the PNG has
//! them drawn with a font of ours (ASCII and Latin-1; anything else becomes a box) at twice the size, for dense screens.
//! A figure costs some hundred milliseconds and 20 MB while its PNG is made; the same values make the same bytes.

mod draw;
mod marks;
mod raster;
mod scale;
#[cfg(test)]
mod tests;

/// A picture: a title and panels below one another, as wide as each other.
#[derive(Clone, Debug)]
pub struct Figure {
    pub title: String,
    /// A line below the title in small print; empty for none.
    pub note: String,
    pub panels: Vec<Panel>,
}

/// One pair of axes, and a legend at its right.
#[derive(Clone, Debug)]
pub struct Panel {
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
}

#[derive(Clone, Debug, Default)]
pub struct Axis {
    /// With the unit, if it has one.
    pub label: String,
    pub log: bool,
    /// The range to show; where the values need more, it grows.
    pub at_least: Option<(f64, f64)>,
    /// Labelled positions; empty: round numbers.
    pub ticks: Vec<(f64, String)>,
}

#[derive(Clone, Debug)]
pub struct Series {
    pub name: String,
    pub mark: Mark,
    pub points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A line, with a band where points have an interval.
    Line,
    /// A thin dashed line: what the others are compared with.
    Reference,
    /// Dots with whiskers.
    Dots,
    /// Bars from zero with whiskers, side by side.
    Bars,
}

/// A value that is not finite, or not above zero on a logarithmic axis, leaves a gap.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    pub x: f64,
    pub y: f64,
    pub low: f64,
    pub high: f64,
}

/// What a reader sees, in pixels; two panels need more height than one.
const WIDTH: u32 = 800;
const HEIGHTS: [u32; 2] = [500, 720];

#[derive(Debug, thiserror::Error)]
#[error("chart `{title}` cannot be drawn: {why}")]
pub struct Error {
    title: String,
    why: String,
}

impl Point {
    pub fn new(x: f64, y: f64) -> Self {
        Self::between(x, y, y, y)
    }

    pub fn between(x: f64, y: f64, low: f64, high: f64) -> Self {
        Self { x, y, low, high }
    }
}

impl Axis {
    pub fn new(label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            ..Self::default()
        }
    }

    pub fn log(self) -> Self {
        Self { log: true, ..self }
    }

    pub fn at_least(self, low: f64, high: f64) -> Self {
        Self {
            at_least: Some((low, high)),
            ..self
        }
    }

    pub fn ticks(self, ticks: Vec<(f64, String)>) -> Self {
        Self { ticks, ..self }
    }
}

impl Series {
    pub fn new(name: impl Into<String>, mark: Mark, points: Vec<Point>) -> Self {
        Self {
            name: name.into(),
            mark,
            points,
        }
    }
}

impl Figure {
    pub fn new(title: impl Into<String>, panel: Panel) -> Self {
        Self {
            title: title.into(),
            note: String::new(),
            panels: vec![panel],
        }
    }

    pub fn note(self, note: impl Into<String>) -> Self {
        Self {
            note: note.into(),
            ..self
        }
    }

    /// The figure as an SVG document without scripts or references to anything outside.
    pub fn svg(&self) -> Result<String, Error> {
        let (width, height) = self.size();
        let drawn = draw::svg(self).map_err(|why| self.error(why))?;
        // The canvas is drawn larger for the sake of positions between pixels; a reader sees it at its size.
        let (w, h) = (width * draw::SCALE, height * draw::SCALE);
        let canvas = format!("width=\"{w}\" height=\"{h}\"");
        Ok(drawn.replacen(&canvas, &format!("width=\"{width}\" height=\"{height}\""), 1))
    }

    /// The figure as a PNG, two pixels for one of the SVG.
    pub fn png(&self) -> Result<Vec<u8>, Error> {
        draw::png(self).map_err(|why| self.error(why))
    }

    fn size(&self) -> (u32, u32) {
        let extra = self.panels.len().clamp(1, HEIGHTS.len()) - 1;
        (WIDTH, HEIGHTS[extra])
    }

    fn error(&self, why: String) -> Error {
        Error {
            title: self.title.clone(),
            why,
        }
    }
}
