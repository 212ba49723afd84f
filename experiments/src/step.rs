//! `step`: a private gradient (clipped per unit, rounded, summed in integers) against the plain mini-batch gradient of
//! the same model, interleaved. The figure is the greatest ratio of all cases.

use std::path::PathBuf;

use serde_json::json;
use tests::learn::step::{CASES, measure};

use crate::measure::keep;

#[derive(clap::Args)]
pub struct Arguments {
    #[arg(long, default_value_t = 400)]
    runs: usize,
    /// Where the figures go
    #[arg(long, default_value = "experiments/results")]
    results: PathBuf,
}

pub fn run(arguments: &Arguments) -> serde_json::Value {
    let mut greatest = 0.0f64;
    let mut cases = Vec::new();
    for case in &CASES {
        let cost = measure(case, arguments.runs).unwrap_or_else(|error| panic!("{error}"));
        greatest = greatest.max(cost.ratio());
        println!(
            "{:9} {:?}, batch {}: ratio {:.2}",
            case.name,
            case.hidden,
            case.batch,
            cost.ratio()
        );
        cases.push(json!({
            "model": case.name,
            "hidden": case.hidden,
            "batch": case.batch,
            "parameters": cost.parameters,
            "plain_seconds": cost.plain_seconds,
            "private_seconds": cost.private_seconds,
            "ratio_private_to_plain": cost.ratio(),
        }));
    }
    let figures = json!({
        "ratio_private_to_plain": greatest,
        "cases": cases,
    });
    keep(&arguments.results, "step", &figures).unwrap_or_else(|error| panic!("{error}"));
    figures
}
