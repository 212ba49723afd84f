//! Medians, and figures for people.

use std::time::{Duration, Instant};

/// Median of several runs of `work`, after one that warms up.
pub fn median_seconds(runs: usize, mut work: impl FnMut()) -> f64 {
    work();
    let times = (0..runs.max(1))
        .map(|_| {
            let began = Instant::now();
            work();
            began.elapsed()
        })
        .collect();
    median(times).as_secs_f64()
}

pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or_default()
}

/// One figure a line.
pub fn print(figures: &serde_json::Value) {
    if let Some(object) = figures.as_object() {
        for (name, value) in object {
            println!("{name:>40}  {value}");
        }
    }
}
