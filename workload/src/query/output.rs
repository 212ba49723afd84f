//! The second half of a plan: how sums become the columns of a table. All of it is post-processing and free.
//!
//! An `Aggregate` reads components of one group; an `OutputExpr` computes with aggregates, group keys and constants;
//! HAVING, ORDER BY and LIMIT then see the computed, noisy values and nothing else.

use super::{Arithmetic, Comparison, Function};
use governance::canonical::Real;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    pub aggregates: Vec<Aggregate>,
    /// The component whose bins are rows of the table, for HISTOGRAM.
    pub histogram: Option<usize>,
    pub columns: Vec<OutputColumn>,
    pub having: Option<OutputExpr>,
    pub order_by: Vec<OrderTerm>,
    pub limit: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputColumn {
    /// The alias, or the canonical spelling of the expression.
    pub name: String,
    pub expr: OutputExpr,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrderTerm {
    pub expr: OutputExpr,
    pub descending: bool,
    pub nulls_first: bool,
}

/// An estimate from the components (by index) of one group. With n the count, s the centred sum in units of the
/// column and c the centre:
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// n, of rows or of units.
    Count { component: usize },
    /// s + c n; without a count component the sum is not centred and c is 0.
    Sum { sum: usize, count: Option<usize> },
    /// c + s / n
    Average { sum: usize, count: usize },
    /// mean((x-c)^2) - (s/n)^2, times n/(n-1) for the sample's, and its root for a standard deviation.
    Variance {
        sum: usize,
        square: usize,
        count: usize,
        sample: bool,
        root: bool,
    },
    /// mean((x-c)(y-d)) - mean(x-c) mean(y-d), times n/(n-1) for the sample's.
    Covariance {
        left: usize,
        right: usize,
        product: usize,
        count: usize,
        sample: bool,
    },
    /// Covariance over the root of both variances.
    Correlation {
        left: usize,
        right: usize,
        left_square: usize,
        right_square: usize,
        product: usize,
        count: usize,
    },
    /// The value below which a share p of the tree's rows lies.
    /// If `steps`, the middle of a leaf (leaves are single values), else interpolated within the leaf.
    Quantile { tree: usize, p: Real, steps: bool },
}

impl Aggregate {
    /// As grants name it: one of `governance::grant::AGGREGATES`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Count { .. } => "COUNT",
            Self::Sum { .. } => "SUM",
            Self::Average { .. } => "AVG",
            Self::Variance { root: true, .. } => "STDDEV",
            Self::Variance { root: false, .. } => "VARIANCE",
            Self::Covariance { .. } => "COVARIANCE",
            Self::Correlation { .. } => "CORR",
            Self::Quantile { .. } => "QUANTILE",
        }
    }
}

impl Output {
    /// What the table shows, each once, as grants name it.
    pub fn shows(&self) -> BTreeSet<&'static str> {
        let histogram = self.histogram.map(|_| "HISTOGRAM");
        self.aggregates.iter().map(Aggregate::name).chain(histogram).collect()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputExpr {
    Null,
    Number(Real),
    Text(String),
    Boolean(bool),
    /// Position in `QueryPlan::groups`.
    Key(usize),
    /// Position in `Output::aggregates`.
    Aggregate(usize),
    BinLow,
    BinHigh,
    BinCount,
    Negate(Box<OutputExpr>),
    Arithmetic(Arithmetic, Box<OutputExpr>, Box<OutputExpr>),
    Call(Function, Vec<OutputExpr>),
    Compare(Comparison, Box<OutputExpr>, Box<OutputExpr>),
    Not(Box<OutputExpr>),
    And(Vec<OutputExpr>),
    Or(Vec<OutputExpr>),
    IsNull(Box<OutputExpr>),
    Case(Vec<(OutputExpr, OutputExpr)>, Box<OutputExpr>),
}
