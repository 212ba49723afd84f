//! Prints exact discrete Gaussian samples a second on one core, for several variances. A million samples each, the median of nine runs.
//! `cargo run --release -p privacy --example sampler_rate`
#![allow(clippy::disallowed_methods)] // it measures time

use privacy::{ExactSampler, Sampler};
use std::time::Instant;

fn main() {
    const SAMPLES: usize = 1_000_000;
    let mut out = vec![0i64; SAMPLES];
    for variance in [1, 16, 1_000, 1_000_000, 1 << 40, 1 << 50, 1 << 62] {
        let mut sampler = ExactSampler::new([7; 32]);
        let mut seconds: Vec<f64> = (0..9)
            .map(|_| {
                let start = Instant::now();
                sampler.fill(variance, &mut out);
                start.elapsed().as_secs_f64()
            })
            .collect();
        seconds.sort_by(f64::total_cmp);
        let sd = (out.iter().map(|x| (*x as f64).powi(2)).sum::<f64>() / SAMPLES as f64).sqrt();
        let ratio = sd / (variance as f64).sqrt();
        println!(
            "variance {variance:>20}: {:>6.1} M samples/s, sd is {ratio:.4} of what it should be",
            1.0 / seconds[4]
        );
    }
    let start = Instant::now();
    ExactSampler::new([7; 32]).fill(1_000_000, &mut out[..1]);
    println!(
        "one sample with its table: {:.0} us",
        start.elapsed().as_secs_f64() * 1e6
    );
}
