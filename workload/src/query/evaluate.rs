//! The meaning of a plan on rows, without noise: small, slow and exact. The simulator runs it, and whatever an executor
//! answers must equal it cell by cell.

use super::bounding::{BoundingKey, UnitId, choose};
use super::{Component, ComponentKind, QueryPlan, ScanColumn, ScanKind, Value, tree_path};
use governance::Scalar;
use std::collections::{BTreeMap, BTreeSet};

/// A row of a participant's file: column name to raw value. A missing column is NULL.
pub type Row = BTreeMap<String, Value>;

/// The vector of one participant before clamping and noise. All sums are of integers; they saturate, which the plan's
/// size check makes impossible for a file within its declared rows.
pub fn evaluate(plan: &QueryPlan, key: &BoundingKey, rows: impl Iterator<Item = Row>) -> Vec<i64> {
    let layout = plan.layout();
    let mut cells = vec![0i64; layout.dim()];
    let mut counted: BTreeSet<(usize, usize, UnitId)> = BTreeSet::new();
    for (unit, kept) in units(plan, key, rows) {
        for (group, row) in kept {
            let column = |name: &str| row.get(name).cloned().unwrap_or(Value::Null);
            for (index, component) in plan.components.iter().enumerate() {
                if component.filter.as_ref().is_some_and(|f| !f.holds(&column)) {
                    continue;
                }
                if matches!(component.kind, ComponentKind::Units { .. }) && !counted.insert((index, group, unit)) {
                    continue;
                }
                let start = layout.cell(group, index);
                add(component, &column, &mut cells[start..start + component.kind.cells()]);
            }
        }
    }
    cells
}

/// Clamps each cell to its component's `clip`, as a participant does before it adds noise.
pub fn clamp(plan: &QueryPlan, cells: &mut [i64]) {
    let clips = plan.clips();
    for (cell, clip) in cells.iter_mut().zip(clips) {
        *cell = (*cell).clamp(-clip, clip);
    }
}

/// What the scan makes of a raw value.
pub fn scan(column: &ScanColumn, raw: &Value) -> Value {
    let typed = match (&column.kind, raw) {
        (ScanKind::Number { .. }, Value::Number(x)) if x.is_finite() => Value::Number(*x),
        (ScanKind::Text { categories }, Value::Text(text)) if categories.is_empty() || categories.contains(text) => {
            Value::Text(text.clone())
        }
        (ScanKind::Boolean, Value::Boolean(b)) => Value::Boolean(*b),
        (ScanKind::Date { .. }, Value::Date(days)) => Value::Date(*days),
        _ => match &column.null {
            None => return Value::Null,
            Some(Scalar::Number(x)) => Value::Number(x.get()),
            Some(Scalar::Text(text)) => Value::Text(text.clone()),
            Some(Scalar::Boolean(b)) => Value::Boolean(*b),
            Some(Scalar::Date(days)) => Value::Date(*days),
        },
    };
    match (&column.kind, typed) {
        (ScanKind::Number { bounds, whole }, Value::Number(x)) => {
            let x = if *whole { x.round_ties_even() } else { x };
            Value::Number(bounds.map_or(x, |(low, high)| x.max(low.get()).min(high.get())))
        }
        (ScanKind::Date { bounds }, Value::Date(days)) => {
            Value::Date(bounds.map_or(days, |(low, high)| days.max(low).min(high)))
        }
        (_, value) => value,
    }
}

/// The rows that count, scanned, with their groups, by unit.
fn units(plan: &QueryPlan, key: &BoundingKey, rows: impl Iterator<Item = Row>) -> BTreeMap<UnitId, Vec<(usize, Row)>> {
    let mut units: BTreeMap<UnitId, Vec<(usize, Row)>> = BTreeMap::new();
    for (number, raw) in (0..).zip(rows) {
        let value = |name: &str| raw.get(name).cloned().unwrap_or(Value::Null);
        let unit = match &plan.unit {
            None => Some(UnitId::integer(number)),
            Some(name) => key.unit(&value(name)),
        };
        let row: Row = plan
            .columns
            .iter()
            .map(|c| (c.name.clone(), scan(c, &value(&c.name))))
            .collect();
        let column = |name: &str| row.get(name).cloned().unwrap_or(Value::Null);
        let wanted = plan.filter.as_ref().is_none_or(|f| f.holds(&column));
        let group = plan.group(&column).filter(|_| wanted);
        if let (Some(unit), Some(group)) = (unit, group) {
            units.entry(unit).or_default().push((group, row));
        }
    }
    if plan.unit.is_some() {
        for (unit, rows) in &mut units {
            bound(plan, key, *unit, rows);
        }
    }
    units
}

/// Leaves the rows of a unit that count.
fn bound(plan: &QueryPlan, key: &BoundingKey, unit: UnitId, rows: &mut Vec<(usize, Row)>) {
    let hash = |row: &Row| {
        key.row(
            unit,
            plan.columns.iter().map(|c| row.get(&c.name).map_or(0, |v| key.bits(v))),
        )
    };
    let mut hashed: Vec<_> = rows.drain(..).map(|(group, row)| (hash(&row), group, row)).collect();
    hashed.sort_by(|(a, g, x), (b, h, y)| {
        (a, g)
            .cmp(&(b, h))
            .then_with(|| format!("{x:?}").cmp(&format!("{y:?}")))
    });
    let hashes: Vec<(usize, u64)> = hashed.iter().map(|(hash, group, _)| (*group, *hash)).collect();
    let kept = choose(&hashes, &plan.contribution, |group| key.group(unit, group as u64));
    rows.extend(kept.into_iter().map(|i| (hashed[i].1, hashed[i].2.clone())));
}

/// What one row adds to the cells of a component.
fn add(component: &Component, column: &dyn Fn(&str) -> Value, cells: &mut [i64]) {
    let number = |expr: &super::Expr| match expr.evaluate(column) {
        Value::Number(x) => Some(x),
        _ => None,
    };
    let mut bump = |cell: usize, by: i64| cells[cell] = cells[cell].saturating_add(by);
    match &component.kind {
        ComponentKind::Rows { weight } | ComponentKind::Units { weight } => bump(0, *weight),
        ComponentKind::Sum { expr, lattice } => {
            if let Some(x) = number(expr) {
                bump(0, lattice.to_integer(x));
            }
        }
        ComponentKind::Histogram { expr, bins, weight } => {
            if let Some(x) = number(expr) {
                bump(bins.index(x) as usize, *weight);
            }
        }
        ComponentKind::Tree {
            expr,
            bins,
            branching,
            levels,
            weight,
            ..
        } => {
            if let Some(x) = number(expr) {
                tree_path(*branching, *levels, bins.index(x)).for_each(|cell| bump(cell, *weight));
            }
        }
    }
}
