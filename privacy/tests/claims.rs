//! Looks for a violation of the charge of unsampled noise: the true Renyi divergence and hockey stick of sums of discrete Gaussians on the
//! worst neighbours are never above what is claimed.

mod common;

use common::{at, hockey_stick, renyi, sum_of_shares, support, within_reach};
use privacy::ORDERS;
use privacy::cost::{GaussianTerms, distributed_gaussian, epsilon, single_count_epsilon};

#[test]
fn the_true_divergence_is_never_above_the_charge() {
    for (shares, variance) in [(1, 1), (2, 1), (3, 1), (10, 1), (3, 2), (5, 4), (4, 16)] {
        let law = sum_of_shares(shares, variance);
        for shift in [1, 2, 5] {
            let terms = GaussianTerms {
                shares,
                variance,
                l2_squared: (shift * shift) as u128,
                l1: shift as u128,
                dim: 1,
            };
            let charge = distributed_gaussian(&terms);
            for order in ORDERS
                .iter()
                .filter(|order| within_reach(shares, variance, shift, order.value()))
            {
                let pairs = support(&law, shift).map(|x| (at(&law, x - shift), at(&law, x)));
                let truth = renyi(pairs, order.value());
                let claimed = charge.curve.at(*order) as f64 / 1e9;
                assert!(
                    truth <= claimed * (1.0 + 1e-9),
                    "n {shares} v {variance} shift {shift} {order:?}: {truth} > {claimed}"
                );
            }
        }
    }
}

#[test]
fn the_true_hockey_stick_is_never_above_delta() {
    for (shares, variance) in [(2, 1), (3, 4), (10, 1), (4, 16)] {
        let law = sum_of_shares(shares, variance);
        for shift in [1, 3] {
            let terms = GaussianTerms {
                shares,
                variance,
                l2_squared: (shift * shift) as u128,
                l1: shift as u128,
                dim: 1,
            };
            let charge = distributed_gaussian(&terms);
            for delta in [1e-9, 1e-6, 1e-3] {
                let exact = single_count_epsilon(shares, variance, shift as u64, delta).unwrap();
                for claimed in [epsilon(&charge, delta), exact] {
                    let half = law.len() as i64;
                    let pairs = (-half..half).map(|x| (at(&law, x - shift), at(&law, x)));
                    let truth = hockey_stick(pairs, claimed);
                    assert!(
                        truth <= delta * (1.0 + 1e-9),
                        "n {shares} v {variance} shift {shift} delta {delta}: {truth}"
                    );
                }
                assert!(exact <= epsilon(&charge, delta), "the exact figure is the smaller one");
            }
        }
    }
}

#[test]
fn two_dimensions_cost_no_more_than_the_claim_either() {
    let law = sum_of_shares(4, 1);
    let (dx, dy) = (1i64, 3i64);
    let charge = distributed_gaussian(&GaussianTerms {
        shares: 4,
        variance: 1,
        l2_squared: 10,
        l1: 4,
        dim: 2,
    });
    for order in ORDERS.iter().filter(|order| within_reach(4, 1, dy, order.value())) {
        // Independent components: divergences add.
        let truth: f64 = [dx, dy]
            .map(|shift| {
                renyi(
                    support(&law, shift).map(|x| (at(&law, x - shift), at(&law, x))),
                    order.value(),
                )
            })
            .iter()
            .sum();
        let claimed = charge.curve.at(*order) as f64 / 1e9;
        assert!(truth <= claimed, "{order:?}: {truth} > {claimed}");
    }
}
