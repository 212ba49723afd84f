//! The suites of this crate: what is refused when a layer is read, who may publish one, what layers decide together, and test files.

mod bundles;
mod casebook;
mod common;
mod decisions;
mod faults;
