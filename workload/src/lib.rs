//! Workloads: what a round is about. SQL and training as checked plans, and sums read back as tables and models.
//!
//! A workload knows its mathematics and nothing of rounds; the engine knows rounds and nothing of SQL. What is here is
//! pure: no data is read, no polars, no clock, no randomness. Planning a query takes well under five milliseconds.
//!
//! Deliberately absent: execution over real files (the participant's).
#![forbid(unsafe_code)]

pub mod query;
pub mod training;

use std::collections::BTreeMap;
use std::sync::Arc;

/// Every workload of this build, by the `kind` of request that it answers: the same on coordinator and participants.
pub fn workloads() -> BTreeMap<String, Arc<dyn engine::Workload>> {
    let query: Arc<dyn engine::Workload> = Arc::new(query::QueryWorkload);
    let evaluate: Arc<dyn engine::Workload> = Arc::new(training::EvaluateWorkload);
    let train: Arc<dyn engine::Workload> = Arc::new(training::TrainWorkload);
    BTreeMap::from([
        (query::KIND.to_owned(), query),
        (training::KIND.to_owned(), train),
        (training::EVALUATE_KIND.to_owned(), evaluate),
    ])
}
