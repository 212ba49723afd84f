//! `govern`: what rules and proofs cost. One file and one function a figure.

mod log;
mod quorum;

use serde_json::{Map, Value};

#[derive(clap::Args)]
pub struct Arguments {
    /// Leaves of the log that is measured
    #[arg(long, default_value_t = 200_000)]
    leaves: u64,
    /// Participants of the consortium whose queries wait for a quorum
    #[arg(long, default_value_t = 4)]
    participants: usize,
    /// Queries, and repetitions of what is short
    #[arg(long, default_value_t = 50)]
    runs: usize,
}

pub fn run(arguments: &Arguments) -> Value {
    let mut figures = Map::new();
    figures.extend(log::append(arguments.leaves));
    figures.extend(log::verify(arguments.leaves, arguments.runs));
    figures.extend(quorum::added(arguments.participants, arguments.runs));
    figures.into()
}
