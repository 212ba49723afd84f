//! Rounding the safe way: up for costs, down for allowances.
//!
//! IEEE addition, multiplication, division and square root err by at most 2^-53 of the result; `exp`, `ln`, `exp_m1` and `ln_1p` of the
//! platforms we build for by a few units of 2^-52. The longest formula here does fewer than 2^11 of them in a row on terms of one sign, so
//! a factor of 1 + 2^-40 is above every error made.

/// Multiply a non-negative cost by this before rounding it up.
pub(super) const UP: f64 = 1.0 + 1.0 / (1u64 << 40) as f64;
/// Multiply a non-negative allowance by this before rounding it down.
pub(super) const DOWN: f64 = 1.0 - 1.0 / (1u64 << 40) as f64;

/// A cost in nano-units, rounded up; NaN and negative infinity count as infinite, as they mean a formula broke.
pub(super) fn nano_up(cost: f64) -> u64 {
    if cost.is_nan() || cost < 0.0 {
        u64::MAX
    } else {
        (cost * 1e9 * UP).ceil() as u64
    }
}

/// An allowance in nano-units, rounded down; NaN and negative numbers count as 0.
pub(super) fn nano_down(allowance: f64) -> u64 {
    (allowance * 1e9 * DOWN).floor() as u64
}

/// exp of a negative number, never below the truth (never 0).
pub(super) fn exp_up(x: f64) -> f64 {
    (x.exp() * UP).max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_round_up_and_allowances_down() {
        assert!(nano_up(0.1) >= 100_000_000 && nano_up(0.1) <= 100_000_001);
        assert!(nano_down(0.1) < 100_000_000);
        assert_eq!(nano_up(0.0), 0);
        assert_eq!(
            (nano_up(f64::NAN), nano_up(f64::INFINITY), nano_up(-1.0)),
            (u64::MAX, u64::MAX, u64::MAX)
        );
        assert_eq!((nano_down(f64::NAN), nano_down(-3.0)), (0, 0));
        assert!(exp_up(-1e9) > 0.0);
    }
}
