//! The coordinator's side of the engine.

mod config;

pub use config::{Config, Input, Limits, Workloads};
