//! Looks for a violation of `proofs/poisson.md`: the divergence of Q from the mixture is never above that of the mixture from Q, and the
//! charge for a sampled step is above both, for the true law of sums of discrete Gaussians in one and two dimensions.

mod common;

use common::{at, renyi, sum_of_shares, support, within_reach};
use privacy::ORDERS;
use privacy::cost::{GaussianTerms, distributed_gaussian, poisson_sampled};
use proptest::prelude::*;

#[test]
fn sampled_steps_cost_more_than_either_direction_shows() {
    for (shares, variance, shift) in [(1, 1, 1), (1, 4, 1), (3, 1, 1), (3, 2, 2), (5, 4, 3), (10, 1, 4)] {
        let law = sum_of_shares(shares, variance);
        let squared = (shift * shift) as u128;
        let terms = GaussianTerms {
            shares,
            variance,
            l2_squared: squared,
            l1: shift as u128,
            dim: 1,
        };
        let base = distributed_gaussian(&terms);
        for q in [1e-3, 0.05, 0.3, 0.5, 0.9, 1.0] {
            let charge = poisson_sampled(&base, q);
            // Q without the unit, P with it, and the mixture.
            let pairs: Vec<(f64, f64)> = support(&law, shift)
                .map(|x| (at(&law, x), at(&law, x - shift)))
                .map(|(without, with)| (without, (1.0 - q) * without + q * with))
                .collect();
            for order in ORDERS
                .iter()
                .filter(|order| within_reach(shares, variance, shift, order.value()))
            {
                let alpha = order.value();
                let towards = renyi(pairs.iter().map(|(without, mix)| (*mix, *without)), alpha);
                let away = renyi(pairs.iter().copied(), alpha);
                let case = format!("n {shares}, v {variance}, shift {shift}, q {q}, order {alpha}");
                assert!(away <= towards * (1.0 + 1e-9) + 1e-12, "{case}: {away} above {towards}");
                let charged = charge.curve.at(*order) as f64 / 1e9;
                assert!(
                    towards <= charged + 1e-12,
                    "{case}: {towards} above the charge {charged}"
                );
            }
        }
    }
}

#[test]
fn it_holds_in_two_dimensions() {
    let law = sum_of_shares(3, 2);
    let (dx, dy) = (2i64, 1i64);
    let base = distributed_gaussian(&GaussianTerms {
        shares: 3,
        variance: 2,
        l2_squared: 5,
        l1: 3,
        dim: 2,
    });
    for q in [0.01, 0.2, 0.7] {
        let charge = poisson_sampled(&base, q);
        let mut pairs = Vec::new();
        for x in support(&law, dx) {
            for y in support(&law, dy) {
                let without = at(&law, x) * at(&law, y);
                let with = at(&law, x - dx) * at(&law, y - dy);
                if without > 1e-250 && with > 1e-250 {
                    pairs.push((without, (1.0 - q) * without + q * with));
                }
            }
        }
        for order in ORDERS.iter().filter(|order| within_reach(3, 2, dx, order.value())) {
            let towards = renyi(pairs.iter().map(|(without, mix)| (*mix, *without)), order.value());
            let away = renyi(pairs.iter().copied(), order.value());
            assert!(away <= towards * (1.0 + 1e-9) + 1e-12);
            assert!(towards <= charge.curve.at(*order) as f64 / 1e9);
        }
    }
}

proptest! {
    /// The inequality the proof rests on, pair by pair: `g(L) + L g(1/L) >= 0` with `g(L) = f^a - f^(1-a)`, `f = 1 - q + q L`.
    #[test]
    fn the_inequality_holds_for_every_pair(q in 0.0f64..=1.0, ln_ratio in 0.0f64..20.0, alpha in 1.0f64..40.0) {
        let ratio = ln_ratio.exp();
        let ln_f = |l: f64| (1.0 - q + q * l).ln();
        // Divided by the largest part, so that nothing overflows.
        let (up, down) = (ln_f(ratio), ln_f(1.0 / ratio));
        let parts = [alpha * up, (1.0 - alpha) * up, ln_ratio + alpha * down, ln_ratio + (1.0 - alpha) * down];
        let most = parts.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let [a, b, c, d] = parts.map(|part| (part - most).exp());
        prop_assert!(a - b + c - d >= -1e-12 * (1.0 + alpha * ln_ratio), "{}", a - b + c - d);
    }
}
