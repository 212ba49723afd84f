//! What a step costs when every unit takes part only with probability q, by coins nobody else sees.
//!
//! At a whole order a the divergence of the mixture `(1-q) Q + q P` from `Q` has the exact expansion
//! `1/(a-1) ln sum_k C(a,k) (1-q)^(a-k) q^k E_Q[(P/Q)^k]` for any base, and `E_Q[(P/Q)^k] = exp((k-1) D_k)`. For noise symmetric on the lattice
//! the other direction is never larger (\[MTZ19\]; `proofs/poisson.md` has an elementary argument and `tests/involution.rs` its numerical
//! test). Between whole orders (a-1) D_a is convex, so straight lines are above it; below 2 the value at 2 stands.
//! Costs about 20,000 exponentials, some 200 microseconds.

use super::{Charge, Curve, ORDERS, Order};

/// The charge of one step of `base` whose units are sampled at rate `q`. Never more than `base`. A rate that is not in [0, 1] counts as 1.
/// If one unit may be sampled at m participants, pass `1 - (1-q)^m`.
pub fn poisson_sampled(base: &Charge, q: f64) -> Charge {
    if !(0.0..1.0).contains(&q) || base.is_infinite() {
        return base.clone();
    }
    let moments = Moments::new(&base.curve, q);
    let amplified = Curve::from_fn(|order| moments.divergence(order));
    // One nano more than rounding asks for: logarithms of binomials err by up to 1e-9 (absolutely, before division by a - 1).
    let curve = amplified.zip(&base.curve, |amplified, base| {
        amplified.saturating_add(u64::from(amplified > 0)).min(base)
    });
    // The part no curve holds is charged as if every unit took part.
    Charge {
        curve,
        delta: base.delta,
    }
}

/// `ln E_Q[((1-q) + q P/Q)^a]` at every whole order of the list, as pairs (a, value).
struct Moments(Vec<(f64, f64)>);

impl Moments {
    fn new(base: &Curve, q: f64) -> Self {
        let greatest = ORDERS.iter().filter_map(|order| order.whole()).max().unwrap_or(2) as usize;
        let log_moments = log_moments(base, greatest);
        let mut log_factorials = vec![0.0f64; greatest + 1];
        for k in 1..=greatest {
            log_factorials[k] = log_factorials[k - 1] + (k as f64).ln();
        }
        let (ln_q, ln_rest) = (q.ln(), (-q).ln_1p());
        let at = |order: usize| {
            // 1 + sum_{k>=2} pmf(k) (moment(k) - 1): the pmf sums to 1 and the moments 0 and 1 are 1. All terms are positive.
            let logs: Vec<f64> = (2..=order)
                .map(|k| {
                    let ln_pmf = log_factorials[order] - log_factorials[k] - log_factorials[order - k]
                        + k as f64 * ln_q
                        + (order - k) as f64 * ln_rest;
                    ln_pmf + ln_exp_m1(log_moments[k])
                })
                .collect();
            ln_one_plus_sum(&logs)
        };
        let whole = ORDERS.iter().filter_map(|order| order.whole());
        Moments(whole.map(|order| (f64::from(order), at(order as usize))).collect())
    }

    fn divergence(&self, order: Order) -> f64 {
        let alpha = order.value().max(2.0);
        let above = self.0.partition_point(|(whole, _)| *whole < alpha);
        let (right, at_right) = self.0[above];
        if right == alpha {
            return at_right / (alpha - 1.0);
        }
        let (left, at_left) = self.0[above - 1];
        let share = (alpha - left) / (right - left);
        (at_left * (1.0 - share) + at_right * share) / (alpha - 1.0)
    }
}

/// `(k-1) D_k`, k = 0 to `greatest`, straight lines between the orders of the list: convex in k, so never below the truth.
fn log_moments(base: &Curve, greatest: usize) -> Vec<f64> {
    let at = |order: Order| match base.at(order) {
        u64::MAX => f64::INFINITY,
        nano => (order.value() - 1.0) * (nano as f64 / 1e9),
    };
    let mut moments = vec![0.0; 2];
    moments.extend((2..=greatest).map(|k| {
        let k = k as f64;
        let above = ORDERS.partition_point(|order| order.value() < k);
        let right = ORDERS[above];
        if right.value() == k {
            return at(right);
        }
        let left = ORDERS[above - 1];
        let share = (k - left.value()) / (right.value() - left.value());
        at(left) * (1.0 - share) + at(right) * share
    }));
    moments
}

/// `ln(e^x - 1)` for x >= 0 without overflow.
fn ln_exp_m1(x: f64) -> f64 {
    if x > 40.0 { x } else { x.exp_m1().ln() }
}

/// `ln(1 + sum exp(logs))` without overflow.
fn ln_one_plus_sum(logs: &[f64]) -> f64 {
    let greatest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if greatest == f64::INFINITY {
        return f64::INFINITY;
    }
    if greatest < 40.0 {
        return logs.iter().map(|log| log.exp()).sum::<f64>().ln_1p();
    }
    let sum: f64 = logs.iter().map(|log| (log - greatest).exp()).sum();
    greatest + (sum + (-greatest).exp()).ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{GaussianTerms, distributed_gaussian};

    fn gaussian(variance: u64) -> Charge {
        distributed_gaussian(&GaussianTerms {
            shares: 1,
            variance,
            l2_squared: 100,
            l1: 10,
            dim: 1,
        })
    }

    #[test]
    fn order_two_has_its_closed_form() {
        for q in [1e-4, 0.01, 0.5] {
            let two = Order::try_from(8).unwrap();
            let exact = (q * q * 1f64.exp_m1()).ln_1p() * 1e9;
            let got = poisson_sampled(&gaussian(100), q).curve.at(two) as f64;
            assert!(got >= exact && got <= exact + 3.0, "{got} against {exact}");
        }
    }

    #[test]
    fn sampling_never_costs_more_and_less_sampling_less() {
        let base = gaussian(30);
        let mut previous = Charge::zero();
        for q in [0.0, 1e-6, 1e-3, 0.1, 0.5, 0.99, 1.0, f64::NAN, 2.0] {
            let now = poisson_sampled(&base, q);
            assert!(
                ORDERS.iter().all(|order| now.curve.at(*order) <= base.curve.at(*order)),
                "q {q}"
            );
            assert!(
                ORDERS
                    .iter()
                    .all(|order| previous.curve.at(*order) <= now.curve.at(*order)),
                "q {q}"
            );
            previous = now;
        }
        assert_eq!(poisson_sampled(&base, 0.0), Charge::zero());
        assert_eq!(poisson_sampled(&base, 1.0), base);
    }

    #[test]
    fn a_tiny_noise_does_not_overflow_and_an_infinite_base_stays_infinite() {
        let base = distributed_gaussian(&GaussianTerms {
            shares: 1,
            variance: 1,
            l2_squared: 1 << 20,
            l1: 1 << 10,
            dim: 1,
        });
        let sampled = poisson_sampled(&base, 0.5);
        assert!(sampled.curve.at(ORDERS[ORDERS.len() - 1]) < u64::MAX);
        assert!(poisson_sampled(&Charge::infinite(), 0.5).is_infinite());
    }
}
