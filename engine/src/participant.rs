//! A participant's side of the engine.

mod config;

pub use config::{Budget, ComputeFailed, Config, Dataset, Input, Limits};
