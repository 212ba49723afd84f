//! Workloads: what a round is about. SQL and training as checked plans, and sums read back as tables and models.
//!
//! A workload knows its mathematics and nothing of rounds; the engine knows rounds and nothing of SQL. What is here is
//! pure: no data is read, no polars, no clock, no randomness. Planning a query takes well under five milliseconds.
//!
//! Deliberately absent: execution over real files (the participant's), training (an issue of its own).
#![forbid(unsafe_code)]

pub mod query;

use std::collections::BTreeMap;
use std::sync::Arc;

/// Every workload of this build, by the `kind` of request that it answers: the same on coordinator and participants.
pub fn workloads() -> BTreeMap<String, Arc<dyn engine::Workload>> {
    let query: Arc<dyn engine::Workload> = Arc::new(query::QueryWorkload);
    BTreeMap::from([(query::KIND.to_owned(), query)])
}
