//! The library that analysts and researchers call, and everything behind the command `sotto`.
//!
//! - [`Client`]: one connection of one enrolled analyst. It signs requests, follows jobs and reads releases; whatever
//!   decides over data is checked by the participants, not here.
//! - [`Answer`]: a released table with its intervals and its privacy receipt.
//! - [`audit`]: the transparency log, read whole and held against what the witnesses signed.
//! - [`enroll`]: founding a consortium and becoming a member, by files.
//! - [`local`] (feature `agents`): a whole consortium on this machine, for `sotto up`, `sotto demo` and tests.
//! - [`plot`]: charts as SVG and PNG, for reports and experiments.
//! - [`cli`], [`output`], [`profile`]: the command line, thin over the above.
//!
//! Deliberately absent: raw data of any participant, a way to raise a budget, and any trust in the coordinator beyond
//! carrying messages.
#![forbid(unsafe_code)]

mod aim;
pub mod answer;
pub mod ask;
pub mod audit;
pub mod cli;
pub mod client;
pub mod datasets;
#[cfg(feature = "agents")]
pub mod demo;
pub mod enroll;
pub mod explained;
pub mod grants;
pub mod lineage;
#[cfg(feature = "agents")]
pub mod local;
mod names;
pub mod output;
pub mod plot;
mod problem;
pub mod profile;
pub mod publish;
mod released;
mod sql;
pub mod train;
pub mod usage;

pub use aim::Aim;
pub use answer::Answer;
pub use client::{Client, Event, Question};
pub use problem::{Exit, Problem};
pub use released::Released;
