//! The coordinator: a shell of sockets, a database and a clock around `engine::coordinator`. It relays, orders and adds; it
//! is trusted for nothing else.
//!
//! - [`config`]: the operator's file
//! - [`driver`]: the one thread that owns the engine: records, then messages, then the spool
//! - [`grpc`]: the doors for agents and analysts; `links`: the driver's side of the agents' streams
//! - `jobs`, `notices`, `metrics`: what analysts and operators are told
//!
//! Deliberately absent: any way to read a data file (polars and opendp are not even in its closure), any decision over data,
//! any lock held over an `await`. Idle it costs a few megabytes and one keepalive per agent every 15 s; in a round its
//! memory is O(4d), whatever the number of agents.
#![forbid(unsafe_code)]

pub mod config;
pub mod driver;
pub mod grpc;
mod jobs;
mod links;
mod metrics;
mod notices;
mod roster;
mod server;
mod spool;

pub use server::{Fatal, check, run, run_with};
