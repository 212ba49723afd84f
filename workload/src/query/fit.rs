//! The lattice of each component and the noise for all of them.
//!
//! One integer variance serves the whole vector, so how rho is divided among components is decided by their scales.
//! Component k moves by at most `S_k` lattice units (L2) under one unit. With variance sigma^2 on every cell it costs
//! `S_k^2 / (2 sigma^2)`, so equal `S_k` is an equal split of rho; and its error in its own units, `sigma / scale_k`, is
//! what a mechanism of its own with rho / K would have. With F = max sum_g n_g^2 over what the contract lets a unit
//! contribute, `S_k^2` is `F reach^2` for rows, sums and histogram cells (all of a unit's rows may meet in one cell),
//! `F L weight^2` for a tree of L levels (one cell a level), `G weight^2` for units. So reaches are M, M / sqrt(L) and
//! M sqrt(F / G) for a common M, and the sensitivity is then computed exactly from the rounded integers.
//!
//! M is the power of two that puts the standard deviation of one share near 2^20 lattice units: rounding of rows to the
//! lattice is then far below the noise for any file, tau of the distributed discrete Gaussian is nil, and sums of whole
//! numbers are exact (their scales are whole). It is lowered only if rows x range would leave the ring.

use super::components::{Draft, Measure};
use super::error::{BUDGET, SqlError};
use super::{Component, ComponentKind, Contribution, Lattice, Noise};
use engine::CohortTerms;
use governance::canonical::Real;
use privacy::cost::{calibrate, rho_for};
use privacy::sensitivity::{self, sensitivity};

/// log2 of the wanted standard deviation of one share.
const SHARE_SD: f64 = 20.0;
/// The least and the finest lattice, log2 M.
const COARSEST: i32 = 6;
const FINEST: i32 = 30;
/// Sums and noise stay below this: a signed 64-bit ring with room to spare.
const RING: f64 = 4.611_686_018_427_388e18;

pub(super) fn fit(
    drafts: Vec<Draft>,
    contribution: &Contribution,
    max_rows: u64,
    dim: usize,
    terms: &CohortTerms,
    epsilon: f64,
    delta: f64,
) -> Result<(Vec<Component>, Noise), SqlError> {
    let budget = |reason: String| SqlError::whole(BUDGET, reason, "epsilon and delta above zero; see `sotto budget`");
    let shares = terms.honest_shares();
    let price = Real::new(epsilon).filter(|e| e.get() > 0.0);
    let price = price.ok_or_else(|| budget(format!("epsilon is {epsilon}: expected a finite number above zero")))?;
    let failure = Real::new(delta).filter(|d| d.get() > 0.0 && d.get() < 1.0);
    let failure = failure.ok_or_else(|| budget(format!("delta is {delta}: expected a number above 0 and below 1")))?;
    let bounds = bounds(contribution);
    let one = |rows: &[u64], units: &[u64]| {
        let once = sensitivity::Contribution { sites: 1, ..bounds };
        sensitivity(rows, units, &once).map_or(1.0, |s| s.l2_squared as f64)
    };
    let (per_row, per_unit) = (one(&[1], &[]), one(&[], &[1]));
    let spread = f64::from(bounds.sites) * (per_row * drafts.len() as f64).sqrt();
    let wanted = f64::from(shares.max(1)).sqrt() * (2.0 * rho_for(epsilon, delta)).sqrt() / spread;
    let mut exponent = ((SHARE_SD + wanted.log2()).round() as i32).clamp(2 * COARSEST, FINEST);
    let mut lowered = false;
    loop {
        let m = 2f64.powi(exponent);
        let units = m * (per_row / per_unit).sqrt();
        let sized = drafts
            .iter()
            .map(|d| size(d, m, units, max_rows))
            .collect::<Option<Vec<_>>>();
        let largest = sized.iter().flatten().map(|c| c.clip).max().unwrap_or(i64::MAX);
        let fits = f64::from(terms.n) * largest as f64 <= RING / 2.0;
        let Some(components) = sized.filter(|_| fits) else {
            if exponent <= COARSEST {
                return Err(SqlError::saturates(max_rows));
            }
            lowered = true;
            exponent -= 1;
            continue;
        };
        let moved = sensitivity_of(&components, &bounds);
        let moved = moved.filter(|s| u64::try_from(s.l2_squared).is_ok() && u64::try_from(s.l1).is_ok());
        let Some(moved) = moved else {
            if exponent <= COARSEST {
                return Err(SqlError::saturates(max_rows));
            }
            lowered = true;
            exponent -= 1;
            continue;
        };
        let found = calibrate(moved.l2_squared, moved.l1, dim as u64, shares, epsilon, delta)
            .map_err(|e| budget(e.to_string()))?;
        if found.lattice_factor > 1 && exponent < FINEST && !lowered {
            exponent += 1;
            continue;
        }
        let noise_reach = 64.0 * (f64::from(terms.n) * found.variance as f64).sqrt();
        if noise_reach > RING / 2.0 {
            return Err(budget(format!(
                "epsilon {epsilon} needs more noise than a 64-bit sum holds"
            )));
        }
        let noise = Noise {
            epsilon: price,
            delta: failure,
            variance: found.variance,
            shares,
            members: terms.n,
            l2_squared: moved.l2_squared as u64,
            l1: moved.l1 as u64,
        };
        return Ok((components, noise));
    }
}

/// How far one unit can move a vector of these components.
pub(super) fn sensitivity_of(
    components: &[Component],
    bounds: &sensitivity::Contribution,
) -> Option<sensitivity::Sensitivity> {
    let (mut rows, mut units) = (Vec::new(), Vec::new());
    for component in components {
        let weight = component.kind.weight().unsigned_abs();
        match component.kind {
            ComponentKind::Units { .. } => units.push(weight),
            ComponentKind::Tree { levels, .. } => rows.extend((0..levels).map(|_| weight)),
            _ => rows.push(weight),
        }
    }
    sensitivity(&rows, &units, bounds).ok()
}

pub(super) fn bounds(contribution: &Contribution) -> sensitivity::Contribution {
    sensitivity::Contribution {
        max_rows: contribution.rows,
        groups: Some(contribution.groups),
        rows_per_group: Some(contribution.rows_per_group),
        sites: contribution.participants,
    }
}

/// A component whose reach is about `m` (`units` for counts of units); `None` if its sums would not fit.
fn size(draft: &Draft, m: f64, units: f64, max_rows: u64) -> Option<Component> {
    let whole = |weight: f64| (weight.round() as i64).max(1);
    let kind = match draft.measure.clone() {
        Measure::Rows => ComponentKind::Rows { weight: whole(m) },
        Measure::Units => ComponentKind::Units { weight: whole(units) },
        Measure::Sum {
            expr,
            interval,
            centre,
            step,
        } => {
            let half = (interval.low - centre).abs().max((interval.high - centre).abs());
            let scale = snap(m / if half > 0.0 { half } else { 1.0 }, step);
            let lattice = Lattice::new(interval.low, interval.high, centre, scale)?;
            ComponentKind::Sum { expr, lattice }
        }
        Measure::Histogram { expr, bins } => ComponentKind::Histogram {
            expr,
            bins,
            weight: whole(m),
        },
        Measure::Tree {
            expr,
            bins,
            branching,
            levels,
            leaves,
        } => {
            let weight = whole(m / f64::from(levels).sqrt());
            ComponentKind::Tree {
                expr,
                bins,
                branching,
                levels,
                leaves,
                weight,
            }
        }
    };
    let clip = i64::try_from(max_rows).ok()?.checked_mul(kind.weight())?;
    Some(Component {
        filter: draft.filter.clone(),
        kind,
        clip,
    })
}

/// Values a `step` apart, around a centre of half steps, fall exactly on a lattice of a multiple of `2 / step`.
fn snap(scale: f64, step: Option<f64>) -> f64 {
    let Some(unit) = step.map(|step| 2.0 / step) else {
        return scale;
    };
    let times = (scale / unit).floor();
    if times >= 16.0 { times * unit } else { scale }
}
