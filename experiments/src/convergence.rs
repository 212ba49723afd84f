//! `convergence`: every algorithm without noise where sites see different classes (Dirichlet 0.1, 1, 100). Keeps a plot
//! for each skew and the figures under `experiments/results`.

use std::path::PathBuf;

use serde_json::json;
use tests::learn::{Convergence, Result, algorithms, convergence, convergence_json};

use crate::data::Source;
use crate::measure::keep;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    #[arg(long, value_delimiter = ',', default_value = "0.1,1,100")]
    alpha: Vec<f64>,
    #[arg(long, default_value_t = 100)]
    rounds: u32,
    #[arg(long, default_value_t = 3)]
    seeds: u64,
    /// Where the plots and the figures go
    #[arg(long, default_value = "experiments/results")]
    results: PathBuf,
}

pub fn run(arguments: &Arguments) -> serde_json::Value {
    measured(arguments).unwrap_or_else(|error| panic!("{error}"))
}

fn measured(arguments: &Arguments) -> Result<serde_json::Value> {
    let (bench, encoded) = arguments.source.open()?;
    let name = arguments.source.name(&bench);
    let mut found: Vec<Convergence> = Vec::new();
    for alpha in &arguments.alpha {
        for algorithm in algorithms()? {
            let one = convergence(&bench, &encoded, algorithm, *alpha, arguments.rounds, arguments.seeds)?;
            if let Some((rounds, mean)) = one.curve.last() {
                println!("alpha {alpha:>5}  {:10} {mean:.4} after {rounds} rounds", one.algorithm);
            }
            found.push(one);
        }
    }
    let found = json!({
        "data": arguments.source.data_name(),
        "metric": bench.metric.name(),
        "seeds": arguments.seeds,
        "results": convergence_json(&found),
    });
    keep(&arguments.results, &format!("convergence-{name}"), &found)?;
    Ok(found)
}
