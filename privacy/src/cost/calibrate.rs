//! From an asked (epsilon, delta) to the integer variance of one share, and what error that means.
//!
//! The variance is the smallest whose charge fits a cap of exactly (epsilon, delta): its cost at [`cap_order`] is at most epsilon, and the
//! reported epsilon, at the best order, is not larger. Costs some 60 evaluations at one order, about 50 microseconds; a run of sampled steps
//! evaluates whole curves and takes some milliseconds.

use super::convert::{cap_order, cap_room};
use super::gaussian::Parts;
use super::round::nano_up;
use super::{Charge, Delta, GaussianTerms, distributed_gaussian, epsilon_at, poisson_sampled};
use crate::sampler::MAX_VARIANCE;

/// Below this standard deviation of one share the lattice should be refined: the sum is then visibly not Gaussian, or noise is wasted.
const LEAST_LOCAL_VARIANCE: f64 = 16.0;

#[derive(Clone, Debug, PartialEq)]
pub struct Calibrated {
    /// Integer variance of one share, in lattice units squared.
    pub variance: u64,
    /// What the release costs with it.
    pub charge: Charge,
    /// Refine the lattice by this factor (scale every component by it) and calibrate again; 1 means it is fine enough.
    pub lattice_factor: u64,
}

/// The smallest share for one vector of squared L2 sensitivity `l2_squared`, L1 sensitivity `l1` and `dim` components.
pub fn calibrate(
    l2_squared: u128,
    l1: u128,
    dim: u64,
    shares: u32,
    epsilon: f64,
    delta: f64,
) -> Result<Calibrated, CalibrationError> {
    let allowed = allowed(shares, epsilon, delta)?;
    let order = cap_order(epsilon, delta);
    let room = cap_room((epsilon * 1e9).floor() as u64, allowed, order);
    let terms = |variance| GaussianTerms {
        shares,
        variance,
        l2_squared,
        l1,
        dim,
    };
    let cost = |variance| nano_up(Parts::new(&terms(variance)).divergence(order.value()));
    let variance = smallest(epsilon, |variance| cost(variance) <= room)?;
    let charge = distributed_gaussian(&terms(variance));
    let lattice_factor = lattice_factor(l2_squared, shares, order.value(), room);
    Ok(Calibrated {
        variance,
        charge,
        lattice_factor,
    })
}

/// The same for `steps` steps sampled at rate `q`; the charge is that of one step.
pub fn calibrate_steps(
    terms: &GaussianTerms,
    q: f64,
    steps: u64,
    epsilon: f64,
    delta: f64,
) -> Result<Calibrated, CalibrationError> {
    allowed(terms.shares, epsilon, delta)?;
    let order = cap_order(epsilon, delta);
    let step = |variance| {
        poisson_sampled(
            &distributed_gaussian(&GaussianTerms {
                variance,
                ..terms.clone()
            }),
            q,
        )
    };
    let variance = smallest(epsilon, |variance| {
        epsilon_at(&step(variance).times(steps), order, delta) <= epsilon
    })?;
    let local = variance as f64;
    let lattice_factor = if local < LEAST_LOCAL_VARIANCE {
        (LEAST_LOCAL_VARIANCE / local).sqrt().ceil() as u64
    } else {
        1
    };
    Ok(Calibrated {
        variance,
        charge: step(variance),
        lattice_factor,
    })
}

/// By what whole number the lattice must be refined so that one share has a standard deviation of at least 4, if a Gaussian of squared
/// sensitivity `l2_squared` may cost `room` nano-units at order `alpha`. Refining by k multiplies `l2_squared` by k^2 and `l1` by k.
pub fn lattice_factor(l2_squared: u128, shares: u32, alpha: f64, room: u64) -> u64 {
    let ideal = alpha * l2_squared as f64 / (2.0 * f64::from(shares) * (room as f64 / 1e9));
    if ideal.is_nan() || ideal <= 0.0 || ideal >= LEAST_LOCAL_VARIANCE {
        1
    } else {
        (LEAST_LOCAL_VARIANCE / ideal).sqrt().ceil() as u64
    }
}

/// Standard deviation of the noise in a sum of `survivors` shares, in lattice units: what error bars are made of.
pub fn noise_sd(survivors: u32, variance: u64) -> f64 {
    (f64::from(survivors) * variance as f64).sqrt()
}

/// Half the width of a 95 % interval for that noise, in lattice units, with half a unit for the lattice.
pub fn interval95(survivors: u32, variance: u64) -> f64 {
    if variance == 0 {
        0.0
    } else {
        1.959_963_984_540_054 * noise_sd(survivors, variance) + 0.5
    }
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CalibrationError {
    #[error("epsilon out of range: expected a positive finite number, got {found}")]
    Epsilon { found: f64 },
    #[error("delta out of range: expected a number above 1e-18 and below 1, got {found}")]
    Delta { found: f64 },
    #[error("mismatched shares: expected at least 1 certain honest share, got 0")]
    NoShares,
    #[error("epsilon too small for this lattice: {epsilon} needs more variance than {MAX_VARIANCE} a share")]
    TooSmall { epsilon: f64 },
}

fn allowed(shares: u32, epsilon: f64, delta: f64) -> Result<Delta, CalibrationError> {
    if !(epsilon > 0.0 && epsilon.is_finite()) {
        return Err(CalibrationError::Epsilon { found: epsilon });
    }
    let units = Delta::nearest(delta);
    if !(delta > 0.0 && delta < 1.0) || units == Delta::ZERO {
        return Err(CalibrationError::Delta { found: delta });
    }
    if shares == 0 {
        Err(CalibrationError::NoShares)
    } else {
        Ok(units)
    }
}

/// The smallest variance that `fits`, which once true stays true.
fn smallest(epsilon: f64, fits: impl Fn(u64) -> bool) -> Result<u64, CalibrationError> {
    let mut high = 1;
    while !fits(high) {
        if high >= MAX_VARIANCE {
            return Err(CalibrationError::TooSmall { epsilon });
        }
        high *= 2;
    }
    let mut low = high / 2;
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if fits(middle) { high = middle } else { low = middle }
    }
    Ok(high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::epsilon;

    #[test]
    fn the_share_is_the_smallest_that_keeps_the_promise() {
        for asked in [0.05, 0.5, 1.0, 3.0, 10.0] {
            for shares in [2, 3, 66] {
                let delta = 1e-6;
                let found = calibrate(1_000_000, 1000, 8, shares, asked, delta).unwrap();
                assert!(epsilon_at(&found.charge, cap_order(asked, delta), delta) <= asked);
                assert!(epsilon(&found.charge, delta) <= asked);
                let less = GaussianTerms {
                    shares,
                    variance: found.variance - 1,
                    l2_squared: 1_000_000,
                    l1: 1000,
                    dim: 8,
                };
                assert!(epsilon_at(&distributed_gaussian(&less), cap_order(asked, delta), delta) > asked);
            }
        }
    }

    #[test]
    fn a_coarse_lattice_says_by_how_much_to_refine_it() {
        let coarse = calibrate(1, 1, 1, 100, 5.0, 1e-6).unwrap();
        let k = coarse.lattice_factor;
        assert!(k > 1);
        let fine = calibrate(u128::from(k * k), u128::from(k), 1, 100, 5.0, 1e-6).unwrap();
        assert!(fine.variance >= 16 && fine.lattice_factor == 1, "{fine:?}");
        assert!(noise_sd(100, fine.variance) / (k as f64) < noise_sd(100, coarse.variance));
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for epsilon in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(matches!(
                calibrate(1, 1, 1, 3, epsilon, 1e-6),
                Err(CalibrationError::Epsilon { .. })
            ));
        }
        for delta in [0.0, -1e-6, 1.0, f64::NAN, 1e-20] {
            assert!(matches!(
                calibrate(1, 1, 1, 3, 1.0, delta),
                Err(CalibrationError::Delta { .. })
            ));
        }
        assert_eq!(calibrate(1, 1, 1, 0, 1.0, 1e-6), Err(CalibrationError::NoShares));
        assert!(matches!(
            calibrate(u128::MAX, 1, 1, 3, 1.0, 1e-6),
            Err(CalibrationError::TooSmall { .. })
        ));
    }

    #[test]
    fn a_run_of_sampled_steps_is_calibrated_as_a_whole() {
        let terms = GaussianTerms {
            shares: 3,
            variance: 1,
            l2_squared: 1 << 20,
            l1: 1 << 12,
            dim: 64,
        };
        let found = calibrate_steps(&terms, 0.05, 200, 3.0, 1e-5).unwrap();
        assert!(epsilon(&found.charge.times(200), 1e-5) <= 3.0);
        assert!(epsilon(&found.charge.times(200), 1e-5) > 2.9);
    }
}
