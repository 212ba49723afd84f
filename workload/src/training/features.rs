//! From columns to a matrix, by the contract alone: numbers and dates scaled by their bounds to [-1, 1], one-hot
//! categories, booleans 0 or 1, and for a column that may be missing an indicator beside a 0. The same numbers in the
//! same order at every site, and nothing about data is spent on it. One pass over the columns.

use super::error::FEATURE;
use crate::query::{ScanColumn, nearest, scan_column};
use engine::Refusal;
use governance::canonical::Real;
use governance::{Column, Contract, LogicalType, NullRule, Scalar};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

/// Encoded features of one model.
const MAX_INPUTS: usize = 1 << 16;

/// How every site encodes its rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Encoder {
    pub columns: Vec<FeatureColumn>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureColumn {
    pub name: String,
    pub coding: Coding,
    /// Whether a last feature says that the value is missing.
    pub missing: bool,
    /// What the contract says a missing value reads as.
    pub impute: Option<Scalar>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Coding {
    Number { low: Real, high: Real },
    Categories(Vec<String>),
    Boolean,
}

/// One column of a participant's rows. A number that is not finite is missing.
#[derive(Clone, Copy)]
pub enum Cells<'a> {
    /// Numbers, integers, and dates as days since 1970-01-01.
    Numbers(&'a [Option<f64>]),
    /// Positions in the contract's list of categories.
    Categories(&'a [Option<u32>]),
    Booleans(&'a [Option<bool>]),
}

/// Columns that are not those of the plan. Names a column, never a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    #[error("mismatched columns: expected {expected}, got {found}")]
    Columns { expected: usize, found: usize },
    #[error("mismatched kind of column `{column}`")]
    Kind { column: String },
    #[error("mismatched length of column `{column}`: expected {expected} rows, got {found}")]
    Rows {
        column: String,
        expected: usize,
        found: usize,
    },
}

impl Cells<'_> {
    pub fn len(&self) -> usize {
        match self {
            Cells::Numbers(cells) => cells.len(),
            Cells::Categories(cells) => cells.len(),
            Cells::Booleans(cells) => cells.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Encoder {
    /// The encoding of these columns, or which of them cannot be a feature and why.
    pub fn new(features: &[String], contract: &Contract) -> Result<Self, Refusal> {
        if features.is_empty() {
            return Err(
                Refusal::new(FEATURE, "no feature: expected at least one column").remedy(open_columns(contract))
            );
        }
        let mut columns: Vec<FeatureColumn> = Vec::with_capacity(features.len());
        for name in features {
            if columns.iter().any(|c| c.name == *name) {
                return Err(Refusal::new(FEATURE, format!("feature `{name}` is listed twice")).remedy("list it once"));
            }
            let column = usable(contract, name, "feature")?;
            columns.push(FeatureColumn {
                name: column.name.clone(),
                coding: coding(column)?,
                missing: column.can_be_null(),
                impute: match &column.null_rule {
                    NullRule::Impute(constant) if column.nullable => Some(constant.clone()),
                    _ => None,
                },
            });
        }
        let encoder = Self { columns };
        if encoder.width() > MAX_INPUTS {
            let message = format!(
                "too many encoded features: expected at most {MAX_INPUTS}, got {}",
                encoder.width()
            );
            return Err(Refusal::new(FEATURE, message).remedy("leave out columns with many categories"));
        }
        Ok(encoder)
    }

    /// Numbers in one encoded row.
    pub fn width(&self) -> usize {
        self.columns.iter().map(FeatureColumn::width).sum()
    }

    /// What each number of an encoded row is: `age`, `sex=Male`, `chol is missing`.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::with_capacity(self.width());
        for column in &self.columns {
            match &column.coding {
                Coding::Categories(labels) => names.extend(labels.iter().map(|l| format!("{}={l}", column.name))),
                Coding::Number { .. } | Coding::Boolean => names.push(column.name.clone()),
            }
            if column.missing {
                names.push(format!("{} is missing", column.name));
            }
        }
        names
    }

    /// Rows of `width` numbers within [-1, 1]. `cells` are the feature columns in order.
    pub fn encode(&self, cells: &[Cells<'_>]) -> Result<Array2<f32>, EncodeError> {
        if cells.len() != self.columns.len() {
            return Err(EncodeError::Columns {
                expected: self.columns.len(),
                found: cells.len(),
            });
        }
        let rows = cells.first().map_or(0, Cells::len);
        let mut out = Array2::zeros((rows, self.width()));
        let mut at = 0;
        for (column, cells) in self.columns.iter().zip(cells) {
            if cells.len() != rows {
                return Err(EncodeError::Rows {
                    column: column.name.clone(),
                    expected: rows,
                    found: cells.len(),
                });
            }
            column.encode(cells, at, &mut out)?;
            at += column.width();
        }
        Ok(out)
    }
}

impl FeatureColumn {
    pub fn width(&self) -> usize {
        let coded = match &self.coding {
            Coding::Categories(labels) => labels.len(),
            Coding::Number { .. } | Coding::Boolean => 1,
        };
        coded + usize::from(self.missing)
    }

    fn encode(&self, cells: &Cells<'_>, at: usize, out: &mut Array2<f32>) -> Result<(), EncodeError> {
        let indicator = at + self.width() - 1;
        // (position, value) of the one number that is not zero; `None` is missing.
        let mut put = |row: usize, coded: Option<(usize, f32)>| match coded {
            Some((offset, value)) => out[(row, at + offset)] = value,
            None if self.missing => out[(row, indicator)] = 1.0,
            None => {}
        };
        match (&self.coding, cells) {
            (Coding::Number { low, high }, Cells::Numbers(cells)) => {
                let constant = match &self.impute {
                    Some(Scalar::Number(x)) => Some(x.get()),
                    Some(Scalar::Date(days)) => Some(f64::from(*days)),
                    _ => None,
                };
                for (row, cell) in cells.iter().enumerate() {
                    let x = cell.filter(|x| x.is_finite()).or(constant);
                    put(row, x.map(|x| (0, scaled(x, low.get(), high.get()) as f32)));
                }
            }
            (Coding::Categories(labels), Cells::Categories(cells)) => {
                let constant = match &self.impute {
                    Some(Scalar::Text(text)) => labels.iter().position(|l| l == text),
                    _ => None,
                };
                for (row, cell) in cells.iter().enumerate() {
                    let known = cell.map(|c| c as usize).filter(|c| *c < labels.len());
                    put(row, known.or(constant).map(|c| (c, 1.0)));
                }
            }
            (Coding::Boolean, Cells::Booleans(cells)) => {
                let constant = match &self.impute {
                    Some(Scalar::Boolean(b)) => Some(*b),
                    _ => None,
                };
                for (row, cell) in cells.iter().enumerate() {
                    put(row, cell.or(constant).map(|b| (0, f32::from(u8::from(b)))));
                }
            }
            _ => {
                return Err(EncodeError::Kind {
                    column: self.name.clone(),
                });
            }
        }
        Ok(())
    }
}

/// A value clamped to its bounds, in [-1, 1].
pub(super) fn scaled(x: f64, low: f64, high: f64) -> f64 {
    let half = high / 2.0 - low / 2.0;
    ((x.max(low).min(high) - low) / half - 1.0).clamp(-1.0, 1.0)
}

/// The inverse of `scaled` within the bounds, linear beyond them.
pub(super) fn unscaled(y: f64, low: f64, high: f64) -> f64 {
    low + (y + 1.0) * (high / 2.0 - low / 2.0)
}

/// What a participant scans: these columns, as a query would read them, sorted by name, each once.
pub(super) fn scans(contract: &Contract, names: &[&str]) -> Vec<ScanColumn> {
    let mut sorted = names.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted
        .iter()
        .filter_map(|name| contract.column(name))
        .map(scan_column)
        .collect()
}

/// A column that training may read, or why it may not: the rules of queries.
pub(super) fn usable<'a>(contract: &'a Contract, name: &str, role: &str) -> Result<&'a Column, Refusal> {
    let Some(column) = contract.column(name) else {
        let message = match nearest(name, open(contract).map(|c| c.name.as_str())) {
            Some(near) => format!("unknown {role} `{name}`: did you mean `{near}`?"),
            None => format!("unknown {role} `{name}`"),
        };
        return Err(Refusal::new(FEATURE, message).remedy(open_columns(contract)));
    };
    let forbidden = if contract.privacy_unit.as_deref() == Some(name) {
        "names the privacy unit"
    } else if column.site_identifying {
        "identifies a participant"
    } else if !column.queryable {
        "is withheld by the contract"
    } else {
        return Ok(column);
    };
    let message = format!("{role} `{name}` {forbidden}: a model may not use it");
    Err(Refusal::new(FEATURE, message).remedy(open_columns(contract)))
}

fn open(contract: &Contract) -> impl Iterator<Item = &Column> {
    let unit = contract.privacy_unit.as_deref();
    let usable = move |c: &&Column| c.queryable && !c.site_identifying && unit != Some(c.name.as_str());
    contract.columns.iter().filter(usable)
}

fn open_columns(contract: &Contract) -> String {
    let names: Vec<_> = open(contract).map(|c| c.name.as_str()).collect();
    format!("columns that may be used: {}", names.join(", "))
}

fn coding(column: &Column) -> Result<Coding, Refusal> {
    let unbounded = |what: &str, remedy: &str| {
        let message = format!("feature `{}` has no {what} in the contract", column.name);
        Err(Refusal::new(FEATURE, message).remedy(remedy))
    };
    match column.logical_type {
        LogicalType::Boolean => Ok(Coding::Boolean),
        LogicalType::String if column.categories.is_empty() => unbounded(
            "categories",
            "the contract's owner declares categories; free text is not a feature",
        ),
        LogicalType::String => Ok(Coding::Categories(column.categories.clone())),
        LogicalType::Integer | LogicalType::Number | LogicalType::Date => match column.bounds {
            Some(b) => Ok(Coding::Number {
                low: b.min,
                high: b.max,
            }),
            None => unbounded("bounds", "the contract's owner declares minimum and maximum"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heart() -> Contract {
        Contract::parse(include_str!("../../../governance/contracts/heart.toml")).unwrap()
    }

    #[test]
    fn rows_are_encoded_by_the_contract_alone() {
        let features = ["age", "sex", "chol", "fbs"].map(str::to_owned);
        let encoder = Encoder::new(&features, &heart()).unwrap();
        let names = [
            "age",
            "sex=Female",
            "sex=Male",
            "chol",
            "chol is missing",
            "fbs",
            "fbs is missing",
        ];
        assert_eq!(encoder.names(), names);
        let rows = encoder
            .encode(&[
                Cells::Numbers(&[Some(20.0), Some(1e9), Some(55.0)]),
                Cells::Categories(&[Some(0), Some(1), None]),
                Cells::Numbers(&[Some(350.0), None, Some(f64::NAN)]),
                Cells::Booleans(&[Some(true), Some(false), None]),
            ])
            .unwrap();
        let expected = [
            [-1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            [1.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0],
        ];
        assert_eq!(rows, ndarray::arr2(&expected));
        let wrong = [Cells::Booleans(&[]); 4];
        assert!(matches!(encoder.encode(&wrong), Err(EncodeError::Kind { .. })));
        assert!(matches!(encoder.encode(&[]), Err(EncodeError::Columns { .. })));
    }

    #[test]
    fn columns_that_cannot_be_features_are_refused() {
        let no_bounds = include_str!("../../../governance/contracts/heart.toml")
            .replace("logicalTypeOptions = { minimum = 20, maximum = 90 }\n", "");
        let loose = Contract::parse(&no_bounds).unwrap();
        for (contract, feature, says) in [
            (&heart(), "chole", "did you mean `chol`"),
            (&heart(), "dataset", "identifies a participant"),
            (&heart(), "id", "withheld"),
            (&loose, "age", "no bounds"),
        ] {
            let refusal = Encoder::new(&[feature.to_owned()], contract).unwrap_err();
            assert_eq!(refusal.code, FEATURE);
            assert!(refusal.message.contains(says) && refusal.remedy.is_some(), "{refusal}");
        }
    }
}
