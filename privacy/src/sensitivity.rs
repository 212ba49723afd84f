//! How far adding or removing one privacy unit can move a vector: exact integers in lattice units.
//!
//! Derivation. Let row j of the unit add a vector x_j with |x_j|_2 <= v, `v^2 = sum_k max|component_k|^2` (maxima after rounding, so they are
//! integers). Within one group the unit's n_g rows add at most `n_g v` by the triangle inequality, and groups are disjoint blocks of the
//! vector, so the squared length is at most `v^2 sum_g n_g^2`, where n_g <= r, at most G groups are touched and `sum_g n_g <= R`. The sum of
//! squares is convex, so it is greatest when groups are filled to r one after the other: `full = min(G, R div r)` full groups and one with the
//! rest. That is `R v` when all rows may meet in one group and `sqrt(G) r v` when groups bind. Components counted once per unit and group
//! (COUNT(DISTINCT unit)) add u^2 for each touched group. A unit present at m participants moves the sum by at most m times as much.
//! A row lies in one cell of each level of a quantile tree: L components of maximum 1, hence `v = sqrt(L)`; in one bin of a histogram: one
//! component. `proofs/sensitivity.md`; `tests/neighbours.rs` tries to exceed it.

/// How much of one unit gets into one release: the contract's bounds, enforced at the participant before aggregation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contribution {
    /// Rows a unit keeps at most (R).
    pub max_rows: u32,
    /// Groups a unit touches at most (G); `None`: as many as it has rows.
    pub groups: Option<u32>,
    /// Rows a unit keeps at most in one group (r); `None`: all of them.
    pub rows_per_group: Option<u32>,
    /// Participants at which one unit may be present (m).
    pub sites: u32,
}

impl Contribution {
    /// At most `max_rows` rows, anywhere, at one participant.
    pub fn rows(max_rows: u32) -> Self {
        Self {
            max_rows,
            groups: None,
            rows_per_group: None,
            sites: 1,
        }
    }

    /// Rows in each touched group in the worst case: so many groups of r rows, and one of the rest.
    fn worst(&self) -> (u64, u64, u64) {
        let rows = u64::from(self.max_rows);
        let per_group = self.rows_per_group.map_or(rows, u64::from).min(rows);
        let groups = self.groups.map_or(rows, u64::from).min(rows);
        if per_group == 0 || groups == 0 {
            return (0, 0, 0);
        }
        let full = groups.min(rows / per_group);
        let rest = if full < groups { rows % per_group } else { 0 };
        (full, per_group, rest)
    }

    fn groups_touched(&self) -> u64 {
        u64::from(self.groups.unwrap_or(self.max_rows).min(self.max_rows))
    }
}

/// How far one unit can move the vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sensitivity {
    /// Squared L2 distance.
    pub l2_squared: u128,
    /// L1 distance.
    pub l1: u128,
}

/// The sensitivity of a vector whose components within one group have these maxima for one row (`row_maxima`) and for one unit
/// (`unit_maxima`, counted once per unit and group).
pub fn sensitivity(
    row_maxima: &[u64],
    unit_maxima: &[u64],
    contribution: &Contribution,
) -> Result<Sensitivity, TooLarge> {
    let (full, per_group, rest) = contribution.worst();
    let touched = contribution.groups_touched();
    let wide = u128::from;
    let sites = wide(u64::from(contribution.sites));
    let total = || {
        let rows_squared = (wide(full) * wide(per_group))
            .checked_mul(wide(per_group))?
            .checked_add(wide(rest) * wide(rest))?;
        let by_rows = squares(row_maxima)?.checked_mul(rows_squared)?;
        let by_units = squares(unit_maxima)?.checked_mul(wide(touched))?;
        let l2_squared = by_rows.checked_add(by_units)?.checked_mul(sites * sites)?;
        // The sum of L1 lengths is linear in rows: it is greatest when most rows get in, filled the same way.
        let rows = wide(full) * wide(per_group) + wide(rest);
        let l1_rows = sum(row_maxima)?.checked_mul(rows)?;
        let l1 = l1_rows
            .checked_add(sum(unit_maxima)?.checked_mul(wide(touched))?)?
            .checked_mul(sites)?;
        Some(Sensitivity { l2_squared, l1 })
    };
    total().ok_or(TooLarge)
}

/// The squared L2 sensitivity of a vector without per-unit components.
pub fn l2_squared(component_maxima: &[u64], contribution: &Contribution) -> Result<u128, TooLarge> {
    Ok(sensitivity(component_maxima, &[], contribution)?.l2_squared)
}

/// The L1 sensitivity of a vector without per-unit components.
pub fn l1(component_maxima: &[u64], contribution: &Contribution) -> Result<u128, TooLarge> {
    Ok(sensitivity(component_maxima, &[], contribution)?.l1)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("sensitivity too large: expected the square of a length below 2^128")]
pub struct TooLarge;

fn squares(maxima: &[u64]) -> Option<u128> {
    maxima
        .iter()
        .try_fold(0u128, |sum, max| sum.checked_add(u128::from(*max) * u128::from(*max)))
}

fn sum(maxima: &[u64]) -> Option<u128> {
    maxima
        .iter()
        .try_fold(0u128, |sum, max| sum.checked_add(u128::from(*max)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_formulas_of_the_design_come_out() {
        let v_squared = 1 + 100 * 100;
        assert_eq!(l2_squared(&[1, 100], &Contribution::rows(7)), Ok(49 * v_squared));
        let grouped = Contribution {
            max_rows: 1000,
            groups: Some(5),
            rows_per_group: Some(3),
            sites: 1,
        };
        assert_eq!(l2_squared(&[1, 100], &grouped), Ok(5 * 9 * v_squared));
        assert_eq!(
            l2_squared(&[1, 100], &Contribution { sites: 4, ..grouped }),
            Ok(16 * 45 * v_squared)
        );
        assert_eq!(l1(&[1, 100], &Contribution { sites: 4, ..grouped }), Ok(4 * 15 * 101));
        assert_eq!(l2_squared(&[1; 8], &Contribution::rows(1)), Ok(8));
        assert_eq!(sensitivity(&[], &[1], &grouped).map(|s| s.l2_squared), Ok(5));
    }

    #[test]
    fn the_row_bound_and_the_group_bounds_work_together() {
        // 7 rows, at most 3 in a group: 3 + 3 + 1.
        let both = Contribution {
            max_rows: 7,
            groups: Some(5),
            rows_per_group: Some(3),
            sites: 1,
        };
        assert_eq!(l2_squared(&[1], &both), Ok(9 + 9 + 1));
        assert_eq!(
            l2_squared(
                &[1],
                &Contribution {
                    groups: Some(2),
                    ..both
                }
            ),
            Ok(18)
        );
        assert_eq!(l2_squared(&[1], &Contribution { max_rows: 0, ..both }), Ok(0));
    }

    #[test]
    fn what_does_not_fit_is_an_error_not_a_small_number() {
        let many = Contribution {
            sites: u32::MAX,
            ..Contribution::rows(u32::MAX)
        };
        assert_eq!(l2_squared(&[u64::MAX], &many), Err(TooLarge));
        assert_eq!(l2_squared(&[u64::MAX, u64::MAX], &Contribution::rows(1)), Err(TooLarge));
    }
}
