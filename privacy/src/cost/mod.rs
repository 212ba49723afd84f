//! What a release costs: a Renyi curve over a fixed list of orders, and a delta for what a curve cannot hold.
//!
//! Composition is addition of both. All amounts are integers rounded up (nano-units of epsilon, 1e-18 units of delta) and saturate: once
//! infinite, always infinite. Floats appear only inside one formula at a time, and every result is pushed outward by a factor 1 + 2^-40
//! (`round`) before it is rounded, which is a thousand times what the formulas lose.
//! Costs: a charge is about 700 bytes; adding two takes nanoseconds.

mod calibrate;
mod convert;
mod gaussian;
mod hockey_stick;
mod poisson;
mod round;

pub use calibrate::{Calibrated, CalibrationError, calibrate, calibrate_steps, interval95, lattice_factor, noise_sd};
pub use convert::{cap_order, cap_room, epsilon, epsilon_at, epsilon_at_rho, of_rho, rho, rho_for, rho_to_epsilon};
pub use gaussian::{GaussianTerms, distributed_gaussian};
pub use hockey_stick::single_count_epsilon;
pub use poisson::poisson_sampled;

use serde::{Deserialize, Serialize};

/// A Renyi order: a multiple of a quarter above 1, held as the number of quarters so that it is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Order(u32);

impl Order {
    /// The order as a number (exact).
    pub fn value(self) -> f64 {
        f64::from(self.0) / 4.0
    }

    /// The order if it is a whole number.
    pub fn whole(self) -> Option<u32> {
        self.0.is_multiple_of(4).then_some(self.0 / 4)
    }

    fn index(self) -> usize {
        // Every order that exists is in the list: the list and `TryFrom` are its only makers.
        ORDERS.partition_point(|order| *order < self)
    }
}

impl TryFrom<u32> for Order {
    type Error = CurveError;
    fn try_from(quarters: u32) -> Result<Self, CurveError> {
        ORDERS
            .binary_search(&Order(quarters))
            .map(|_| Order(quarters))
            .map_err(|_| CurveError::Order { found: quarters })
    }
}

impl From<Order> for u32 {
    fn from(order: Order) -> u32 {
        order.0
    }
}

const LEN: usize = 89;

/// The orders every curve is held at: 1.25 to 5.5 by quarters and halves, all whole numbers to 64, then about 1.15 apart to 1024.
/// The list is part of the ledger's format: another list is another format.
pub const ORDERS: [Order; LEN] = {
    const FIRST: [u32; 11] = [5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 18];
    const LAST: [u32; 17] = [
        72, 80, 88, 96, 104, 112, 128, 144, 160, 192, 224, 256, 320, 384, 512, 768, 1024,
    ];
    let mut orders = [Order(0); LEN];
    let mut i = 0;
    while i < FIRST.len() {
        orders[i] = Order(FIRST[i]);
        i += 1;
    }
    let mut whole = 5;
    while whole <= 64 {
        if whole == 6 {
            orders[i] = Order(22);
            i += 1;
        }
        orders[i] = Order(4 * whole);
        i += 1;
        whole += 1;
    }
    let mut j = 0;
    while j < LAST.len() {
        orders[i] = Order(4 * LAST[j]);
        i += 1;
        j += 1;
    }
    orders
};

/// Renyi divergence at each of [`ORDERS`], in nano-units rounded up; `u64::MAX` is infinite.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "Vec<u64>", into = "Vec<u64>")]
pub struct Curve(Box<[u64; LEN]>);

impl Curve {
    pub fn zero() -> Self {
        Curve(Box::new([0; LEN]))
    }

    pub fn infinite() -> Self {
        Curve(Box::new([u64::MAX; LEN]))
    }

    /// The curve whose value at each order is `divergence(order)`, pushed up and rounded up.
    pub fn from_fn(mut divergence: impl FnMut(Order) -> f64) -> Self {
        Curve(Box::new(ORDERS.map(|order| round::nano_up(divergence(order)))))
    }

    /// The divergence at `order` in nano-units.
    pub fn at(&self, order: Order) -> u64 {
        self.0[order.index()]
    }

    fn zip(&self, other: &Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Curve(Box::new(std::array::from_fn(|i| f(self.0[i], other.0[i]))))
    }
}

impl TryFrom<Vec<u64>> for Curve {
    type Error = CurveError;
    fn try_from(values: Vec<u64>) -> Result<Self, CurveError> {
        let found = values.len();
        values
            .try_into()
            .map(|values| Curve(Box::new(values)))
            .map_err(|_| CurveError::Length { found })
    }
}

impl From<Curve> for Vec<u64> {
    fn from(curve: Curve) -> Self {
        curve.0.to_vec()
    }
}

/// A probability in units of 1e-18, saturating at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Delta(u64);

impl Delta {
    pub const ZERO: Delta = Delta(0);
    pub const ONE: Delta = Delta(1_000_000_000_000_000_000);

    /// For a charge: rounded up. NaN and negative numbers count as 1.
    pub fn at_least(delta: f64) -> Self {
        if delta.is_nan() || delta < 0.0 {
            return Self::ONE;
        }
        Delta((delta * 1e18 * round::UP).ceil() as u64).min(Self::ONE)
    }

    /// For an allowance: the nearest unit (a caller who says 1e-6 means 10^12 units). NaN and negative numbers count as 0.
    pub fn nearest(delta: f64) -> Self {
        Delta((delta * 1e18).round() as u64).min(Self::ONE)
    }

    pub fn value(self) -> f64 {
        self.0 as f64 / 1e18
    }

    pub fn units(self) -> u64 {
        self.0
    }

    pub fn plus(self, other: Self) -> Self {
        Delta(self.0.saturating_add(other.0)).min(Self::ONE)
    }

    pub fn times(self, n: u64) -> Self {
        Delta(self.0.saturating_mul(n)).min(Self::ONE)
    }

    /// What is left of this allowance after `spent`.
    pub fn minus(self, spent: Self) -> Self {
        Delta(self.0.saturating_sub(spent.0))
    }
}

impl TryFrom<u64> for Delta {
    type Error = CurveError;
    fn try_from(units: u64) -> Result<Self, CurveError> {
        if units > Delta::ONE.0 {
            Err(CurveError::Delta { found: units })
        } else {
            Ok(Delta(units))
        }
    }
}

impl From<Delta> for u64 {
    fn from(delta: Delta) -> u64 {
        delta.0
    }
}

/// The price of a release.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Charge {
    pub curve: Curve,
    pub delta: Delta,
}

impl Charge {
    /// Nothing: what post-processing costs.
    pub fn zero() -> Self {
        Charge {
            curve: Curve::zero(),
            delta: Delta::ZERO,
        }
    }

    /// What "secure aggregation only" costs: no claim about any unit is left.
    pub fn infinite() -> Self {
        Charge {
            curve: Curve::infinite(),
            delta: Delta::ONE,
        }
    }

    pub fn is_infinite(&self) -> bool {
        self.delta == Delta::ONE || self.curve.0.iter().all(|nano| *nano == u64::MAX)
    }

    /// Sequential composition.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Charge {
            curve: self.curve.zip(&other.curve, u64::saturating_add),
            delta: self.delta.plus(other.delta),
        }
    }

    /// Takes `other`, which was added before, out again. What is infinite stays infinite.
    #[must_use]
    pub(crate) fn minus(&self, other: &Self) -> Self {
        let take = |from: u64, other: u64| {
            if from == u64::MAX {
                from
            } else {
                from.saturating_sub(other)
            }
        };
        let delta = if self.delta == Delta::ONE {
            self.delta
        } else {
            self.delta.minus(other.delta)
        };
        Charge {
            curve: self.curve.zip(&other.curve, take),
            delta,
        }
    }

    /// `n` releases of this price.
    #[must_use]
    pub fn times(&self, n: u64) -> Self {
        Charge {
            curve: Curve(Box::new(self.curve.0.map(|nano| nano.saturating_mul(n)))),
            delta: self.delta.times(n),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CurveError {
    #[error("mismatched number of renyi orders: expected {LEN}, got {found}")]
    Length { found: usize },
    #[error("unknown renyi order: got {found} quarters, expected one of the published list")]
    Order { found: u32 },
    #[error("delta out of range: expected at most 1e18 units, got {found}")]
    Delta { found: u64 },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_orders_rise_from_just_above_one() {
        assert!(ORDERS[0].value() > 1.0);
        assert!(ORDERS.windows(2).all(|pair| pair[0] < pair[1]));
        assert!((2..=64).all(|whole| Order::try_from(4 * whole).is_ok()));
        assert_eq!(ORDERS[LEN - 1].whole(), Some(1024));
        assert!(ORDERS.iter().enumerate().all(|(i, order)| order.index() == i));
    }

    #[test]
    fn infinite_stays_infinite_and_nothing_costs_nothing() {
        let some = Charge {
            curve: Curve::from_fn(|order| order.value()),
            delta: Delta::at_least(1e-9),
        };
        assert_eq!(some.plus(&Charge::zero()), some);
        assert!(some.plus(&Charge::infinite()).is_infinite());
        assert!(Charge::infinite().times(3).is_infinite());
        assert_eq!(some.times(3), some.plus(&some).plus(&some));
        assert!(Curve::from_fn(|_| f64::NAN) == Curve::infinite());
    }

    #[test]
    fn a_charge_survives_being_written_down() {
        let charge = Charge {
            curve: Curve::from_fn(|order| 0.1 * order.value()),
            delta: Delta::at_least(1e-7),
        };
        let text = serde_json::to_string(&charge).unwrap();
        assert_eq!(serde_json::from_str::<Charge>(&text).unwrap(), charge);
        assert!(serde_json::from_str::<Curve>("[1,2,3]").is_err());
    }
}
