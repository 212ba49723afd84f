//! From a real value to an integer and back: the one place where floating point meets the vector.
//!
//! A participant's file decides the value; everything else is a constant of the plan. The steps, each an IEEE 754
//! double operation rounded to nearest even, which any executor reproduces bit for bit:
//! ```text
//! y = min(max(x, low), high)       clamp
//! z = (y - centre) * scale         centre, then scale
//! k = rint(z)                      round half to even
//! k = min(max(k, -reach), reach)   as i64
//! ```
//! `reach` is the larger of |k| at the two bounds *after* rounding. Every step is monotone in x, so no value reaches
//! further (NaN, which a scan turns into NULL, would read as `low`), and the last clamp makes the claim hold even for a lattice that was tampered with.

use governance::canonical::Real;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lattice {
    pub low: Real,
    pub high: Real,
    pub centre: Real,
    /// Lattice steps per unit of the column.
    pub scale: Real,
    reach: i64,
}

impl Lattice {
    /// `None` if a number is not finite, the range is not a range, or the reach does not fit 53 bits.
    pub fn new(low: f64, high: f64, centre: f64, scale: f64) -> Option<Self> {
        let mut lattice = Self {
            low: Real::new(low)?,
            high: Real::new(high)?,
            centre: Real::new(centre)?,
            scale: Real::new(scale)?,
            reach: 1 << 53,
        };
        let reach = lattice.to_integer(low).abs().max(lattice.to_integer(high).abs());
        lattice.reach = reach.max(1);
        (low <= high && scale > 0.0 && reach < 1 << 53).then_some(lattice)
    }

    pub fn to_integer(&self, x: f64) -> i64 {
        let y = x.max(self.low.get()).min(self.high.get());
        let z = (y - self.centre.get()) * self.scale.get();
        (z.round_ties_even() as i64).clamp(-self.reach, self.reach)
    }

    /// A sum of `to_integer`s in units of the column, still centred.
    pub fn to_real(&self, sum: f64) -> f64 {
        sum / self.scale.get()
    }

    /// The largest absolute value of `to_integer`, at least 1.
    pub fn reach(&self) -> i64 {
        self.reach
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn whole_numbers_on_a_whole_scale_are_exact() {
        let lattice = Lattice::new(0.0, 603.0, 301.5, 64.0).unwrap();
        for x in 0..=603 {
            let x = f64::from(x);
            assert_eq!(lattice.to_real(lattice.to_integer(x) as f64) + 301.5, x);
        }
        assert_eq!(lattice.reach(), 19_296);
    }

    proptest! {
        #[test]
        fn nothing_reaches_beyond_the_reach(
            low in -1e6..1e6f64, width in 1e-3..1e6f64, scale in 1e-3..1e6f64, x in any::<f64>(),
        ) {
            let lattice = Lattice::new(low, low + width, low + width / 2.0, scale).unwrap();
            prop_assert!(lattice.to_integer(x).abs() <= lattice.reach());
            let loose = Lattice { reach: i64::MAX, ..lattice };
            prop_assert_eq!(loose.to_integer(x), lattice.to_integer(x));
        }
    }
}
