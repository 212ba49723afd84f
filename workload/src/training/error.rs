//! Codes of refusals that only training knows; docs/errors.md explains them. The others are the query workload's.

use engine::Refusal;

/// A feature, target or group column is unknown, withheld, unbounded, or does not fit the model.
pub const FEATURE: &str = "SOTTO-1006";
/// A setting of the run is outside its range, or two settings contradict each other.
pub const HYPERPARAMETER: &str = "SOTTO-1007";

pub(super) use crate::query::{BUDGET, PLAN, SATURATES, TASK};

/// A setting outside its range.
pub(super) fn out_of_range(name: &str, expected: &str, found: impl std::fmt::Display) -> Refusal {
    Refusal::new(
        HYPERPARAMETER,
        format!("{name} out of range: expected {expected}, got {found}"),
    )
}

pub(super) fn mismatched(what: &str, expected: impl std::fmt::Display, found: impl std::fmt::Display) -> Refusal {
    Refusal::new(PLAN, format!("mismatched {what}: expected {expected}, got {found}"))
}
