//! Private SQL. Text is parsed, typed against the contract, and only then becomes a vector layout with its cost.
//!
//! ```text
//! sql text -> syntax (parse) -> row, aggregate, keys, select (types, bounds, refusals) -> fit (lattice, noise) -> QueryPlan
//! rows -> evaluate (here the specification, at a participant polars) -> integers -> round -> read_back -> Table
//! ```
//! Everything outside the dialect is refused with its clause, the reason and a caret; nothing is ignored silently.

mod aggregate;
mod bounding;
mod compile;
mod components;
mod dual;
mod error;
mod estimate;
mod evaluate;
mod expr;
mod fit;
mod forms;
mod keys;
mod lattice;
mod name;
mod output;
mod plan;
mod read_back;
mod results;
mod row;
mod scope;
mod select;
mod syntax;
mod table;
mod types;
mod workload;

pub use bounding::{BoundingKey, UnitId, choose, integer_id, whole_id};
pub use compile::{compile, epsilon_for_error};
pub use error::SqlError;
pub use evaluate::{Row, clamp, evaluate, scan};
pub use expr::{
    Arithmetic, Comparison, DatePart, Expr, Function, LikeToken, Value, arithmetic, call, compare, date_part, like,
    like_tokens, parse_date,
};
pub use lattice::Lattice;
pub use output::{Aggregate, OrderTerm, Output, OutputColumn, OutputExpr};
pub use plan::{
    Bins, Component, ComponentKind, Contribution, Domain, GroupKey, Layout, Noise, QueryPlan, ScanColumn, ScanKind,
    tree_path,
};
pub use read_back::{predict, read_back};
pub use scope::nearest;
pub use table::{Cell, Method, PredictedColumn, Prediction, Table, TableColumn};
pub use workload::{KIND, QueryTask, QueryWorkload};

// Training reads columns the way queries do, and means the same by a code.
pub(crate) use error::{BUDGET, PLAN, SATURATES, TASK};
pub(crate) use scope::scan as scan_column;
