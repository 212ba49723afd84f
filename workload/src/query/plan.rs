//! The plan of a query: everything an executor needs and nothing about how it was asked. Canonical JSON of this type is
//! what parties compare and what names a release.
//!
//! One row of a participant's file goes through: scan (`ScanColumn`), `filter`, group (`GroupKey`), contribution
//! bounding per unit (`bounding.rs`), and then adds integers to the cells of its group (`Component`). The vector is
//! group-major: cell `layout.cell(group, component) + i`. `evaluate.rs` is the executable specification of all this.

use super::{Expr, Lattice, Output, Value};
use governance::{ContentHash, Scalar, canonical::Real};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueryPlan {
    pub version: u32,
    pub dataset: String,
    pub contract: ContentHash,
    /// What is read besides the unit, sorted by name.
    pub columns: Vec<ScanColumn>,
    /// The column of the privacy unit (read raw; rows where it is NULL are dropped); `None`: every row is a unit.
    pub unit: Option<String>,
    /// Rows where it is not true are dropped.
    pub filter: Option<Expr>,
    pub groups: Vec<GroupKey>,
    pub contribution: Contribution,
    /// Rows that a participant may hold, from the contract.
    pub max_rows: u64,
    pub components: Vec<Component>,
    pub output: Output,
    pub noise: Noise,
}

/// How the scan delivers a column, whatever type the file has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScanColumn {
    pub name: String,
    pub kind: ScanKind,
    /// What a NULL reads as; `None`: it stays NULL.
    pub null: Option<Scalar>,
}

/// Type and normalisation of a scanned column. A value that is not of the kind (a text that is no date) reads as NULL,
/// and so do NaN and the infinities.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScanKind {
    /// Rounded half to even if `whole`, then clamped to the bounds.
    Number {
        bounds: Option<(Real, Real)>,
        whole: bool,
    },
    /// Anything outside a non-empty list of categories reads as NULL.
    Text {
        categories: Vec<String>,
    },
    Boolean,
    /// Days since 1970-01-01, clamped to the bounds.
    Date {
        bounds: Option<(i32, i32)>,
    },
}

/// Contribution bounds of one unit at one participant, and participants it may appear at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Contribution {
    pub rows: u32,
    pub groups: u32,
    pub rows_per_group: u32,
    pub participants: u32,
}

/// One key of GROUP BY: an expression and its closed, public domain. A row whose value is not in it is dropped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupKey {
    pub expr: Expr,
    pub domain: Domain,
    /// Whether NULL is a group of its own; it is the last one.
    pub null: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Domain {
    /// Index by position.
    Texts(Vec<String>),
    /// false is 0, true is 1.
    Booleans,
    /// Index is value - min.
    Integers { min: i64, max: i64 },
    /// `Bins::index`.
    Bins(Bins),
}

/// Equal, half-open intervals `[origin + i width, origin + (i+1) width)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bins {
    pub origin: Real,
    pub width: Real,
    pub count: u32,
}

impl Bins {
    /// `floor((x - origin) / width)`, clamped to the first and last bin. Total: NaN is bin 0.
    pub fn index(&self, x: f64) -> u32 {
        let at = ((x - self.origin.get()) / self.width.get()).floor();
        (at as i64).clamp(0, i64::from(self.count) - 1) as u32
    }

    /// Lower and upper edge of a bin.
    pub fn edges(&self, index: u32) -> (f64, f64) {
        let edge = |i: f64| self.origin.get() + i * self.width.get();
        (edge(f64::from(index)), edge(f64::from(index) + 1.0))
    }
}

/// One thing that is measured in every group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Component {
    /// Rows where it is not true add nothing.
    pub filter: Option<Expr>,
    pub kind: ComponentKind,
    /// Each cell of a participant is clamped to `-clip..=clip` before noise.
    pub clip: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ComponentKind {
    /// One cell; every row adds `weight`.
    Rows { weight: i64 },
    /// One cell; every unit with at least one row in the group adds `weight` once.
    Units { weight: i64 },
    /// One cell; a row adds `lattice.to_integer(value)`; NULL adds nothing.
    Sum { expr: Expr, lattice: Lattice },
    /// `bins.count` cells; a row adds `weight` to the cell of its value; NULL adds nothing.
    Histogram { expr: Expr, bins: Bins, weight: i64 },
    /// Counts of a tree over `bins.count = branching^levels` leaves, coarsest level first, the root left out:
    /// `branching + branching^2 + ... ` cells. A row adds `weight` to one cell of each level; NULL adds nothing.
    Tree {
        expr: Expr,
        bins: Bins,
        branching: u32,
        levels: u32,
        /// Leaves within the bounds; those after them are always empty.
        leaves: u32,
        weight: i64,
    },
}

impl ComponentKind {
    /// Cells of this component in one group.
    pub fn cells(&self) -> usize {
        match self {
            ComponentKind::Rows { .. } | ComponentKind::Units { .. } | ComponentKind::Sum { .. } => 1,
            ComponentKind::Histogram { bins, .. } => bins.count as usize,
            ComponentKind::Tree { branching, levels, .. } => Self::tree_cells(*branching, *levels),
        }
    }

    /// Cells of a tree without its root.
    pub fn tree_cells(branching: u32, levels: u32) -> usize {
        (1..=levels).map(|l| (branching as usize).pow(l)).sum()
    }

    /// The most that one row can add to one cell.
    pub fn weight(&self) -> i64 {
        match self {
            ComponentKind::Rows { weight }
            | ComponentKind::Units { weight }
            | ComponentKind::Histogram { weight, .. }
            | ComponentKind::Tree { weight, .. } => *weight,
            ComponentKind::Sum { lattice, .. } => lattice.reach(),
        }
    }
}

/// The tree's cells that a leaf belongs to, relative to the component's first cell, coarsest first.
pub fn tree_path(branching: u32, levels: u32, leaf: u32) -> impl Iterator<Item = usize> {
    let b = branching as usize;
    let mut start = 0;
    (1..=levels).map(move |level| {
        let cell = start + leaf as usize / b.pow(levels - level);
        start += b.pow(level);
        cell
    })
}

/// How much noise, and what claim it makes good. Variances are in squared lattice units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    pub epsilon: Real,
    pub delta: Real,
    /// Of one participant's share.
    pub variance: u64,
    /// Shares that the claim counts on: `s_min - c`.
    pub shares: u32,
    /// Members of the epoch that the ring was sized for.
    pub members: u32,
    /// Squared L2 sensitivity, and L1, of the whole vector to one unit.
    pub l2_squared: u64,
    pub l1: u64,
}

/// Where each cell lies. Cheap to make: keep one, do not make one per row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub groups: usize,
    /// Cells of one group.
    pub width: usize,
    /// First cell of each component within its group.
    pub offsets: Vec<usize>,
}

impl Layout {
    pub fn dim(&self) -> usize {
        self.groups * self.width
    }

    /// Index of the first cell of a component in a group.
    pub fn cell(&self, group: usize, component: usize) -> usize {
        group * self.width + self.offsets[component]
    }
}

impl Domain {
    pub fn len(&self) -> usize {
        match self {
            Domain::Texts(labels) => labels.len(),
            Domain::Booleans => 2,
            Domain::Integers { min, max } => (max - min + 1) as usize,
            Domain::Bins(bins) => bins.count as usize,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Position of a value that is not NULL; `None` drops the row.
    pub fn index(&self, value: &Value) -> Option<usize> {
        match (self, value) {
            (Domain::Texts(labels), Value::Text(text)) => labels.iter().position(|l| l == text),
            (Domain::Booleans, Value::Boolean(b)) => Some(usize::from(*b)),
            (Domain::Integers { min, max }, Value::Number(x)) => {
                let whole = x.fract() == 0.0 && *x >= *min as f64 && *x <= *max as f64;
                whole.then(|| (*x as i64 - min) as usize)
            }
            (Domain::Bins(bins), Value::Number(x)) => Some(bins.index(*x) as usize),
            _ => None,
        }
    }
}

impl GroupKey {
    /// Groups of this key, NULL included.
    pub fn groups(&self) -> usize {
        self.domain.len() + usize::from(self.null)
    }

    /// Position of a row's value of this key; `None` drops the row.
    pub fn index(&self, value: &Value) -> Option<usize> {
        match value {
            Value::Null => self.null.then(|| self.domain.len()),
            value => self.domain.index(value),
        }
    }
}

impl QueryPlan {
    pub fn layout(&self) -> Layout {
        let mut width = 0;
        let mut offsets = Vec::with_capacity(self.components.len());
        for component in &self.components {
            offsets.push(width);
            width += component.kind.cells();
        }
        Layout {
            groups: self.groups.iter().map(GroupKey::groups).product(),
            width,
            offsets,
        }
    }

    /// The group of a row, the first key counting most; `None` drops the row.
    pub fn group(&self, column: &dyn Fn(&str) -> Value) -> Option<usize> {
        self.groups.iter().try_fold(0, |at, key| {
            Some(at * key.groups() + key.index(&key.expr.evaluate(column))?)
        })
    }

    /// The bytes that parties compare.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Unwrap safety: a plan holds strings, integers, booleans and finite `Real`s, all of which JSON can spell.
        serde_json::to_vec(self).expect("a plan is spellable")
    }

    pub fn from_bytes(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }
}
