//! From Renyi divergence to (epsilon, delta) and back.
//!
//! \[CKS20\] Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential Privacy", Proposition 12: a mechanism of divergence D at order
//! a is (epsilon, delta) private with `epsilon = D + ln(1/(a delta))/(a-1) + ln(1 - 1/a)`. Caps stand at one order ([`cap_order`], [`cap_room`]);
//! reports may take the best one ([`epsilon`]) over a finished sequence. `proofs/caps.md`.

use super::round::{DOWN, UP, nano_down};
use super::{Charge, Curve, Delta, ORDERS, Order};

/// The best epsilon over all orders at `delta`: for reports, never for deciding whether something still fits.
/// Infinite if the charge's own delta uses `delta` up.
pub fn epsilon(charge: &Charge, delta: f64) -> f64 {
    ORDERS
        .iter()
        .map(|order| epsilon_at(charge, *order, delta))
        .fold(f64::INFINITY, f64::min)
}

/// The epsilon of `charge` at `delta` by its divergence at one order, rounded up.
pub fn epsilon_at(charge: &Charge, order: Order, delta: f64) -> f64 {
    let nano = charge.curve.at(order);
    let left = Delta::nearest(delta).minus(charge.delta);
    if nano == u64::MAX || left == Delta::ZERO {
        return f64::INFINITY;
    }
    push_up(nano as f64 / 1e9 + overhead(order.value(), left.value()))
}

/// The rho of a zCDP statement that covers the charge's divergence at every order, rounded up.
pub fn rho(charge: &Charge) -> f64 {
    let ratio = |order: &Order| push_up(charge.curve.at(*order) as f64 / 1e9 / order.value());
    ORDERS.iter().map(ratio).fold(0.0, f64::max)
}

/// The charge of rho-zCDP: what [`rho`] undoes, never too cheaply.
pub fn of_rho(rho: f64) -> Charge {
    Charge {
        curve: Curve::from_fn(|order| rho * order.value()),
        delta: Delta::ZERO,
    }
}

/// The order a cap of (`epsilon`, `delta`) stands at: the one that leaves a Gaussian the most room.
pub fn cap_order(epsilon: f64, delta: f64) -> Order {
    let rho = |order: Order| (epsilon - overhead(order.value(), delta)) / order.value();
    // `max_by` gives the last of equals; the list is not empty.
    ORDERS
        .into_iter()
        .max_by(|a, b| rho(*a).total_cmp(&rho(*b)))
        .unwrap_or(ORDERS[0])
}

/// How much divergence at `order`, in nano-units rounded down, (`epsilon_nano`, `delta`) has room for.
pub fn cap_room(epsilon_nano: u64, delta: Delta, order: Order) -> u64 {
    if delta == Delta::ZERO {
        return 0;
    }
    let overhead = overhead(order.value(), delta.value());
    // Rounded down before a positive overhead is taken off and before a negative one is added.
    nano_down(epsilon_nano as f64 / 1e9 - overhead - overhead.abs() * (1.0 - DOWN))
}

/// The epsilon of rho-zCDP at the best order of the list: what [`cap_order`] and [`cap_room`] undo.
pub fn epsilon_at_rho(rho: f64, delta: Delta) -> f64 {
    let at = |order: Order| push_up(rho * order.value() + overhead(order.value(), delta.value()));
    ORDERS.into_iter().map(at).fold(f64::INFINITY, f64::min)
}

/// The epsilon of rho-zCDP at `delta`, the order chosen freely, rounded up. 2.1419 for rho = 0.1, delta = 1e-6.
pub fn rho_to_epsilon(rho: f64, delta: f64) -> f64 {
    if !(rho >= 0.0 && delta > 0.0 && delta < 1.0) {
        return f64::INFINITY;
    }
    if rho == 0.0 {
        return 0.0;
    }
    // Any order gives a true statement; golden-section search on ln(a - 1) finds about the best.
    let at = |t: f64| rho * (1.0 + t.exp()) + overhead(1.0 + t.exp(), delta);
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (-12.0f64, 30.0f64);
    for _ in 0..90 {
        let (left, right) = (high - golden * (high - low), low + golden * (high - low));
        if at(left) < at(right) { high = right } else { low = left }
    }
    push_up(at((low + high) / 2.0))
}

/// The greatest rho whose epsilon at `delta` is at most `epsilon`, rounded down; 0 for anything that is not a budget.
pub fn rho_for(epsilon: f64, delta: f64) -> f64 {
    if !(epsilon > 0.0 && epsilon.is_finite() && delta > 0.0 && delta < 1.0) {
        return 0.0;
    }
    // epsilon >= rho at any useful delta is not guaranteed for huge delta, so the upper end is found by doubling.
    let (mut low, mut high) = (0.0, epsilon);
    while rho_to_epsilon(high, delta) <= epsilon {
        low = high;
        high *= 2.0;
    }
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if rho_to_epsilon(middle, delta) <= epsilon {
            low = middle
        } else {
            high = middle
        }
    }
    low
}

/// What the conversion adds at order `alpha`. Negative only where delta is large.
fn overhead(alpha: f64, delta: f64) -> f64 {
    -(alpha * delta).ln() / (alpha - 1.0) + (-1.0 / alpha).ln_1p()
}

/// Upward by a relative 2^-40, and never below 0. The sum above loses at most some units of 2^-53 of its largest part, and epsilon is not
/// smaller than a thousandth of that part wherever the order is of any use; elsewhere the bound is far too large anyway.
fn push_up(epsilon: f64) -> f64 {
    if epsilon <= 0.0 {
        0.0
    } else {
        epsilon * UP + f64::EPSILON
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cost::{GaussianTerms, distributed_gaussian};

    #[test]
    fn rho_one_tenth_costs_2_1419_at_one_in_a_million() {
        let epsilon = rho_to_epsilon(0.1, 1e-6);
        assert!((2.141938928..2.141938940).contains(&epsilon), "{epsilon}");
    }

    #[test]
    fn rho_for_is_the_inverse_from_below() {
        for epsilon in [1e-3, 0.1, 1.0, 3.0, 20.0] {
            for delta in [1e-12, 1e-6, 1e-2] {
                let rho = rho_for(epsilon, delta);
                assert!(rho > 0.0 && rho_to_epsilon(rho, delta) <= epsilon);
                assert!(rho_to_epsilon(rho * 1.000001, delta) > epsilon, "{epsilon} {delta}");
            }
        }
        for (epsilon, delta) in [
            (0.0, 1e-6),
            (-1.0, 1e-6),
            (f64::NAN, 1e-6),
            (1.0, 0.0),
            (1.0, 1.0),
            (f64::INFINITY, 1e-6),
        ] {
            assert_eq!(rho_for(epsilon, delta), 0.0);
        }
    }

    #[test]
    fn a_charge_that_just_fills_the_room_has_just_the_caps_epsilon() {
        for (epsilon, delta) in [(0.1, 1e-9), (1.0, 1e-6), (8.0, 1e-5)] {
            let order = cap_order(epsilon, delta);
            let room = cap_room((epsilon * 1e9) as u64, Delta::nearest(delta), order);
            let mut charge = Charge::zero();
            charge.curve = crate::cost::Curve::from_fn(|o| {
                if o == order {
                    room as f64 / 1e9 / (1.0 + 1e-11)
                } else {
                    f64::INFINITY
                }
            });
            let back = epsilon_at(&charge, order, delta);
            assert!(
                back <= epsilon && back > epsilon * (1.0 - 1e-6) - 1e-8,
                "{back} against {epsilon}"
            );
        }
    }

    #[test]
    fn the_list_of_orders_loses_less_than_two_percent() {
        for rho in [1e-4, 1e-3, 0.01, 0.1, 1.0, 5.0] {
            let terms = GaussianTerms {
                shares: 1,
                variance: 500_000,
                l2_squared: (rho * 1e6) as u128,
                l1: 0,
                dim: 1,
            };
            let ratio = epsilon(&distributed_gaussian(&terms), 1e-6) / rho_to_epsilon(rho, 1e-6);
            assert!((1.0 - 1e-9..1.02).contains(&ratio), "rho {rho}: {ratio}");
        }
    }

    #[test]
    fn a_charge_that_uses_up_delta_has_no_epsilon() {
        let charge = Charge {
            curve: crate::cost::Curve::zero(),
            delta: Delta::at_least(1e-6),
        };
        assert_eq!(epsilon(&charge, 1e-6), f64::INFINITY);
        assert!(epsilon(&charge, 2e-6).is_finite());
        assert_eq!(cap_room(1_000_000_000, Delta::ZERO, ORDERS[0]), 0);
    }
}
