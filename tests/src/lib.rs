//! What the suites stand on: [`sim`], the world in which nothing is real but the code under test, and [`plain`], the workload that
//! runs in it. [`learn`] is the researcher's bench: training runs on real tables without a network, for tests and `experiments`.
//! Suites that cross crates lie in `tests/`; those that need sockets and polars are behind the feature `shells`.
//!
//! Deliberately absent: anything a shipped program could depend on.
#![forbid(unsafe_code)]

pub mod learn;
pub mod plain;
pub mod sim;
