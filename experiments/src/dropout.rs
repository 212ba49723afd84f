//! `dropout`: accuracy, rounds that repeat, what they cost, and time, against the probability that a site misses a
//! round.

use std::path::PathBuf;

use serde_json::json;
use tests::learn::{Result, dropout, dropout_json};

use crate::data::Source;
use crate::measure::keep;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// The probability that a site misses a round
    #[arg(long, value_delimiter = ',', default_value = "0,0.05,0.1,0.2,0.3")]
    rate: Vec<f64>,
    /// Planned, for a run in which no round repeats
    #[arg(long, default_value_t = 3.0)]
    epsilon: f64,
    #[arg(long, default_value_t = 5)]
    seeds: u64,
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
    let mut rates = Vec::new();
    for rate in &arguments.rate {
        let one = dropout(&bench, &encoded, arguments.epsilon, *rate, arguments.seeds)?;
        println!(
            "dropout {rate:>5}  {} {:.4}  attempts a round {:.2}  epsilon {:.2}  {:.2} s",
            bench.metric.name(),
            one.summary.mean,
            one.attempts_per_round,
            one.epsilon,
            one.seconds
        );
        rates.push(one);
    }
    let found = json!({
        "data": arguments.source.data_name(),
        "metric": bench.metric.name(),
        "epsilon_planned": arguments.epsilon,
        "seeds": arguments.seeds,
        "s_min": bench.terms.s_min,
        "participants": bench.terms.n,
        "results": dropout_json(&rates),
    });
    keep(&arguments.results, &format!("dropout-{name}"), &found)?;
    Ok(found)
}
