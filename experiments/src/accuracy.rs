//! `accuracy`: federated DP over secure aggregation beside centralised DP-SGD with as much noise, the same without
//! noise, all data pooled, and each site alone, on the same splits. Keeps a plot and the figures under
//! `experiments/results`.

use std::path::PathBuf;

use serde_json::json;
use tests::learn::{Result, accuracy_json, compare, settings_json};

use crate::data::Source;
use crate::measure::keep;

#[derive(clap::Args)]
pub struct Arguments {
    #[command(flatten)]
    source: Source,
    /// At delta 1e-5; what is not private is always shown beside them
    #[arg(long, value_delimiter = ',', default_value = "1,3,8,inf")]
    epsilon: Vec<f64>,
    /// Splits, coins and noise follow from seeds 1, 2, ...
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
    let figures = compare(&bench, &encoded, &arguments.epsilon, arguments.seeds, &mut |figure| {
        let summary = figure.summary;
        println!(
            "{:24} epsilon {:>4}  {} {:.4}  ({:.4} to {:.4})",
            figure.setting.name(),
            figure.epsilon,
            figure.metric.name(),
            summary.mean,
            summary.min,
            summary.max
        );
    })?;
    let found = json!({
        "data": arguments.source.data_name(),
        "units": encoded.units(),
        "settings": settings_json(&bench)?,
        "results": accuracy_json(&figures),
    });
    keep(&arguments.results, &format!("accuracy-{name}"), &found)?;
    Ok(found)
}
