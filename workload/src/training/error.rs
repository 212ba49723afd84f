//! Codes of refusals that only training knows; docs/errors.md explains them. The others are the query workload's.

use engine::Refusal;

/// A feature, target or group column is unknown, withheld, unbounded, or does not fit the model.
pub const FEATURE: &str = "SOTTO-1006";
/// A setting of the run is outside its range, or two settings contradict each other.
pub const HYPERPARAMETER: &str = "SOTTO-1007";

pub(super) use crate::query::{BUDGET, PLAN, SATURATES, TASK};

/// A setting outside its range.
pub(super) fn out_of_range(name: &str, expected: &str, found: impl std::fmt::Display) -> Refusal {
    let found = short(found.to_string());
    Refusal::new(
        HYPERPARAMETER,
        format!("{name} out of range: expected {expected}, got {found}"),
    )
}

/// A number of hundreds of digits is no help to anybody.
fn short(number: String) -> String {
    match number.parse::<f64>() {
        Ok(value) if number.len() > 20 => format!("{value:e}"),
        _ => number,
    }
}

#[cfg(test)]
#[test]
fn a_number_of_three_hundred_digits_is_shortened_and_others_are_not() {
    assert_eq!(short(format!("{}", 1e308)), "1e308");
    assert_eq!(short("0.25".to_owned()), "0.25");
    assert_eq!(short("a name that is longer than twenty".to_owned()).len(), 33);
}

pub(super) fn mismatched(what: &str, expected: impl std::fmt::Display, found: impl std::fmt::Display) -> Refusal {
    Refusal::new(PLAN, format!("mismatched {what}: expected {expected}, got {found}"))
}
