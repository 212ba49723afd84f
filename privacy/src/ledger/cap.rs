//! How much may be spent, and the running sums it is held against.
//!
//! A cap is (epsilon, delta) with one Renyi order, fixed when the cap is made; a charge is accepted iff the sum at that order fits with the
//! deltas taken off delta. That is what the adaptive filter theorem covers (`proofs/caps.md`); "some order still fits" is not.

use super::{EntryHash, Renewal};
use crate::cost::{Charge, Delta, Order, cap_order, cap_room, epsilon_at_rho};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The line of analysts who have none of their own.
pub const EVERYBODY: &str = "*";

/// What may be spent in one window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cap {
    /// In units of 1e-9.
    pub epsilon_nano: u64,
    pub delta: Delta,
    /// The order sums are held at.
    pub order: Order,
    pub renews: Renewal,
}

impl Cap {
    /// A cap and the order that suits it.
    pub fn new(epsilon: f64, delta: f64, renews: Renewal) -> Result<Self, CapError> {
        if !(epsilon > 0.0 && epsilon <= 1e6) {
            return Err(CapError::Epsilon { found: epsilon });
        }
        let units = Delta::nearest(delta);
        if !(delta > 0.0 && delta < 1.0) || units == Delta::ZERO {
            return Err(CapError::Delta { found: delta });
        }
        Ok(Self {
            epsilon_nano: (epsilon * 1e9).round() as u64,
            delta: units,
            order: cap_order(epsilon, delta),
            renews,
        })
    }

    pub fn epsilon(&self) -> f64 {
        self.epsilon_nano as f64 / 1e9
    }

    /// Whether `new` allows anything that this one does not.
    pub fn is_raised_by(&self, new: &Cap) -> bool {
        new.epsilon_nano > self.epsilon_nano
            || new.delta > self.delta
            || new.renews.windows_a_year() > self.renews.windows_a_year()
    }

    /// How much room is left at the order after `spent`; `None` if `spent` does not fit (by more than `forgiven` nano-units).
    pub(super) fn room_after(&self, spent: &Charge, forgiven: u64) -> Option<u64> {
        let room = cap_room(self.epsilon_nano, self.delta.minus(spent.delta), self.order);
        let used = spent.curve.at(self.order);
        if used == u64::MAX || used > room.saturating_add(forgiven) {
            None
        } else {
            Some(room.saturating_sub(used))
        }
    }

    pub(super) fn left_after(&self, spent: &Charge) -> Left {
        let room_nano = self.room_after(spent, 0).unwrap_or(0);
        let delta = self.delta.minus(spent.delta);
        let rho = room_nano as f64 / 1e9 / self.order.value();
        // Down to a millionth, so that asking for what is shown is accepted.
        let shown = |epsilon: f64| (epsilon.min(self.epsilon()) * 1e6).floor() / 1e6;
        let epsilon = match room_nano {
            0 => 0.0,
            _ if *spent == Charge::zero() => self.epsilon(),
            _ => shown(epsilon_at_rho(rho, delta)),
        };
        Left {
            epsilon,
            of_epsilon: self.epsilon(),
            delta: delta.value(),
            room_nano,
        }
    }
}

/// What is left of a cap.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Left {
    /// The largest epsilon one more Gaussian release at this delta may ask for: the figure for people.
    pub epsilon: f64,
    /// The epsilon of the cap itself.
    pub of_epsilon: f64,
    pub delta: f64,
    /// Divergence left at the cap's order, in nano-units: what decides.
    pub room_nano: u64,
}

#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CapError {
    #[error("cap epsilon out of range: expected a number above 0 and at most 1e6, got {found}")]
    Epsilon { found: f64 },
    #[error("cap delta out of range: expected a number above 1e-18 and below 1, got {found}")]
    Delta { found: f64 },
}

/// A cap, if there is one, and what was spent against it in the current window of each kind. All kinds are kept, so that a cap whose
/// renewal changes finds the right sum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Book {
    pub(super) cap: Option<Cap>,
    /// What set the cap; none where there is none.
    pub(super) set: Option<Set>,
    sums: [Sum; 4],
}

/// How a cap came to stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Set {
    /// The entry that set it, a lowering too.
    pub(super) entry: EntryHash,
    /// Who stood for it when it was last raised.
    pub(super) approvals: Arc<[String]>,
    /// The entry that set what everybody had when this was made the same, and was never anything else: where everybody's goes from there,
    /// this goes.
    pub(super) follows: Option<EntryHash>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Sum {
    renews: Renewal,
    window: u64,
    spent: Charge,
}

impl Book {
    pub(super) fn new() -> Self {
        let sum = |renews| Sum {
            renews,
            window: 0,
            spent: Charge::zero(),
        };
        Self {
            cap: None,
            set: None,
            sums: [Renewal::Never, Renewal::Year, Renewal::Quarter, Renewal::Month].map(sum),
        }
    }

    /// A lowered cap still stands on the word of those who raised it: whoever lowers needs no name.
    pub(super) fn set_cap(&mut self, cap: Cap, entry: EntryHash, approvals: &[String], follows: Option<EntryHash>) {
        let before = self.set.take().map(|set| set.approvals);
        let approvals = match before {
            Some(before) if approvals.is_empty() => before,
            _ => approvals.into(),
        };
        self.cap = Some(cap);
        self.set = Some(Set {
            entry,
            approvals,
            follows,
        });
    }

    /// Turns to the windows of `at_ms`. What is still `open` (reserved, neither committed nor voided) counts again in the new window, as
    /// the data may be touched in it.
    pub(super) fn turn(&mut self, at_ms: u64, open: impl Fn() -> Charge) {
        for sum in &mut self.sums {
            let window = sum.renews.window(at_ms);
            if window > sum.window {
                sum.window = window;
                sum.spent = open();
            }
        }
    }

    /// Spent in the window of the cap; everything ever if there is none.
    pub(super) fn spent(&self) -> &Charge {
        let renews = self.cap.map_or(Renewal::Never, |cap| cap.renews);
        // The first sum is that of `Never`.
        self.sums
            .iter()
            .find(|sum| sum.renews == renews)
            .map_or(&self.sums[0].spent, |sum| &sum.spent)
    }

    pub(super) fn spend(&mut self, charge: &Charge) {
        for sum in &mut self.sums {
            sum.spent = sum.spent.plus(charge);
        }
    }

    pub(super) fn give_back(&mut self, charge: &Charge) {
        for sum in &mut self.sums {
            sum.spent = sum.spent.minus(charge);
        }
    }
}
