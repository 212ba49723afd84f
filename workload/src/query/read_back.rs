//! A sum read back as a table, and a table predicted before anything is asked. All of it is post-processing.

use super::dual::Dual;
use super::estimate::{Estimate, Group, describe};
use super::table::{Cell, Method, PredictedColumn, Prediction, Table, TableColumn};
use super::{Comparison, ComponentKind, Domain, GroupKey, OutputExpr, QueryPlan, Value, compare};
use engine::PlainSum;
use std::cmp::Ordering;

/// The table of a sum; `None` if the sum has not the plan's length.
pub fn read_back(plan: &QueryPlan, sum: &PlainSum) -> Option<Table> {
    let layout = plan.layout();
    if sum.values.len() != layout.dim() {
        return None;
    }
    let bins = histogram_bins(plan).unwrap_or(1);
    let mut rows = Vec::new();
    for (index, cells) in sum.values.chunks(layout.width.max(1)).enumerate() {
        let group = Group {
            plan,
            layout: &layout,
            cells,
            variance: sum.variance as f64,
        };
        let estimates: Vec<Estimate> = if plan.output.histogram.is_some() {
            Vec::new()
        } else {
            plan.output.aggregates.iter().map(|a| group.estimate(a)).collect()
        };
        for bin in 0..bins {
            let row = Row {
                group: &group,
                keys: key_positions(plan, index),
                estimates: &estimates,
                bin,
            };
            let having = plan.output.having.as_ref().map(|e| row.evaluate(e));
            if having.is_none_or(|h| h == Out::Value(Value::Boolean(true))) {
                let order = plan
                    .output
                    .order_by
                    .iter()
                    .map(|t| row.evaluate(&t.expr).value())
                    .collect::<Vec<_>>();
                let cells = plan
                    .output
                    .columns
                    .iter()
                    .map(|c| row.cell(&c.expr))
                    .collect::<Vec<_>>();
                rows.push((order, cells));
            }
        }
    }
    rows.sort_by(|(a, _), (b, _)| order(plan, a, b));
    rows.truncate(plan.output.limit.map_or(usize::MAX, |l| l as usize));
    Some(Table {
        columns: plan
            .output
            .columns
            .iter()
            .map(|c| column(plan, &c.name, &c.expr))
            .collect(),
        rows: rows.into_iter().map(|(_, cells)| cells).collect(),
    })
}

/// What the intervals will be, if every participant holds its declared maximum of rows, no filter drops any, they are
/// spread evenly over the groups and lie in the middle of their bounds. Public figures only; nothing is spent.
pub fn predict(plan: &QueryPlan) -> Prediction {
    let layout = plan.layout();
    let rows = plan.max_rows as f64 * f64::from(plan.noise.members) / layout.groups.max(1) as f64;
    let mut cells = Vec::with_capacity(layout.width);
    for component in &plan.components {
        let weight = component.kind.weight() as f64;
        match &component.kind {
            ComponentKind::Rows { .. } => cells.push(rows * weight),
            ComponentKind::Units { .. } => cells.push(rows * weight / f64::from(plan.contribution.rows)),
            ComponentKind::Sum { lattice, .. } => {
                let middle = (lattice.low.get() + lattice.high.get()) / 2.0;
                cells.push(rows * lattice.to_integer(middle) as f64);
            }
            ComponentKind::Histogram { bins, .. } => {
                cells.extend((0..bins.count).map(|_| rows * weight / f64::from(bins.count)));
            }
            ComponentKind::Tree {
                branching,
                levels,
                leaves,
                ..
            } => {
                for level in 1..=*levels {
                    let (nodes, below) = (branching.pow(level), branching.pow(levels - level));
                    let filled = |node: u32| leaves.saturating_sub(node * below).min(below);
                    cells.extend((0..nodes).map(|n| rows * weight * f64::from(filled(n)) / f64::from(*leaves)));
                }
            }
        }
    }
    let cells: Vec<i64> = cells.into_iter().map(|x| x as i64).collect();
    let variance = u128::from(plan.noise.members) * u128::from(plan.noise.variance);
    let group = Group {
        plan,
        layout: &layout,
        cells: &cells,
        variance: variance as f64,
    };
    let estimates: Vec<Estimate> = match plan.output.histogram {
        Some(_) => Vec::new(),
        None => plan.output.aggregates.iter().map(|a| group.estimate(a)).collect(),
    };
    let row = Row {
        group: &group,
        keys: vec![0; plan.groups.len()],
        estimates: &estimates,
        bin: 0,
    };
    let columns = plan.output.columns.iter().map(|c| {
        let TableColumn { name, method, note } = column(plan, &c.name, &c.expr);
        let assumed = format!(
            "for {rows:.0} rows in each group, evenly between the bounds; with a tenth of them the interval is ten times as wide"
        );
        let note = match (method, note) {
            (Method::Rank, Some(note)) => Some(format!("{note}; {assumed}")),
            (Method::Rank, None) => Some(assumed),
            (_, note) => note,
        };
        PredictedColumn {
            name,
            method,
            note,
            half_width: row.cell(&c.expr).half_width(),
        }
    });
    Prediction {
        rows: layout.groups * histogram_bins(plan).unwrap_or(1),
        assumption: format!(
            "{} participants with {} rows each, spread evenly over {} group(s), none filtered out",
            plan.noise.members, plan.max_rows, layout.groups
        ),
        columns: columns.collect(),
    }
}

fn histogram_bins(plan: &QueryPlan) -> Option<usize> {
    plan.output.histogram.map(|at| plan.components[at].kind.cells())
}

/// Positions within each key's groups, from a group's index.
fn key_positions(plan: &QueryPlan, mut index: usize) -> Vec<usize> {
    let mut positions: Vec<usize> = plan
        .groups
        .iter()
        .rev()
        .map(|key| {
            let position = index % key.groups();
            index /= key.groups();
            position
        })
        .collect();
    positions.reverse();
    positions
}

fn order(plan: &QueryPlan, a: &[Value], b: &[Value]) -> Ordering {
    for ((x, y), term) in a.iter().zip(b).zip(&plan.output.order_by) {
        let found = match (x, y) {
            (Value::Null, Value::Null) => Ordering::Equal,
            (Value::Null, _) if term.nulls_first => Ordering::Less,
            (Value::Null, _) => Ordering::Greater,
            (_, Value::Null) if term.nulls_first => Ordering::Greater,
            (_, Value::Null) => Ordering::Less,
            (x, y) => {
                let found = x.partial_cmp(y).unwrap_or(Ordering::Equal);
                if term.descending { found.reverse() } else { found }
            }
        };
        if found != Ordering::Equal {
            return found;
        }
    }
    Ordering::Equal
}

fn column(plan: &QueryPlan, name: &str, expr: &OutputExpr) -> TableColumn {
    let (method, note) = match expr {
        OutputExpr::Aggregate(at) => describe(&plan.output.aggregates[*at]),
        OutputExpr::BinCount => (Method::Normal, None),
        expr if noisy(expr) => (
            if linear(plan, expr) {
                Method::Normal
            } else {
                Method::Delta
            },
            None,
        ),
        _ => (Method::Exact, None),
    };
    TableColumn {
        name: name.into(),
        method,
        note,
    }
}

fn noisy(expr: &OutputExpr) -> bool {
    match expr {
        OutputExpr::Aggregate(_) | OutputExpr::BinCount => true,
        OutputExpr::Negate(e) => noisy(e),
        OutputExpr::Arithmetic(_, a, b) => noisy(a) || noisy(b),
        OutputExpr::Call(_, list) => list.iter().any(noisy),
        OutputExpr::Case(branches, otherwise) => branches.iter().any(|(_, e)| noisy(e)) || noisy(otherwise),
        _ => false,
    }
}

fn linear(plan: &QueryPlan, expr: &OutputExpr) -> bool {
    use super::Arithmetic::{Add, Divide, Multiply, Subtract};
    match expr {
        OutputExpr::Aggregate(at) => describe(&plan.output.aggregates[*at]).0 == Method::Normal,
        OutputExpr::Negate(e) => linear(plan, e),
        OutputExpr::Arithmetic(Add | Subtract, a, b) => linear(plan, a) && linear(plan, b),
        OutputExpr::Arithmetic(Multiply, a, b) => linear(plan, a) && linear(plan, b) && !(noisy(a) && noisy(b)),
        OutputExpr::Arithmetic(Divide, a, b) => linear(plan, a) && !noisy(b),
        OutputExpr::Call(..) | OutputExpr::Case(..) => !noisy(expr),
        _ => true,
    }
}

/// One row of the answer in the making.
struct Row<'a> {
    group: &'a Group<'a>,
    keys: Vec<usize>,
    estimates: &'a [Estimate],
    bin: usize,
}

/// A result with noise in it, or without.
#[derive(Clone, Debug, PartialEq)]
enum Out {
    Value(Value),
    Noisy(Dual),
}

impl Out {
    fn value(self) -> Value {
        match self {
            Out::Value(value) => value,
            Out::Noisy(dual) => Value::Number(dual.value),
        }
    }

    fn dual(self) -> Option<Dual> {
        match self {
            Out::Value(Value::Number(x)) => Some(Dual::constant(x)),
            Out::Value(_) => None,
            Out::Noisy(dual) => Some(dual),
        }
    }
}

impl Row<'_> {
    fn cell(&self, expr: &OutputExpr) -> Cell {
        let estimate = match expr {
            OutputExpr::Aggregate(at) => self.estimates[*at].clone(),
            OutputExpr::Key(at) => return key_cell(&self.group.plan.groups[*at], self.keys[*at]),
            expr => match self.evaluate(expr) {
                Out::Noisy(dual) => Estimate::of(dual, self.group.variance),
                Out::Value(Value::Null) if noisy(expr) => Estimate::nothing(Method::Delta, None),
                Out::Value(value) => return plain(value),
            },
        };
        Cell::Estimate {
            value: estimate.dual.map(|d| d.value),
            low: estimate.interval.map(|i| i.0).filter(|x| x.is_finite()),
            high: estimate.interval.map(|i| i.1).filter(|x| x.is_finite()),
        }
    }

    fn evaluate(&self, expr: &OutputExpr) -> Out {
        let of = |e: &OutputExpr| self.evaluate(e);
        let noisy = |dual: Option<Dual>| dual.map_or(Out::Value(Value::Null), Out::Noisy);
        let boolean = |b: Option<bool>| Out::Value(b.map_or(Value::Null, Value::Boolean));
        match expr {
            OutputExpr::Null => Out::Value(Value::Null),
            OutputExpr::Number(x) => Out::Value(Value::Number(x.get())),
            OutputExpr::Text(text) => Out::Value(Value::Text(text.clone())),
            OutputExpr::Boolean(b) => Out::Value(Value::Boolean(*b)),
            OutputExpr::Key(at) => Out::Value(key_value(&self.group.plan.groups[*at], self.keys[*at])),
            OutputExpr::Aggregate(at) => noisy(self.estimates[*at].dual.clone()),
            OutputExpr::BinLow | OutputExpr::BinHigh => {
                let (low, high) = self.edges();
                Out::Value(Value::Number(if *expr == OutputExpr::BinLow { low } else { high }))
            }
            OutputExpr::BinCount => noisy(self.group.plan.output.histogram.map(|at| self.group.bin(at, self.bin))),
            OutputExpr::Negate(e) => noisy(of(e).dual().map(|d| d.scaled(-1.0))),
            OutputExpr::Arithmetic(op, a, b) => {
                let both = of(a).dual().zip(of(b).dual());
                noisy(both.and_then(|(a, b)| Dual::arithmetic(*op, &a, &b)))
            }
            OutputExpr::Call(function, list) => {
                let list: Option<Vec<Dual>> = list.iter().map(|e| of(e).dual()).collect();
                noisy(list.and_then(|list| Dual::call(*function, list)))
            }
            OutputExpr::Compare(op, a, b) => Out::Value(self.compare(*op, a, b)),
            OutputExpr::Not(e) => boolean(truth(of(e)).map(|b| !b)),
            OutputExpr::And(list) => boolean(decide(list.iter().map(|e| truth(of(e))), false)),
            OutputExpr::Or(list) => boolean(decide(list.iter().map(|e| truth(of(e))), true)),
            OutputExpr::IsNull(e) => boolean(Some(of(e).value() == Value::Null)),
            OutputExpr::Case(branches, otherwise) => {
                let hit = branches.iter().find(|(when, _)| truth(of(when)) == Some(true));
                of(hit.map_or(otherwise, |(_, then)| then))
            }
        }
    }

    fn compare(&self, op: Comparison, a: &OutputExpr, b: &OutputExpr) -> Value {
        compare(op, &self.evaluate(a).value(), &self.evaluate(b).value())
    }

    fn edges(&self) -> (f64, f64) {
        let component = self
            .group
            .plan
            .output
            .histogram
            .map(|at| &self.group.plan.components[at].kind);
        match component {
            Some(ComponentKind::Histogram { bins, .. }) => bins.edges(self.bin as u32),
            _ => (0.0, 0.0),
        }
    }
}

fn truth(out: Out) -> Option<bool> {
    match out.value() {
        Value::Boolean(b) => Some(b),
        _ => None,
    }
}

fn decide(values: impl Iterator<Item = Option<bool>>, decisive: bool) -> Option<bool> {
    let values: Vec<_> = values.collect();
    match (values.contains(&Some(decisive)), values.contains(&None)) {
        (true, _) => Some(decisive),
        (false, true) => None,
        (false, false) => Some(!decisive),
    }
}

fn plain(value: Value) -> Cell {
    match value {
        Value::Null => Cell::Null,
        Value::Number(x) => Cell::Number(x),
        Value::Text(text) => Cell::Text(text),
        Value::Boolean(b) => Cell::Boolean(b),
        Value::Date(days) => Cell::Number(f64::from(days)),
    }
}

/// The key of a group as it is shown.
fn key_cell(key: &GroupKey, position: usize) -> Cell {
    match &key.domain {
        Domain::Bins(bins) if position < key.domain.len() => {
            let (low, high) = bins.edges(position as u32);
            Cell::Bin { low, high }
        }
        _ => plain(key_value(key, position)),
    }
}

/// The key of a group as it is computed with; a bin is its lower edge.
fn key_value(key: &GroupKey, position: usize) -> Value {
    if position >= key.domain.len() {
        return Value::Null;
    }
    match &key.domain {
        Domain::Texts(labels) => Value::Text(labels[position].clone()),
        Domain::Booleans => Value::Boolean(position == 1),
        Domain::Integers { min, .. } => Value::Number((min + position as i64) as f64),
        Domain::Bins(bins) => Value::Number(bins.edges(position as u32).0),
    }
}
