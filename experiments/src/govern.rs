//! `govern`: what it costs that somebody decides, watches and proves. A figure is a module; `--only` measures one.

mod consent;
mod decision;
mod log;
mod quorum;
mod revocation;

use serde_json::{Map, Value};
use tests::learn::Result;

#[derive(clap::Args)]
pub struct Arguments {
    /// One figure instead of all
    #[arg(long)]
    only: Option<Figure>,
    /// Repetitions of what is short
    #[arg(long, default_value_t = 7)]
    runs: usize,
    /// Rows of the questions that are timed
    #[arg(long, default_value_t = 10_000_000)]
    rows: u64,
    /// Leaves of the log that is measured
    #[arg(long, default_value_t = 200_000)]
    leaves: u64,
    /// Participants of the consortium whose queries wait for a quorum, and whose grants are revoked
    #[arg(long, default_value_t = 4)]
    participants: usize,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Figure {
    /// One decision of an agent: contract, grant, consent, policies
    Decision,
    /// From a revocation until it is in force everywhere, and what leaves meanwhile where it was made
    Revocation,
    /// A question with a filter by consent, against the same question without
    Consent,
    /// Leaves appended in a second, and what verifying a proof costs
    Log,
    /// What waiting for a quorum of witnesses adds to a question
    Quorum,
}

/// Queries behind one repetition of the quorum's figure: each takes milliseconds.
const QUERIES: usize = 7;

pub fn run(arguments: &Arguments) -> Value {
    measure(arguments).unwrap_or_else(|error| {
        eprintln!("govern: {error}");
        std::process::exit(1)
    })
}

fn measure(arguments: &Arguments) -> Result<Value> {
    let mut figures = Map::new();
    let wanted = |figure| arguments.only.is_none_or(|only| only == figure);
    if wanted(Figure::Decision) {
        figures.extend(decision::measure()?);
    }
    if wanted(Figure::Revocation) {
        figures.extend(revocation::measure(arguments.participants, arguments.runs));
    }
    if wanted(Figure::Log) {
        figures.extend(log::append(arguments.leaves));
        figures.extend(log::verify(arguments.leaves, arguments.runs));
    }
    if wanted(Figure::Quorum) {
        figures.extend(quorum::added(arguments.participants, arguments.runs * QUERIES));
    }
    if wanted(Figure::Consent) {
        figures.extend(consent::measure(arguments.rows, arguments.runs)?);
    }
    Ok(figures.into())
}
