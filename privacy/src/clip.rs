//! What was done to the data is in its type: integers become [`Clipped`], and only a [`Clipped`] with noise added becomes [`Noised`].
//!
//! Each type has one maker and none prints. Clamping every component on its own is 1-Lipschitz, so a sensitivity computed before it
//! stands after it; adding in the ring wraps, which is post-processing. Noise is drawn in one batch *before* data is touched
//! ([`NoiseBatch::draw`]), because the time a rejection sampler takes depends on what it draws.
//! Costs one pass over the vector each, in place; noise is erased when it has been used.

use crate::sampler::{MAX_VARIANCE, Sampler};
use zeroize::Zeroize;

/// The interval every component is clamped to: this participant's share of the ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComponentBounds(Intervals);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Intervals {
    Uniform { dim: usize, low: i64, high: i64 },
    Each(Vec<(i64, i64)>),
}

impl ComponentBounds {
    /// One interval for all of `dim` components: what a model vector has.
    pub fn uniform(dim: usize, low: i64, high: i64) -> Result<Self, ClipError> {
        ordered(0, low, high)?;
        Ok(Self(Intervals::Uniform { dim, low, high }))
    }

    /// One interval `(low, high)` for each component: what a query vector has.
    pub fn each(intervals: Vec<(i64, i64)>) -> Result<Self, ClipError> {
        for (index, (low, high)) in intervals.iter().enumerate() {
            ordered(index, *low, *high)?;
        }
        Ok(Self(Intervals::Each(intervals)))
    }

    /// How many components there are.
    pub fn dim(&self) -> usize {
        match &self.0 {
            Intervals::Uniform { dim, .. } => *dim,
            Intervals::Each(intervals) => intervals.len(),
        }
    }
}

/// A vector within its bounds, not yet noised: it must not leave. No `Debug`, no `Clone`.
pub struct Clipped(Vec<i64>);

impl Clipped {
    /// Clamps every component to its own interval.
    pub fn clamp(mut values: Vec<i64>, bounds: &ComponentBounds) -> Result<Self, ClipError> {
        same_dim(bounds.dim(), values.len())?;
        match &bounds.0 {
            Intervals::Uniform { low, high, .. } => {
                for value in &mut values {
                    *value = (*value).clamp(*low, *high);
                }
            }
            Intervals::Each(intervals) => {
                for (value, (low, high)) in values.iter_mut().zip(intervals) {
                    *value = (*value).clamp(*low, *high);
                }
            }
        }
        Ok(Self(values))
    }

    /// Adds the batch drawn for this vector, wrapping in Z_2^64. The batch is used up: no noise serves twice.
    // Not `std::ops::Add`: it can fail, and a `+` would hide what happens here.
    #[allow(clippy::should_implement_trait)]
    pub fn add(mut self, noise: NoiseBatch) -> Result<Noised, ClipError> {
        same_dim(self.0.len(), noise.values.len())?;
        for (value, noise) in self.0.iter_mut().zip(&noise.values) {
            *value = value.wrapping_add(*noise);
        }
        Ok(Noised {
            values: self.0,
            variance: noise.variance,
        })
    }

    /// How many components there are.
    pub fn dim(&self) -> usize {
        self.0.len()
    }
}

/// One participant's share of noise for one vector, drawn before the data is looked at. No `Debug`, no `Clone`; erased when dropped.
pub struct NoiseBatch {
    values: Vec<i64>,
    variance: u64,
}

impl NoiseBatch {
    /// Draws `dim` independent values of integer variance `variance` (in lattice units squared).
    pub fn draw(dim: usize, variance: u64, sampler: &mut dyn Sampler) -> Result<Self, ClipError> {
        if variance == 0 || variance > MAX_VARIANCE {
            return Err(ClipError::Variance { found: variance });
        }
        let mut values = vec![0; dim];
        sampler.fill(variance, &mut values);
        Ok(Self { values, variance })
    }

    /// No noise at all, for "secure aggregation only": its ledger entry is [`crate::cost::Charge::infinite`].
    pub fn none(dim: usize) -> Self {
        Self {
            values: vec![0; dim],
            variance: 0,
        }
    }
}

impl Drop for NoiseBatch {
    fn drop(&mut self) {
        self.values.zeroize();
    }
}

/// A clipped vector with this participant's share of noise in it: the only thing a participant's engine accepts. No `Debug`, no `Clone`.
pub struct Noised {
    values: Vec<i64>,
    variance: u64,
}

impl Noised {
    /// The vector, ready to be reduced to the ring and masked.
    pub fn into_values(self) -> Vec<i64> {
        self.values
    }

    /// The integer variance of the share that was added; 0 means "secure aggregation only".
    pub fn variance(&self) -> u64 {
        self.variance
    }

    /// How many components there are.
    pub fn dim(&self) -> usize {
        self.values.len()
    }
}

/// A caller's mistake in shapes or parameters; never a statement about data.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClipError {
    #[error("mismatched dimension: expected {expected}, got {found}")]
    Dimension { expected: usize, found: usize },
    #[error("component {index} has its bounds reversed: low {low}, high {high}")]
    Reversed { index: usize, low: i64, high: i64 },
    #[error("noise variance out of range: expected 1..={MAX_VARIANCE}, got {found}")]
    Variance { found: u64 },
}

fn ordered(index: usize, low: i64, high: i64) -> Result<(), ClipError> {
    if low > high {
        Err(ClipError::Reversed { index, low, high })
    } else {
        Ok(())
    }
}

fn same_dim(expected: usize, found: usize) -> Result<(), ClipError> {
    if expected == found {
        Ok(())
    } else {
        Err(ClipError::Dimension { expected, found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sevens;
    impl Sampler for Sevens {
        fn fill(&mut self, _variance: u64, out: &mut [i64]) {
            out.fill(7);
        }
    }

    #[test]
    fn a_value_outside_its_share_of_the_ring_is_clamped_then_noised() {
        let bounds = ComponentBounds::each(vec![(-5, 5), (0, 10), (i64::MIN, i64::MAX)]).unwrap();
        let clipped = Clipped::clamp(vec![-9, 4, i64::MAX], &bounds).unwrap();
        let noised = clipped.add(NoiseBatch::draw(3, 4, &mut Sevens).unwrap()).unwrap();
        assert_eq!(noised.variance(), 4);
        assert_eq!(noised.into_values(), vec![2, 11, i64::MIN + 6]);
    }

    #[test]
    fn wrong_shapes_and_variances_are_refused() {
        let bounds = ComponentBounds::uniform(2, -1, 1).unwrap();
        assert!(Clipped::clamp(vec![0; 3], &bounds).is_err());
        assert!(ComponentBounds::uniform(2, 1, -1).is_err());
        let clipped = Clipped::clamp(vec![0; 2], &bounds).ok().unwrap();
        assert!(clipped.add(NoiseBatch::none(3)).is_err());
        assert!(NoiseBatch::draw(1, 0, &mut Sevens).is_err());
        assert!(NoiseBatch::draw(1, MAX_VARIANCE + 1, &mut Sevens).is_err());
    }

    #[test]
    fn clamping_never_moves_two_vectors_further_apart() {
        let bounds = ComponentBounds::uniform(1, -3, 8).unwrap();
        for a in -20i64..20 {
            for b in -20i64..20 {
                let clamp = |x| Clipped::clamp(vec![x], &bounds).ok().unwrap().0[0];
                assert!((clamp(a) - clamp(b)).abs() <= (a - b).abs());
            }
        }
    }
}
