//! An axis as `plotters` understands it: its range with some room, its ticks, and where a value lies.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

use super::Axis;
use crate::output::plain;

/// Round numbers on an axis, about.
const TICKS: f64 = 6.0;
/// Room at both ends, as a share of the range.
const ROOM: f64 = 0.04;

#[derive(Clone, Debug)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    log: bool,
    ticks: Vec<(f64, String)>,
}

impl Scale {
    /// Holds all values that can be shown; never empty.
    pub fn new(axis: &Axis, values: impl Iterator<Item = f64>) -> Self {
        let shown = |x: &f64| x.is_finite() && (!axis.log || *x > 0.0);
        let fixed = axis.at_least.into_iter().flat_map(|(low, high)| [low, high]);
        let named = axis.ticks.iter().map(|tick| tick.0);
        let along = |x: f64| if axis.log { x.log10() } else { x };
        let (low, high) = values
            .chain(fixed)
            .chain(named)
            .filter(shown)
            .map(along)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
        let (low, high) = match (low.is_finite(), high > low) {
            (true, true) => (low, high),
            // One value alone stands in the middle.
            (true, false) => (low - 0.5 * low.abs().max(0.01), high + 0.5 * high.abs().max(0.01)),
            (false, _) => (0.0, 1.0),
        };
        let room = (high - low) * ROOM;
        let (low, high) = (low - room, high + room);
        let ticks = match (axis.ticks.is_empty(), axis.log) {
            (false, _) => axis.ticks.clone(),
            (true, true) => decades(low, high),
            (true, false) => round(low, high),
        };
        Self {
            low,
            high,
            log: axis.log,
            ticks,
        }
    }

    /// Whether a value has a place on this axis.
    pub fn shows(&self, value: f64) -> bool {
        value.is_finite() && (!self.log || value > 0.0)
    }

    /// The value nearest to zero that is shown: where bars stand.
    pub fn base(&self) -> f64 {
        if self.log {
            10f64.powf(self.low)
        } else {
            0f64.clamp(self.low, self.high)
        }
    }
}

/// Multiples of 1, 2 or 5 times a power of ten.
fn round(low: f64, high: f64) -> Vec<(f64, String)> {
    let rough = (high - low) / TICKS;
    let power = 10f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|m| m * power)
        .into_iter()
        .find(|step| 1.5 * *step >= rough)
        .unwrap_or(10.0 * power);
    let (first, last) = ((low / step).ceil() as i64, (high / step).floor() as i64);
    let tick = |i: i64| (i as f64 * step, plain(i as f64 * step));
    (first..=last).map(tick).collect()
}

/// 1, 2 and 5 in each power of ten; powers alone where there are many.
fn decades(low: f64, high: f64) -> Vec<(f64, String)> {
    let within: &[f64] = if high - low > 2.5 { &[1.0] } else { &[1.0, 2.0, 5.0] };
    let powers = low.floor() as i32..=high.ceil() as i32;
    let all = powers.flat_map(|power| within.iter().map(move |m| m * 10f64.powi(power)));
    all.filter(|x| (low..=high).contains(&x.log10()))
        .map(|x| (x, plain(x)))
        .collect()
}

impl Ranged for Scale {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let along = if self.log { value.log10() } else { *value };
        let share = (along - self.low) / (self.high - self.low);
        from + (f64::from(to - from) * share).round() as i32
    }

    /// The ticks, as heavy lines; there are no light ones.
    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        match hint.weight().allow_light_points() {
            true => Vec::new(),
            false => self.ticks.iter().map(|tick| tick.0).collect(),
        }
    }

    fn range(&self) -> Range<f64> {
        match self.log {
            true => 10f64.powf(self.low)..10f64.powf(self.high),
            false => self.low..self.high,
        }
    }
}

impl ValueFormatter<f64> for Scale {
    fn format_ext(&self, value: &f64) -> String {
        let named = self.ticks.iter().find(|tick| tick.0 == *value);
        named.map_or_else(|| plain(*value), |tick| tick.1.clone())
    }
}
