//! Workloads: what a round is about. SQL and training as checked plans, and sums read back as tables and models.
//!
//! A workload knows its mathematics and nothing of rounds; the engine knows rounds and nothing of SQL. What is here is
//! pure: no data is read, no polars, no clock, no randomness. Planning a query takes well under five milliseconds.
//!
//! Deliberately absent: execution over real files (the participant's), training (an issue of its own).
#![forbid(unsafe_code)]

pub mod query;
