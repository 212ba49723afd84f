//! Private SQL. Text is parsed, typed against the contract, and only then becomes a vector layout with its cost.
//!
//! ```text
//! sql text -> syntax (parse) -> lower (types, bounds, refusals) -> components -> calibrate -> QueryPlan
//! rows -> evaluate (here the specification, at a participant polars) -> integers -> round -> read_back -> Table
//! ```
//! Everything outside the dialect is refused with its clause, the reason and a caret; nothing is ignored silently.

mod bounding;
mod error;
mod expr;
mod lattice;
mod output;
mod plan;

pub use bounding::{BoundingKey, choose, text_bits, value_bits};
pub use error::SqlError;
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
