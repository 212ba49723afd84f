//! The distributed discrete Gaussian: what a sum of `shares` independent discrete Gaussians of integer variance hides.
//!
//! \[KLS21\] Kairouz, Liu, Steinke, "The Distributed Discrete Gaussian Mechanism for Federated Learning
//! with Secure Aggregation", the multivariate proposition on sums. A sum of discrete Gaussians
//! is not quite one; tau bounds by how much. `proofs/distributed-gaussian.md` restates it. Costs some 65 exponentials.

use super::round::{UP, exp_up};
use super::{Charge, Curve, Delta};

/// What the cost of one noised vector depends on. All lengths are in lattice units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GaussianTerms {
    /// Honest shares that are certain to be in the sum: `s_min - c`.
    pub shares: u32,
    /// Integer variance of one share.
    pub variance: u64,
    /// Bound on the squared L2 distance of two neighbours.
    pub l2_squared: u128,
    /// Bound on their L1 distance.
    pub l1: u128,
    /// Components of the vector.
    pub dim: u64,
}

/// The charge for adding `shares` independent shares to one vector. No share or no variance is no privacy: an infinite charge.
pub fn distributed_gaussian(terms: &GaussianTerms) -> Charge {
    if terms.shares == 0 || terms.variance == 0 {
        return Charge::infinite();
    }
    let parts = Parts::new(terms);
    Charge {
        curve: Curve::from_fn(|order| parts.divergence(order.value())),
        delta: Delta::ZERO,
    }
}

/// The three terms of the bound that do not depend on the order.
pub(super) struct Parts {
    squared: f64,
    spread: f64,
    half_alpha: [f64; 2],
}

impl Parts {
    pub(super) fn new(terms: &GaussianTerms) -> Self {
        let tau = tau(terms.shares, terms.variance);
        let variance = f64::from(terms.shares) * terms.variance as f64;
        let dim = terms.dim as f64;
        let squared = terms.l2_squared as f64 / variance;
        let l1 = terms.l1 as f64 / variance.sqrt();
        let sum = squared.sqrt() + dim.sqrt() * tau;
        if terms.l2_squared == 0 {
            return Self {
                squared: 0.0,
                spread: 0.0,
                half_alpha: [0.0; 2],
            };
        }
        Self {
            squared,
            spread: tau * dim,
            half_alpha: [squared + 2.0 * l1 * tau + tau * tau * dim, sum * sum],
        }
    }

    /// `min{ a/2 (D2/S)^2 + tau d, a/2 ((D2/S)^2 + 2 (D1/S) tau + tau^2 d), a/2 (D2/S + sqrt(d) tau)^2 }`.
    pub(super) fn divergence(&self, alpha: f64) -> f64 {
        let [second, third] = self.half_alpha;
        (alpha / 2.0 * self.squared + self.spread).min(alpha / 2.0 * second.min(third))
    }
}

/// `10 sum_{k=1}^{n-1} exp(-2 pi^2 s^2 k/(k+1))`, never below the truth. The terms fall with k, so after 64 of them the 65th stands for the rest.
fn tau(shares: u32, variance: u64) -> f64 {
    const ONE_BY_ONE: u32 = 64;
    let term = |k: u32| exp_up(-2.0 * std::f64::consts::PI.powi(2) * variance as f64 * f64::from(k) / f64::from(k + 1));
    let last = shares - 1;
    let sum: f64 = (1..=last.min(ONE_BY_ONE)).map(term).sum();
    let rest = if last > ONE_BY_ONE {
        f64::from(last - ONE_BY_ONE) * term(ONE_BY_ONE + 1)
    } else {
        0.0
    };
    10.0 * (sum + rest) * UP
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tau_is_what_the_design_says_for_three_shares() {
        // By hand from the formula: 10 (exp(-pi^2) + exp(-4 pi^2 / 3)), and four times the exponents at variance 4.
        assert!((tau(3, 1) / 5e-4 - 1.0).abs() < 0.2, "{}", tau(3, 1));
        assert!((tau(3, 4) / 7e-17 - 1.0).abs() < 0.2, "{}", tau(3, 4));
        assert_eq!(tau(1, 1), 0.0);
        assert!(
            tau(1000, 1)
                >= (1..1000)
                    .map(|k| 10.0 * (-2.0 * std::f64::consts::PI.powi(2) * k as f64 / (k + 1) as f64).exp())
                    .sum()
        );
    }

    #[test]
    fn one_share_is_the_plain_gaussian_curve() {
        let charge = distributed_gaussian(&GaussianTerms {
            shares: 1,
            variance: 50,
            l2_squared: 100,
            l1: 10,
            dim: 1,
        });
        for order in super::super::ORDERS {
            let exact = order.value() * 1e9;
            assert!(
                charge.curve.at(order) as f64 >= exact && (charge.curve.at(order) as f64) < exact * (1.0 + 1e-11) + 2.0
            );
        }
    }

    #[test]
    fn more_shares_more_variance_or_less_sensitivity_never_cost_more() {
        let terms = GaussianTerms {
            shares: 3,
            variance: 7,
            l2_squared: 9,
            l1: 5,
            dim: 4,
        };
        let cost = |t: &GaussianTerms| distributed_gaussian(t).curve;
        let base = cost(&terms);
        for cheaper in [
            GaussianTerms {
                variance: 8,
                ..terms.clone()
            },
            GaussianTerms {
                l2_squared: 8,
                ..terms.clone()
            },
            GaussianTerms {
                shares: 4,
                ..terms.clone()
            },
        ] {
            let cheaper = cost(&cheaper);
            assert!(
                super::super::ORDERS
                    .iter()
                    .all(|order| cheaper.at(*order) <= base.at(*order))
            );
        }
    }

    #[test]
    fn no_noise_costs_everything_and_no_sensitivity_nothing() {
        let terms = GaussianTerms {
            shares: 0,
            variance: 7,
            l2_squared: 9,
            l1: 5,
            dim: 4,
        };
        assert!(distributed_gaussian(&terms).is_infinite());
        assert!(
            distributed_gaussian(&GaussianTerms {
                shares: 2,
                variance: 0,
                ..terms.clone()
            })
            .is_infinite()
        );
        assert_eq!(
            distributed_gaussian(&GaussianTerms {
                shares: 2,
                l2_squared: 0,
                l1: 0,
                ..terms
            }),
            Charge::zero()
        );
    }
}
