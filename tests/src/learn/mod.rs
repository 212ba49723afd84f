//! The researcher's bench: what a training run makes of a real table, measured beside what it is compared with. The
//! same plans, contributions, noise and steps as a run over the network, in one process and without masks (they cancel
//! in the sum to the last bit, which the simulator checks).
//!
//! ```text
//! Bench (contract, task, cohort) + Table -> Encoded -> Split by seed     bench.rs, table.rs
//! federated | central | plain -> Trained -> Figure (mean, min, max)      run.rs, central.rs, compare.rs, metric.rs
//! label skew, dropout, convergence, audit of the privacy claim           skew.rs, study.rs, audit.rs
//! what clipping costs, figures as JSON                                 step.rs, report.rs
//! ```
//! A run on heart costs a few milliseconds, one of 300 rounds on MNIST some seconds.
//!
//! Deliberately absent: files and polars; `experiments` reads tables and hands them in. Coins and noise follow from a
//! seed here, so that a figure can be made again: nothing in this module may ever release anything.

mod audit;
mod bench;
mod central;
mod compare;
mod metric;
mod report;
mod run;
mod skew;
pub mod step;
mod study;
mod table;

#[cfg(test)]
mod tests;

pub use audit::{Audit, audit};
pub use bench::{Bench, DELTA, mnist_contract};
pub use central::central;
pub use compare::{Figure, Setting, compare};
pub use metric::{Metric, Summary, auc};
pub use report::{accuracy_json, convergence_json, dropout_json, epsilon_json, settings_json};
pub use run::{Trained, federated, plain};
pub use skew::dirichlet;
pub use study::{Convergence, Dropout, algorithms, convergence, dropout};
pub use table::{Column, Encoded, Split, Table};

/// What went wrong, for a person to read: a column that is not there, a budget that is impossible.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;
