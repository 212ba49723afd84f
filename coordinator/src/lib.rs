//! The coordinator: a shell of sockets, a database and a clock around `engine::coordinator`. It relays, orders and adds; it
//! is trusted for nothing else.
//!
//! - [`config`]: the operator's file
//! - [`driver`]: the one thread that owns the engine: records, then messages, then the spool
//! - [`grpc`]: the doors for agents and analysts; `links`: the driver's side of the agents' streams
//! - `gate`: how much one organisation may ask
//! - `tls`: both listeners' certificates, exchanged while they listen; `mailbox`: letters between newcomers and governance; `network`: as
//!   whose strangers' addresses count
//! - `jobs`, `notices`, `metrics`: what analysts and operators are told
//!
//! Deliberately absent: any way to read a data file (polars and opendp are not even in its closure), any decision over data,
//! any lock held over an `await`. Idle it costs a few megabytes and one keepalive per agent every 15 s. In a round the engine
//! holds a sum and the vectors that it granted; with what the process keeps of each agent's upload, `experiments scale` measured
//! 8 to 12 bytes a participant and value (1.4 GB at 128 participants and a million values).
#![forbid(unsafe_code)]

pub mod config;
pub mod driver;
mod gate;
pub mod grpc;
mod jobs;
mod links;
mod mailbox;
mod metrics;
mod network;
mod notices;
mod rebuild;
mod roster;
mod server;
mod spool;
mod tiles;
mod tls;

pub use rebuild::Rebuilt;
pub use server::{Fatal, check, rebuild, run, run_with};
