//! What makes the terms of a contract valid, said once for files and for the wire.
//!
//! A `Fault` says which part is wrong; the reader of the file knows on which line that part stands.

use super::{Column, LogicalType, NullRule, Scalar, Terms};
use std::collections::BTreeSet;

/// Integers are computed in 64-bit reals, which hold them exactly up to here.
const EXACT: f64 = 9_007_199_254_740_992.0;
const MAX_CATEGORIES: usize = 10_000;

pub(super) struct Fault {
    pub part: Part,
    pub message: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    Name,
    Privacy,
    Purposes,
    Column(usize),
}

pub(super) fn check(terms: &Terms) -> Result<(), Fault> {
    let fault = |part, message: String| Err(Fault { part, message });
    if !is_name(&terms.name) {
        return fault(
            Part::Name,
            format!(
                "`{}` cannot be a dataset name: use letters, digits and _, starting with a letter",
                terms.name
            ),
        );
    }
    if terms.version.is_empty() {
        return fault(Part::Whole, "version is empty: give one, such as \"1.0.0\"".into());
    }
    if terms.purposes.is_empty() {
        return fault(
            Part::Purposes,
            "no purpose is allowed: list at least one in purposes".into(),
        );
    }
    check_privacy(terms).or_else(|message| fault(Part::Privacy, message))?;
    if terms.columns.is_empty() {
        return fault(
            Part::Whole,
            "no column: add a [[schema.properties]] table for each".into(),
        );
    }
    let mut names = BTreeSet::new();
    for (i, column) in terms.columns.iter().enumerate() {
        if !names.insert(column.name.to_ascii_lowercase()) {
            return fault(
                Part::Column(i),
                format!(
                    "column `{}` appears twice (names differ by more than case)",
                    column.name
                ),
            );
        }
        check_column(column)
            .or_else(|message| fault(Part::Column(i), format!("column `{}`: {message}", column.name)))?;
    }
    Ok(())
}

fn check_privacy(terms: &Terms) -> Result<(), String> {
    let delta = terms.delta.get();
    if !(delta > 0.0 && delta <= 1e-3) {
        return Err(format!("delta is {delta}: expected a number above 0 and at most 0.001"));
    }
    if terms.max_rows == 0 || terms.max_rows > 1 << 40 {
        return Err(format!("maxRows is {}: expected 1 to 2^40", terms.max_rows));
    }
    let c = &terms.contribution;
    for (name, value) in [
        ("rows", c.max_rows),
        ("groups", c.max_groups),
        ("rowsPerGroup", c.rows_per_group),
        ("participants", c.participants),
    ] {
        if value == 0 || value > 100_000 {
            return Err(format!("contribution.{name} is {value}: expected 1 to 100000"));
        }
    }
    match &terms.privacy_unit {
        None if (c.max_rows, c.max_groups, c.rows_per_group) != (1, 1, 1) => Err(
            "without a unit column a row is the unit: leave contribution rows, groups and rowsPerGroup at 1, or name the unit".into(),
        ),
        Some(unit) if !terms.columns.iter().any(|c| c.name == *unit) => Err(format!(
            "unit `{unit}` is not a column: add it to schema.properties (queryable = false keeps it out of questions)"
        )),
        Some(unit) if terms.columns.iter().find(|c| c.name == *unit).is_some_and(|c| c.logical_type == LogicalType::Number || c.logical_type == LogicalType::Boolean) => {
            Err(format!("unit `{unit}` must be an integer, a string or a date"))
        }
        _ => Ok(()),
    }
}

fn check_column(column: &Column) -> Result<(), String> {
    use LogicalType::*;
    if !is_name(&column.name) {
        return Err(
            "a column name has letters, digits and _, and starts with a letter; rename it in the local mapping".into(),
        );
    }
    if let Some(b) = column.bounds {
        if !matches!(column.logical_type, Integer | Number | Date) {
            return Err("minimum and maximum are for integer, number and date".into());
        }
        if b.min >= b.max {
            return Err(format!("minimum {} is not below maximum {}", b.min, b.max));
        }
        if b.min.get() < -EXACT || b.max.get() > EXACT {
            return Err("bounds beyond 2^53 cannot be computed exactly".into());
        }
        let whole = b.min.get().fract() == 0.0 && b.max.get().fract() == 0.0;
        if column.logical_type != Number && !whole {
            return Err("bounds of an integer or a date are whole numbers".into());
        }
    }
    if column.resolution.is_some_and(|r| r.get() <= 0.0) {
        return Err("multipleOf must be above zero".into());
    }
    if !column.categories.is_empty() && column.logical_type != String {
        return Err("categories are for strings; give integers a minimum and a maximum".into());
    }
    if column
        .categories
        .iter()
        .any(|category| category.chars().any(char::is_control))
    {
        return Err("a category has a control character".into());
    }
    let distinct: BTreeSet<_> = column.categories.iter().collect();
    if distinct.len() != column.categories.len() {
        return Err("a category appears twice".into());
    }
    if distinct.len() > MAX_CATEGORIES {
        return Err(format!("{} categories: at most {MAX_CATEGORIES}", distinct.len()));
    }
    check_impute(column)
}

fn check_impute(column: &Column) -> Result<(), String> {
    let NullRule::Impute(value) = &column.null_rule else {
        return Ok(());
    };
    if !column.nullable {
        return Err("a required column has no nulls to impute: drop `required` or `nulls`".into());
    }
    let number = match (column.logical_type, value) {
        (LogicalType::Number, Scalar::Number(x)) => Some(x.get()),
        (LogicalType::Integer, Scalar::Number(x)) if x.get().fract() == 0.0 => Some(x.get()),
        (LogicalType::Date, Scalar::Date(days)) => Some(f64::from(*days)),
        (LogicalType::Boolean, Scalar::Boolean(_)) => None,
        (LogicalType::String, Scalar::Text(text)) => {
            if !column.categories.is_empty() && !column.categories.contains(text) {
                return Err(format!("imputed `{text}` is not among the categories"));
            }
            None
        }
        _ => return Err("imputed constant is not of the column's type".into()),
    };
    match (number, column.bounds) {
        (Some(x), Some(b)) if x < b.min.get() || x > b.max.get() => {
            Err(format!("imputed {x} is outside {} to {}", b.min, b.max))
        }
        _ => Ok(()),
    }
}

fn is_name(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
        && text.len() <= 64
}
