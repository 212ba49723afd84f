//! One batch of rows as integers: the group of each row and what it adds to each component. No aggregation yet.
//!
//! The batch's columns were computed by polars (`Shape::outputs` says which); what becomes an integer becomes it here, by
//! the specification's own functions. Costs a pass per group key and per component, all within the batch (100 000 rows).

use super::texts::TextTable;
use super::translate::Columns;
use super::who::Who;
use polars::prelude::{Column, DataFrame, DataType, Expr, PolarsResult};
use workload::query::{
    self, Bins, BoundingKey, ComponentKind, Domain, GroupKey, Lattice, Layout, QueryPlan, ScanKind, UnitId, Value,
};

/// How a plan's rows become integers. Holds no data.
pub(super) struct Shape {
    pub layout: Layout,
    pub components: Vec<Measure>,
    keys: Vec<Key>,
    /// Output columns: the unit, then each scanned column, whose bits are the row's content. Empty without a unit.
    content: Vec<String>,
}

/// One component: where it lies and what a row is measured by.
pub(super) struct Measure {
    pub offset: usize,
    pub kind: ComponentKind,
    /// Output column of the filter.
    filter: Option<String>,
    /// Output column of the value.
    value: Option<String>,
}

struct Key {
    column: String,
    groups: u32,
    index: Index,
    /// Group of NULL; `DROPPED` if it has none.
    null: u32,
}

enum Index {
    Texts(TextTable),
    Domain(Domain),
}

/// A row that is in no group.
const DROPPED: u32 = u32::MAX;
/// A row that is in no bin.
pub(super) const NO_BIN: u32 = u32::MAX;

/// What the rows of a batch add to one component.
pub(super) enum Added {
    /// Every row counts.
    Always,
    /// 1 where the row counts.
    Flags(Vec<u32>),
    /// The integer to add.
    Integers(Vec<i64>),
    /// The bin, or `NO_BIN`.
    Bins(Vec<u32>),
}

/// One batch, ready to be added up.
pub(super) struct Batch {
    /// The group of each row; rows in no group have the number of groups.
    pub groups: Vec<u32>,
    pub added: Vec<Added>,
    /// Who the row is about (`None`: nobody), and `BoundingKey::bits` of each column of the content.
    pub units: Vec<Option<UnitId>>,
    pub content: Vec<Vec<u64>>,
}

impl Shape {
    /// The shape, and the expressions of the columns that its batches must have. `None`: the plan names an unknown column.
    pub fn new(plan: &QueryPlan, columns: &Columns<'_>, unit: Option<Expr>) -> Option<(Self, Vec<Expr>)> {
        let mut outputs = Outputs { exprs: Vec::new() };
        let layout = plan.layout();
        let keys = plan
            .groups
            .iter()
            .map(|key| Key::new(plan, key, columns, &mut outputs))
            .collect::<Option<_>>()?;
        let mut components = Vec::new();
        for (component, offset) in plan.components.iter().zip(&layout.offsets) {
            let filter = match &component.filter {
                Some(filter) => Some(outputs.add(columns.translate(filter, &DataType::Boolean)?)),
                None => None,
            };
            let value = match &component.kind {
                ComponentKind::Rows { .. } | ComponentKind::Units { .. } => None,
                ComponentKind::Sum { expr, .. }
                | ComponentKind::Histogram { expr, .. }
                | ComponentKind::Tree { expr, .. } => Some(outputs.add(columns.translate(expr, &DataType::Float64)?)),
            };
            components.push(Measure {
                offset: *offset,
                kind: component.kind.clone(),
                filter,
                value,
            });
        }
        let mut content = Vec::new();
        if let Some(unit) = unit {
            content.push(outputs.add(unit));
            for column in &plan.columns {
                content.push(outputs.add(columns.get(&column.name)?));
            }
        }
        Some((
            Self {
                layout,
                components,
                keys,
                content,
            },
            outputs.exprs,
        ))
    }

    pub fn measure(&self, frame: &DataFrame, who: &Who) -> PolarsResult<Batch> {
        let height = frame.height();
        let mut groups = vec![0u32; height];
        for key in &self.keys {
            key.refine(frame.column(&key.column)?, &mut groups)?;
        }
        let outside = self.layout.groups as u32;
        groups.iter_mut().filter(|g| **g == DROPPED).for_each(|g| *g = outside);
        let added = self
            .components
            .iter()
            .map(|c| c.measure(frame))
            .collect::<PolarsResult<_>>()?;
        let (mut units, mut content) = (Vec::new(), Vec::new());
        if let Some((unit, columns)) = self.content.split_first() {
            units = who.units(frame.column(unit)?)?;
            content = columns
                .iter()
                .map(|name| bits(frame.column(name)?, &who.key))
                .collect::<PolarsResult<_>>()?;
        }
        Ok(Batch {
            groups,
            added,
            units,
            content,
        })
    }
}

/// Output columns under names of their own.
struct Outputs {
    exprs: Vec<Expr>,
}

impl Outputs {
    fn add(&mut self, expr: Expr) -> String {
        let name = format!("{}", self.exprs.len());
        self.exprs.push(expr.alias(name.as_str()));
        name
    }
}

impl Key {
    fn new(plan: &QueryPlan, key: &GroupKey, columns: &Columns<'_>, outputs: &mut Outputs) -> Option<Self> {
        let (expr, index) = match &key.domain {
            Domain::Texts(labels) => {
                let text = columns.translate(&key.expr, &DataType::String)?;
                (
                    raw_text(plan, key, columns).unwrap_or(text),
                    Index::Texts(TextTable::new(labels, DROPPED)),
                )
            }
            Domain::Booleans => (
                columns.translate(&key.expr, &DataType::Boolean)?,
                Index::Domain(Domain::Booleans),
            ),
            other => (
                columns.translate(&key.expr, &DataType::Float64)?,
                Index::Domain(other.clone()),
            ),
        };
        let null = if key.null { key.domain.len() as u32 } else { DROPPED };
        Some(Self {
            column: outputs.add(expr),
            groups: key.groups() as u32,
            index,
            null,
        })
    }

    /// `groups = groups * self.groups + index`, the first key counting most.
    fn refine(&self, column: &Column, groups: &mut [u32]) -> PolarsResult<()> {
        match &self.index {
            Index::Texts(table) => {
                let texts = column.str()?;
                let mut codes = table.codes(texts);
                if texts.null_count() > 0 {
                    let nulls = codes.iter_mut().zip(texts.iter()).filter(|(_, text)| text.is_none());
                    nulls.for_each(|(code, _)| *code = self.null);
                }
                self.combine(groups, codes.into_iter());
            }
            Index::Domain(Domain::Booleans) => {
                self.combine(groups, column.bool()?.iter().map(|b| b.map_or(self.null, u32::from)));
            }
            Index::Domain(domain) => {
                let index = |x: f64| domain.index(&Value::Number(x)).map_or(DROPPED, |i| i as u32);
                self.combine(groups, column.f64()?.iter().map(|x| x.map_or(self.null, index)));
            }
        }
        Ok(())
    }

    fn combine(&self, groups: &mut [u32], index: impl Iterator<Item = u32>) {
        for (group, index) in groups.iter_mut().zip(index) {
            let refined = group.wrapping_mul(self.groups).wrapping_add(index);
            *group = if *group == DROPPED || index == DROPPED {
                DROPPED
            } else {
                refined
            };
        }
    }
}

/// A text column that is a key by itself and keeps its NULLs out needs no category check of its own: what is not one of
/// the key's labels is dropped either way.
fn raw_text(plan: &QueryPlan, key: &GroupKey, columns: &Columns<'_>) -> Option<Expr> {
    let query::Expr::Column(name) = &key.expr else {
        return None;
    };
    let column = plan.columns.iter().find(|c| c.name == *name)?;
    let Domain::Texts(labels) = &key.domain else {
        return None;
    };
    let ScanKind::Text { categories } = &column.kind else {
        return None;
    };
    let listed = categories.is_empty() || labels.iter().all(|label| categories.contains(label));
    (listed && !key.null && column.null.is_none())
        .then(|| columns.unchecked(name))
        .flatten()
}

impl Measure {
    /// Where the finest cells begin: all of them, but in a tree.
    pub fn first_leaf(&self) -> usize {
        match &self.kind {
            ComponentKind::Tree { branching, levels, .. } => self.kind.cells() - (*branching as usize).pow(*levels),
            _ => 0,
        }
    }

    fn measure(&self, frame: &DataFrame) -> PolarsResult<Added> {
        let filter = match &self.filter {
            Some(name) => Some(frame.column(name)?.bool()?),
            None => None,
        };
        // Rows that the filter leaves: an iterator per component, so that the common case has no branch.
        let keep = || filter.map(|f| f.iter().map(|b| b == Some(true)));
        let numbers = match &self.value {
            Some(name) => Some(frame.column(name)?.f64()?),
            None => None,
        };
        Ok(match (&self.kind, numbers) {
            (ComponentKind::Sum { lattice, .. }, Some(numbers)) => {
                let mut integers = Vec::with_capacity(numbers.len());
                if numbers.null_count() == 0 {
                    for chunk in numbers.downcast_iter() {
                        integers.extend(to_integers(lattice, chunk.values()));
                    }
                } else {
                    integers.extend(numbers.iter().map(|x| x.map_or(0, |x| lattice.to_integer(x))));
                }
                if let Some(keep) = keep() {
                    integers
                        .iter_mut()
                        .zip(keep)
                        .filter(|(_, keep)| !keep)
                        .for_each(|(k, _)| *k = 0);
                }
                Added::Integers(integers)
            }
            (ComponentKind::Histogram { bins, .. } | ComponentKind::Tree { bins, .. }, Some(numbers)) => {
                let mut found: Vec<u32> = numbers.iter().map(|x| x.map_or(NO_BIN, |x| bin(bins, x))).collect();
                if let Some(keep) = keep() {
                    found
                        .iter_mut()
                        .zip(keep)
                        .filter(|(_, keep)| !keep)
                        .for_each(|(b, _)| *b = NO_BIN);
                }
                Added::Bins(found)
            }
            _ => keep().map_or(Added::Always, |keep| Added::Flags(keep.map(u32::from).collect())),
        })
    }
}

fn to_integers<'a>(lattice: &'a Lattice, values: &'a [f64]) -> impl Iterator<Item = i64> + 'a {
    values.iter().map(|x| lattice.to_integer(*x))
}

fn bin(bins: &Bins, x: f64) -> u32 {
    bins.index(x)
}

/// `BoundingKey::bits` of every row.
fn bits(column: &Column, key: &BoundingKey) -> PolarsResult<Vec<u64>> {
    let null = key.bits(&Value::Null);
    let of = |value: Option<Value>| value.map_or(null, |value| key.bits(&value));
    Ok(match column.dtype() {
        DataType::Float64 => column.f64()?.iter().map(|x| of(x.map(Value::Number))).collect(),
        DataType::Int32 => column.i32()?.iter().map(|d| of(d.map(Value::Date))).collect(),
        DataType::Boolean => column.bool()?.iter().map(|b| of(b.map(Value::Boolean))).collect(),
        _ => column
            .str()?
            .iter()
            .map(|t| t.map_or(null, |t| key.text_bits(t)))
            .collect(),
    })
}
