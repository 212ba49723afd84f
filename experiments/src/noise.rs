//! `noise`: samples of the exact discrete Gaussian a second, one core, drawn in one batch as a participant draws them.

use privacy::{ExactSampler, Sampler};
use serde_json::json;

use crate::measure::median_seconds;

#[derive(clap::Args)]
pub struct Arguments {
    #[arg(long, default_value_t = 1_000_000)]
    dim: usize,
    /// Standard deviation; the variance is its square, an integer
    #[arg(long, default_value_t = 1000)]
    sigma: u64,
    #[arg(long, default_value_t = 7)]
    runs: usize,
}

pub fn run(arguments: &Arguments) -> serde_json::Value {
    let mut samples = vec![0i64; arguments.dim];
    let mut sampler = ExactSampler::new(rand::random());
    let seconds = median_seconds(arguments.runs, || {
        sampler.fill(arguments.sigma * arguments.sigma, &mut samples);
    });
    let mean = samples.iter().map(|x| *x as f64).sum::<f64>() / samples.len() as f64;
    let variance = samples.iter().map(|x| (*x as f64 - mean).powi(2)).sum::<f64>() / samples.len() as f64;
    json!({
        "dim": arguments.dim,
        "sigma": arguments.sigma,
        "seconds": seconds,
        "samples_per_second": arguments.dim as f64 / seconds,
        "sample_sd": variance.sqrt(),
    })
}
