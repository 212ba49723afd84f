//! A made-up twin of a dataset: rows from its contract alone, to develop against. Costs no epsilon, because nothing of it
//! comes from data, and for the same reason it says nothing about data.
//!
//! Every column is uniform over its declared values and independent of every other; a unit has as many rows as the contract
//! lets count, at random; a column that may be missing is, with probability `MISSING`. A column's values follow from the seed
//! and its own definition, so a new version of a contract changes the columns that it changes and no others.

use super::{Bounds, Column, Contract, LogicalType, Scalar};
use crate::canonical::Real;
use std::io::Read;

/// One row: a cell per column, in the contract's order.
pub type MockRow = Vec<Option<Scalar>>;

/// How often a column that may be missing is. A constant that everybody knows, so that a twin tells nothing by it.
pub const MISSING: f64 = 0.1;

/// A column of integers, dates or numbers without bounds has no range to be uniform over; this stands in.
const UNBOUNDED: (f64, f64) = (0.0, 1000.0);
/// 2000-01-01 to 2029-12-31.
const UNBOUNDED_DAYS: (f64, f64) = (10_957.0, 21_914.0);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MockError {
    #[error("{asked} rows are more than maxRows of the contract allows: ask for at most {most}")]
    Rows { asked: u64, most: u64 },
    #[error("`{unit}` has {ids} values, and a unit has at most {rows} rows: ask for at most {} rows", ids.saturating_mul(*rows))]
    Units { unit: String, ids: u64, rows: u64 },
}

/// So many rows; the same for the same contract, number and seed, on every machine.
pub fn rows(contract: &Contract, rows: u64, seed: u64) -> Result<Vec<MockRow>, MockError> {
    if rows > contract.max_rows {
        return Err(MockError::Rows {
            asked: rows,
            most: contract.max_rows,
        });
    }
    let unit = contract.privacy_unit.as_deref().and_then(|unit| contract.column(unit));
    let owners = unit.map(|unit| owners(contract, unit, rows, seed)).transpose()?;
    let mut columns: Vec<_> = contract
        .columns
        .iter()
        .map(|column| {
            let owners = owners.as_ref().filter(|_| Some(column) == unit);
            (column, owners, Stream::new(seed, &column.name))
        })
        .collect();
    let row = |at: u64| {
        let cells = columns.iter_mut().map(|(column, owners, stream)| match owners {
            Some(owners) => Some(id(column, owners[at as usize])),
            None => stream.cell(column, at),
        });
        cells.collect()
    };
    Ok((0..rows).map(row).collect())
}

/// For each row the number of the unit that it belongs to. Rows of one unit are scattered.
fn owners(contract: &Contract, unit: &Column, rows: u64, seed: u64) -> Result<Vec<u64>, MockError> {
    let most = u64::from(contract.contribution.max_rows);
    let ids = ids(unit);
    if rows > ids.saturating_mul(most) {
        return Err(MockError::Units {
            unit: unit.name.clone(),
            ids,
            rows: most,
        });
    }
    // About half of what a unit may have, on average; never more units than there are names for.
    let units = (2 * rows).div_ceil(most + 1).min(ids).max(rows.div_ceil(most));
    let mut owners: Vec<u64> = (0..units.min(rows)).collect();
    let mut room: Vec<(u64, u64)> = owners
        .iter()
        .map(|unit| (*unit, most - 1))
        .filter(|(_, left)| *left > 0)
        .collect();
    let mut stream = Stream::new(seed, "rows of units");
    while (owners.len() as u64) < rows {
        let at = stream.below(room.len() as u64) as usize;
        owners.push(room[at].0);
        room[at].1 -= 1;
        if room[at].1 == 0 {
            room.swap_remove(at);
        }
    }
    for last in (1..owners.len()).rev() {
        owners.swap(last, stream.below(last as u64 + 1) as usize);
    }
    Ok(owners)
}

/// How many units can be told apart.
fn ids(unit: &Column) -> u64 {
    match (unit.bounds, unit.categories.len()) {
        (Some(b), _) => (b.max.get() - b.min.get()) as u64 + 1,
        (None, 0) => u64::MAX,
        (None, categories) => categories as u64,
    }
}

/// The name of a unit.
fn id(column: &Column, unit: u64) -> Scalar {
    let first = column.bounds.map_or(1.0, |b| b.min.get());
    match column.logical_type {
        LogicalType::String => Scalar::Text(match column.categories.get(unit as usize) {
            Some(category) => category.clone(),
            None => format!("{}-{}", column.name, unit + 1),
        }),
        LogicalType::Date => Scalar::Date((first + unit as f64) as i32),
        _ => number(first + unit as f64),
    }
}

fn number(x: f64) -> Scalar {
    // Unwrap safety: bounds are finite and within 2^53 (`check`), and so is everything between them.
    Scalar::Number(Real::new(x).expect("a number within bounds is finite"))
}

/// Uniform 64-bit words: BLAKE3 over seed and label, as far as is read.
struct Stream(blake3::OutputReader);

impl Stream {
    fn new(seed: u64, label: &str) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("sottovoce mock twin v1");
        hasher.update(&seed.to_le_bytes());
        hasher.update(label.as_bytes());
        Self(hasher.finalize_xof())
    }

    fn word(&mut self) -> u64 {
        let mut bytes = [0; 8];
        // Unwrap safety: an extendable output is read, which has no end before 2^64 bytes.
        self.0.read_exact(&mut bytes).expect("an endless stream");
        u64::from_le_bytes(bytes)
    }

    /// Uniform in [0, 1).
    fn fraction(&mut self) -> f64 {
        (self.word() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Uniform below `n`, which is above zero; off by less than n / 2^64.
    fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.word()) * u128::from(n)) >> 64) as u64
    }

    /// Each cell takes one word for whether it is missing and one for its value, whatever they turn out to be.
    fn cell(&mut self, column: &Column, row: u64) -> Option<Scalar> {
        let missing = self.fraction() < MISSING && column.nullable;
        let value = self.value(column, row);
        (!missing).then_some(value)
    }

    fn value(&mut self, column: &Column, row: u64) -> Scalar {
        match column.logical_type {
            LogicalType::Boolean => Scalar::Boolean(self.below(2) == 1),
            LogicalType::String if column.categories.is_empty() => {
                self.word();
                Scalar::Text(format!("{}-{}", column.name, row + 1))
            }
            LogicalType::String => {
                let at = self.below(column.categories.len() as u64) as usize;
                Scalar::Text(column.categories[at].clone())
            }
            LogicalType::Date => Scalar::Date(self.on_grid(range(column.bounds, UNBOUNDED_DAYS), Some(1.0)) as i32),
            LogicalType::Integer => number(self.on_grid(range(column.bounds, UNBOUNDED), Some(1.0))),
            LogicalType::Number => {
                let step = column.resolution.map(Real::get);
                number(self.on_grid(range(column.bounds, UNBOUNDED), step))
            }
        }
    }

    /// Uniform over the multiples of `step` within a range, or over the range where there are none.
    fn on_grid(&mut self, (low, high): (f64, f64), step: Option<f64>) -> f64 {
        let grid = step.map(|step| (step, (low / step).ceil(), (high / step).floor()));
        match grid.filter(|(_, first, last)| first <= last && last - first < (1u64 << 53) as f64) {
            Some((step, first, last)) => {
                let k = first + self.below((last - first) as u64 + 1) as f64;
                // 3 / 10 is the number that 0.3 spells; 3 * 0.1 is another one.
                let parts = (1.0 / step).round();
                let value = if (parts * step - 1.0).abs() < 1e-12 {
                    k / parts
                } else {
                    k * step
                };
                value.clamp(low, high)
            }
            None => (low + self.fraction() * (high - low)).clamp(low, high),
        }
    }
}

fn range(bounds: Option<Bounds>, otherwise: (f64, f64)) -> (f64, f64) {
    bounds.map_or(otherwise, |b| (b.min.get(), b.max.get()))
}
