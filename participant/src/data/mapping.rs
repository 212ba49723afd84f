//! From a file's column to the contract's: null codes, category maps, conversion of type and unit, in that order.
//!
//! Where nothing needs doing the expression is the bare column, so polars pushes it into the file. Everything else is an
//! elementwise function that answers NULL for what it does not understand.

use super::elementwise::map_values;
use crate::config::{Code, Linear, Mapping};
use governance::{Column, LogicalType};
use polars::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use workload::query::{integer_id, parse_date, whole_id};

/// A file's type that cannot become the contract's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeMismatch {
    expected: &'static str,
    found: String,
}

impl fmt::Display for TypeMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "of the wrong type: expected {}, found {}", self.expected, self.found)
    }
}

pub(super) fn is_number(logical: LogicalType) -> bool {
    matches!(logical, LogicalType::Number | LogicalType::Integer)
}

pub(super) fn convertible(logical: LogicalType, found: &DataType) -> Result<(), TypeMismatch> {
    let text = found.is_string() || found.is_categorical() || found.is_enum();
    let plain = text || found.is_primitive_numeric() || found.is_bool() || found.is_null();
    let (fits, expected) = match logical {
        LogicalType::Number | LogicalType::Integer => (plain, "a number, or text that spells one"),
        LogicalType::String => (plain, "text or a code"),
        LogicalType::Boolean => (plain, "a boolean, 0/1, or text that says so"),
        LogicalType::Date => {
            let date = matches!(found, DataType::Date | DataType::Datetime(..) | DataType::Null);
            (date || text, "a date, a timestamp, or text such as 2024-02-29")
        }
    };
    let mismatch = || TypeMismatch {
        expected,
        found: format!("{found:?}").to_lowercase(),
    };
    fits.then_some(()).ok_or_else(mismatch)
}

/// The contract's column from `file`, a column of type `dtype`.
pub(super) fn mapped(file: Expr, dtype: &DataType, column: &Column, mapping: &Mapping) -> Expr {
    let empty = Vec::new();
    let codes = mapping.nulls.get(&column.name).unwrap_or(&empty);
    let renamed = Renamed::new(codes, mapping.categories.get(&column.name));
    let is_text = !(dtype.is_primitive_numeric() || dtype.is_bool() || dtype.is_temporal());
    match column.logical_type {
        LogicalType::Number | LogicalType::Integer => {
            let number = match is_text || !renamed.by_category.is_empty() {
                true => {
                    map_values::<StringType, Float64Type, _>(renamed.apply(text(file, dtype)), DataType::Float64, |t| {
                        t.trim().parse().ok()
                    })
                }
                false => float(file, dtype),
            };
            converted(number, codes, mapping.units.get(&column.name))
        }
        LogicalType::String => renamed.apply(text(file, dtype)),
        LogicalType::Boolean if dtype.is_bool() && renamed.is_identity() => file,
        LogicalType::Boolean => {
            map_values::<StringType, BooleanType, _>(renamed.apply(text(file, dtype)), DataType::Boolean, truth)
        }
        LogicalType::Date if dtype.is_temporal() => file.cast(DataType::Date).cast(DataType::Int32),
        LogicalType::Date => {
            map_values::<StringType, Int32Type, _>(renamed.apply(text(file, dtype)), DataType::Int32, |t| {
                parse_date(t.trim().get(..10)?)
            })
        }
    }
}

/// Whether integer ids in a column of type `dtype` are Int64 as they are; else they are carried as text.
pub(super) fn is_narrow_id(dtype: &DataType, column: &Column, mapping: &Mapping) -> bool {
    use DataType as D;
    let narrow = matches!(
        dtype,
        D::Int8 | D::Int16 | D::Int32 | D::Int64 | D::UInt8 | D::UInt16 | D::UInt32
    );
    narrow && !mapping.categories.contains_key(&column.name) && !mapping.nulls.contains_key(&column.name)
}

/// The ids of the privacy unit, exact: Int64 if `narrow`, spelled integers (`integer_id`) where the contract says integer,
/// texts as they are, Int32 days. A conversion of unit is left out: it makes no two ids differ, and could make them alike.
/// What is no id is NULL.
pub(super) fn unit_id(file: Expr, dtype: &DataType, column: &Column, mapping: &Mapping, narrow: bool) -> Expr {
    if column.logical_type != LogicalType::Integer {
        return mapped(file, dtype, column, mapping);
    }
    if narrow {
        return file.cast(DataType::Int64);
    }
    let empty = Vec::new();
    let codes = mapping.nulls.get(&column.name).unwrap_or(&empty);
    let renamed = Renamed::new(codes, mapping.categories.get(&column.name));
    let nulls: BTreeSet<String> = renamed.nulls.iter().filter_map(|code| integer_id(code)).collect();
    let text = match dtype {
        // Booleans are 0 and 1, as they are where they are numbers.
        DataType::Boolean => file.cast(DataType::Int64).cast(DataType::String),
        // A float that may stand for several integers is none, whatever it spells.
        d if d.is_float() => map_values::<Float64Type, StringType, _>(float(file, d), DataType::String, |x| {
            whole_id(x).map(|id| id.to_string())
        }),
        d => text(file, d),
    };
    map_values::<StringType, StringType, _>(renamed.apply(text), DataType::String, move |t| {
        integer_id(t).filter(|id| !nulls.contains(id))
    })
}

/// Text -> text or NULL: null codes and the category map in one look-up.
struct Renamed {
    by_category: BTreeMap<String, String>,
    nulls: BTreeSet<String>,
}

impl Renamed {
    fn new(codes: &[Code], categories: Option<&BTreeMap<String, String>>) -> Self {
        let spelled = |code: &Code| match code {
            Code::Integer(i) => i.to_string(),
            Code::Number(x) => number_text(*x),
            Code::Text(text) => text.clone(),
        };
        Self {
            by_category: categories.cloned().unwrap_or_default(),
            nulls: codes.iter().map(spelled).collect(),
        }
    }

    fn is_identity(&self) -> bool {
        self.by_category.is_empty() && self.nulls.is_empty()
    }

    fn apply(self, text: Expr) -> Expr {
        if self.is_identity() {
            return text;
        }
        map_values::<StringType, StringType, _>(text, DataType::String, move |value| {
            let known = self.by_category.get(value).map(String::as_str);
            (!self.nulls.contains(value)).then(|| known.unwrap_or(value).to_owned())
        })
    }
}

fn converted(number: Expr, codes: &[Code], unit: Option<&Linear>) -> Expr {
    let nulls: Vec<f64> = codes.iter().filter_map(code_number).collect();
    if nulls.is_empty() && unit.is_none() {
        return number;
    }
    let Linear { factor, offset } = unit.copied().unwrap_or(Linear {
        factor: 1.0,
        offset: 0.0,
    });
    map_values::<Float64Type, Float64Type, _>(number, DataType::Float64, move |x| {
        (!nulls.contains(&x)).then_some(x * factor + offset)
    })
}

fn code_number(code: &Code) -> Option<f64> {
    match code {
        Code::Integer(i) => Some(*i as f64),
        Code::Number(x) => Some(*x),
        Code::Text(text) => text.trim().parse().ok(),
    }
}

fn float(file: Expr, dtype: &DataType) -> Expr {
    match dtype {
        DataType::Float64 => file,
        _ => file.cast(DataType::Float64),
    }
}

/// A whole float is spelled as the integer it is: `1.0` in a file matches the code `1`.
fn text(file: Expr, dtype: &DataType) -> Expr {
    match dtype {
        DataType::String => file,
        d if d.is_float() => {
            map_values::<Float64Type, StringType, _>(float(file, d), DataType::String, |x| Some(number_text(x)))
        }
        _ => file.cast(DataType::String),
    }
}

fn number_text(x: f64) -> String {
    // `Display` of a whole float has no fraction: 1.0 is "1".
    x.to_string()
}

fn truth(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}
