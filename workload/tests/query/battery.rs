//! What the verdicts on edited contracts are tried with: questions about the clinic of `governance/tests/compat/edits.rs`, rows that
//! honour a version of its contract, and when two answers say the same. `compat.rs` asks the compiler alone, `tests/tests/edits.rs` a
//! simulated consortium; rows of one version cost a millisecond.

use governance::contract::mock;
use governance::{Contract, Scalar};
use std::collections::BTreeMap;
use workload::query::{Cell, Method, Row, Table, Value};

pub const BATTERY: &[&str] = &[
    "SELECT COUNT(*), AVG(age), SUM(dose), AVG(chol), COUNT(chol), STDDEV(dose) FROM clinic",
    "SELECT ward, COUNT(*), AVG(dose) FROM clinic GROUP BY ward",
    "SELECT ward, COUNT(*) FROM clinic GROUP BY ward LIMIT 1",
    "SELECT COUNT(*) FROM clinic WHERE ward = 'A'",
    "SELECT COUNT(*) FROM clinic WHERE ward = 'C'",
    "SELECT COUNT(*) FROM clinic WHERE ward = 'D'",
    "SELECT age, COUNT(*) FROM clinic GROUP BY age",
    "SELECT AVG(age) FROM clinic WHERE age > 50",
    "SELECT COUNT(*) FROM clinic WHERE age IS NULL",
    "SELECT chol, COUNT(*) FROM clinic GROUP BY chol",
    "SELECT SUM(age / dose) FROM clinic",
    "SELECT MEDIAN(dose) FROM clinic",
    "SELECT MEDIAN(chol) FROM clinic",
    "SELECT COUNT(*) FROM clinic WHERE weight > 500",
    "SELECT AVG(weight) FROM clinic",
    "SELECT COUNT(*) FROM clinic WHERE code LIKE 'code%'",
    "SELECT code, COUNT(*) FROM clinic GROUP BY code",
    "SELECT AVG(code) FROM clinic",
    "SELECT smoker, COUNT(*) FROM clinic GROUP BY smoker",
    "SELECT COUNT(*) FROM clinic WHERE smokes",
    "SELECT COUNT(*) FROM clinic WHERE \"Smoker\"",
    "SELECT COUNT(*) FROM clinic WHERE \"smoker\"",
    "SELECT EXTRACT(YEAR FROM seen) AS y, COUNT(*) FROM clinic GROUP BY y",
    "SELECT COUNT(*) FROM clinic WHERE seen < '2019-01-01'",
    "SELECT site, COUNT(*) FROM clinic GROUP BY site",
    "SELECT AVG(secret) FROM clinic",
    "SELECT COUNT(DISTINCT person) FROM clinic",
    "SELECT COUNT(*) FROM clinic WHERE sex = 'f'",
];

/// Rows that honour a contract, with no unit beyond any of its limits.
pub fn honest(contract: &Contract) -> Vec<Vec<Row>> {
    let limits = &contract.contribution;
    let most = limits.max_rows.min(limits.max_groups).min(limits.rows_per_group);
    let value = |cell: Option<Scalar>| match cell {
        None => Value::Null,
        Some(Scalar::Number(x)) => Value::Number(x.get()),
        Some(Scalar::Text(text)) => Value::Text(text),
        Some(Scalar::Boolean(b)) => Value::Boolean(b),
        Some(Scalar::Date(days)) => Value::Date(days),
    };
    let mut rows_of: BTreeMap<String, u32> = BTreeMap::new();
    let twin = mock::rows(contract, 100, 5).unwrap();
    let named = twin.into_iter().map(|cells| -> Row {
        let names = contract.columns.iter().map(|column| column.name.clone());
        names.zip(cells.into_iter().map(value)).collect()
    });
    let rows = named.filter(|row| match &contract.privacy_unit {
        None => true,
        Some(unit) => {
            let seen = rows_of.entry(format!("{:?}", row[unit])).or_default();
            *seen += 1;
            *seen <= most
        }
    });
    vec![rows.collect(), vec![], vec![], vec![]]
}

/// The figures of a table by its keys.
pub fn figures(table: &Table) -> BTreeMap<String, Vec<Option<f64>>> {
    let keys = |row: &[Cell]| {
        let exact = table.columns.iter().zip(row).filter(|(c, _)| c.method == Method::Exact);
        format!("{:?}", exact.map(|(_, cell)| cell).collect::<Vec<_>>())
    };
    let measured = |row: &[Cell]| {
        let measured = table.columns.iter().zip(row).filter(|(c, _)| c.method != Method::Exact);
        let figure = |cell: &Cell| match cell {
            Cell::Estimate { value, .. } => *value,
            Cell::Number(x) => Some(*x),
            _ => None,
        };
        measured.map(|(_, cell)| figure(cell)).collect()
    };
    table.rows.iter().map(|row| (keys(row), measured(row))).collect()
}

/// Whether two rows of figures say the same: answers differ by what a contract says, a lattice by less.
pub fn close(a: &[Option<f64>], b: &[Option<f64>]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|pair| match pair {
            (Some(a), Some(b)) => (a - b).abs() <= 0.02 * a.abs().max(1.0),
            (a, b) => a == b,
        })
}
