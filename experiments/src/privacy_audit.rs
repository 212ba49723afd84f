//! `privacy-audit`: what attacks on a trained model prove, beside what its plan claims: the one-run lower bound on
//! epsilon and a loss-threshold membership attack.

use std::path::PathBuf;

use serde_json::json;
use tests::learn::{Result, audit, epsilon_json};

use crate::data::Source;
use crate::measure::keep;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// `inf` trains without noise, and shows what the attacks can do
    #[arg(long, default_value_t = 3.0)]
    epsilon: f64,
    /// Made-up units, each included by a fair coin
    #[arg(long, default_value_t = 200)]
    canaries: usize,
    /// Canaries whose coin is guessed, those that the attacker is surest of
    #[arg(long, default_value_t = 60)]
    guesses: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Where the plot and the figures go
    #[arg(long, default_value = "experiments/results")]
    results: PathBuf,
}

pub fn run(arguments: &Arguments) -> serde_json::Value {
    measured(arguments).unwrap_or_else(|error| panic!("{error}"))
}

fn measured(arguments: &Arguments) -> Result<serde_json::Value> {
    let (bench, encoded) = arguments.source.open()?;
    let name = arguments.source.name(&bench);
    let counts = (arguments.canaries, arguments.guesses);
    let found = audit(&bench, &encoded, arguments.epsilon, counts, arguments.seed)?;
    let found = json!({
        "data": arguments.source.data_name(),
        "epsilon_claimed": epsilon_json(found.epsilon_claimed),
        "epsilon_lower_bound": found.epsilon_lower_bound,
        "confidence": 0.95,
        "canaries": found.canaries,
        "guesses": found.guesses,
        "right": found.right,
        "attack_auc": found.attack_auc,
    });
    keep(
        &arguments.results,
        &format!("privacy-audit-{name}-{}", arguments.epsilon),
        &found,
    )?;
    Ok(found)
}
