//! A whole consortium on this machine: real certificates, real mutual TLS on loopback, each party a process of its own.
//!
//! [`spec`] says who takes part, [`state`] keeps identities and configurations in a folder, [`process`] starts and stops
//! the children, which are this same executable under hidden subcommands ([`child`]). `sotto up` and `sotto demo` stand on
//! it. Starting takes a second or two; what the parties then do is what they do in deployment.

pub mod child;
mod process;
mod spec;
mod state;

pub use process::{Running, start};
pub use spec::{Analyst, Site, Spec, Steward};
pub use state::State;
