//! `sotto-participant check`: what the mapping does to the files, and which rows questions would leave out. For the local
//! operator only, and still without values: names, counts and shares. Costs one streamed pass over all columns.

use super::{DataError, Dataset, Source};
use governance::{Column, ContentHash, LogicalType};
use polars::prelude::*;
use std::fmt;

/// What a check found.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Report {
    pub dataset: String,
    pub contract: ContentHash,
    pub files: Vec<String>,
    pub rows: u64,
    /// From the contract. Above it the answers to queries would be clamped.
    pub max_rows: u64,
    pub unit: Option<String>,
    /// Rows whose unit is NULL: dropped from every question.
    pub rows_without_unit: u64,
    pub columns: Vec<ColumnReport>,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ColumnReport {
    pub name: String,
    /// Its name in the files.
    pub physical: String,
    /// Rows that the file leaves empty.
    pub empty: u64,
    /// Rows that hold something which became NULL: null codes and what does not convert.
    pub not_converted: u64,
    /// Rows beyond the bounds: clamped.
    pub out_of_bounds: u64,
    /// Rows of no declared category: read as NULL.
    pub unknown_category: u64,
    /// The contract says that the column is never NULL.
    pub required: bool,
}

impl Dataset {
    /// Reads everything once.
    pub fn check(&self) -> Result<Report, DataError> {
        self.unchanged()?;
        let mut report = self.empty_report();
        for source in self.sources()? {
            let counts = self.count(source).map_err(|_| DataError::Unreadable {
                path: self
                    .files
                    .schemas()
                    .next()
                    .map(|(path, _)| path.to_owned())
                    .unwrap_or_default(),
                message: "its rows could not be read".into(),
            })?;
            let mut counts = counts.into_iter();
            let mut next = || counts.next().unwrap_or(0);
            report.rows += next();
            report.rows_without_unit += next();
            for column in &mut report.columns {
                column.empty += next();
                column.not_converted += next();
                column.out_of_bounds += next();
                column.unknown_category += next();
            }
        }
        Ok(report)
    }

    fn empty_report(&self) -> Report {
        let column = |c: &Column| ColumnReport {
            name: c.name.clone(),
            physical: self.physical(&c.name).to_owned(),
            empty: 0,
            not_converted: 0,
            out_of_bounds: 0,
            unknown_category: 0,
            required: !c.nullable,
        };
        Report {
            dataset: self.contract.name.clone(),
            contract: self.contract.hash(),
            files: self
                .files
                .schemas()
                .map(|(path, _)| path.display().to_string())
                .collect(),
            rows: 0,
            max_rows: self.contract.max_rows,
            unit: self.contract.privacy_unit.clone(),
            rows_without_unit: 0,
            columns: self.contract.columns.iter().map(column).collect(),
        }
    }

    /// All counts of a report in order, as one query.
    fn count(&self, source: Source<'_>) -> PolarsResult<Vec<u64>> {
        let none = || lit(0u64);
        let mut counts = vec![len().cast(DataType::UInt64)];
        let unit = self.contract.privacy_unit.as_deref().and_then(|unit| source.unit(unit));
        counts.push(unit.map_or(none(), |unit| number_of(unit.is_null())));
        for column in &self.contract.columns {
            let (Some(typed), physical) = (source.column(&column.name), col(self.physical(&column.name))) else {
                continue;
            };
            counts.push(number_of(physical.clone().is_null()));
            counts.push(number_of(physical.is_not_null().and(typed.clone().is_null())));
            counts.push(outside(column, &typed).map_or(none(), number_of));
            counts.push(match column.categories.is_empty() {
                true => none(),
                false => {
                    let known = lit(Series::new("".into(), &column.categories)).implode(true);
                    number_of(typed.clone().is_not_null().and(typed.is_in(known, false).not()))
                }
            });
        }
        let named = counts.into_iter().enumerate().map(|(i, e)| e.alias(i.to_string()));
        let frame = source
            .frame
            .select(named.collect::<Vec<_>>())
            .collect_with_engine(Engine::Streaming)?
            .unwrap_single();
        frame
            .columns()
            .iter()
            .map(|c| Ok(c.cast(&DataType::UInt64)?.u64()?.get(0).unwrap_or(0)))
            .collect()
    }
}

fn number_of(condition: Expr) -> Expr {
    condition.cast(DataType::UInt64).sum()
}

fn outside(column: &Column, typed: &Expr) -> Option<Expr> {
    let bounds = column.bounds?;
    let (low, high) = (bounds.min.get(), bounds.max.get());
    let number = match column.logical_type {
        LogicalType::Date => typed.clone().cast(DataType::Float64),
        _ => typed.clone(),
    };
    Some(number.clone().lt(lit(low)).or(number.gt(lit(high))))
}

impl Report {
    /// Whether the operator should look: rows beyond the contract, or missing where it says never missing.
    pub fn has_warnings(&self) -> bool {
        let missing = |c: &ColumnReport| c.required && c.empty + c.not_converted + c.unknown_category > 0;
        self.rows > self.max_rows || self.rows_without_unit > 0 || self.columns.iter().any(missing)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "dataset {} (contract {:?})", self.dataset, self.contract)?;
        writeln!(
            f,
            "  {} files, {} rows of at most {}",
            self.files.len(),
            self.rows,
            self.max_rows
        )?;
        if self.rows > self.max_rows {
            writeln!(
                f,
                "  warning: more rows than the contract declares: sums may be clamped; raise maxRows in a new version"
            )?;
        }
        match &self.unit {
            Some(unit) => writeln!(
                f,
                "  unit {unit}: {} rows without one are dropped",
                self.rows_without_unit
            )?,
            None => writeln!(f, "  unit: each row")?,
        }
        for column in &self.columns {
            writeln!(f, "  {}", column.line(self.rows))?;
        }
        Ok(())
    }
}

impl ColumnReport {
    fn line(&self, rows: u64) -> String {
        let mut line = match self.name == self.physical {
            true => self.name.clone(),
            false => format!("{} <- {}", self.name, self.physical),
        };
        let share = |n: u64| format!("{n} ({:.2} %)", 100.0 * n as f64 / rows.max(1) as f64);
        for (n, what) in [
            (self.empty, "empty"),
            (self.not_converted, "null code or not convertible, read as NULL"),
            (self.out_of_bounds, "out of bounds, clamped"),
            (self.unknown_category, "of no declared category, read as NULL"),
        ] {
            if n > 0 {
                line.push_str(&format!("; {} {what}", share(n)));
            }
        }
        if self.required && self.empty + self.not_converted + self.unknown_category > 0 {
            line.push_str("; warning: the contract says never NULL");
        }
        line
    }
}
