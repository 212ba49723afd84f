//! The wire: what the parties say to each other, and the plumbing that both shells need to say it.
//!
//! - [`v1`]: the package `sottovoce.v1`, generated from `proto/`. Handlers convert on their first line; no type of it goes
//!   further in.
//! - [`agents`], [`analysts`], `models`, [`usage`], [`handshake`]: conversions to the types of `engine` and `governance`, checked on arrival.
//! - [`identity`]: an identity directory as mutual TLS, and who is at the other end of a connection.
//! - [`refusal`]: what is refused as a status, with its code and its remedy.
//! - [`store`]: the append-only SQLite file in which either shell keeps the engine's records.
//! - [`texts`]: text files that people keep, one or a folder of them.
//!
//! Deliberately absent: sockets, tasks, retries, any decision over a message beyond its shape, any cryptography of the
//! protocol (signed messages pass through unopened), and any way for a data file to become a message.
#![forbid(unsafe_code)]

pub mod agents;
pub mod analysts;
pub mod handshake;
pub mod identity;
mod models;
pub mod refusal;
pub mod store;
pub mod texts;
mod trials;
pub mod usage;
mod wire;

pub use wire::{Malformed, acts, printable};

/// The generated package `sottovoce.v1`.
#[allow(clippy::all, missing_docs)] // generated
pub mod v1 {
    tonic::include_proto!("sottovoce.v1");
}

/// The descriptors of all services, for reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = tonic::include_file_descriptor_set!("sottovoce");
